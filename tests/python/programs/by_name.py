"""A named manager with a password, found through a catalog by a factory and its worker."""
import os
import subprocess
import time

from helpers import finish, same, wq

catalog = subprocess.Popen(
    [os.environ["WQX_BINARY"], "catalog", "--port", "0", "--port-file", "catalog.port",
     "--history", "catalog"],
    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
)  # fmt: skip
try:
    while not (os.path.exists("catalog.port") and open("catalog.port").read().strip()):
        assert catalog.poll() is None, catalog.stderr.read()
        time.sleep(0.01)
    os.environ["CATALOG_HOST"] = "127.0.0.1:" + open("catalog.port").read().strip()
    with open("password", "w") as file:
        file.write("secret\n")
    queue = wq.WorkQueue(port=0, name="hal-%d" % os.getpid())
    same(queue.specify_password_file("password"), 1)
    same(os.environ["WORK_QUEUE_NAME"], queue.name)
    factory = wq.Factory("local", queue.name)
    factory.max_workers = factory.min_workers = 1
    factory.cores, factory.memory, factory.disk = 1, 500, 500
    factory.password = "password"
    with queue, factory:
        same(finish(queue, wq.Task("echo found")).output, "found\n")
    # Nobody without the password
    with wq.WorkQueue(port=0) as queue:
        queue.specify_password("other")
        queue.submit(wq.Task("true"))
        factory = wq.Factory("local", manager_host_port="localhost:%d" % queue.port)
        factory.max_workers = 1
        with factory:
            same(queue.wait(3), None)
finally:
    catalog.stderr.close()
    catalog.terminate()
    catalog.wait()
