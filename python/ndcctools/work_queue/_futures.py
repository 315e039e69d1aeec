"""Futures: a thread of its own owns the queue, any thread may submit."""
import os
import queue as queues
import threading
from concurrent.futures import CancelledError, Executor, Future

from ._python_task import PythonTask
from ._task import Task

# Between looks at what is to be submitted; submits wake the thread at once. s.
_LOOK_SECONDS = 1.0


class FutureTaskError(Exception):
    """A task that failed; `task` is it."""

    def __init__(self, task, exception=None):
        self.task = task
        super().__init__(exception or "Task %d failed: %s" % (task.id, task.why or task.result_str))


class FutureTask(Task):
    """A task that is a future, too: `result()` is what it printed once it ended well.

    As in Work Queue 7, `result` is this method here; the code is `result_code`.
    """

    def __init__(self, command):
        super().__init__(command)
        self._wq_future = Future()

    @property
    def future(self):
        return self._wq_future

    @property
    def result_code(self):
        return Task.result.fget(self)

    @property
    def result_str(self):
        from ._constants import work_queue_result_str

        return work_queue_result_str(self.result_code)

    def result(self, timeout=None):
        """Waits; raises FutureTaskError if the task failed, as does a non-zero exit code."""
        return self._wq_future.result(timeout)

    def exception(self, timeout=None):
        return self._wq_future.exception(timeout)

    def done(self):
        return self._wq_future.done()

    def cancelled(self):
        return self._wq_future.cancelled()

    def running(self):
        return self._wq_future.running()

    def cancel(self):
        return self._wq_future.cancel()

    def add_done_callback(self, fn):
        self._wq_future.add_done_callback(lambda _: fn(self))


class FuturesExecutor(Executor):
    """`concurrent.futures.Executor` on a WorkQueue: functions become PythonTasks.

    Takes the arguments of WorkQueue. The queue is used by one thread of this object alone; `port`
    and `name` are its. `configure(fn)` runs `fn(queue)` there.
    """

    def __init__(self, *args, **kwargs):
        from ._queue import WorkQueue

        self._orders = queues.SimpleQueue()
        self._wake, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._wake, False)
        self._closed = False
        self._tasks = {}
        self._queue = WorkQueue(*args, **kwargs)
        self.port = self._queue.port
        self.name = self._queue.name
        self._thread = threading.Thread(target=self._serve, name="wqx-futures", daemon=True)
        self._thread.start()

    def submit(self, fn, *args, **kwargs):
        """Future of `fn(*args, **kwargs)` on a worker; or of what a Task prints."""
        task = fn if isinstance(fn, Task) else PythonTask(fn, *args, **kwargs)
        return self.submit_task(task)

    def submit_task(self, task):
        """Future of a task that was made by the caller, with its files and needs."""
        if self._closed:
            raise RuntimeError("The executor has ended: make another one")
        future = task._wq_future if isinstance(task, FutureTask) else Future()
        self._order(lambda queue: self._begin(queue, task, future))
        future.add_done_callback(lambda done: self._ended(task, done))
        return task if isinstance(task, FutureTask) else future

    def configure(self, fn):
        """What `fn(queue)` returns or raises."""
        future = Future()

        def run(queue):
            try:
                future.set_result(fn(queue))
            except Exception as error:
                future.set_exception(error)

        self._order(run)
        return future.result()

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Ends the manager when all tasks ended, or at once with `cancel_futures`."""
        if not self._closed:
            self._closed = True
            if cancel_futures:
                self._order(self._cancel_all)
            self._order(None)
        if wait:
            self._thread.join()

    # In the thread

    def _order(self, order):
        self._orders.put(order)
        try:
            os.write(self._wakes, b"x")
        except (BlockingIOError, OSError):
            pass  # it is awake already, or has ended

    def _begin(self, queue, task, future):
        if not future.set_running_or_notify_cancel():
            return
        try:
            self._tasks[queue.submit(task)] = (task, future)
        except Exception as error:
            future.set_exception(error)

    def _ended(self, task, future):
        if future.cancelled() and task.id:
            self._order(lambda queue: self._drop(queue, task.id))

    def _drop(self, queue, task_id):
        if self._tasks.pop(task_id, None) is not None:
            queue.cancel_by_taskid(task_id)

    def _cancel_all(self, queue):
        for task_id, (_, future) in list(self._tasks.items()):
            queue.cancel_by_taskid(task_id)
            future.set_exception(CancelledError())
        self._tasks.clear()

    def _serve(self):
        ending = False
        error = None
        try:
            while not (ending and not self._tasks):
                try:
                    while True:
                        order = self._orders.get_nowait()
                        ending = ending or order is None
                        if order is not None:
                            order(self._queue)
                except queues.Empty:
                    pass
                if ending and not self._tasks:
                    break
                self._finish(self._queue._wq_wait(None, _LOOK_SECONDS, self._wake))
                try:
                    os.read(self._wake, 4096)
                except BlockingIOError:
                    pass
        except Exception as lost:
            error = lost
        finally:
            self._closed = True
            for _, future in self._tasks.values():
                future.set_exception(error or RuntimeError("The executor has ended"))
            self._queue._free()
            os.close(self._wake)
            os.close(self._wakes)

    def _finish(self, task):
        if task is None:
            return
        _, future = self._tasks.pop(task.id, (None, None))
        if future is None:
            return
        code = task.result_code if isinstance(task, FutureTask) else task.result
        value = task.output if code == 0 else None
        if code != 0 or (task.return_status != 0 and not isinstance(task, PythonTask)):
            future.set_exception(FutureTaskError(task))
        elif isinstance(task, PythonTask) and isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)


class WorkQueueFutures(FuturesExecutor):
    """A queue of FutureTasks, by the name it had in Work Queue 7.

    `local_worker`: True or a dict of factory options starts one worker on this machine.
    """

    def __init__(self, *args, local_worker=None, **kwargs):
        super().__init__(*args, **kwargs)
        self._factory = None
        if local_worker:
            from ._factory import Factory

            self._factory = Factory("local", manager_host_port="localhost:%d" % self.port)
            options = {"min_workers": 1, "max_workers": 1}
            options.update(local_worker if isinstance(local_worker, dict) else {})
            for name, value in options.items():
                setattr(self._factory, name, value)
            self._factory.start()

    def join(self, timeout=None):
        """Waits until all tasks ended."""
        from concurrent.futures import wait

        wait([future for _, future in list(self._tasks.values())], timeout)

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait, cancel_futures=cancel_futures)
        if self._factory is not None:
            self._factory.stop()
            self._factory = None
