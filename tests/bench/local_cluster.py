"""local_cluster.py TASKS: prints how many `true` a second a LocalCluster of HyperQueue gets done."""

import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count = int(sys.argv[1])
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    job = Job()
    for _ in range(count):
        job.program(["true"])
    started = time.perf_counter()
    client.wait_for_jobs([client.submit(job)])
    print("tasks/s", count / (time.perf_counter() - started))
