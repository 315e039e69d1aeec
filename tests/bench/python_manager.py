"""python_manager.py TASKS WORKERS: as wqx_manager.ts, by a Python program of ndcctools.work_queue."""
import sys
import time

import ndcctools.work_queue as wq

tasks, workers = int(sys.argv[1]), int(sys.argv[2])
queue = wq.WorkQueue(port=0)
print("port", queue.port, flush=True)
while True:
    stats = queue.stats
    if stats.workers_init == 0 and stats.workers_connected >= workers:
        break
    time.sleep(0.005)
print("workers", workers, flush=True)
started = time.monotonic()
for _ in range(tasks):
    task = wq.Task("true")
    task.specify_cores(1)
    queue.submit(task)
left = tasks
while left > 0:
    task = queue.wait(60)
    if task is None or task.result != 0:
        sys.exit("A task ended with %s" % (task and task.result_str))
    left -= 1
print("repeated", tasks, time.monotonic() - started, flush=True)
