"""Work Queue's Python interface, on wqx.

    import ndcctools.work_queue as wq
    q = wq.WorkQueue(port=0)
    q.submit(wq.Task("echo hello"))
    task = q.wait()

Workers connect to `q.port`: `wqx worker HOST PORT`, or those that a `Factory` starts. Names without
an underscore in front are the interface.
"""
import itertools
import json
import math
import os
import sys
import tempfile
import time

from ndcctools.resource_monitor import rmsummary

from ._client import ManagerLost
from ._constants import *  # noqa: F403
from ._constants import work_queue_result_str
from ._debug import (
    cctools_debug_config,
    cctools_debug_config_file,
    cctools_debug_config_file_size,
    cctools_debug_flags_set,
    cctools_version_string,
    set_debug_flag,
    specify_debug_log,
    specify_port_range,
)
from ._display import JupyterDisplay
from ._factory import Factory
from ._python_task import PythonTask, PythonTaskNoResult, pythontask_available
from ._queue import WorkQueue
from ._remote_task import RemoteTask
from ._staging import cleanup_staging_directory, staging_directory
from ._stats import work_queue_stats
from ._task import Task

__version__ = "8.0.0"

work_queue_task = Task

_FUTURES = ("FuturesExecutor", "FutureTask", "FutureTaskError", "WorkQueueFutures")


def __getattr__(name):
    # What is slow to import, and rare.
    if name in _FUTURES:
        from . import _futures

        return getattr(_futures, name)
    if name.startswith(("work_queue_", "cctools_", "D_")):
        raise AttributeError(
            "%s belongs to the C library of cctools, which is not here: classes WorkQueue and Task "
            "do what there is to do" % name
        )
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
