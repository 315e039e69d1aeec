"""The notebook display under its module name."""
from ndcctools.work_queue import JupyterDisplay

__all__ = ["JupyterDisplay"]
