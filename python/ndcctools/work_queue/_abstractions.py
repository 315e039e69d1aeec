"""Functions over sequences, in tasks of a queue."""
import itertools
import json
import os


class Abstractions:
    """What `WorkQueue` inherits: each call submits tasks and waits for them."""

    def map(self, fn, seq, chunksize=1):
        """List of `fn(item)`, in order; one task for `chunksize` items.

        Raises what `fn` raised, RuntimeError if a task failed otherwise.
        """

        def part_of(fn, part):
            return [fn(item) for item in part]

        return self._wq_flat(part_of, fn, list(seq), chunksize)

    def pair(self, fn, seq1, seq2, chunksize=1, env=None):
        """List of `fn((a, b))` for each `a` of `seq1` with each `b` of `seq2`.

        `env`: packed environment for the tasks. Raises as `map` does.
        """

        def part_of(fn, part):
            return [fn(item) for item in part]

        return self._wq_flat(part_of, fn, list(itertools.product(seq1, seq2)), chunksize, env)

    def tree_reduce(self, fn, seq, chunksize=2):
        """One value: `fn` makes one of a list of up to `chunksize` values, until one is left.

        Raises as `map` does; ValueError for an empty sequence or a chunk size below 2.
        """
        values = list(seq)
        if chunksize < 2:
            raise ValueError("chunksize is %d: less than 2 values cannot become fewer" % chunksize)
        if not values:
            raise ValueError("There is nothing to reduce")
        while len(values) > 1:
            parts = _parts(values, chunksize)
            values = self._wq_run([self._wq_python_task(fn, part) for part in parts])
        return values[0]

    def remote_map(self, fn, seq, coprocess, name, chunksize=1):
        """List of what the function `fn` of a coprocess makes of parts, as its argument `name`."""
        return self._wq_remote_flat(fn, list(seq), coprocess, name, chunksize)

    def remote_pair(self, fn, seq1, seq2, coprocess, name, chunksize=1):
        """As `remote_map`, for each item of one sequence with each of the other."""
        pairs = list(itertools.product(seq1, seq2))
        return self._wq_remote_flat(fn, pairs, coprocess, name, chunksize)

    def remote_tree_reduce(self, fn, seq, coprocess, name, chunksize=2):
        """As `tree_reduce`, by the function `fn` of a coprocess."""
        values = list(seq)
        if chunksize < 2 or not values:
            raise ValueError("A reduction needs values, and a chunk size of at least 2")
        while len(values) > 1:
            values = self._wq_remote_run(fn, _parts(values, chunksize), coprocess, name)
        return values[0]

    def _wq_flat(self, part_of, fn, items, chunksize, env=None):
        tasks = []
        for part in _parts(items, chunksize):
            task = self._wq_python_task(part_of, fn, part)
            if env:
                task.specify_environment(env)
            tasks.append(task)
        return list(itertools.chain.from_iterable(self._wq_run(tasks)))

    @staticmethod
    def _wq_python_task(*arguments):
        from ._python_task import PythonTask

        return PythonTask(*arguments)

    def _wq_remote_flat(self, fn, items, coprocess, name, chunksize):
        values = self._wq_remote_run(fn, _parts(items, chunksize), coprocess, name)
        return list(itertools.chain.from_iterable(
            value if isinstance(value, list) else [value] for value in values
        ))

    def _wq_remote_run(self, fn, parts, coprocess, name):
        from ._remote_task import RemoteTask

        values = []
        for text in self._wq_run([RemoteTask(fn, coprocess, **{name: part}) for part in parts]):
            answer = json.loads(text)
            if answer.get("StatusCode") != 200:
                raise RuntimeError("%s failed: %s" % (fn, answer.get("Result")))
            values.append(answer["Result"])
        return values

    def _wq_run(self, tasks):
        """Their outputs, in order. Other tasks of this queue stay for their own `wait`."""
        # A tag that nobody else has.
        tag = "wqx-" + os.urandom(8).hex()
        for task in tasks:
            task.specify_tag(tag)
            self.submit(task)
        for _ in tasks:
            self.wait_for_tag(tag, -1)
        outputs = []
        for task in tasks:
            if task.result != 0:
                raise RuntimeError(
                    "Task %d failed (%s): %s"
                    % (task.id, task.result_str, task.std_output or task.why)
                )
            if isinstance(task.output, BaseException):
                raise task.output
            outputs.append(task.output)
        return outputs


def _parts(items, size):
    if size < 1:
        raise ValueError("chunksize is %d: it is 1 at least" % size)
    return [items[i : i + size] for i in range(0, len(items), size)]
