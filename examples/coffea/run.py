"""The same from Python, with coffea of today: PYTHONPATH=../../python python3 run.py [FILE…]

Start workers beside it: wqx worker localhost 9123
"""
import sys

from coffea.nanoevents import NanoAODSchema
from coffea.processor import Runner

from dimuon import Dimuon
from wqx.coffea import WqxExecutor

if __name__ == "__main__":
    files = sys.argv[1:] or ["events.root"]
    executor = WqxExecutor(port=9123, cores=1, extra_input_files=["dimuon.py"])
    runner = Runner(executor, chunksize=10_000, schema=NanoAODSchema)
    print(runner({"simulation": files}, Dimuon(), treename="Events"))
