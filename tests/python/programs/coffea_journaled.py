"""coffea of any version with a journal: coffea_journaled.py FILE FOLDER DIES_AFTER

A line of FOLDER/runs for each chunk. Dies by SIGKILL after so many chunks; 0: does not.
"""
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

warnings.simplefilter("ignore")

import awkward as ak
import hist
from coffea import processor
from coffea.nanoevents import NanoAODSchema

FILE, FOLDER, DIES_AFTER = sys.argv[1], sys.argv[2], int(sys.argv[3])
RUNS = os.path.join(FOLDER, "runs")


class Muons(processor.ProcessorABC):
    kinds = {"Muon", "Electron", "Jet"}

    def process(self, events):
        with open(RUNS, "a") as file:
            file.write("%d\n" % events.metadata["entrystart"])
        time.sleep(0.2)
        pt = hist.Hist.new.Reg(50, 0, 200, name="pt").Weight()
        pt.fill(pt=ak.to_numpy(ak.flatten(events.Muon.pt)), weight=0.1)
        return {"n": len(events) if "Muon" in self.kinds else 0, "pt": pt}

    def postprocess(self, accumulator):
        return accumulator


def runs():
    try:
        with open(RUNS) as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def die():
    while runs() < DIES_AFTER:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


workers = []


def start(queue):
    if not workers:
        command = [os.environ["WQX_BINARY"], "worker", "127.0.0.1", str(queue.port)]
        command += ["--cores", "1", "--memory", "2000", "--disk", "2000", "--parent-death"]
        workers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))


options = {"port": 0, "cores": 1, "memory": 1000, "disk": 500, "status": False}
if hasattr(processor, "WorkQueueExecutor"):  # coffea 0.7
    executor = processor.WorkQueueExecutor(custom_init=start, filepath=FOLDER, **options)
else:
    from wqx.coffea import WqxExecutor

    executor = WqxExecutor(custom_init=start, treereduction=3, **options)
if DIES_AFTER:
    threading.Thread(target=die, daemon=True).start()
try:
    run = processor.Runner(executor, chunksize=500, schema=NanoAODSchema)
    out = run({"A": [FILE]}, processor_instance=Muons(), treename="Events")
finally:
    for worker in workers:
        worker.terminate()
        worker.wait()
print("result", out["n"], hashlib.sha256(out["pt"].view(flow=True).tobytes()).hexdigest())
