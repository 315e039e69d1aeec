"""A function of a coprocess that workers run, as a task."""
import json
import sys

from ._constants import WORK_QUEUE_BUFFER
from ._task import Task

_METHODS = ("fork", "direct", "thread")


class RemoteTask(Task):
    """Calls the function named `fn` of the workers' coprocess of that name.

    `output` is the JSON text that the coprocess answered: `{"Result": …, "StatusCode": 200}`.
    """

    def __init__(self, fn, coprocess, *args, **kwargs):
        super().__init__(fn)
        self._wq_event = {"fn_kwargs": kwargs, "fn_args": args}
        self.specify_coprocess(coprocess)

    def specify_fn_args(self, args=(), kwargs=None):
        """Replaces the arguments; they have to be JSON."""
        self._wq_event["fn_args"] = args
        self._wq_event["fn_kwargs"] = {} if kwargs is None else kwargs

    def specify_exec_method(self, remote_task_exec_method):
        """How the coprocess calls it: `fork`, `direct` or `thread`."""
        if remote_task_exec_method not in _METHODS:
            print(
                "%r is none of the ways to call a function: %s"
                % (remote_task_exec_method, ", ".join(_METHODS)),
                file=sys.stderr,
            )
        self._wq_event["remote_task_exec_method"] = remote_task_exec_method

    def clone(self):
        made = super().clone()
        made._wq_event = dict(self._wq_event)
        return made

    def _wq_encode(self, task_id):
        event = json.dumps(self._wq_event).encode()
        others = [one for one in self._wq_inputs if one[2] != "infile"]
        self._wq_inputs = [*others, (WORK_QUEUE_BUFFER, event, "infile", 0, 0, 0)]
        return super()._wq_encode(task_id)
