"""Packed environments for tasks: archives as `wqx package create` and conda-pack make them."""
import hashlib
import os
import re

_MARK = re.compile(rb"\.(poncho|python)_package_run_expanded")
# Enough to find the mark in any version of the script.
_HEAD_BYTES = 65536
_names = {}


def wrapper_script():
    """Absolute path of the script `poncho_package_run`, which starts tasks in an environment.

    Workers of wqx unpack environments themselves; it is for all others.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "poncho_package_run")


def is_wrapper_script(path):
    """Whether workers can use this file as `poncho_package_run`: a link to wqx is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"#!") and _MARK.search(head) is not None


def staged_archive(path):
    """A path for the archive by which queues know its content, as they know files by path.

    Its last part is its `archive_name`. Raises as that does.
    """
    from ndcctools.work_queue import _staging

    staged = os.path.join(_staging.staging_directory, archive_name(path))
    if not os.path.lexists(staged):
        os.symlink(os.path.abspath(path), staged)
    return staged


def archive_name(path):
    """A name for the archive that changes with its content: `BASE-<12 hex digits>.tar.gz`.

    Raises OSError if it cannot be read, ValueError for a folder.
    """
    if os.path.isdir(path):
        raise ValueError(
            "The environment %s is a folder; make an archive of it: "
            "wqx package create --from-prefix %s OUT.tar.gz" % (path, path)
        )
    info = os.stat(path)
    key = (os.path.abspath(path), info.st_size, info.st_mtime_ns, info.st_ino)
    if key not in _names:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for piece in iter(lambda: file.read(1024 * 1024), b""):
                digest.update(piece)
        base = os.path.basename(path)
        stem, ending = re.match(r"(.*?)(\.tar(?:\.\w+)?|\.t\w+)?$", base, re.I | re.S).groups()
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", stem) or "environment"
        _names[key] = "%s-%s%s" % (stem, digest.hexdigest()[:12], ending or "")
    return _names[key]
