"""Python functions as tasks, and futures."""
import os
import sys

from helpers import finish, raises, same, worker, wq
from ndcctools.work_queue import FuturesExecutor, FutureTask, FutureTaskError, WorkQueueFutures


def call(function, *args, **kwargs):
    task = wq.PythonTask(function, *args, **kwargs)
    task.specify_cores(1)
    same(isinstance(task.output, wq.PythonTaskNoResult), True)
    return finish(queue, task)


def scaled(a, factor=1):
    print("scaling", a)
    return a * factor


def failing():
    raise ValueError("no such luck")


queue = wq.WorkQueue(port=0)
with queue, worker(queue):
    task = call(scaled, 3, factor=5)
    same((task.output, task.result, task.return_status), (15, 0, 0))
    same(task.std_output, "scaling 3\n15\n")
    again = task.clone()
    same((finish(queue, again).output, task.output), (15, 15))

    task = call(failing)
    same((type(task.output), str(task.output)), (ValueError, "no such luck"))
    same((task.result, task.return_status), (0, 0))
    same(task.std_output.count("Traceback"), 1)

    for leave, code in ((lambda: sys.exit(7), 7), (lambda: os._exit(9), 9)):
        task = call(leave)
        same((task.result, task.return_status), (wq.WORK_QUEUE_RESULT_OUTPUT_MISSING, code))
        same(type(task.output), wq.PythonTaskNoResult)

    task = call(lambda: (i for i in range(3)))
    same((task.result, task.return_status), (0, 1))
    assert "generator" in str(task.output), task.output

    def needs_module():
        import no_such_module

    same(type(call(needs_module).output), ModuleNotFoundError)
    raises(TypeError, wq.PythonTask, lambda stream=sys.stdout.buffer: stream)

    # Over sequences
    same(queue.map(lambda x: x * x, range(7), 3), [0, 1, 4, 9, 16, 25, 36])
    same(queue.pair(lambda ab: ab[0] * ab[1], [1, 2], [3, 4], chunksize=3), [3, 4, 6, 8])
    same(queue.tree_reduce(max, [3, 9, 4, 1, 5], 2), 9)
    raises(ZeroDivisionError, queue.map, lambda x: 1 / x, [1, 0])
    raises(ValueError, queue.tree_reduce, max, [])
    same(queue.empty(), 1)

# Remote tasks without such a worker wait, and can be canceled
with wq.WorkQueue(port=0) as queue:
    task = wq.RemoteTask("add", "my_coprocess", 1, b=2)
    task.specify_fn_args([3], {"b": 4})
    task.specify_exec_method("direct")
    task.specify_exec_method("by magic")
    queue.submit(task)
    same((task.command, queue.cancel_by_taskid(task.id) is task), ("add", True))

# Futures
with FuturesExecutor(port=0) as executor, worker(executor):
    executor.configure(lambda queue: queue.specify_category_max_resources("default", {"cores": 1}))
    futures = [executor.submit(scaled, i, 2) for i in range(4)]
    same([future.result(60) for future in futures], [0, 2, 4, 6])
    raises(ValueError, executor.submit(failing).result, 60)
    future = executor.submit(wq.Task("echo hello; exit 0"))
    same(future.result(60), "hello\n")
    task = executor.submit(FutureTask("exit 4"))
    heard = []
    task.add_done_callback(heard.append)
    raises(FutureTaskError, task.result, 60)
    same((task.result_code, task.return_status, task.done()), (0, 4, True))
    same(heard, [task])
    same(list(executor.map(scaled, [5, 6])), [5, 6])
raises(RuntimeError, executor.submit, scaled, 1)
same(WorkQueueFutures.__mro__[1], FuturesExecutor)
