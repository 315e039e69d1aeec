"""What coffea 0.7 leaves behind when a run is interrupted, and a notebook's next cell falls over."""
import sys

_TOOLS = "coffea.processor.work_queue_tools"


def begin(queue):
    """For a new queue: a flag that ended an earlier run, which coffea never resets, is no more."""
    tools = _tools_of(queue)
    if tools is not None:
        tools.early_terminate = False


def interrupted(queue):
    """For a queue that KeyboardInterrupt ended: the next run is not to go on with its results.

    coffea gives up its queue after errors, but KeyboardInterrupt is no Exception.
    """
    tools = _tools_of(queue)
    if tools is not None and getattr(tools, "_wq_queue", None) is queue:
        tools._wq_queue = None


def _tools_of(queue):
    return sys.modules.get(_TOOLS) if type(queue).__module__ == _TOOLS else None
