"""A processor whose memory grows with the events of its chunk."""

import time

import awkward as ak
import hist
import numpy as np
from coffea import processor

EVENTS_PER_STEP = 1_000


class MuonMemory(processor.ProcessorABC):
    """Counts muons, and holds on to some memory for each of them until its chunk is done.

    `kb_per_muon`: so much, kB. `pause_s`: how long a chunk takes at least, s.
    """

    def __init__(self, kb_per_muon=10, pause_s=1.0):
        self.kb_per_muon = kb_per_muon
        self.pause_s = pause_s

    def process(self, events):
        count = ak.to_numpy(events.nMuon)
        steps = range(0, len(count), EVENTS_PER_STEP)
        held = []
        for start in steps:
            muons = int(count[start : start + EVENTS_PER_STEP].sum())
            # Written to: memory that nobody touched takes no room.
            held.append(np.ones(muons * self.kb_per_muon * 1000, dtype=np.uint8))
            time.sleep(self.pause_s / len(steps))
        pt = hist.Hist(hist.axis.Regular(100, 0, 100, name="pt", label="$p_T$ [GeV]"))
        pt.fill(pt=ak.flatten(events.Muon_pt))
        return {
            "pt": pt,
            "cutflow": {
                "events": len(count),
                "muons": int(count.sum()),
                "with two": int((count >= 2).sum()),
            },
        }

    def postprocess(self, accumulator):
        return accumulator
