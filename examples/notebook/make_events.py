#!/usr/bin/env python3
"""Makes `events.root`: NanoAOD-like events with muons, from a fixed seed.

    python3 make_events.py [FILE [EVENTS]]     (needs numpy, awkward and uproot)

Nothing in it is measured, and nothing is looked for: it is something to read.
"""

import sys

import awkward as ak
import numpy as np
import uproot

EVENTS = 120_000
EVENTS_PER_BASKET = 10_000
MUON_MASS = 0.1056584  # GeV


def make_events(path="events.root", events=EVENTS):
    """Writes the tree `Events` with branches nMuon and Muon_pt, _eta, _phi, _mass, _charge."""
    rng = np.random.default_rng(20261122)
    with uproot.recreate(path) as file:
        tree = None
        for start in range(0, events, EVENTS_PER_BASKET):
            count = rng.poisson(2.0, min(EVENTS_PER_BASKET, events - start))
            muons = int(count.sum())
            columns = {
                "pt": 3.0 + rng.exponential(12.0, muons),
                "eta": rng.uniform(-2.4, 2.4, muons),
                "phi": rng.uniform(-np.pi, np.pi, muons),
                "mass": np.full(muons, MUON_MASS),
            }
            fields = {name: ak.unflatten(x.astype("f4"), count) for name, x in columns.items()}
            charge = rng.choice([-1, 1], muons).astype("i4")
            fields["charge"] = ak.unflatten(charge, count)
            batch = {"Muon": ak.zip(fields)}
            if tree is None:
                file["Events"] = batch
                tree = file["Events"]
            else:
                tree.extend(batch)


if __name__ == "__main__":
    make_events(*sys.argv[1:2], *map(int, sys.argv[2:3]))
