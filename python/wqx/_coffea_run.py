"""One call of WqxExecutor: items become tasks, results are merged as they come."""
import base64
import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from functools import partial

import cloudpickle
import ndcctools.work_queue as wq
from ndcctools.work_queue._journal import digest_of_pickle
from coffea.processor.accumulator import accumulate
from coffea.util import rich_bar

from wqx._chunks import Cutter, MergeTree, Sizer, split
from wqx._coffea_failures import chain_of, described, error_of, exhausted, first_line
from wqx._coffea_task import value_in
from wqx.environment import staged_archive, wrapper_script

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_coffea_task.py")
SCRIPT_NAME = "wqx_coffea_task.py"
# Longer ones go into a file: a command has its limits.
ARGUMENT_MAX = 32_000
# Tasks that wait ahead of being dispatched; where sizes are learned, few are cut ahead.
AHEAD_MAX = 2_000
AHEAD_PER_CORE = 2
# Between two looks at whether Ctrl-C was pressed; seconds.
WAIT_S = 1
REFRESH_S = 0.2

MODES = {"max": "MAX", "max-seen": "MAX"}


class State(threading.local):
    """The queue lives from preprocessing to processing; each thread has its own."""

    queue = None
    settings = None


STATE = State()


def run(executor, items, function, accumulator):
    """Returns (accumulated, 0), or (what was accumulated, exception)."""
    items = list(items)
    if not items:
        return accumulator, 0
    preprocessing = executor.function_name == "get_metadata"
    with contextlib.ExitStack() as stack:
        queue = queue_for(executor)
        if not preprocessing:
            stack.callback(release)
            if executor.ledger and not all(one["preprocessing"] for one in executor.ledger):
                executor.ledger.clear()
        else:
            executor.ledger.clear()
        try:
            return Run(executor, queue, items, function, accumulator, preprocessing, stack).drive()
        except BaseException:
            release()
            raise


def queue_for(executor):
    settings = [
        getattr(executor, name)
        for name in "port manager_name password_file ssl debug_log stats_log transactions_log "
        "status_display_interval resource_monitor journal".split()
    ]
    if STATE.queue is not None and STATE.settings == settings:
        set_categories(STATE.queue, executor)
        return STATE.queue
    release()
    port = executor.port
    queue = wq.WorkQueue(
        port=list(port) if isinstance(port, (tuple, list)) else port,
        name=executor.manager_name,
        debug_log=executor.debug_log,
        stats_log=executor.stats_log,
        transactions_log=executor.transactions_log,
        status_display_interval=executor.status_display_interval,
        ssl=executor.ssl,
        journal=executor.journal,
    )
    STATE.queue, STATE.settings = queue, settings
    queue.tune("category-steady-n-tasks", 3)
    queue.tune("force-proportional-resources", 1)
    if executor.resource_monitor != "off":
        queue.enable_monitoring(watchdog=executor.resource_monitor == "watchdog")
    if executor.password_file:
        queue.specify_password_file(executor.password_file)
    set_categories(queue, executor)
    if executor.custom_init is not None:
        executor.custom_init(queue)
    if executor.verbose:
        print("Listening for workers on port %d" % queue.port)
    return queue


def set_categories(queue, executor):
    given = {
        name: getattr(executor, name)
        for name in ("cores", "memory", "disk", "gpus")
        if getattr(executor, name) is not None
    }
    mode = executor.resources_mode
    name = MODES.get(mode, mode).upper().replace("-", "_")
    for category in ("default", "preprocessing", "processing", "accumulating"):
        queue.specify_category_max_resources(category, given)
        # As in coffea 0.7: the others are few and alike.
        learned = name if category == "processing" or name == "FIXED" else "MAX"
        constant = getattr(wq, "WORK_QUEUE_ALLOCATION_MODE_" + learned)
        queue.specify_category_mode(category, constant)
        if (executor.fast_terminate_workers or 0) > 1:
            queue.activate_fast_abort_category(category, executor.fast_terminate_workers)


def release():
    queue, STATE.queue, STATE.settings = STATE.queue, None, None
    if queue is not None:
        queue._free()


