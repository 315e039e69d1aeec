"""One run of coffea for coffea_bench.ts: coffea_runs.py FILE KIND; prints seconds and events.

KIND: iterative; wqx (WqxExecutor); off, watchdog (coffea 0.7's WorkQueueExecutor). The worker is
started as soon as the manager listens.
"""
import json
import os
import socket
import subprocess
import sys
import time
import warnings

warnings.simplefilter("ignore")

import coffea
from coffea import processor

CHUNKSIZE = 2_000
WORKERS = []


def start_worker(queue):
    if WORKERS:  # coffea 0.7 says so twice
        return
    command = [os.environ["WQX_BINARY"], "worker", "localhost", str(queue.port)]
    command += ["--cores", "2", "--memory", "4000", "--disk", "4000", "--parent-death"]
    WORKERS.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def free_port():
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def executor_of(kind):
    if kind == "iterative":
        return processor.IterativeExecutor(status=False)
    if kind == "wqx":
        from wqx.coffea import WqxExecutor

        return WqxExecutor(port=0, status=False, cores=1, custom_init=start_worker)
    options = dict(resources_mode="fixed") if kind == "off" else {}
    return processor.WorkQueueExecutor(
        port=free_port(),  # 0 is 9123 there
        status=False,
        cores=1,
        compression=1,
        resource_monitor=kind,
        custom_init=start_worker,
        **options,
    )


def today(file, executor):
    import awkward as ak
    import hist
    from coffea.nanoevents import NanoAODSchema

    class OneHistogram(processor.ProcessorABC):
        def process(self, events):
            pt = hist.Hist.new.Reg(60, 0, 120, name="pt").Double()
            pt.fill(pt=ak.to_numpy(ak.flatten(events.Muon.pt)))
            return {"events": len(events), "pt": pt}

        def postprocess(self, accumulator):
            pass

    runner = processor.Runner(executor, chunksize=CHUNKSIZE, schema=NanoAODSchema)
    return runner({"A": [file]}, OneHistogram(), treename="Events")["events"]


def of_old(file, executor):
    from coffea.processor.test_items import NanoTestProcessor

    runner = processor.Runner(executor, chunksize=CHUNKSIZE)
    out = runner({"A": [file]}, "Events", NanoTestProcessor())
    return sum(out["cutflow"].values())


def main(file, kind):
    started = time.monotonic()
    run = of_old if coffea.__version__.startswith("0.") else today
    events = run(file, executor_of(kind))
    print(json.dumps({"seconds": time.monotonic() - started, "events": int(events)}))
    for worker in WORKERS:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
