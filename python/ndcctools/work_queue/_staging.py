"""The folder for files of this Python that go with tasks; it is removed at the end."""
import atexit
import fcntl
import glob
import os
import shutil
import sys
import tempfile

_PREFIX = "wq-py-staging-"
_OWNED = ".owner"
_folder = os.environ.get("CCTOOLS_TEMP") or tempfile.gettempdir()


def _remove_orphans():
    """Folders of Pythons that were killed: nobody holds the lock on the file in them."""
    for path in glob.glob(os.path.join(glob.escape(_folder), _PREFIX + "*", _OWNED)):
        try:
            with open(path, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(os.path.dirname(path))
        except OSError:
            pass  # somebody's who is alive, or of another user


_remove_orphans()
_owner = os.getpid()
staging_directory = tempfile.mkdtemp(prefix=_PREFIX, dir=_folder)
# Held as long as this process, or a fork of it, lives.
_lock = open(os.path.join(staging_directory, _OWNED + ".new"), "wb")
fcntl.flock(_lock, fcntl.LOCK_EX)
os.rename(_lock.name, os.path.join(staging_directory, _OWNED))


def cleanup_staging_directory():
    """Removes `staging_directory`; says on stderr if that cannot be."""
    if os.getpid() != _owner:
        return  # a fork's: the folder is its parent's
    try:
        if os.path.isdir(staging_directory):
            shutil.rmtree(staging_directory)
    except OSError as error:
        print("Cannot remove %s: %s" % (staging_directory, error), file=sys.stderr)


atexit.register(cleanup_staging_directory)
_multiprocessing = sys.modules.get("multiprocessing.process")
if _multiprocessing is not None and _multiprocessing.parent_process() is not None:
    # Its processes leave by os._exit, and do only what is registered there.
    from multiprocessing import util as _util

    _util.Finalize(None, cleanup_staging_directory, exitpriority=0)
