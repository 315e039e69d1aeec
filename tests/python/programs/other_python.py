"""Functions for a worker whose Python is of another minor version: by value refused, by name run."""
import math
import operator
import os
import sys

from helpers import finish, same, worker, wq

os.environ["PATH"] = os.path.dirname(os.environ["OTHER_PYTHON"]) + os.pathsep + os.environ["PATH"]


def twice(value):
    return 2 * value


queue = wq.WorkQueue(port=0)
with queue, worker(queue):
    task = finish(queue, wq.PythonTask(twice, 3))
    same(type(task.output), RuntimeError)
    text = str(task.output)
    assert "sent from Python %d.%d, and the worker has Python 3." % sys.version_info[:2] in text, text
    assert "give workers the same" in text, text
    same(finish(queue, wq.PythonTask(operator.add, 3, 4)).output, 7)
    same(finish(queue, wq.PythonTask(math.gcd, 12, 18)).output, 6)
