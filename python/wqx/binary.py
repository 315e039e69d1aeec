"""Where the program `wqx` is."""
import errno
import os
import shutil
import sys


class WqxNotFound(OSError):
    """There is no `wqx` that could be started; says what would do."""


def find_wqx():
    """Absolute path of `wqx`: of WQX_BINARY, else on PATH, else beside this package.

    Beside means in the package's own folder, in `bin` of this Python, or in `dist` of the checkout.
    Raises WqxNotFound, an OSError with ENOENT (nowhere) or EPERM (cannot be executed).
    """
    given = os.environ.get("WQX_BINARY")
    if given:
        return _executable(given, "WQX_BINARY")
    found = shutil.which("wqx")
    if found is not None:
        return os.path.abspath(found)
    here = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.dirname(os.path.dirname(here))
    for folder in (here, os.path.dirname(sys.executable or "/"), os.path.join(checkout, "dist")):
        path = os.path.join(folder, "wqx")
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise WqxNotFound(
        errno.ENOENT,
        "Cannot find the program wqx: put it on PATH, or name it in the variable WQX_BINARY",
    )


def _executable(path, whence):
    found = shutil.which(path)
    if found is not None:
        return os.path.abspath(found)
    if os.path.exists(path):
        raise WqxNotFound(errno.EPERM, "%s of %s cannot be executed" % (path, whence))
    raise WqxNotFound(errno.ENOENT, "There is no program %s, which %s names" % (path, whence))
