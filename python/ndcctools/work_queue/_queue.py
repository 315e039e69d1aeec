"""The queue: tasks go in, and come back as they end."""
import os
import sys
import time
import weakref
from collections import OrderedDict, deque
from itertools import count

from . import _coffea07, _journal
from ._client import open_client, weakly
from ._constants import (
    WORK_QUEUE_DEFAULT_PORT,
    WORK_QUEUE_TASK_CANCELED,
    WORK_QUEUE_TASK_DONE,
    WORK_QUEUE_TASK_RETRIEVED,
    WORK_QUEUE_TASK_UNKNOWN,
    WORK_QUEUE_WAITFORTASK,
)
from ._abstractions import Abstractions
from ._debug import debug_log_of
from ._settings import Settings
from ._stats import work_queue_stats
from ._task import _number, _text

# `wait` takes 0 as so many seconds, and negative numbers but WAITFORTASK as so many.
WAIT_ZERO_SECONDS = 1
WAIT_NEGATIVE_SECONDS = 5


class WorkQueue(Abstractions, Settings):
    """A manager of tasks, with workers that connect to its port.

    Behind it is a process, `wqx manager`, that ends with this object or with this Python, however
    that ends. It works while this Python computes; one thread at a time may use it.
    """

    _work_queue = None
    _shutdown = False
    _info_widget = None
    _wq_client = None
    _wq_journaled = False

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        _coffea07.adopt(cls)

    def __init__(
        self,
        port=WORK_QUEUE_DEFAULT_PORT,
        name=None,
        shutdown=False,
        stats_log=None,
        transactions_log=None,
        debug_log=None,
        ssl=None,
        status_display_interval=None,
        journal=None,
        **ignored
    ):
        """`port`: a number, 0 for any, or `(low, high)`. `shutdown`: idle workers exit at the end.

        `ssl`: True for a certificate of its own making, or `(key_file, cert_file)`, PEM.
        `status_display_interval`: s between updates of the table in a notebook.
        `journal`: wqx's own; folder in which results are kept (default: the variable WQX_JOURNAL).
        A program that died gets them back when it is run again and submits the same tasks.
        Raises Exception if the manager cannot start, as when the port is in use.
        """
        for option in ignored:
            if option not in ("catalog", "exclusive", "logfile"):
                raise TypeError("WorkQueue() has no argument %r" % option)
        self._shutdown = bool(shutdown)
        self._stats = work_queue_stats()
        self._stats_hierarchy = work_queue_stats()
        # By id: all that were submitted and neither returned nor canceled.
        self._task_table = {}
        # By id, in order of arrival: a row and what was printed.
        self._wq_ready = OrderedDict()
        # By tag: ids of those of the above that have one.
        self._wq_tagged = {}
        self._wq_canceled = set()
        self._wq_ids = count(1)
        self._wq_last_id = 0
        self._wq_warned = False
        _coffea07.begin(self)
        try:
            options = _port_options(port) + _ssl_options(ssl)
            self._using_ssl = bool(options[2:])
            folder = _journal.folder_of(journal)
            self._wq_journaled = folder is not None
            if folder is not None:
                options += ["--journal", folder]
                _journal.track_classes_by_name()
                _coffea07.repeatable(self)
            client = open_client(options, debug_log_of(debug_log), port)
        except ValueError:
            raise
        except Exception as error:
            raise Exception(
                "Unable to create internal Work Queue structure: %s" % (error,)
            ) from error
        client.on_results = weakly(self._wq_take_results)
        self._wq_client = self._work_queue = client
        if stats_log:
            self.specify_log(stats_log)
        if transactions_log:
            self.specify_transactions_log(transactions_log)
        if name:
            self.specify_name(name)
        if status_display_interval and status_display_interval >= 1:
            from ._display import JupyterDisplay

            self._info_widget = JupyterDisplay(interval=status_display_interval)

    # Begin and end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._free()

    def __del__(self):
        try:
            self._free()
        except Exception as error:  # the interpreter may be half gone
            if sys is not None and not sys.is_finalizing():
                print("Cannot end the manager: %s" % error, file=sys.stderr)

    def _free(self):
        """Ends the manager; its port is free afterwards. Safe to call again."""
        client, self._wq_client = self._wq_client, None
        if client is None:
            return
        self._wq_client = client
        self._update_status_display(force=True)
        self._wq_client = self._work_queue = None
        client.close(self._shutdown)

    def _wq_ask(self, method, *arguments, raw=b""):
        client = self._wq_client
        if client is None:
            raise RuntimeError("This queue has ended: make another one")
        return client.ask(method, *arguments, raw=raw)

    # What it is

    @property
    def name(self):
        """Project name, by which workers and factories find it in the catalog, or None."""
        return self._wq_name

    @property
    def port(self):
        """The one that workers connect to."""
        return 0 if self._wq_client is None else self._wq_client.port

    @property
    def using_ssl(self):
        return self._using_ssl

    @property
    def stats(self):
        """The same object each time, with the numbers as they are now."""
        values = self._wq_ask("stats")
        values["tasks_with_results"] += len(self._wq_ready)
        self._stats._update(values)
        self._stats._port = self.port
        return self._stats

    @property
    def stats_hierarchy(self):
        """As `stats`: foremen count as workers."""
        values = self._wq_ask("stats")
        values["tasks_with_results"] += len(self._wq_ready)
        self._stats_hierarchy._update(values)
        self._stats_hierarchy._port = self.port
        return self._stats_hierarchy

    def stats_category(self, category):
        made = work_queue_stats()
        made._update(self._wq_ask("stats_category", _text("category", category)))
        return made

    def status(self, request):
        """List of dicts about `queue`, `tasks`, `workers` or `categories`; [] for anything else."""
        if request not in ("queue", "tasks", "workers", "categories"):
            return []
        return self._wq_ask("status", request)

    def workers_summary(self):
        """Workers by size: dicts of workers, cores, gpus, memory and disk (MB)."""
        return self._wq_ask("workers_summary")

    # Tasks

    def submit(self, task):
        """The task's id, larger than all before. A task that came back may be submitted again."""
        client = self._wq_client
        if client is None:
            raise RuntimeError("This queue has ended: make another one")
        if task._wq_id and self._task_table.get(task._wq_id) is task:
            raise ValueError("Task %d is in the queue already" % task._wq_id)
        task_id = next(self._wq_ids)
        try:
            if self._wq_journaled:
                task._wq_options["journal"] = _journal.said_of(task)
                task._wq_queue = weakref.ref(self)
            text, raw = task._wq_encode(task_id)
            if task._wq_row is not None:
                task._wq_forget()
            task._wq_submitted_us = time.time_ns() // 1000
            task._wq_id = self._wq_last_id = task_id
            self._task_table[task_id] = task
            client.submit(text, raw)
        except BaseException:
            # Of a signal handler, too: what was not submitted is not waited for.
            self._task_table.pop(task_id, None)
            raise
        return task_id

    def wait(self, timeout=WORK_QUEUE_WAITFORTASK):
        """The next task that ended, or None after `timeout` seconds."""
        return self.wait_for_tag(None, timeout)

    def wait_for_tag(self, tag, timeout=WORK_QUEUE_WAITFORTASK):
        """The next task of that tag that ended, None for any tag; or None after `timeout` seconds.

        None comes earlier when the queue becomes empty, or a worker comes to an empty one. Raises
        RuntimeError if the manager is lost.
        """
        seconds = -1 if timeout is None else _number("timeout", timeout)
        if seconds == 0:
            seconds = WAIT_ZERO_SECONDS
        elif seconds < 0 and seconds != WORK_QUEUE_WAITFORTASK:
            seconds = WAIT_NEGATIVE_SECONDS
        if not self._wq_warned:
            self._wq_warn()
        if self._info_widget is not None:
            self._update_status_display()
        try:
            task = self._wq_wait(tag, seconds)
        except KeyboardInterrupt:
            _coffea07.interrupted(self)
            raise
        if self._info_widget is not None:
            self._update_status_display(force=task is not None and not self._task_table)
        return task

    def _wq_wait(self, tag, seconds, wake_fd=None):
        client = self._wq_client
        if client is None:
            raise RuntimeError("This queue has ended: make another one")
        task = self._wq_next(tag)
        if task is not None:
            return task
        client.flush()
        client.take()
        deadline = None if seconds < 0 else time.monotonic() + seconds
        table = self._task_table
        was_busy = bool(table)
        workers = client.counts[4]
        while True:
            task = self._wq_next(tag)
            if task is not None:
                return task
            if client.failure is not None:
                raise client.failure
            # Of an empty queue, that a worker came is news, too.
            if not table and (was_busy or client.counts[4] != workers):
                return None
            left = -1 if deadline is None else deadline - time.monotonic()
            if deadline is not None and left <= 0:
                return None
            if client.poll(left, wake_fd):
                return None

    def _wq_next(self, tag):
        """One that ended, off all lists; None if there is none."""
        ready, tagged = self._wq_ready, self._wq_tagged
        while ready:
            if tag is None:
                task_id, (row, printed) = ready.popitem(last=False)
            else:
                ids = tagged.get(tag)
                if not ids:
                    return None
                task_id = ids[0]
                row, printed = ready.pop(task_id, (None, None))
            task = self._task_table.pop(task_id, None)
            if task is not None and task._wq_tag is not None:
                self._wq_untag(task._wq_tag, task_id)
            if task is None or row is None:
                continue
            task._wq_row, task._wq_printed = row, printed
            return task
        return None

    def _wq_untag(self, tag, task_id):
        ids = self._wq_tagged.get(tag)
        if ids is None:
            return
        if ids[0] == task_id:
            ids.popleft()
        elif task_id in ids:
            ids.remove(task_id)
        if not ids:
            del self._wq_tagged[tag]

    def _wq_take_results(self, rows, data, at):
        table, ready, tagged = self._task_table, self._wq_ready, self._wq_tagged
        for row in rows:
            task_id, size = row[0], row[3]
            printed = None
            if size >= 0:
                printed = data[at : at + size]
                at += size
            task = table.get(task_id)
            if task is None or task_id in ready:
                continue
            if task._wq_tag is not None:
                tagged.setdefault(task._wq_tag, deque()).append(task_id)
            ready[task_id] = (row, printed)

    def _wq_forget_result(self, task_id):
        """The next run is not to get this result, but to run the task again."""
        client = self._wq_client
        if client is not None and client.failure is None:
            client.ask("forget", [task_id])

    def empty(self):
        """1 if all tasks that were submitted have been returned or canceled, else 0."""
        return 0 if self._task_table else 1

    def hungry(self):
        """1 if more tasks would be of use now, else 0."""
        client = self._wq_client
        if client is None:
            return 0
        client.flush()
        client.take()
        taken, waiting, _, _, _, below = client.counts
        return 1 if waiting + (self._wq_last_id - self._wq_skipped - taken) < below else 0

    _wq_skipped = 0

    def task_state(self, taskid):
        """One of WORK_QUEUE_TASK_*; UNKNOWN for ids that were never given."""
        if taskid in self._wq_canceled:
            return WORK_QUEUE_TASK_CANCELED
        if taskid not in self._task_table:
            known = 0 < taskid <= self._wq_last_id and not self._wq_is_skipped(taskid)
            return WORK_QUEUE_TASK_DONE if known else WORK_QUEUE_TASK_UNKNOWN
        if taskid not in self._wq_ready:
            state = self._wq_ask("task_state", taskid)
            if state:
                return state
        return WORK_QUEUE_TASK_RETRIEVED

    _wq_gaps = ()

    def _wq_is_skipped(self, task_id):
        return any(low <= task_id < high for low, high in self._wq_gaps)

    def cancel_by_taskid(self, id):
        """The task, canceled in whatever state it was; None if it is not in the queue."""
        canceled = self._wq_cancel([id])
        return canceled[0] if canceled else None

    def cancel_by_tasktag(self, tag):
        """One task of that tag, canceled; None if there is none."""
        for task_id, task in list(self._task_table.items()):
            if task._wq_tag == tag:
                return self.cancel_by_taskid(task_id)
        return None

    def cancel_by_category(self, category):
        """List of the tasks of that category, canceled."""
        table = list(self._task_table.items())
        return self._wq_cancel([i for i, task in table if task._wq_category == category])

    def _wq_cancel(self, ids):
        ids = [i for i in ids if i in self._task_table]
        asked = [i for i in ids if i not in self._wq_ready]
        if asked:
            # Results of those that it cannot cancel have come with the answer, or before.
            self._wq_ask("cancel", asked)
        canceled = []
        for task_id in ids:
            task = self._task_table.pop(task_id, None)
            if task is None:
                continue  # a signal handler was faster
            self._wq_ready.pop(task_id, None)
            if task._wq_tag is not None:
                self._wq_untag(task._wq_tag, task_id)
            self._wq_canceled.add(task_id)
            canceled.append(task)
        return canceled

    def specify_min_taskid(self, minid):
        """Ids to come are at least this; the next one is returned."""
        first = self._wq_last_id + 1
        if minid > first:
            self._wq_gaps = (*self._wq_gaps, (first, int(minid)))
            self._wq_skipped += int(minid) - first
            self._wq_ids = count(int(minid))
            self._wq_last_id = int(minid) - 1
        return self._wq_last_id + 1

    def initialize_categories(self, filename, rm):
        raise NotImplementedError(
            "wqx reads no file of categories: use specify_category_first_allocation_guess"
        )

    # Display

    def application_info(self):
        """To be overridden: `{"application_info": {"values": {…}, "units": {…}}}`."""

    def _update_status_display(self, force=False):
        if self._info_widget is None or self._wq_client is None:
            return
        try:
            self._info_widget.update(self, force)
        except Exception as error:
            print("Cannot show the status: %s" % error, file=sys.stderr)


def _port_options(port):
    env = os.environ
    if isinstance(port, (tuple, list)):
        if len(port) != 2:
            raise ValueError("port is %r: give a number, or a low and a high one" % (port,))
        low, high = map(int, port)
        env["TCP_LOW_PORT"], env["TCP_HIGH_PORT"] = str(low), str(high)
        if low > high:
            raise OSError("the ports %d to %d are none: low is above high" % (low, high))
        return ["--port", "%d:%d" % (low, high)]
    port = int(port)
    if port == 0:
        port = int(env.get("WORK_QUEUE_PORT") or 0)
    if port != 0:
        return ["--port", str(port)]
    low = env.get("WORK_QUEUE_LOW_PORT") or env.get("TCP_LOW_PORT") or 1024
    high = env.get("WORK_QUEUE_HIGH_PORT") or env.get("TCP_HIGH_PORT") or 32767
    return ["--port", "%d:%d" % (int(low), int(high))]


def _ssl_options(ssl):
    if ssl is None or ssl is False or ssl == (None, None):
        return []
    if ssl is True:
        return ["--ssl"]
    key, cert = ssl
    return ["--ssl-key", os.path.abspath(str(key)), "--ssl-cert", os.path.abspath(str(cert))]
