"""many.py TASKS: each comes back once, whoever the workers are."""
import sys

from helpers import PATIENCE_SECONDS, same, wq

count = int(sys.argv[1])
queue = wq.WorkQueue(port=0)
print("port", queue.port, flush=True)
tasks = {}
for i in range(count):
    task = wq.Task("true")
    task.specify_cores(1)
    task.specify_tag(str(i % 10))
    tasks[queue.submit(task)] = task
same(len(tasks), count)
while not queue.empty():
    task = queue.wait(PATIENCE_SECONDS)
    assert tasks.pop(task.id) is task
    same((task.result, task.return_status), (0, 0))
same((len(tasks), queue.stats.tasks_done, queue._wq_tagged), (0, count, {}))
print("all back")
