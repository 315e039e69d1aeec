"""Where the program `wqx` is."""
import errno
import json
import os
import shutil
import sys
import urllib.parse


class WqxNotFound(OSError):
    """There is no `wqx` that could be started; says what would do."""


def find_wqx():
    """Absolute path of `wqx`: of WQX_BINARY, else on PATH, else beside this package.

    Beside means in the package's own folder, in `bin` of this Python, or in the checkout that it
    lies in or was installed from: `dist/wqx`, or the source by `scripts/wqx`.
    Raises WqxNotFound, an OSError with ENOENT (nowhere) or EPERM (cannot be executed).
    """
    given = os.environ.get("WQX_BINARY")
    if given:
        return _executable(given, "WQX_BINARY")
    found = shutil.which("wqx")
    if found is not None:
        return os.path.abspath(found)
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.path.join(folder, "wqx") for folder in (here, os.path.dirname(sys.executable or "/"))]
    for checkout in (os.path.dirname(os.path.dirname(here)), _installed_from()):
        if checkout is not None and os.path.isfile(os.path.join(checkout, "main.ts")):
            places += [os.path.join(checkout, "dist", "wqx"), os.path.join(checkout, "scripts", "wqx")]
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise WqxNotFound(
        errno.ENOENT,
        "Cannot find the program wqx: put it on PATH, or name it in the variable WQX_BINARY",
    )


def _installed_from():
    """The checkout whose folder `python` pip installed this from; None if that is not known."""
    from importlib import metadata

    try:
        url = json.loads(metadata.distribution("wqx").read_text("direct_url.json") or "{}")["url"]
    except (metadata.PackageNotFoundError, ValueError, KeyError):
        return None
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "file":
        return None
    return os.path.dirname(urllib.parse.unquote(parts.path).rstrip("/"))


def _executable(path, whence):
    found = shutil.which(path)
    if found is not None:
        return os.path.abspath(found)
    if os.path.exists(path):
        raise WqxNotFound(errno.EPERM, "%s of %s cannot be executed" % (path, whence))
    raise WqxNotFound(errno.ENOENT, "There is no program %s, which %s names" % (path, whence))
