"""python_functions.py N: PythonTasks that do nothing, a second, on a worker of two cores."""
import sys
import time

import ndcctools.work_queue as wq

count = int(sys.argv[1])


def nothing():
    return None


def run(many):
    for _ in range(many):
        task = wq.PythonTask(nothing)
        task.specify_cores(1)
        queue.submit(task)
    for _ in range(many):
        task = queue.wait(60)
        if task is None or task.output is not None:
            sys.exit("A task failed: %s" % (task and (task.result_str, task.std_output)))


queue = wq.WorkQueue(port=0)
print("port", queue.port, flush=True)
run(4)  # the worker has its Python warm then
started = time.monotonic()
run(count)
print("functions/s", count / (time.monotonic() - started), flush=True)
