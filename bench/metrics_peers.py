#!/usr/bin/env python3
"""MAP of 2,000 queries against 121,287 items by Gauntlet, by the usual NumPy calculation and by FAISS's binary
top 5,000, one after the other on this machine, one thread each.

    bench/metrics_peers.py [--queries N] [--items N] [--json]

NumPy and FAISS live in a virtual environment under .deps/peers, made on the first run. NumPy's calculation is
measured on the first queries and scaled: its cost is the same for each. Gauntlet is measured twice: the whole
command on .npy files (start of the process, reading and packing included), and the engine alone as
`gauntlet bench metrics` prints it. FAISS returns lists of the nearest, not a MAP.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps" / "peers"
GAUNTLET = ROOT / "build" / "bin" / "gauntlet"
PACKAGES = {"numpy": "numpy", "faiss": "faiss-cpu"}
N_LABELS, BITS, TOP = 80, 32, 5000
NUMPY_QUERIES = 40


def inside_venv() -> None:
    """Runs this script again with the environment's Python, after installing what it lacks."""
    python = VENV / "bin" / "python"
    if Path(sys.prefix) != VENV:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        os.execve(python, [str(python), *sys.argv], {**os.environ, **one_thread})
    for module, package in PACKAGES.items():
        try:
            __import__(module)
        except ImportError:
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True, stdout=sys.stderr)


def made_up(n: int, seed: int):
    """Codes of -1 and 1 near the code of an item's first label; 1 to 5 of 80 labels, few of them frequent."""
    import numpy as np

    centers = np.random.default_rng(1).integers(0, 2, (N_LABELS, BITS)).astype(bool)
    random = np.random.default_rng(seed)
    labels = np.zeros((n, N_LABELS), np.uint8)
    drawn = (random.random((n, 5)) ** 2 * N_LABELS).astype(int)
    wanted = random.integers(1, 6, n)
    for column in range(5):
        rows = np.flatnonzero(wanted > column)
        labels[rows, drawn[rows, column]] = 1
    bits = centers[drawn[:, 0]] ^ (random.random((n, BITS)) < 0.25)
    return np.where(bits, 1, -1).astype(np.int8), labels


def usual_map(query_codes, codes, query_labels, labels):
    """The calculation of most repositories of the field, one query at a time, full ranking."""
    import numpy as np

    values = []
    for code, label in zip(query_codes, query_labels):
        relevant = (labels @ label > 0).astype(np.float32)
        n_relevant = int(relevant.sum())
        if n_relevant == 0:
            values.append(0.0)
            continue
        distance = 0.5 * (BITS - codes @ code)
        relevant = relevant[np.argsort(distance, kind="stable")]
        ranks = np.flatnonzero(relevant) + 1.0
        values.append(float(np.mean(np.arange(1, n_relevant + 1) / ranks)))
    return values


def numpy_seconds(data: dict, n_queries: int) -> tuple[float, list[float]]:
    import numpy as np

    wide = {name: array.astype(np.float32) for name, array in data.items()}
    first = slice(0, min(NUMPY_QUERIES, n_queries))
    start = time.perf_counter()
    values = usual_map(wide["q"][first], wide["r"], wide["ql"][first], wide["rl"])
    return (time.perf_counter() - start) * n_queries / len(values), values


def faiss_seconds(data: dict, repeats: int = 3) -> float:
    import faiss
    import numpy as np

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(BITS)
    index.add(np.packbits(data["r"] > 0, axis=1, bitorder="little"))
    queries = np.packbits(data["q"] > 0, axis=1, bitorder="little")
    best = float("inf")
    for use_heap in (True, False):  # its two ways to keep the nearest
        index.use_heap = use_heap
        for _ in range(repeats):
            start = time.perf_counter()
            index.search(queries, TOP)
            best = min(best, time.perf_counter() - start)
    return best


def gauntlet_seconds(data: dict, folder: str, values: list[float], repeats: int = 3) -> float:
    import numpy as np

    for name, array in data.items():
        np.save(f"{folder}/{name}.npy", array)
    files = [f"--query-codes={folder}/q.npy", f"--retrieval-codes={folder}/r.npy",
             f"--query-labels={folder}/ql.npy", f"--retrieval-labels={folder}/rl.npy"]  # fmt: skip
    command = [GAUNTLET, "eval", *files, "--threads=1", "--json"]
    # The same numbers first, query by query.
    subprocess.run([*command, "--metrics=map/stable", f"--per-query={folder}/v.npy"], check=True, capture_output=True)
    ours = np.load(f"{folder}/v.npy")[: len(values), 0]
    if np.abs(ours - values).max() > 1e-6:
        sys.exit(f"metrics_peers.py: NumPy and Gauntlet differ by {np.abs(ours - values).max()}")
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([*command, "--metrics=map,pr,precision@100"], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--items", type=int, default=121_287)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not GAUNTLET.exists():
        sys.exit("metrics_peers.py: build/bin/gauntlet is missing: run ./dev build")
    inside_venv()
    query_codes, query_labels = made_up(options.queries, 3)
    codes, labels = made_up(options.items, 2)
    data = {"q": query_codes, "r": codes, "ql": query_labels, "rl": labels}
    figures = {}
    figures["numpy_s"], values = numpy_seconds(data, options.queries)
    with tempfile.TemporaryDirectory() as folder:
        figures["gauntlet_eval_s"] = gauntlet_seconds(data, folder, values)
    figures["faiss_top5000_s"] = faiss_seconds(data)
    if (options.queries, options.items) == (2000, 121_287):
        bench = subprocess.run([GAUNTLET, "bench", "metrics", "--base", "--json"], check=True, capture_output=True)
        figures["gauntlet_engine_s"] = json.loads(bench.stdout)["figures"]["map_q2000_n121287_k32_s"]
    for peer in ("numpy_s", "faiss_top5000_s"):
        for ours in ("gauntlet_eval_s", "gauntlet_engine_s"):
            if ours in figures:
                figures[f"{peer[:-2]}_over_{ours[:-2]}"] = figures[peer] / figures[ours]
    if options.json:
        print(json.dumps({"format": 1, "bench": "metrics_peers", "figures": figures}, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:<40} {value:10.3f}")


if __name__ == "__main__":
    main()
