"""wqx for Python programs: finds the program, and holds what is wqx's own.

`ndcctools.work_queue` is the interface that programs written for Work Queue know.
"""
from wqx.binary import WqxNotFound, find_wqx

__version__ = "0.1.0"
__all__ = ["WqxNotFound", "find_wqx"]
