"""Makes a file like NanoAOD, out of chance: python3 make_data.py FILE [EVENTS]

Needs numpy, awkward and uproot.
"""
import sys

import awkward as ak
import numpy as np
import uproot


def main(path, events=120_000):
    chance = np.random.default_rng(1)
    counts = chance.poisson(1.5, events)
    total = int(counts.sum())
    branches = {
        "Muon_pt": chance.exponential(20, total).astype(np.float32) + np.float32(3),
        "Muon_eta": chance.uniform(-2.4, 2.4, total).astype(np.float32),
        "Muon_phi": chance.uniform(-np.pi, np.pi, total).astype(np.float32),
        "Muon_mass": np.full(total, 0.10566, np.float32),
        "Muon_charge": chance.choice([-1, 1], total).astype(np.int32),
        "MET_pt": chance.exponential(30, events).astype(np.float32),
        "run": np.ones(events, np.uint32),
        "luminosityBlock": np.ones(events, np.uint32),
        "event": np.arange(events, dtype=np.uint64),
    }
    muons = {name[5:]: values for name, values in branches.items() if name.startswith("Muon_")}
    jagged = ak.zip({name: ak.unflatten(values, counts) for name, values in muons.items()})
    flat = {name: values for name, values in branches.items() if "Muon" not in name}
    types = {name: values.dtype for name, values in flat.items()}
    muon = ak.type(jagged)
    types["Muon"] = getattr(muon, "content", None) or muon.type  # of awkward 2, or 1
    with uproot.recreate(path) as file:
        file.mktree("Events", types)
        file["Events"].extend({**flat, "Muon": jagged})


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