class Call(wq.Task):
    """A task of the run; which it is, and how often it was tried."""

    def __init__(self, command, kind, index):
        self.kind = kind  # "call" or "merge"
        self.index = index
        self.item = None
        self.events = 0
        self.tries = 0
        self.out = None
        self.parts = ()
        self.rest = ()
        self.memory = None  # MB, more than others are given
        super().__init__(command)


class Run:
    def __init__(self, executor, queue, items, function, accumulator, preprocessing, stack):
        self.executor, self.queue = executor, queue
        self.accumulator = accumulator
        self.preprocessing = preprocessing
        self.category = "preprocessing" if preprocessing else "processing"
        self.compression = executor.compression or 1
        # Else in the folder that the next Python removes, should this one be killed.
        where = executor.filepath or wq.staging_directory
        folder = tempfile.TemporaryDirectory(prefix="wqx-coffea-", dir=where)
        self.folder = os.path.abspath(stack.enter_context(folder))
        self.function_path = self.write_function(function)
        if executor.environment_file:
            self.archive = staged_archive(executor.environment_file)
        self.sizer = None
        if executor.dynamic_chunksize and not preprocessing:
            first = executor.chunksize or max(len(item) for item in items)
            self.sizer = Sizer(first, executor.dynamic_chunksize)
        self.total = len(items) if preprocessing else sum(len(item) for item in items)
        self.cutter = Cutter(items, self.sizer)
        self.tree = MergeTree(executor.treereduction)
        self.parts_max = 1 << 30  # of one merge; fewer once one outgrew what it had
        self.pieces = {}  # of leaves that are not complete: piece (a tuple) -> result, or None
        self.active = {}
        self.tried = {}  # (kind, index) -> failed attempts, for the ledger
        self.waiting = []  # split pieces: (leaf, piece, item)
        self.serial = 0
        self.interrupts = 0
        self.failure = None  # what stopped the run
        self.recoverable = None  # with use_result_type: the first that is allowed
        self.submitted = self.processed = self.merged = 0
        self.split_count = 0
        self.refreshed = 0.0

    def write_function(self, function):
        """The retries of coffea's own wrapper are done by new tasks, elsewhere, and only there."""
        self.skips, self.use_result_type = (), False
        wrapper = getattr(function, "func", None)
        if isinstance(function, partial) and getattr(wrapper, "__name__", "") == (
            "automatic_retries"
        ):
            _, skips, inner, *others = function.args
            options = dict(function.keywords)
            self.use_result_type = options.pop("use_result_type", False)
            self.skips = (OSError,) if skips is True else tuple(skips or ())
            function = partial(inner, *others, **options) if others or options else inner
        path = os.path.join(self.folder, "function.p")
        try:
            data = cloudpickle.dumps((function, self.compression))
        except Exception as error:
            raise TypeError(
                "The processor cannot be sent to workers, as it cannot be pickled: %s" % error
            ) from error
        with open(path, "wb") as file:
            file.write(data)
        return path

    # The course

    def drive(self):
        with self.interruptible(), self.bars():
            self.submit_more()
            while self.active:
                task = self.queue.wait(WAIT_S)
                if task is not None and task.id in self.active:
                    self.ended(task)
                if self.stopped:
                    self.cancel()
                self.submit_more()
                self.refresh()
            return self.conclude()

    @property
    def stopped(self):
        return self.failure is not None or self.interrupts > 0

    def submit_more(self):
        ahead = AHEAD_MAX
        if self.sizer is not None or self.split_count:
            cores = getattr(self.queue.stats, "total_cores", 0) or 0
            ahead = max(4, AHEAD_PER_CORE * int(cores))
        while not self.stopped and len(self.active) < ahead:
            if self.waiting:
                leaf, piece, item = self.waiting.pop(0)
            else:
                item = self.cutter.next()
                if item is None:
                    break
                leaf, piece = self.tree.add(), ()
                self.pieces[leaf] = {}
                self.submitted += self.events_of(item)
            self.submit_call(leaf, piece, item)
        if not self.tree.closed and (self.stopped or not self.cutter.items):
            self.merge(self.tree.close())

    def events_of(self, item):
        return 1 if self.preprocessing else len(item)

    def submit_call(self, leaf, piece, item, tries=0, memory=None):
        self.pieces[leaf][piece] = None
        packed = base64.b64encode(cloudpickle.dumps(self.outward(item))).decode()
        argument = packed if len(packed) <= ARGUMENT_MAX else '"$(cat item.b64)"'
        command = "%s %s call function.p %s out.p" % (self.executor.python, SCRIPT_NAME, argument)
        task = Call(self.wrapped(command), "call", (leaf, piece))
        task.item, task.tries = item, tries
        self.give(task, memory)
        if self.queue._wq_journaled:
            task._wq_journal = self.said_of(item, argument, command)
        task.events = self.events_of(item)
        if argument is not packed:
            task.specify_buffer(packed, "item.b64", cache=False)
        task.specify_input_file(self.function_path, "function.p", cache=True)
        data = item.filename
        if "://" not in data and not os.path.isabs(data) and not outside(data):
            task.specify_input_file(data, data, cache=True)
        self.submit(task, self.category)

    def said_of(self, item, argument, command):
        """For the journal: False where only the task itself can tell whether the file is the same.

        What it finds there, its uuid among it, is part of the items of all others.
        """
        if self.preprocessing and "://" in item.filename:
            return False
        name = item.filename
        files = [os.path.abspath(name)] if os.path.isabs(name) or outside(name) else []
        digest, _ = digest_of_pickle(cloudpickle.dumps(self.outward(item)))
        told = {"files": files}
        return dict(told, command=command.replace(argument, digest)) if digest else told

    def outward(self, item):
        """What leads out of the sandbox is read where it is."""
        name = item.filename
        if "://" in name or os.path.isabs(name) or not outside(name):
            return item
        changed = cloudpickle.loads(cloudpickle.dumps(item))
        object.__setattr__(changed, "filename", os.path.abspath(name))
        return changed

    def submit_merge(self, level, index, parts, tries=0, memory=None):
        """The first parts; what is left is merged to what comes of them, so the order stays."""
        at_once = max(2, self.parts_max)
        rest = parts[at_once:]
        parts = parts[:at_once]
        names = " ".join("part_%d.p" % i for i in range(len(parts)))
        command = "%s %s merge %d out.p %s" % (
            self.executor.python,
            SCRIPT_NAME,
            self.compression,
            names,
        )
        task = Call(self.wrapped(command), "merge", (level, index))
        task.parts, task.rest, task.tries = parts, rest, tries
        self.give(task, memory)
        for i, part in enumerate(parts):
            task.specify_input_file(part, "part_%d.p" % i, cache=False)
        task.specify_priority(1)
        self.submit(task, "accumulating")

    def give(self, task, memory):
        if memory is not None:
            task.memory = memory
            task.specify_memory(memory)

    def wrapped(self, command):
        executor = self.executor
        if executor.environment_file:
            name = os.path.basename(self.archive)
            command = (
                './poncho_package_run -e %s -u "$WORK_QUEUE_SANDBOX"/%s-env -- %s'
                % (name, name, command)
            )
        if executor.x509_proxy:
            command = "X509_USER_PROXY=%s %s" % (os.path.basename(executor.x509_proxy), command)
        # The first tasks of a mode that learns have whole workers. All shall be alike, so that one
        # warm Python serves them all.
        return "OMP_NUM_THREADS=%d %s" % (executor.cores or 1, command)

    def submit(self, task, category):
        executor = self.executor
        self.serial += 1
        task.out = os.path.join(self.folder, "out_%d.p" % self.serial)
        task.specify_category(category)
        task.specify_input_file(SCRIPT, SCRIPT_NAME, cache=True)
        if executor.environment_file:
            task.specify_input_file(self.archive, os.path.basename(self.archive), cache=True)
            wrapper = executor.wrapper or wrapper_script()
            task.specify_input_file(wrapper, "poncho_package_run", cache=True)
        for path in list(executor.extra_input_files) + [executor.x509_proxy]:
            if path:
                task.specify_input_file(path, os.path.basename(path), cache=True)
        task.specify_output_file(task.out, "out.p", cache=False)
        task.tries += 1
        self.active[self.queue.submit(task)] = task

    # What comes back

    def ended(self, task):
        del self.active[task.id]
        head = None
        if os.path.exists(task.out):
            with open(task.out, "rb") as file:
                with contextlib.suppress(ValueError):
                    head = json.loads(file.readline())
        self.log(task, head)
        if task.result == 0 and head is not None and head["ok"]:
            self.tried.pop((task.kind, task.index), None)
            self.succeeded(task, head)
            return
        error = error_of(task, head)
        attempt = {"host": task.hostname, "at": task.finish_time / 1e6, "cause": first_line(error)}
        self.tried.setdefault((task.kind, task.index), []).append(attempt)
        if exhausted(task) and (self.cut(task) or self.narrow(task) or self.enlarge(task)):
            pass
        elif self.stopped and task.kind == "call":
            self.leave_out(task, "stopped", "the run was stopped")
        elif task.tries <= self.executor.retries and not exhausted(task):
            self.again(task)
        else:
            self.failed(task, error)

    def succeeded(self, task, head):
        if task.kind == "merge":
            self.merged += 1
            for part in task.parts:
                os.unlink(part)
            if task.rest:
                self.submit_merge(*task.index, [task.out, *task.rest])
            else:
                self.merge(self.tree.put(*task.index, [task.out]))
            return
        self.processed += task.events
        if self.sizer is not None:
            memory = task.resources_measured.memory
            measured = {"wall_time": head.get("seconds"), "memory": memory}
            self.sizer.succeeded(task.events, measured)
        leaf, piece = task.index
        if head.get("empty"):
            os.unlink(task.out)
        self.put(leaf, piece, [] if head.get("empty") else [task.out])

    def put(self, leaf, piece, parts):
        pieces = self.pieces[leaf]
        pieces[piece] = parts
        if any(one is None for one in pieces.values()):
            return
        # A piece that was cut again stands before its own pieces, which sort behind it.
        parts = [part for key in sorted(pieces) for part in pieces[key]]
        del self.pieces[leaf]
        self.merge(self.tree.put(0, leaf, parts))

    def merge(self, merges):
        for level, index, parts in merges:
            self.submit_merge(level, index, parts)

    def cut(self, task):
        """A chunk that outgrew its resources becomes smaller ones; False if that cannot be."""
        if self.stopped or task.kind == "merge" or self.preprocessing:
            return False
        if not self.executor.split_on_exhaustion or task.events < 2:
            return False
        if self.sizer is not None:
            self.sizer.exhausted(task.events)
        size = min(self.sizer.size, task.events // 2) if self.sizer else task.events // 2
        leaf, piece = task.index
        self.split_count += 1
        pieces = [
            (leaf, piece + (i,), item) for i, item in enumerate(split(task.item, max(1, size)))
        ]
        for _, key, _ in pieces:
            self.pieces[leaf][key] = None
        self.pieces[leaf][piece] = []
        self.waiting = pieces + self.waiting
        return True

    def narrow(self, task):
        """A merge that outgrew its resources takes fewer parts at once; False if that cannot be."""
        if task.kind != "merge" or len(task.parts) <= 2:
            return False
        self.parts_max = min(self.parts_max, (len(task.parts) + 1) // 2)
        self.submit_merge(*task.index, [*task.parts, *task.rest])
        return True

    def enlarge(self, task):
        """What cannot take less waits for a worker with more memory, unless memory has a limit."""
        if task.kind != "merge" and not self.preprocessing:
            return False
        exceeded, had = task.limits_exceeded, task.resources_allocated.memory
        if self.stopped or self.executor.memory is not None or not had or had < 0:
            return False
        if exceeded is None or exceeded.memory is None or exceeded.memory < 0:
            return False
        more = int(2 * had)
        print("%s; it waits for a worker that gives it %d MB" % (described(task), more))
        if task.kind == "merge":
            self.submit_merge(*task.index, [*task.parts, *task.rest], 0, more)
        else:
            self.submit_call(*task.index, task.item, 0, more)
        return True

    def again(self, task):
        with contextlib.suppress(OSError):
            os.unlink(task.out)
        if task.kind == "merge":
            self.submit_merge(*task.index, [*task.parts, *task.rest], task.tries, task.memory)
        else:
            self.submit_call(*task.index, task.item, task.tries, task.memory)

    def failed(self, task, error):
        if task.kind == "merge":
            # What it should have merged is still there, and is merged at the end.
            self.failure = self.failure or error
            self.merge(self.tree.put(*task.index, [*task.parts, *task.rest]))
            return
        allowed = bool(self.skips) and any(isinstance(one, self.skips) for one in chain_of(error))
        if allowed and self.use_result_type:
            self.recoverable = self.recoverable or error
        elif not allowed:
            self.failure = self.failure or error
        self.leave_out(task, "skipped" if allowed else "failed", first_line(error))

    def leave_out(self, task, kind, why):
        tries = self.tried.pop((task.kind, task.index), [])
        self.note(task.item, kind, why, task.hostname, task.tries, tries)
        self.put(*task.index, [])

    def note(self, item, kind, why, host=None, attempts=0, tries=()):
        start, stop = getattr(item, "entrystart", None), getattr(item, "entrystop", None)
        self.executor.ledger.append(
            {
                "dataset": item.dataset,
                "filename": item.filename,
                "start": start,
                "stop": stop,
                "events": None if stop is None else stop - start,
                "kind": kind,
                "why": why,
                "host": host,
                "attempts": attempts,
                "tries": list(tries),
                "preprocessing": self.preprocessing,
            }
        )

    def cancel(self):
        """Chunks that wait or run are of no use any more; merges are."""
        for id, task in list(self.active.items()):
            if task.kind == "call":
                self.queue.cancel_by_taskid(id)
                del self.active[id]
                self.leave_out(task, "stopped", "the run was stopped")
        for leaf, piece, item in self.waiting:
            self.note(item, "stopped", "the run was stopped")
            self.put(leaf, piece, [])
        self.waiting = []
        while True:
            item = self.cutter.next()
            if item is None:
                break
            self.note(item, "stopped", "the run was stopped")

    def conclude(self):
        total = self.accumulator
        empty = True
        for part in self.tree.roots() or []:
            one = value_in(part)
            total = one if total is None else accumulate([one], total)
            empty = False
            self.merged += 1
        error = self.failure or self.recoverable or 0
        if self.interrupts and self.failure is None:
            error = KeyboardInterrupt("Stopped by Ctrl-C: the result is partial")
        self.refresh(True)
        if error and (empty or self.preprocessing):
            raise error
        return total, error

    # Who watches

    @contextlib.contextmanager
    def interruptible(self):
        """Ctrl-C once stops softly; handlers exist in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number, frame):
            self.interrupts += 1
            if self.interrupts > 1:
                raise KeyboardInterrupt
            print("Stopping; what is done is merged. Ctrl-C again stops at once.", flush=True)

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)

    @contextlib.contextmanager
    def bars(self):
        self.progress, self.bar_ids = None, {}
        if not self.executor.status:
            yield
            return
        with rich_bar() as progress:
            unit = "file" if self.preprocessing else "event"
            names = [self.executor.desc]
            if not self.preprocessing:
                names = ["Submitted", "Processed", "Accumulated"]
            for name in names:
                one = unit if name != "Accumulated" else "merge"
                self.bar_ids[name] = progress.add_task(name, total=self.total, unit=one)
            self.progress = progress
            yield

    def refresh(self, now=False):
        if self.progress is None or not (now or time.monotonic() - self.refreshed > REFRESH_S):
            return
        self.refreshed = time.monotonic()
        open_merges = sum(one.kind == "merge" for one in self.active.values())
        for name, bar in self.bar_ids.items():
            if name == "Submitted":
                self.progress.update(bar, completed=self.submitted)
            elif name == "Accumulated":
                done = self.merged
                self.progress.update(bar, completed=done, total=done + open_merges)
            else:
                self.progress.update(bar, completed=self.processed)
        self.progress.refresh()

    def log(self, task, head):
        executor = self.executor
        if executor.tasks_accum_log:
            line = [task.id, task.category, task.kind, task.events, task.result, task.return_status]
            line += [task.hostname, task.resources_measured.memory, task.cmd_execution_time]
            with open(executor.tasks_accum_log, "a") as file:
                file.write(",".join(map(str, line)) + "\n")
        if executor.verbose:
            done = "done" if head is not None and head["ok"] else "failed"
            print("%s task %s on %s %s" % (task.category, task.id, task.hostname, done))
        if executor.print_stdout and task.std_output:
            print(task.std_output)


def outside(name):
    return os.path.normpath(name).startswith("..")
