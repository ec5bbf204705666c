"""Works a table out again with pandas and scipy from exported rows, and compares.

Usage: table_check.py ROWS.csv TABLE.csv BASELINE
ROWS.csv   dataset,model,bits,defense,attack,direction,seed,value,per_query: one line per number; per_query is the
           hexadecimal of a float32 array, little endian.
TABLE.csv  `gauntlet table --format csv` with rows [attack, defense], columns [direction], intervals and significance
           against defense BASELINE, 10000 permutations.
Prints what it compared; exit code 1 where something differs.
"""

import sys

import numpy as np
import pandas as pd
from scipy import stats

PERMUTATIONS = 10000
DRAWN = 20000  # here
EXACT_UP_TO = 13  # 2**13 patterns are at most 10000


def per_query(text):
    return np.frombuffer(bytes.fromhex(text), dtype="<f4").astype(np.float64)


def differences(ours, theirs):
    """One per query of every seed both have, each divided by the number of queries of its seed."""
    parts = []
    for seed in sorted(set(ours.seed) & set(theirs.seed)):
        a = per_query(ours.loc[ours.seed == seed, "per_query"].iloc[0])
        b = per_query(theirs.loc[theirs.seed == seed, "per_query"].iloc[0])
        parts.append((a - b) / len(a))
    return np.concatenate(parts)


def p_value(d):
    """scipy's paired permutation test; exact where there are few differences other than 0."""
    moving = d[d != 0]
    if len(moving) == 0:
        return 1.0, 0.0
    exact = len(moving) <= EXACT_UP_TO
    result = stats.permutation_test(
        (moving, np.zeros_like(moving)), lambda x, y, axis: np.sum(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf if exact else DRAWN, alternative="two-sided", batch=500,
        random_state=np.random.default_rng(7))
    p = float(result.pvalue)
    # Two independent draws: five standard deviations of both.
    return p, 0.0 if exact else 5 * np.sqrt(p * (1 - p) * (1 / PERMUTATIONS + 1 / DRAWN)) + 2 / PERMUTATIONS


def holm(p):
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p)[order] * (len(p) - np.arange(len(p)))))
    return corrected


def main():
    rows = pd.read_csv(sys.argv[1])
    table = pd.read_csv(sys.argv[2], keep_default_na=False)
    baseline = sys.argv[3]
    wrong = []

    def compare(what, ours, theirs, tolerance):
        if not abs(ours - theirs) <= tolerance:
            wrong.append(f"{what}: table {ours}, independently {theirs} (tolerance {tolerance})")

    places = ["attack", "defense", "direction"]
    groups = dict(tuple(rows.groupby(places)))
    expected = rows.groupby(places)["value"].agg(["mean", "std", "count"])
    assert len(expected) == len(table), f"{len(table)} entries instead of {len(expected)}"
    n_p = 0
    for direction, column in table.groupby("direction"):
        tested = []
        for _, entry in column.iterrows():
            place = tuple(entry[name] for name in places)
            mean, std, count = expected.loc[place]
            compare(f"mean of {place}", float(entry["mean"]), mean, 1e-12)
            compare(f"n of {place}", int(entry["n"]), count, 0)
            if count > 1:
                compare(f"std of {place}", float(entry["std"]), std, 1e-12)
            group = groups[place]
            queries = [per_query(text) for text in group["per_query"]]
            # The bootstrap's own deviation, by the usual formula; the ends of a 95 % interval lie 1.96 of it away.
            deviation = np.sqrt(sum(np.var(q) / len(q) for q in queries)) / len(queries)
            centre = np.mean([q.mean() for q in queries])
            compare(f"low of {place}", float(entry["low"]), centre - 1.96 * deviation, 0.35 * deviation + 1e-6)
            compare(f"high of {place}", float(entry["high"]), centre + 1.96 * deviation, 0.35 * deviation + 1e-6)
            other = (place[0], baseline, direction)
            if place[1] != baseline and other in groups:
                tested.append((place, entry, *p_value(differences(group, groups[other]))))
        corrected = holm([float(entry["p_value"]) for _, entry, _, _ in tested])
        for (place, entry, p, tolerance), after in zip(tested, corrected):
            compare(f"p of {place}", float(entry["p_value"]), p, tolerance + 1e-12)
            compare(f"Holm's p of {place}", float(entry["p_holm"]), after, 1e-12)
            n_p += 1
    print(f"{len(table)} means, deviations and intervals, {n_p} p-values compared; {len(wrong)} differ")
    for line in wrong:
        print(line)
    return 1 if wrong or n_p == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
