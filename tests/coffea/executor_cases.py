"""Cases of WqxExecutor for executor_test.ts: executor_cases.py FILE CASE...; a line of JSON a case."""
import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings

warnings.simplefilter("ignore")

import awkward as ak
import hist
import numpy
from coffea.nanoevents import NanoAODSchema
from coffea.processor import IterativeExecutor, ProcessorABC, Runner

import wqx._coffea_run
from wqx.coffea import WqxExecutor

FILE = sys.argv[1]
WORKERS = []


class Muons(ProcessorABC):
    """One histogram; `how` says what else happens."""

    def __init__(self, how=""):
        self.how = how

    def process(self, events):
        start = events.metadata["entrystart"]
        if self.how == "raise" and start >= 10_000:
            raise ValueError("no muons from %d" % start)
        if self.how == "module":
            import not_there  # noqa: F401
        if self.how == "unpicklable":
            return {"deep": {"generator": (i for i in range(2))}}
        if self.how == "sleep":
            time.sleep(0.3)
        if self.how == "grow":
            # 30 kB an event, written to.
            taken = bytearray(len(events) * 30_000)
            for i in range(0, len(taken), 4096):
                taken[i] = 1
            time.sleep(0.2)
        heavy = {}
        if self.how == "heavy":
            heavy["big"] = {str(start): numpy.ones(10_000_000)}
        weights = hist.Hist.new.Reg(60, 0, 120, name="pt").Weight()
        weights.fill(pt=ak.to_numpy(ak.flatten(events.Muon.pt)), weight=0.1)
        return {"n": len(events), "pt": weights, **heavy}

    def postprocess(self, accumulator):
        accumulator["posts"] = accumulator.get("posts", 0) + 1


def start_worker(queue, cores=2, memory=4000):
    command = [os.environ["WQX_BINARY"], "worker", "localhost", str(queue.port), "--cores"]
    command += [str(cores), "--memory", str(memory), "--disk", "4000", "--parent-death"]
    WORKERS.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def end_workers():
    for worker in WORKERS:
        worker.terminate()
        worker.wait()
    WORKERS.clear()


atexit.register(end_workers)


def run(processor, files=None, runner=None, **options):
    """What the run gave, as plain data; `result` is the real one."""
    given = dict(port=0, status=False, custom_init=start_worker, cores=1, retries=1)
    executor = WqxExecutor(**{**given, **options})
    given = dict(chunksize=2_500, schema=NanoAODSchema, metadata_cache={})
    made = Runner(executor, **{**given, **(runner or {})})
    told = {"ledger": executor.ledger}
    try:
        result = made.run({"A": files or [FILE]}, processor, treename="Events")
        told["n"] = result["out"]["n"]
        told["posts"] = result["out"]["posts"]
        told["processed"] = sum(len(item) for item in result["processed"])
        told["largest"] = max(len(item) for item in result["processed"])
        told["chunks"] = len(result["processed"])
        told["pt"] = result["out"]["pt"]
    except BaseException as error:
        told["error"] = type(error).__name__
        told["message"] = str(error)
        told["traceback"] = "".join(traceback.format_exception(error))
        told["partial"] = (getattr(error, "partial_output", None) or {}).get("n")
    finally:
        end_workers()
    return told


def equal(told, **options):
    """Whether it is what coffea's own executor gives, to the last bit."""
    runner = Runner(
        IterativeExecutor(status=False),
        schema=NanoAODSchema,
        metadata_cache={},
        **{"chunksize": 2_500, **options},
    )
    expected = runner({"A": [FILE]}, Muons(), treename="Events")
    difference = expected["pt"].view(flow=True)["value"] - told["pt"].view(flow=True)["value"]
    # Sums of tenths depend on how they are grouped, by a few of their last bits.
    told["equal"] = bool(expected["n"] == told["n"] and (abs(difference) < 1e-9).all())
    return told


def plain():
    return equal(run(Muons()))


def killed():
    def kill_one():
        time.sleep(1.5)
        WORKERS[0].kill()

    def two(queue):
        start_worker(queue, 1)
        start_worker(queue, 1)
        threading.Thread(target=kill_one, daemon=True).start()

    first = run(Muons("sleep"), custom_init=two)
    again = run(Muons(), custom_init=start_worker)
    same = first["pt"].view(flow=True).tolist() == again["pt"].view(flow=True).tolist()
    return {**equal(first), "same": same}


def thread():
    told = []
    other = threading.Thread(target=lambda: told.append(run(Muons(), runner={"chunksize": 10_000})))
    other.start()
    other.join()
    return told[0]


def fails(how):
    return lambda: run(Muons(how))


def bad_files():
    with open("bad.root", "w") as file:
        file.write("nothing")
    files = [FILE, os.path.abspath("bad.root"), os.path.abspath("missing.root")]
    return run(Muons(), files=files, runner={"skipbadfiles": True})


def relative():
    return run(Muons(), files=[os.path.relpath(FILE)], runner={"chunksize": 10_000})


def small_worker(queue):
    start_worker(queue, memory=500)


def split():
    limits = dict(memory=250, resources_mode="fixed", resource_monitor="watchdog")
    limits["custom_init"] = small_worker
    return run(Muons("grow"), runner={"chunksize": 10_000}, **limits)


def dynamic():
    options = dict(dynamic_chunksize={"memory": 200}, custom_init=small_worker)
    return run(Muons("grow"), runner={"chunksize": 1_000}, **options)


def heavy():
    """Merges outgrow the only worker, until a larger one is asked for, and comes."""
    said = []

    def small(queue):
        start_worker(queue, 1, memory=650)

        def hear(text, *others, **options):
            said.append(text)
            if "waits for a worker" in text and len(WORKERS) == 1:
                start_worker(queue, 1, memory=4000)

        wqx._coffea_run.print = hear

    try:
        told = run(Muons("heavy"), treereduction=4, custom_init=small)
    finally:
        del wqx._coffea_run.print
    return {**equal(told), "waited": sum("waits for a worker" in text for text in said)}


def interrupted():
    def press(queue):
        start_worker(queue)
        threading.Timer(4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    before = signal.getsignal(signal.SIGINT)
    told = run(Muons("sleep"), runner={"chunksize": 500}, custom_init=press)
    return {**told, "restored": signal.getsignal(signal.SIGINT) is before}


def wrong_options():
    told = {}
    for name, value in {
        "resources_mode": "maximal",
        "environment_file": "nowhere.tar.gz",
        "extra_input_files": ["nowhere.py"],
        "dynamic_chunksize": {"walltime": 5},
        "treereduction": 1,
    }.items():
        try:
            WqxExecutor(wrapper="/bin/true", **{name: value})
        except ValueError as error:
            told[name] = str(error)
    return told


CASES = {
    "plain": plain,
    "killed": killed,
    "thread": thread,
    "raise": fails("raise"),
    "module": fails("module"),
    "unpicklable": fails("unpicklable"),
    "python": lambda: run(Muons(), python="/nowhere/python3"),
    "bad files": bad_files,
    "relative": relative,
    "split": split,
    "dynamic": dynamic,
    "heavy": heavy,
    "interrupted": interrupted,
    "wrong options": wrong_options,
}

for case in sys.argv[2:]:
    told = CASES[case]()
    told.pop("pt", None)
    print(json.dumps({"case": case, **told}), flush=True)
