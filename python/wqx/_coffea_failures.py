"""Why a task of WqxExecutor failed: the exception that is raised, and what it says."""
import cloudpickle
import ndcctools.work_queue as wq


class RemoteTraceback(Exception):
    """The traceback of the task, as the cause of the exception that was raised in it."""

    def __str__(self):
        return "\n" + self.args[0]


class TaskFailed(RuntimeError):
    """A task ended without telling an exception of its own."""


class ResourceExhausted(TaskFailed):
    """A task outgrew what it may use, and cannot be cut."""


def exhausted(task):
    return task.result == wq.WORK_QUEUE_RESULT_RESOURCE_EXHAUSTION


def chain_of(error):
    while error is not None:
        yield error
        error = error.__cause__


def first_line(error):
    """Of what was at the bottom of it."""
    *_, error = (one for one in chain_of(error) if not isinstance(one, RemoteTraceback))
    return "%s: %s" % (type(error).__name__, (str(error).strip().splitlines() or [""])[0])


def error_of(task, head):
    """The exception of the task itself; which task it was stands in its last cause."""
    told = described(task)
    if head is None or head["ok"]:
        kind = ResourceExhausted if exhausted(task) else TaskFailed
        printed = (task.std_output or "").strip()
        return kind(told + ("\n" + printed if printed else ""))
    try:
        with open(task.out, "rb") as file:
            file.readline()
            chain = [cloudpickle.loads(one) for one in cloudpickle.loads(file.read())]
    except Exception:
        return TaskFailed("%s\n%s" % (told, head["traceback"]))
    for error, cause in zip(chain, chain[1:]):
        error.__cause__ = cause
    chain[-1].__cause__ = RemoteTraceback("%s\n%s" % (told, head["traceback"]))
    return chain[0]


def described(task):
    if task.kind == "merge":
        what = "merging %d partial results" % len(task.parts)
    elif hasattr(task.item, "entrystart"):
        item = task.item
        where = (item.entrystart, item.entrystop, item.filename, item.dataset)
        what = "processing events [%d, %d) of %s (dataset %s)" % where
    else:
        what = "preprocessing %s (dataset %s)" % (task.item.filename, task.item.dataset)
    told = ["on host %s" % task.hostname if task.hostname else "on no worker"]
    if task.tries > 1:
        told.append("after %d attempts" % task.tries)
    if task.result != 0:
        told.append("result %s" % task.result_str)
    told.append("exit code %d" % task.return_status)
    for name, unit in (("cores", ""), ("memory", " MB"), ("disk", " MB")):
        given = getattr(task.resources_allocated, name)
        used = getattr(task.resources_measured, name)
        if given is not None and given >= 0:
            measured = ", used %g%s" % (used, unit) if used is not None and used >= 0 else ""
            told.append("%s: had %g%s%s" % (name, given, unit, measured))
    return "Failed %s (%s)" % (what, "; ".join(told))
