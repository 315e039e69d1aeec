"""Debug settings: one log, to which managers made later append what they note."""
import os

_settings = {"flags": set(), "file": None}


def cctools_debug_flags_set(name):
    """1: the subsystem is logged from now on; `clear` ends that."""
    if name == "clear":
        _settings["flags"].clear()
    else:
        _settings["flags"].add(str(name))
    return 1


def cctools_debug_config_file(path):
    """Where notes go: a path, `:stderr` or `:stdout`; None: nowhere."""
    _settings["file"] = None if not path else str(path)


def cctools_debug_config_file_size(size):
    """Accepted: the log has a line for each worker that comes or goes, and does not grow large."""


def cctools_debug_config(name):
    """Accepted: lines of the log begin without the program's name."""


def cctools_version_string():
    from . import __version__

    return "%s (wqx)" % __version__


def set_debug_flag(*flags):
    """Turns on subsystems: `all`, `wq`, …"""
    for flag in flags:
        cctools_debug_flags_set(flag)


def specify_debug_log(logfile):
    """All that managers note is appended to it."""
    set_debug_flag("all")
    cctools_debug_config_file_size(0)
    cctools_debug_config_file(logfile)


def specify_port_range(low_port, high_port):
    """Queues of port 0 take the first free one; raises TypeError if low is above high."""
    if low_port > high_port:
        raise TypeError("the ports %s to %s are none: low is above high" % (low_port, high_port))
    os.environ["TCP_LOW_PORT"] = str(low_port)
    os.environ["TCP_HIGH_PORT"] = str(high_port)


def debug_log_of(given):
    """Path of the log for a new manager, or None."""
    if given:
        specify_debug_log(given)
    path = _settings["file"]
    if not _settings["flags"]:
        return None
    if path is None:
        return "/dev/stderr" if _settings["flags"] else None
    return {":stderr": "/dev/stderr", ":stdout": "/dev/stdout"}.get(path, os.path.abspath(path))
