"""Muons of a file like NanoAOD; runs with coffea 0.7 and with coffea of today."""
import awkward as ak
import hist
from coffea import processor


class Dimuon(processor.ProcessorABC):
    def process(self, events):
        dataset = events.metadata["dataset"]
        muons = events.Muon
        pairs = muons[ak.num(muons) == 2]
        pairs = pairs[ak.sum(pairs.charge, axis=1) == 0]
        mass = (pairs[:, 0] + pairs[:, 1]).mass
        masses = hist.Hist.new.Reg(60, 0, 120, name="mass", label="$m_{\\mu\\mu}$ [GeV]").Double()
        masses.fill(mass=ak.to_numpy(mass))
        by_dataset = (
            hist.Hist.new.StrCat([], name="dataset", growth=True)
            .Reg(40, 0, 200, name="pt", label="$p_T$ [GeV]")
            .Weight()
        )
        pt = ak.to_numpy(ak.flatten(muons.pt))
        by_dataset.fill(dataset=dataset, pt=pt, weight=0.5)
        cuts = {"all": len(events), "two muons": len(pairs)}
        return {dataset: {"cuts": cuts, "mass": masses}, "pt": by_dataset}

    def postprocess(self, accumulator):
        for dataset, found in accumulator.items():
            if dataset != "pt":
                cuts = found["cuts"]
                found["efficiency"] = cuts["two muons"] / cuts["all"]
        return accumulator
