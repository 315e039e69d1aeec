"""What the programs of these tests share: a queue, and a real worker of wqx for it."""
import contextlib
import os
import subprocess
import sys
import time

import ndcctools.work_queue as wq

PATIENCE_SECONDS = 60


@contextlib.contextmanager
def worker(queue, *options, cores=2, host="127.0.0.1"):
    """The process of a worker with 1000 MB of memory and of disk."""
    command = [os.environ["WQX_BINARY"], "worker", host, str(queue.port), "--cores", str(cores)]
    command += ["--memory", "1000", "--disk", "1000", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def finish(queue, task=None):
    """Submits it if there is one; the next task that ends."""
    if task is not None:
        queue.submit(task)
    ended = queue.wait(PATIENCE_SECONDS)
    assert ended is not None, "nothing came"
    assert task is None or ended is task
    return ended


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "in vain: " + what
        time.sleep(0.01)


def same(value, wanted):
    """With both in the failure, and the line of the call."""
    if value != wanted:
        line = sys._getframe(1).f_lineno
        raise AssertionError("line %d: %r, not %r" % (line, value, wanted))


def raises(kind, call, *args, **kwargs):
    """The error's text."""
    try:
        call(*args, **kwargs)
    except kind as error:
        return str(error)
    raise AssertionError("%s raised no %s" % (call, kind.__name__))


__all__ = ["finish", "raises", "same", "until", "worker", "wq"]
