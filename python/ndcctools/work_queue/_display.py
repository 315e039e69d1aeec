"""Tables of a queue's state in a notebook."""
import sys
import time

_GB, _TB = 1000, 1000 * 1000
_RESOURCES = ("cores", "gpus", "memory", "disk")


class JupyterDisplay:
    """Shows itself with the first update, in an IPython kernel with ipywidgets only."""

    def __init__(self, interval):
        """`interval`: s between updates, at least."""
        self._interval = interval
        self._next = 0.0
        self._started = time.time()
        self._output = None
        self._widgets = _widgets()

    @property
    def active(self):
        return self._widgets is not None

    def update(self, manager, force=False):
        """Errors are told on stderr, never raised."""
        now = time.monotonic()
        if not self.active or (now < self._next and not force):
            return
        self._next = now + self._interval
        try:
            self._show(_html(manager, time.time() - self._started))
        except Exception as error:
            print("Cannot show the status: %s" % error, file=sys.stderr)

    def _show(self, text):
        if self._output is None:
            from IPython.display import display

            self._output = self._widgets.HTML(value=text)
            display(self._output)
        else:
            self._output.value = text


def _widgets():
    # Whoever runs in a kernel has imported IPython.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or "IPKernelApp" not in getattr(shell, "config", {}):
        return None
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets


def _html(manager, runtime):
    stats = manager.stats
    info = (manager.application_info() or {}).get("application_info") or {}
    queues = manager.status("queue")
    queue = queues[0] if queues else {}
    left = [
        _table("application info", [], _info_rows(info)),
        _table("queue stats", [], _queue_rows(manager, stats, runtime)),
    ]
    right = [_table("resources", _RESOURCES, _worker_rows(queue))]
    for category in manager.status("categories"):
        name = category.get("category", "")
        right.append(_table(name, _RESOURCES, *_category_rows(category, queue)))
    return '<div style="display:flex;gap:2em"><div>%s</div><div>%s</div></div>' % (
        "".join(left),
        "".join(right),
    )


def _info_rows(info):
    units = info.get("units") or {}
    return [
        (name.replace("_", " "), ["%s %s" % (_plain(value), units.get(name, ""))])
        for name, value in (info.get("values") or {}).items()
    ]


def _queue_rows(manager, stats, runtime):
    mb = 1000 * 1000
    return [
        ("port", [manager.port]),
        ("tasks done", [stats.tasks_done]),
        ("tasks waiting", [stats.tasks_waiting]),
        ("tasks running", [stats.tasks_running]),
        ("tasks exhausted attempts", [stats.tasks_exhausted_attempts]),
        ("workers connected", [stats.workers_connected]),
        ("workers busy", [stats.workers_busy]),
        ("sent", [_size(stats.bytes_sent / mb)]),
        ("received", [_size(stats.bytes_received / mb)]),
        ("total send time", [_time(stats.time_send / 1e6)]),
        ("total receive time", [_time(stats.time_receive / 1e6)]),
        ("total good task time", [_time(stats.time_workers_execute_good / 1e6)]),
        ("total task time", [_time(stats.time_workers_execute / 1e6)]),
        ("runtime", [_time(runtime)]),
    ]


def _worker_rows(queue):
    def row(key):
        return [_amount(name, queue.get("%s_%s" % (name, key))) for name in _RESOURCES]

    return [
        ("largest worker", row("largest")),
        ("allocated", row("inuse")),
        ("total", row("total")),
    ]


def _category_rows(category, queue):
    first = category.get("first_allocation") or {}
    most = category.get("max_allocation") or {}
    seen = category.get("max_seen") or {}

    def row(amounts, missing):
        return [_amount(name, amounts.get(name), missing) for name in _RESOURCES]

    too_small = any(
        _is_amount(most.get(name)) and most[name] > (queue.get("%s_largest" % name) or 0)
        for name in _RESOURCES
    )
    rows = [
        ("largest seen", row(seen, "na")),
        ("current allocation", row(first, "whole worker")),
        ("maximum allocation", row(most, "whole worker")),
    ]
    waits = too_small and category.get("tasks_waiting", 0) > 0
    return rows, "current workers are too small!" if waits else None


def _is_amount(value):
    return isinstance(value, (int, float)) and value >= 0


def _amount(name, value, missing="na"):
    if not _is_amount(value):
        return missing
    return _size(value) if name in ("memory", "disk") else _plain(value)


def _plain(value):
    return "%.2f" % value if isinstance(value, float) and value != int(value) else "%s" % value


def _size(megabytes):
    if megabytes >= _TB:
        return "%.2f TB" % (megabytes / _TB)
    if megabytes >= _GB:
        return "%.2f GB" % (megabytes / _GB)
    return "%.2f MB" % megabytes


def _time(seconds):
    hours, rest = divmod(int(seconds), 3600)
    return "%d:%02d:%02d" % (hours, rest // 60, rest % 60)


def _table(title, columns, rows, warning=None):
    from html import escape

    head = "".join("<th>%s</th>" % escape(name) for name in columns)
    body = "".join(
        "<tr><td>%s</td>%s</tr>"
        % (escape(label), "".join("<td>%s</td>" % escape(str(value)) for value in values))
        for label, values in rows
    )
    if warning:
        span = 1 + len(columns)
        body += '<tr><td colspan="%d" style="color:red">%s</td></tr>' % (span, escape(warning))
    return "<table><tr><th>%s</th>%s</tr>%s</table>" % (escape(title), head, body)
