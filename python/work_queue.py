"""The older name of `ndcctools.work_queue`: the same module object, after one warning."""
import sys
import warnings

import ndcctools.work_queue

warnings.warn(
    "'import work_queue' still works, but the module's name is ndcctools.work_queue",
    DeprecationWarning,
    stacklevel=2,
)
sys.modules[__name__] = ndcctools.work_queue
