"""Futures under the module name that they had in Work Queue 7."""
from ndcctools.work_queue import FuturesExecutor, FutureTask, FutureTaskError, WorkQueueFutures

__all__ = ["FutureTask", "FutureTaskError", "FuturesExecutor", "WorkQueueFutures"]
