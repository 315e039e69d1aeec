"""The folder for files of this Python that go with tasks; it is removed at the end."""
import atexit
import os
import shutil
import sys
import tempfile

_owner = os.getpid()
staging_directory = tempfile.mkdtemp(
    prefix="wq-py-staging-", dir=os.environ.get("CCTOOLS_TEMP") or None
)


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
