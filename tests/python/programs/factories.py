"""Factories of local workers."""
import os
import sys

from helpers import finish, raises, same, until, wq


def processes(word):
    """Pids of those whose command line has the word."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                if word.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


queue = wq.WorkQueue(port=0)
factory = wq.Factory("local", manager=queue)
factory.min_workers = factory.max_workers = 1
factory.cores, factory.memory, factory.disk = 1, 500, 500
factory.timeout = 77
with factory as same_factory:
    same(same_factory is factory, True)
    same(factory.start(), None)
    same(finish(queue, wq.Task("echo $CORES")).output, "1\n")
    factory.max_workers = 2
    factory.min_workers = 2
    until("a second worker", lambda: queue.stats.workers_connected == 2)
    assert "running" in raises(AttributeError, setattr, factory, "password", "x")
    port = str(queue.port)
    assert processes(port), "no worker is known by the port"
until("the workers' end", lambda: queue.stats.workers_connected == 0)
same([pid for pid in processes("\0%s\0" % port) if pid != queue._wq_client.pid], [])

# Again, the same one and another, in the same folder
for again in (factory, wq.Factory("local", manager_host_port="localhost:%d" % queue.port)):
    again.min_workers = again.max_workers = 1
    again.cores = 1
    with again:
        same(finish(queue, wq.Task("echo again")).output, "again\n")
same(os.listdir("."), [name for name in os.listdir(".") if not name.startswith("wq-factory")])
queue._free()

broken = wq.Factory("local", manager_host_port="localhost:1")
broken.password = "no-such-file"
assert "no-such-file" in raises(RuntimeError, broken.start)
raises(RuntimeError, broken.stop)
sys.exit(0)
