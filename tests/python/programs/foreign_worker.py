"""Tasks of every common kind, for a worker that somebody else starts: prints the port, then all back."""
import os
import sys

import ndcctools.work_queue as wq

queue = wq.WorkQueue(port=0)
print("port", queue.port, flush=True)

with open("in.txt", "w") as file:
    file.write("one\n")
plain = wq.Task("cat in.txt buffer; echo out >out.txt; exit 3")
plain.specify_input_file("in.txt", cache=True)
plain.specify_buffer("two\n", "buffer")
plain.specify_output_file("back.txt", "out.txt", cache=False)
queue.submit(plain)


def power(base, exponent=1):
    print("called")
    return base**exponent


functions = [wq.PythonTask(power, n, exponent=2) for n in range(8)]
for function in functions:
    queue.submit(function)

returned = []
while not queue.empty():
    task = queue.wait(5)
    if task is not None:
        returned.append(task)

assert len(returned) == 9, returned
assert (plain.result, plain.return_status) == (0, 3), (plain.result, plain.return_status)
assert plain.output == "one\ntwo\n", plain.output
assert open("back.txt").read() == "out\n"
assert plain.hostname == os.uname().nodename, plain.hostname
assert [task.output for task in functions] == [n * n for n in range(8)], functions[0].output
assert "called" in functions[0].std_output, functions[0].std_output
print("all back")
sys.stdout.flush()
