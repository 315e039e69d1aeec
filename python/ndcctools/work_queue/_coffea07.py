"""What coffea 0.7 needs of its queue beyond what it says.

A run that is interrupted leaves things behind, over which a notebook's next cell falls. And
`environment_file` needs a script that coffea looks for on PATH, when it is imported.
"""
import random
import sys

from wqx.environment import is_wrapper_script, wrapper_script

_TOOLS = "coffea.processor.work_queue_tools"


def begin(queue):
    """For a new queue: a flag that ended an earlier run, which coffea never resets, is no more."""
    tools = _tools_of(queue)
    if tools is not None:
        tools.early_terminate = False


def repeatable(queue):
    """For a queue with a journal: coffea, which halves one chunk in ten, draws the same each run."""
    tools = _tools_of(queue)
    if tools is not None and hasattr(tools, "random"):
        tools.random = random.Random(0)


def interrupted(queue):
    """For a queue that KeyboardInterrupt ended: the next run is not to go on with its results.

    coffea gives up its queue after errors, but KeyboardInterrupt is no Exception.
    """
    tools = _tools_of(queue)
    if tools is not None and getattr(tools, "_wq_queue", None) is queue:
        tools._wq_queue = None


def adopt(queue_class):
    """For coffea's own kind of queue: `environment_file` works without `wrapper`."""
    check = queue_class.__dict__.get("_check_executor_parameters")
    if queue_class.__module__ != _TOOLS or check is None:
        return

    def check_with_wrapper(self, executor):
        named = str(executor.wrapper or "poncho_package_run")
        # A link of that name that starts wqx is of no use where there is no wqx.
        if named.endswith("poncho_package_run") and not is_wrapper_script(named):
            executor.wrapper = wrapper_script()
        return check(self, executor)

    queue_class._check_executor_parameters = check_with_wrapper


def _tools_of(queue):
    return sys.modules.get(_TOOLS) if type(queue).__module__ == _TOOLS else None
