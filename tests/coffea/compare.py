"""Compares what an analysis left in a folder with coffea's own IterativeExecutor.

compare.py OUT FILE CHUNKSIZE [MODULE_FOLDER]; prints "equal", or fails.
"""
import json
import pickle
import sys
import warnings

warnings.simplefilter("ignore")

import numpy
from boost_histogram.serialization import from_uhi
from coffea.nanoevents import NanoAODSchema
from coffea.processor import IterativeExecutor, Runner


def same(a, b, where=""):
    if hasattr(a, "view"):
        a, b = (numpy.array(one.view(flow=True).tolist()) for one in (a, b))
        assert a.shape == b.shape and (a == b).all(), where
    elif isinstance(a, dict):
        assert list(a) == list(b), (where, list(a), list(b))
        for key in a:
            same(a[key], b[key], "%s[%r]" % (where, key))
    else:
        assert a == b, (where, a, b)


def from_json(value):
    if isinstance(value, dict):
        if "uhi_schema" in value:
            return from_uhi(value)
        return {key: from_json(one) for key, one in value.items()}
    return value


def main(out, file, chunksize, folder):
    sys.path.insert(0, folder)
    from dimuon import Dimuon

    runner = Runner(
        IterativeExecutor(status=False), chunksize=chunksize, schema=NanoAODSchema, metadata_cache={}
    )
    files = {"simulation": [file]}
    try:
        expected = runner(files, treename="Events", processor_instance=Dimuon())
    except TypeError:
        expected = runner(files, Dimuon(), treename="Events")
    with open(out + "/result.pkl", "rb") as result:
        same(expected, pickle.load(result))
    with open(out + "/result.json") as result:
        same(expected, from_json(json.load(result)["result"]))
    print("equal")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
