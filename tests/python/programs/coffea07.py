"""coffea 0.7's own WorkQueueExecutor against its IterativeExecutor: coffea07.py FILE FILE

A worker is killed in mid-run.
"""
import os
import subprocess
import sys
import time
import warnings

warnings.simplefilter("ignore")

import awkward as ak
import hist
import numpy
from coffea.nanoevents import NanoAODSchema
from coffea.processor import IterativeExecutor, ProcessorABC, Runner, WorkQueueExecutor


class Muons(ProcessorABC):
    def process(self, events):
        mass = hist.Hist.new.StrCat([], growth=True, name="dataset").Reg(50, 0, 200, name="pt").Double()
        dataset = events.metadata["dataset"]
        muons = events.Muon[events.Muon.pt > 5]
        mass.fill(dataset=dataset, pt=ak.flatten(muons.pt))
        time.sleep(0.2)
        return {"pt": mass, "cutflow": {dataset: len(events)}, "muons": int(ak.sum(ak.num(muons)))}

    def postprocess(self, accumulator):
        return accumulator


files = {"A": [sys.argv[1]], "B": [sys.argv[2]]}
options = {"chunksize": 1000, "schema": NanoAODSchema}
expected = Runner(IterativeExecutor(status=False), **options)(files, "Events", Muons())

workers = []


def start(queue):
    """Called with the queue before each phase: it has a port from now on."""
    if workers:
        return
    command = [os.environ["WQX_BINARY"], "worker", "127.0.0.1", str(queue.port)]
    command += ["--cores", "1", "--memory", "1000", "--disk", "1000"]
    for _ in range(2):
        workers.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
    original = queue.wait

    def wait(timeout):
        task = original(timeout)
        if task is not None and task.category == "processing" and workers[0].poll() is None:
            workers[0].kill()
            workers[0].wait()
        return task

    queue.wait = wait


executor = WorkQueueExecutor(
    port=0, cores=1, memory=500, disk=500, status=False, custom_init=start, filepath="."
)
try:
    result = Runner(executor, **options)(files, "Events", Muons())
finally:
    for worker in workers:
        worker.terminate()
        worker.wait()
assert workers[0].returncode == -9, "no worker was killed"
assert result["cutflow"] == expected["cutflow"], (result, expected)
assert result["muons"] == expected["muons"] > 0
for dataset in files:
    pair = [one["pt"][{"dataset": dataset}].view(flow=True) for one in (result, expected)]
    assert numpy.array_equal(*pair), dataset
print("equal")
