"""What a queue can be told besides tasks: who finds it, what is measured, how tasks are placed."""
import os
import sys

from ._constants import (
    WORK_QUEUE_ALLOCATION_MODE_FIXED,
    WORK_QUEUE_ALLOCATION_MODE_QUANTIZED_BUCKETING,
)
from ._task import _number, _text

_AMOUNTS = ("cores", "memory", "disk", "gpus")


class Settings:
    """What `WorkQueue` inherits; each call is one request to its manager."""

    _using_ssl = False
    _wq_name = None
    _wq_warned = False
    _wq_has_password = False

    # Being found, and by whom

    def specify_name(self, name):
        """Project name; the catalog is told of this manager from now on. None: not any more."""
        self._wq_ask("name", None if name is None else _text("name", name))
        self._wq_name = name
        if name is not None:
            os.environ["WORK_QUEUE_NAME"] = name

    def specify_catalog_server(self, hostname, port):
        """Where to report, in place of CATALOG_HOST."""
        address = _text("hostname", hostname) + (":%d" % port if port else "")
        self._wq_ask("catalog", address)

    def specify_catalog_servers(self, catalogs):
        """Where to report: `HOST:PORT,HOST:PORT`."""
        self._wq_ask("catalog", _text("catalogs", catalogs))

    def specify_priority(self, priority):
        """Of the manager, as the catalog shows it."""
        self._wq_ask("priority", int(_number("priority", priority)))
        self._stats._priority = self._stats_hierarchy._priority = int(priority)

    def specify_num_tasks_left(self, ntasks):
        """How many tasks are still to be submitted, for factories; less than 1: not known."""
        self._wq_ask("tasks_left", max(0, int(_number("ntasks", ntasks))))

    def specify_manager_preferred_connection(self, mode):
        """How workers are to connect: `by_ip`, `by_hostname` or `by_apparent_ip`."""
        self._wq_ask("preferred_connection", _text("mode", mode))

    specify_master_preferred_connection = specify_manager_preferred_connection

    def specify_manager_mode(self, mode):
        """Without effect: a name is what makes the catalog know the manager."""

    specify_master_mode = specify_manager_mode

    def specify_password(self, password):
        """Workers have to know it, those that connect from now on."""
        raw = password.encode("utf-8", "surrogateescape") if password else b""
        self._wq_ask("password", raw=raw)
        self._wq_has_password = bool(raw)

    def specify_password_file(self, file):
        """All of the file is the password, a line end too; 1, or 0 if it cannot be read."""
        try:
            with open(file, "rb") as opened:
                raw = opened.read()
        except OSError as error:
            print("Cannot read the password: %s" % error, file=sys.stderr)
            return 0
        self._wq_ask("password", raw=raw)
        self._wq_has_password = bool(raw)
        return 1

    def _wq_warn(self):
        """Once, as programs expect it, before the first wait."""
        self._wq_warned = True
        if self._wq_name and not self._wq_has_password:
            print("warning: the manager %r has a name and no password," % self._wq_name)
            print("warning: so anybody's worker may connect: consider specify_password_file().")
        if not self._using_ssl:
            print("warning: workers are spoken to without encryption:")
            print("warning: consider WorkQueue(ssl=True), with workers started by --ssl.")

    # Logs and measurement

    def specify_log(self, logfile):
        """Statistics are appended to it; 1, or 0 if that cannot be."""
        return self._wq_log("log", logfile)

    def specify_transactions_log(self, logfile):
        """What happens to tasks and workers is appended to it."""
        self._wq_log("transactions_log", logfile)

    def _wq_log(self, method, path):
        try:
            self._wq_ask(method, os.path.abspath(str(path)))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 0
        return 1

    def enable_monitoring(self, dirname=None, watchdog=True):
        """Measures all tasks, and with `watchdog` ends those that outgrow what they have.

        `dirname`: folder for a summary of each. 1, or 0 if that cannot be.
        """
        return self._wq_monitor(dirname, watchdog, False)

    def enable_monitoring_full(self, dirname=None, watchdog=True):
        """As `enable_monitoring`: wqx keeps summaries, no time series."""
        return self._wq_monitor(dirname, watchdog, True)

    def _wq_monitor(self, dirname, watchdog, full):
        folder = None if dirname is None else os.path.abspath(str(dirname))
        try:
            self._wq_ask("monitoring", "watchdog" if watchdog else "measure", folder, full)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 0
        return 1

    # Categories

    def _wq_category_set(self, category, **settings):
        name = None if category is None else _text("category", category)
        self._wq_ask("category", name, settings)

    def specify_category_mode(self, category, mode):
        """How its tasks get their resources; None: of categories to come. 0 for unknown modes."""
        low, high = WORK_QUEUE_ALLOCATION_MODE_FIXED, WORK_QUEUE_ALLOCATION_MODE_QUANTIZED_BUCKETING
        if mode not in range(low, high + 1):
            return 0
        self._wq_category_set(category, mode=int(mode))
        return 1

    def specify_category_autolabel_resource(self, category, resource, autolabel):
        raise NotImplementedError(
            "A mode is of all resources of a category: use specify_category_mode, "
            "and specify_category_max_resources for those that are fixed"
        )

    def specify_max_resources(self, rmd):
        """Of the category `default`: most that a task may use."""
        self.specify_category_max_resources("default", rmd)

    def specify_min_resources(self, rmd):
        """Of the category `default`: least that a task is given."""
        self.specify_category_min_resources("default", rmd)

    def specify_category_max_resources(self, category, rmd):
        """Most that a task may use: dict of cores, memory, disk (MB), gpus; {} takes it back."""
        self._wq_category_set(category, max=_amounts(rmd))

    def specify_category_min_resources(self, category, rmd):
        """Least that a task is given: a dict as for the maximum."""
        self._wq_category_set(category, min=_amounts(rmd))

    def specify_category_first_allocation_guess(self, category, rmd):
        """What a task is given before any was measured: a dict as for the maximum."""
        self._wq_category_set(category, first=_amounts(rmd))

    def specify_category_max_concurrent(self, category, max_concurrent):
        """So many at the same time; -1: as many as there is room for."""
        self._wq_category_set(category, max_concurrent=int(_number("n", max_concurrent)))

    def activate_fast_abort(self, multiplier):
        """Of the category `default`: see `activate_fast_abort_category`."""
        return self.activate_fast_abort_category("default", multiplier)

    def activate_fast_abort_category(self, name, multiplier):
        """A task that takes `multiplier` times the average is tried elsewhere.

        From 1 on it is on, 0 is off, less: as for `default`. 1 if it is off now, else 0.
        """
        multiplier = _number("multiplier", multiplier)
        self._wq_category_set(name, fast_abort=multiplier)
        return 1 if 0 <= multiplier < 1 else 0

    # Workers

    def shutdown_workers(self, n):
        """Tells up to `n` idle workers to exit, 0: all idle ones; how many were told."""
        return self._wq_ask("shutdown_workers", int(_number("n", n)))

    def specify_draining_by_hostname(self, hostname, drain_mode=True):
        """Workers there get no more tasks, or do again; how many there are."""
        return self._wq_ask("drain", _text("hostname", hostname), bool(drain_mode))

    def block_host(self, host):
        """No tasks for workers there."""
        self.block_host_with_timeout(host, 0)

    def block_host_with_timeout(self, host, timeout):
        """No tasks for workers there for `timeout` seconds; less than 1: for ever."""
        self._wq_ask("block", _text("host", host), _number("timeout", timeout))

    def unblock_host(self, host=None):
        """None: all of them."""
        self._wq_ask("unblock", None if host is None else _text("host", host))

    blacklist = block_host
    blacklist_with_timeout = block_host_with_timeout
    blacklist_clear = unblock_host

    def invalidate_cache_file(self, local_name):
        """Workers forget their copies; tasks that use them run again."""
        self._wq_ask("invalidate", os.path.abspath(str(local_name)))

    # Tuning

    def specify_algorithm(self, algorithm):
        """Accepted; wqx prefers workers that hold a task's cached inputs, then takes turns."""
        self._wq_ask("algorithm", int(_number("algorithm", algorithm)))

    def specify_task_order(self, order):
        """Without effect: priority, then the order of submits."""

    def specify_keepalive_interval(self, interval):
        """Seconds between questions to silent workers."""
        self.tune("keepalive-interval", interval)

    def specify_keepalive_timeout(self, timeout):
        """Seconds for a worker to answer such a question."""
        self.tune("keepalive-timeout", timeout)

    def estimate_capacity(self):
        """Without effect: capacity is always estimated."""

    def tune(self, name, value):
        """0, or -1 with a line on stderr for an unknown name."""
        known = self._wq_ask("tune", _text("name", name), _number("value", value))
        if known != 0:
            print("There is nothing called %r to tune" % name, file=sys.stderr)
        return known


def _amounts(given):
    """Those of a dict that are resources with limits here, as numbers."""
    return {name: _number(name, given[name]) for name in _AMOUNTS if given.get(name) is not None}
