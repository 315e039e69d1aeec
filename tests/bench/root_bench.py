"""Reads columns of a tree with uproot, several times; prints the milliseconds of each as JSON.

    root_bench.py FILE TREE TIMES COLUMN…
"""

import json
import sys
import time

import awkward  # noqa: F401  so that its import is not measured
import uproot

file, tree, times, *columns = sys.argv[1:]
taken_ms = []
for _ in range(int(times)):
    start = time.perf_counter()
    with uproot.open(file) as opened:
        arrays = opened[tree].arrays(columns)
    taken_ms.append((time.perf_counter() - start) * 1000)
    assert len(arrays) == 120_000
json.dump(taken_ms, sys.stdout)
