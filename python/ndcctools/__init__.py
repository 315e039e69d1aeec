"""Shares its name with other packages of cctools that may be installed beside it."""
import os
import sys

# As pkgutil.extend_path does, which takes longer to import than all of this.
for _entry in sys.path:
    _folder = os.path.join(_entry, "ndcctools")
    if _folder not in __path__ and os.path.isdir(_folder):
        __path__.append(_folder)
    del _folder
del _entry, os, sys
