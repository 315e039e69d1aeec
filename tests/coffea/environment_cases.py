"""Runs in a packed environment, for environment_test.ts: environment_cases.py FILE ARCHIVE

Workers have no Python on PATH. A line of JSON tells where the processor ran.
"""
import json
import os
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")

import coffea
import ndcctools.work_queue as wq
from coffea.nanoevents import NanoAODSchema
from coffea.processor import ProcessorABC, Runner

FILE, ARCHIVE = sys.argv[1:]
LOG = open("worker.log", "w")
WORKERS = []


class Where(ProcessorABC):
    def process(self, events):
        import os
        import sys

        return {
            "n": len(events),
            "prefixes": {sys.prefix},
            "names": {os.path.basename(os.environ["CONDA_PREFIX"])},
        }

    def postprocess(self, accumulator):
        return accumulator


def start_worker(queue):
    if WORKERS:
        return
    command = [os.environ["WQX_BINARY"], "worker", "localhost", str(queue.port), "--cores", "2"]
    command += ["--memory", "4000", "--disk", "9000", "--parent-death", "-d", "all", "-o", "debug"]
    env = dict(os.environ, PATH="/nowhere")
    env.pop("PYTHONPATH", None)
    WORKERS.append(subprocess.Popen(command, stdout=LOG, stderr=LOG, env=env))


def stop_workers():
    while WORKERS:
        worker = WORKERS.pop()
        worker.terminate()
        worker.wait()


options = dict(
    environment_file=ARCHIVE, port=0, cores=1, memory=1500, disk=500, status=False,
    custom_init=start_worker,
)
if coffea.__version__.startswith("0."):
    from coffea.processor import WorkQueueExecutor

    assert WorkQueueExecutor.wrapper is None, "no poncho_package_run was to be on PATH"
    executor = WorkQueueExecutor(filepath=".", **options)
else:
    from wqx.coffea import WqxExecutor

    executor = WqxExecutor(**options)
try:
    run = Runner(executor, chunksize=1000, schema=NanoAODSchema)
    out = run({"sim": [FILE]}, treename="Events", processor_instance=Where())
finally:
    stop_workers()


def in_task(a):
    import sys

    return a, sys.prefix


with wq.WorkQueue(0) as queue:
    start_worker(queue)
    task = wq.PythonTask(in_task, 1)
    task.specify_environment(ARCHIVE)
    queue.submit(task)
    ended = queue.wait(120)
    output = ended.output if ended is not None else None
    pairs = queue.pair(in_task, [1, 2], [3], env=ARCHIVE)
    stop_workers()
try:
    wq.PythonTask(in_task, 1).specify_environment("nowhere.tar.gz")
    missing = None
except OSError as error:
    missing = str(error)
print(json.dumps({
    "n": out["n"],
    "prefixes": sorted(out["prefixes"]),
    "names": sorted(out["names"]),
    "task": output,
    "std_output": ended and ended.std_output,
    "pairs": [list(pair[0]) for pair in pairs],
    "missing": missing,
}), flush=True)
