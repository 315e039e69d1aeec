"""Signal handlers in the midst of everything: they ask, they cancel, they raise."""
import os
import signal
import subprocess
import sys
import time

from helpers import finish, same, until, worker, wq

queue = wq.WorkQueue(port=0)
client = queue._wq_client

# A handler cancels what `wait` waits for
tasks = [wq.Task("true") for _ in range(3)]
for task in tasks:
    task.specify_category("hopeless")
    queue.submit(task)
canceled = []
signal.signal(signal.SIGALRM, lambda *_: canceled.extend(queue.cancel_by_category("hopeless")))
signal.setitimer(signal.ITIMER_REAL, 0.3)
started = time.monotonic()
same(queue.wait(60), None)
assert time.monotonic() - started < 30
same((len(canceled), queue.empty()), (3, 1))

# Ctrl-C, once and again
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
for _ in range(2):
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        queue.wait(60)
        raise AssertionError("not interrupted")
    except KeyboardInterrupt:
        pass
    same(client.process.poll(), None)

# A storm: handlers ask, and interrupt, while tasks go and come
asked = [0]
interrupts = [0]
# Whether the loop below catches what a handler raises: not everywhere in it
catching = [False]


class Interrupted(Exception):
    pass


def storm(*_):
    asked[0] += 1
    stats = queue.stats
    assert stats.tasks_submitted >= 0
    if asked[0] % 3 == 0:
        queue.submit(wq.Task("echo from the handler"))
    if asked[0] % 5 == 0 and catching[0]:
        catching[0] = False
        interrupts[0] += 1
        raise Interrupted


ended = {}
with worker(queue):
    signal.signal(signal.SIGALRM, storm)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    submitted = 0
    while submitted < 400:
        try:
            catching[0] = True
            task = wq.Task("echo %0100d" % submitted)
            task.specify_cores(1)
            queue.submit(task)
            submitted += 1
            if submitted % 10 == 0:
                task = queue.wait(1)
                if task is not None:
                    ended[task.id] = task
            catching[0] = False
        except Interrupted:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    while not queue.empty():
        task = finish(queue)
        assert task.id not in ended
        ended[task.id] = task
        same(task.result, 0)
assert asked[0] > 20 and interrupts[0] > 4, (asked, interrupts)
same(queue.stats.tasks_waiting, 0)

# A fork is no client: its end changes nothing here
child = os.fork()
if child == 0:
    try:
        queue.submit(wq.Task("true"))
    except RuntimeError:
        queue._free()
        sys.exit(0)
    os._exit(1)
same(os.waitpid(child, 0)[1], 0)
assert os.path.isdir(wq.staging_directory)
lasting = os.fork()
if lasting == 0:
    time.sleep(1000)
with worker(queue):
    same(finish(queue, wq.Task("echo on")).output, "on\n")
# ... nor does it keep the manager
manager = client.process
queue._free()
same(manager.poll(), 0)
os.kill(lasting, signal.SIGKILL)
os.waitpid(lasting, 0)

# A manager that is lost: what it was, and what is left to do
queue = wq.WorkQueue(port=0)
queue.submit(wq.Task("true"))
os.kill(queue._wq_client.pid, signal.SIGKILL)
try:
    queue.wait(60)
    raise AssertionError("not noticed")
except wq.ManagerLost as error:
    assert "gone" in str(error)
queue._free()

# An owner that is killed, with a child of its own that lives on
program = """
import os, sys, time
import ndcctools.work_queue as wq
queue = wq.WorkQueue(port=0)
if os.fork() == 0:
    time.sleep(1000)
print(queue._wq_client.pid, flush=True)
queue.wait()
"""
owner = subprocess.Popen(
    [sys.executable, "-c", program],
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
    env=dict(os.environ, CCTOOLS_TEMP=os.getcwd()),  # what such a death leaves stays here
)
pid = int(owner.stdout.readline())
owner.kill()
owner.wait()
until("the manager's end", lambda: not os.path.exists("/proc/%d" % pid))
os.killpg(owner.pid, signal.SIGKILL)
owner.stdout.close()

# A process of multiprocessing, such as the one in which Parsl has its queue, leaves nothing either
program = """
import multiprocessing, os

def use(folder):
    import ndcctools.work_queue as wq
    wq.WorkQueue(port=0)
    folder.put(wq.staging_directory)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    folder = spawn.Queue()
    child = spawn.Process(target=use, args=(folder,))
    child.start()
    path = folder.get()
    child.join()
    assert child.exitcode == 0 and not os.path.exists(path), path
"""
with open("spawns.py", "w") as file:
    file.write(program)
subprocess.run([sys.executable, "spawns.py"], check=True)
