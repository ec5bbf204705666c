"""One peer's no-op jobs per second: prints "<jobs>\t<jobs per second>". Called by peers.sh."""

import os
import sys
import tempfile
import time


def distributed(n_jobs: int) -> float:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=os.cpu_count(), threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.gather(client.map(float, range(100), pure=False))  # workers are up
            start = time.perf_counter()
            client.gather(client.map(float, range(n_jobs), pure=False))
            return time.perf_counter() - start


def hyperqueue(n_jobs: int) -> float:
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with LocalCluster() as cluster, tempfile.TemporaryDirectory() as folder:
        cluster.start_worker(WorkerConfig(cores=os.cpu_count()))
        client = cluster.client()
        start = 0.0
        for n in (50, n_jobs):  # the first one until the worker is up
            job = Job(folder)
            for _ in range(n):
                job.program(["true"], stdout=None, stderr=None)
            start = time.perf_counter()
            client.wait_for_jobs([client.submit(job)])
        return time.perf_counter() - start


def optuna(n_jobs: int) -> float:
    import optuna as package

    package.logging.set_verbosity(package.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        study = package.create_study(
            storage=f"sqlite:///{folder}/study.db", sampler=package.samplers.RandomSampler(seed=1)
        )
        start = time.perf_counter()
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=n_jobs)
        return time.perf_counter() - start


if __name__ == "__main__":
    peer, n_jobs = sys.argv[1], int(sys.argv[2])
    if peer == "optuna":
        n_jobs = min(n_jobs, 300)  # tens a second
    seconds = {"distributed": distributed, "hyperqueue": hyperqueue, "optuna": optuna}[peer](n_jobs)
    print(f"{n_jobs}\t{n_jobs / seconds:.0f}")
