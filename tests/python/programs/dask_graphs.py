"""Dask graphs on DaskWQ: values, files between steps, retries, errors, packages of dask's own."""
import os
import tempfile

import dask
import dask.delayed
from helpers import raises, same, worker
from ndcctools.work_queue_dask import DaskWQ


def add(a, b):
    return a + b


def total(values):
    return sum(values)


def broken(value):
    raise ValueError("no %s today" % value)


def unlucky(marker):
    """Fails at its first try."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        raise OSError("not yet")
    return "late"


queue = DaskWQ(port=0)
with queue, worker(queue):
    graph = {"a": 1, "b": (add, "a", 10), "c": (add, "b", "b"), "all": (total, ["a", "b", "c"])}
    same(queue.get(graph, "all"), 34)
    same(queue.get(graph, ["a", ["c", "b"]]), [1, [22, 11]])

    chain = {"s0": 0, **{"s%d" % i: (add, "s%d" % (i - 1), 1) for i in range(1, 30)}}
    same(queue.get(chain, "s29", resources={"cores": 1}, resources_mode="fixed"), 29)

    with dask.config.set(scheduler=queue.get):
        squares = [dask.delayed(pow)(i, 2) for i in range(20)]
        same(dask.delayed(sum)(squares).compute(), sum(i * i for i in range(20)))

    with tempfile.TemporaryDirectory() as folder:
        step = {"x": (unlucky, os.path.join(folder, "tried"))}
        same(queue.get(step, "x", retries=1), "late")
        same(raises(ValueError, queue.get, {"x": (broken, "luck")}, "x", retries=0), "no luck today")
        local = os.path.join(folder, "local")
        with open(local, "w") as file:
            file.write("from here")

        def read(name):
            with open(name) as file:
                return file.read() + os.environ["SUFFIX"]

        got = queue.get(
            {"x": (read, "there")}, "x", extra_files={local: "there"}, env_vars={"SUFFIX": "!"}
        )
        same(got, "from here!")
    assert "no 'z'" in raises(KeyError, queue.get, graph, "z")
    assert "cpus" in raises(ValueError, queue.get, graph, "a", resources={"cpus": 1})
    same(queue.empty(), True)
