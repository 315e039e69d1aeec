"""Dask graphs on Work Queue: each step is a PythonTask.

    q = DaskWQ(port=0)
    with dask.config.set(scheduler=q.get):
        value = graph.compute(retries=2)

Results of steps stay files: they go from task to task, and only those that were asked for are read
here. The package dask is needed where this runs and on the workers.
"""
import os
import pickle

from .work_queue import PythonTask, WorkQueue
from .work_queue import staging_directory

_RESULT = "result.p"


class DaskWQ(WorkQueue):
    """A WorkQueue whose `get` is a scheduler of dask."""

    def get(
        self,
        dsk,
        keys,
        *,
        environment=None,
        extra_files=None,
        env_vars=None,
        low_memory_mode=False,
        resources=None,
        resources_mode=None,
        retries=5,
        verbose=False,
        **_,
    ):
        """What dask's graph `dsk` makes of `keys`, in the (nested) form in which they are asked.

        `environment`: packed environment, a tarball. `extra_files`: {local path: name in the
        task}. `env_vars`: {name: value}. `resources`: {"cores", "memory", "disk", "gpus": amount}
        a task, `resources_mode` as in `specify_category_mode`. `retries`: further tries of a step
        that failed. `low_memory_mode` changes nothing: results are always files. Raises what a
        step raised, RuntimeError if its task failed otherwise.
        """
        category = "dask"
        if resources_mode is not None:
            self.specify_category_mode(category, resources_mode)
        run = _Run(self, _steps_of(dsk), retries, verbose)

        def prepare(task):
            task.specify_category(category)
            if environment:
                task.specify_environment(environment)
            for path, name in (extra_files or {}).items():
                task.specify_input_file(str(path), str(name), cache=True)
            for name, value in (env_vars or {}).items():
                task.specify_environment_variable(name, str(value))
            for name, amount in (resources or {}).items():
                if name not in ("cores", "memory", "disk", "gpus"):
                    raise ValueError("resources has %r: there are cores, memory, disk, gpus" % name)
                getattr(task, "specify_" + name)(amount)

        run.until_done(set(_flat(keys)), prepare)
        return _nested(keys, run.load)


class _Run:
    """One graph on its way."""

    def __init__(self, queue, steps, retries, verbose):
        self.queue, self.steps, self.verbose = queue, steps, verbose
        self.tries = max(0, int(retries)) + 1
        # A tag that nobody else has: other tasks of the queue stay for their own `wait`.
        self.tag = "dask-" + os.urandom(8).hex()
        self.files = {}
        self.failed = {}

    def until_done(self, wanted, prepare):
        order = _order_of(self.steps, wanted)
        missing = {key: set(self.steps[key][1]) for key in order}
        users = {}
        for key, needs in missing.items():
            for need in needs:
                users.setdefault(need, []).append(key)
        running = {}

        def start(key):
            running[self.queue.submit(self.task(key, -order[key], prepare))] = key

        try:
            for key, needs in missing.items():
                if not needs:
                    start(key)
            while running:
                task = self.queue.wait_for_tag(self.tag, -1)
                key = running.pop(task.id)
                if not self.succeeded(key, task):
                    start(key)
                    continue
                for user in users.get(key, ()):
                    missing[user].discard(key)
                    if not missing[user]:
                        start(user)
        finally:
            for task_id in running:
                self.queue.cancel_by_taskid(task_id)

    def task(self, key, priority, prepare):
        step, needs = self.steps[key]
        names = {need: "need_%d.p" % i for i, need in enumerate(needs)}
        task = PythonTask(_runner(), step, names)
        for need, name in names.items():
            task.specify_input_file(self.files[need], name, cache=True)
        path = os.path.join(staging_directory, "dask_%s.p" % os.urandom(16).hex())
        task.specify_output_file(path, _RESULT, cache=True)
        task.specify_tag(self.tag)
        task.specify_priority(priority)
        prepare(task)
        self.files[key] = path
        return task

    def succeeded(self, key, task):
        """False: it has another try. Raises once it has none."""
        error = None
        if task.result != 0:
            what = task.std_output or task.why
            error = RuntimeError("The task of %r failed (%s): %s" % (key, task.result_str, what))
        elif isinstance(task.output, BaseException):
            error = task.output
        if self.verbose:
            print("dask: %r %s" % (key, "done" if error is None else "failed: %s" % error))
        if error is None:
            return True
        self.failed[key] = self.failed.get(key, 0) + 1
        if self.failed[key] >= self.tries:
            raise error
        return False

    def load(self, key):
        with open(self.files[key], "rb") as file:
            return pickle.load(file)

    def __del__(self):
        for path in self.files.values():
            try:
                os.unlink(path)
            except OSError:
                pass  # it has not come, or its folder went before


def _runner():
    """What runs a step on a worker; made here, so that it is sent by value."""
    result = _RESULT

    def run_step(step, names):
        import pickle

        import cloudpickle

        values = {}
        for need, name in names.items():
            with open(name, "rb") as file:
                values[need] = pickle.load(file)
        # There even if the step raises: what it raised comes back as the task's output.
        with open(result, "wb") as file:
            cloudpickle.dump(step(values), file)

    return run_step


def _steps_of(dsk):
    """{key: (function of {key: value}, keys that it needs)}, from both forms that dask had."""
    # Newer dask hands over an expression.
    graph = dict(dsk.__dask_graph__() if hasattr(dsk, "__dask_graph__") else dsk)
    try:
        from dask._task_spec import convert_legacy_graph
    except ImportError:
        return {key: _old_step(graph, key) for key in graph}
    nodes = convert_legacy_graph(graph)
    return {key: (node, tuple(node.dependencies)) for key, node in nodes.items()}


def _old_step(graph, key):
    from dask.core import _execute_task, get_dependencies

    expression = graph[key]
    return lambda values: _execute_task(expression, values), tuple(get_dependencies(graph, key))


def _order_of(steps, wanted):
    """{key: rank} of all that `wanted` needs; what lets go of most memory comes first."""
    needed, left = set(), list(wanted)
    while left:
        key = left.pop()
        if key in needed:
            continue
        if key not in steps:
            raise KeyError("The graph has no %r" % (key,))
        needed.add(key)
        left.extend(steps[key][1])
    depth = {}

    def rank(key):
        # Depth first, without the recursion that a long chain would break.
        stack = [(key, iter(steps[key][1]))]
        while stack:
            top, rest = stack[-1]
            for need in rest:
                if need not in depth:
                    stack.append((need, iter(steps[need][1])))
                    break
            else:
                stack.pop()
                depth.setdefault(top, len(depth))

    for key in wanted:
        if key not in depth:
            rank(key)
    return {key: depth[key] for key in needed}


def _flat(keys):
    if isinstance(keys, list):
        for key in keys:
            yield from _flat(key)
    else:
        yield keys


def _nested(keys, load):
    if isinstance(keys, list):
        return [_nested(key, load) for key in keys]
    return load(keys)
