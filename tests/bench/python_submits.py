"""python_submits.py N: how many tasks a second the Python module takes, and hands to its manager."""
import sys
import time

import ndcctools.work_queue as wq

count = int(sys.argv[1])
queue = wq.WorkQueue(port=0)
tasks = [wq.Task("true") for _ in range(count)]
for task in tasks:
    task.specify_cores(1)
submit = queue.submit
started = time.monotonic()
for task in tasks:
    submit(task)
print("submits/s", count / (time.monotonic() - started))
if queue.stats.tasks_waiting != count:
    sys.exit("The manager has %d tasks of %d" % (queue.stats.tasks_waiting, count))
print("taken/s", count / (time.monotonic() - started))
