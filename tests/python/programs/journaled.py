"""Python functions with a journal: journaled.py FOLDER DIES_AFTER [FACTOR]

A line of FOLDER/runs for each call. Dies by SIGKILL after so many results; 0: does not.
"""
import os
import signal
import subprocess
import sys

import ndcctools.work_queue as wq

folder, dies_after = sys.argv[1], int(sys.argv[2])
factor = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
KNOWN = {"a", "b", "c", "d"}


class Sum:
    """Of the program itself: sent by value, as is what comes back."""

    names = {"one", "two", "three"}

    def __init__(self, value):
        self.value = value


def square(number, runs, of_file):
    with open(runs, "a") as file:
        file.write("%s\n" % number)
    if number == 3 and not os.path.exists(runs + ".mended"):
        raise ValueError("not yet")
    with open(of_file) as file:
        offset = int(file.read())
    return Sum((number * number + offset) * factor if "a" in KNOWN else 0)


queue = wq.WorkQueue(port=0)
command = [os.environ["WQX_BINARY"], "worker", "127.0.0.1", str(queue.port), "--parent-death"]
worker = subprocess.Popen(command + ["--cores", "1"], stdout=subprocess.DEVNULL)
try:
    tasks = {}
    for number in range(12):
        task = wq.PythonTask(square, number, folder + "/runs", folder + "/offset")
        tasks[queue.submit(task)] = number
    values = {}
    while not queue.empty():
        task = queue.wait(5)
        if task is None:
            continue
        value = task.output
        values[tasks[task.id]] = value.value if isinstance(value, Sum) else str(value)
        if len(values) == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
    print([values[number] for number in range(12)])
finally:
    worker.terminate()
    worker.wait()
