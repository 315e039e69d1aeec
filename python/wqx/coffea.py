"""Coffea's processors on wqx: an executor for `coffea.processor.Runner` of coffea 2025.7 and later.

    from coffea.processor import Runner
    from wqx.coffea import WqxExecutor

    executor = WqxExecutor(port=9123)
    out = Runner(executor, chunksize=100_000)(fileset, MyProcessor(), treename="Events")

Workers (`wqx worker HOST 9123`, or a Factory) need a Python with coffea on PATH. For coffea 0.7 use
its own WorkQueueExecutor.
"""
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from coffea.processor.executor import ExecutorBase

from wqx._coffea_failures import RemoteTraceback, ResourceExhausted, TaskFailed
from wqx._coffea_run import run

__all__ = ["ResourceExhausted", "RemoteTraceback", "TaskFailed", "WqxExecutor"]

MODES = (
    "fixed",
    "max",
    "max-seen",
    "max-throughput",
    "min-waste",
    "greedy-bucketing",
    "exhaustive-bucketing",
    "det-greedy-bucketing",
    "det-exhaustive-bucketing",
    "quantized-bucketing",
)
MONITORS = ("off", "measure", "watchdog")


@dataclass
class WqxExecutor(ExecutorBase):
    """Runs the chunks of coffea's Runner as tasks of wqx.

    Ctrl-C once: what runs is stopped, what is done is merged, and KeyboardInterrupt comes with the
    merged part as its `partial_output`; twice: KeyboardInterrupt at once. A chunk that fails for
    good stops the run the same way, with the exception of the processor itself.

    Parameters
    ----------
    retries : int
        How often a failed task is tried again, in a new task (default: 2).
    manager_name, password_file : str
        Project name by which workers find the manager in the catalog; file with its password.
    port : int or (low, high)
        Where to listen: 9123, or any free port if there is a manager_name.
    cores, memory, disk, gpus : int
        Of a task, at most; memory and disk in MB. In mode "fixed" what it is given.
    resources_mode : str
        How much a task is given: "fixed", "max-seen" (= "max"; default), "max-throughput",
        "min-waste", or one of the bucketing modes of Work Queue.
    resource_monitor : str
        "off", "measure", or "watchdog", which ends tasks that outgrow what they were given. Modes
        that learn need it, and turn "off" into "watchdog".
    split_on_exhaustion : bool
        Cut a chunk that outgrew its resources, rather than fail (default: True).
    dynamic_chunksize : dict
        Targets {"wall_time": seconds, "memory": MB} for each task: chunks are cut anew so that
        tasks come near them. Starts from chunksize, or the largest chunk that Runner made.
    chunksize : int
        Where dynamic_chunksize starts from.
    treereduction : int
        Results that are merged by one task (default: 20).
    extra_input_files : list
        Files that tasks need beside the data, as modules of processors; sent once per worker.
    environment_file : str
        A packed environment in which tasks run: an archive of `wqx package create`. Workers then
        need no Python of their own.
    wrapper : str
        The script that starts tasks in it on workers that are not of wqx (default: one that comes
        with this module).
    python : str
        How workers start their Python (default: "python3").
    x509_proxy : str
        Grid proxy that tasks get (default: X509_USER_PROXY, or the usual place).
    fast_terminate_workers : float
        Start tasks that take so many times the average elsewhere.
    ledger : list
        Emptied at the start of a run; then gets a dict for all that is not in the result: dataset,
        filename, start, stop, events, kind ("skipped", "failed", "stopped"), why, host, attempts,
        and tries: of each attempt that failed its host, when it ended (at, s since the epoch), cause.
    journal : str
        Folder in which results of tasks are kept (default: the variable WQX_JOURNAL). A program that
        died and is run again gets them back, and runs what is left.
    verbose, print_stdout : bool
        Tell of every task; and what it printed.
    filepath : str
        Where the folder of partial results is made (default: the folder for temporary files).
    debug_log, stats_log, transactions_log, tasks_accum_log : str
        Files for logs.
    ssl, custom_init, events_total, status_display_interval
        As for coffea 0.7; custom_init is called with the queue.
    """

    compression: Optional[int] = 1
    retries: int = 2
    manager_name: Optional[str] = None
    port: Optional[Union[int, Tuple[int, int]]] = None
    filepath: Optional[str] = None
    events_total: Optional[int] = None
    x509_proxy: Optional[str] = None
    verbose: bool = False
    print_stdout: bool = False
    status_display_interval: Optional[int] = None
    debug_log: Optional[str] = None
    stats_log: Optional[str] = None
    transactions_log: Optional[str] = None
    tasks_accum_log: Optional[str] = None
    journal: Optional[str] = None
    password_file: Optional[str] = None
    ssl: Union[bool, Tuple[str, str]] = False
    environment_file: Optional[str] = None
    extra_input_files: Sequence[str] = field(default_factory=list)
    wrapper: Optional[str] = None
    resource_monitor: str = "off"
    resources_mode: str = "max-seen"
    split_on_exhaustion: bool = True
    fast_terminate_workers: Optional[float] = None
    cores: Optional[int] = None
    memory: Optional[int] = None
    disk: Optional[int] = None
    gpus: Optional[int] = None
    treereduction: int = 20
    chunksize: Optional[int] = None
    dynamic_chunksize: Optional[Dict[str, float]] = None
    custom_init: Optional[Callable[[Any], None]] = None
    python: str = "python3"
    ledger: List[Dict[str, Any]] = field(default_factory=list)
    bar_format: Optional[str] = None
    chunks_accum_in_mem: Optional[int] = None
    master_name: Optional[str] = None
    chunks_per_accum: Optional[int] = None

    def __post_init__(self):
        for name in ("bar_format", "chunks_accum_in_mem", "master_name", "chunks_per_accum"):
            if getattr(self, name) is not None:
                instead = {"master_name": "manager_name", "chunks_per_accum": "treereduction"}
                told = instead.get(name)
                warnings.warn(
                    "WqxExecutor: %s is of old and %s"
                    % (name, "now called " + told if told else "without effect"),
                    DeprecationWarning,
                    stacklevel=3,
                )
        if self.master_name is not None and self.manager_name is None:
            self.manager_name = self.master_name
        if self.chunks_per_accum is not None:
            self.treereduction = self.chunks_per_accum
        self.bar_format = self.chunks_accum_in_mem = None
        self.master_name = self.chunks_per_accum = None
        one_of("resources_mode", self.resources_mode, MODES)
        one_of("resource_monitor", self.resource_monitor, MONITORS)
        if self.treereduction < 2:
            raise ValueError("WqxExecutor: treereduction must be 2 or more")
        if self.retries < 0:
            raise ValueError("WqxExecutor: retries must be 0 or more")
        for name in ("environment_file", "wrapper", "password_file"):
            path = getattr(self, name)
            if path and not os.path.isfile(path):
                raise ValueError("WqxExecutor: there is no %s %s" % (name, path))
        for path in self.extra_input_files:
            if not os.path.exists(path):
                raise ValueError("WqxExecutor: there is no file %s (extra_input_files)" % path)
        unknown = set(self.dynamic_chunksize or {}) - {"wall_time", "memory"}
        if unknown or any(not value > 0 for value in (self.dynamic_chunksize or {}).values()):
            raise ValueError(
                "WqxExecutor: dynamic_chunksize is {'wall_time': seconds, 'memory': MB}, one or "
                "both, and more than 0"
            )
        if self.port is None:
            self.port = 0 if self.manager_name else 9123
        learns = self.resources_mode != "fixed" or self.dynamic_chunksize
        if learns and self.resource_monitor == "off":
            self.resource_monitor = "watchdog" if self.resources_mode != "fixed" else "measure"
        self.verbose = self.verbose or self.print_stdout
        self.x509_proxy = self.x509_proxy or usual_proxy()

    def __call__(self, items, function, accumulator):
        """Returns (accumulated, 0), or (what was accumulated, exception)."""
        return run(self, items, function, accumulator)


def one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            "WqxExecutor: %s is one of %s, not %r" % (name, ", ".join(allowed), value)
        )


def usual_proxy():
    path = os.environ.get("X509_USER_PROXY")
    if path is None:
        path = os.path.join(tempfile.gettempdir(), "x509up_u%d" % os.getuid())
    return path if os.path.isfile(path) else None
