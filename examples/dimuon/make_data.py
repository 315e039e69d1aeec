#!/usr/bin/env python3
"""Makes the demo's input files: NanoAOD-like events with muons, from a fixed seed.

    python3 examples/dimuon/make_data.py [FOLDER]     (needs numpy, awkward and uproot)

dimuon_a.root looks like collision data: J/psi, Upsilon and Z on a falling continuum.
dimuon_b.root looks like simulated Z -> mu mu.
Nothing here is measured: shapes follow textbook formulas and rough detector numbers.
"""

import sys
import uuid
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

MUON_MASS = 0.1056584  # GeV
PT_MIN, ETA_MAX = 3.0, 2.4  # what the detector and its trigger accept
MOMENTUM_RESOLUTION = 0.012  # of each muon's transverse momentum
EVENTS_PER_BASKET = 10_000  # small enough that a chunk of a demo skips baskets

# Resonance: mass and width in GeV (PDG 2024, rounded), mean transverse momentum of the pair.
RESONANCES = {
    "omega": (0.78266, 0.00868, 8.0),
    "phi": (1.01946, 0.00425, 8.0),
    "jpsi": (3.0969, 0.0000926, 11.0),
    "psi2s": (3.6861, 0.000294, 11.0),
    "upsilon1s": (9.4604, 0.000054, 9.0),
    "upsilon2s": (10.0234, 0.000032, 9.0),
    "upsilon3s": (10.3551, 0.00002, 9.0),
    "z": (91.1880, 2.4955, 14.0),
}

DATA_MIX = {
    "continuum": 0.535,
    "omega": 0.012,
    "phi": 0.018,
    "jpsi": 0.150,
    "psi2s": 0.012,
    "upsilon1s": 0.060,
    "upsilon2s": 0.018,
    "upsilon3s": 0.010,
    "z": 0.185,
}
SIMULATION_MIX = {"continuum": 0.02, "z": 0.98}


def pair_masses(rng, source, count):
    """Mass of `count` muon pairs, in GeV."""
    if source == "continuum":
        # dN/dm ~ m^-1.6 between threshold and 250 GeV, by inverting its integral.
        low, high, power = 0.25, 250.0, -0.6
        u = rng.random(count)
        return (low**power + u * (high**power - low**power)) ** (1 / power)
    mass, width, _ = RESONANCES[source]
    # Breit-Wigner by its inverse integral, cut at 15 widths so that no tail leaves the picture.
    edge = np.arctan(30.0)
    return mass + width / 2 * np.tan(rng.uniform(-edge, edge, count))


def pairs(rng, source, count):
    """Momenta (pt, eta, phi), shape (count, 2), of pairs with both muons accepted."""
    kept = np.empty((0, 2, 3))
    while len(kept) < count:
        n = 4 * (count - len(kept)) + 100
        mass = np.maximum(pair_masses(rng, source, n), 2.02 * MUON_MASS)
        mean_pt = 6.0 + 0.15 * mass if source == "continuum" else RESONANCES[source][2]
        pt = rng.gamma(1.6, mean_pt / 1.6, n)
        rapidity = rng.normal(0, 1.3, n)
        phi = rng.uniform(-np.pi, np.pi, n)

        # Decay at rest, isotropic; then a boost along the pair's momentum.
        cos = rng.uniform(-1, 1, n)
        azimuth = rng.uniform(-np.pi, np.pi, n)
        p = np.sqrt(mass**2 / 4 - MUON_MASS**2)
        sin = np.sqrt(1 - cos**2)
        rest = np.stack([p * sin * np.cos(azimuth), p * sin * np.sin(azimuth), p * cos], axis=1)
        mt = np.sqrt(mass**2 + pt**2)
        momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(rapidity)], axis=1)
        energy = mt * np.cosh(rapidity)
        muons = []
        for sign in (1, -1):
            along = np.sum(momentum * rest, axis=1) * sign
            lab = sign * rest + momentum * (along / (energy + mass) + mass / 2)[:, None] / mass[:, None]
            muon_pt = np.hypot(lab[:, 0], lab[:, 1])
            eta = np.arcsinh(lab[:, 2] / muon_pt)
            muon_phi = np.arctan2(lab[:, 1], lab[:, 0])
            muons.append(np.stack([muon_pt, eta, muon_phi], axis=1))
        pair = np.stack(muons, axis=1)
        pair[:, :, 0] *= rng.normal(1, MOMENTUM_RESOLUTION, (n, 2))
        accepted = np.all((pair[:, :, 0] > PT_MIN) & (np.abs(pair[:, :, 1]) < ETA_MAX), axis=1)
        kept = np.concatenate([kept, pair[accepted]])
    return kept[:count]


def events(rng, mix, count):
    """Muons of `count` events as (jagged) awkward records, hardest first, and the missing momentum."""
    source = rng.choice(len(mix), size=count, p=np.array(list(mix.values())) / sum(mix.values()))
    slots = np.zeros((count, 4, 3))
    charges = rng.choice([-1, 1], size=(count, 4))
    for i, name in enumerate(mix):
        chosen = np.flatnonzero(source == i)
        slots[chosen, :2] = pairs(rng, name, len(chosen))
        # Muons of a pair that no resonance made (heavy flavour, fakes) are alike more often.
        opposite = rng.random(len(chosen)) < (0.80 if name == "continuum" else 0.998)
        charges[chosen, 1] = np.where(opposite, -1, 1) * charges[chosen, 0]
    # Soft extra muons, and events that lost one or both of the pair.
    slots[:, 2:, 0] = PT_MIN + rng.exponential(4.0, (count, 2))
    slots[:, 2:, 1] = rng.uniform(-ETA_MAX, ETA_MAX, (count, 2))
    slots[:, 2:, 2] = rng.uniform(-np.pi, np.pi, (count, 2))
    lengths = rng.choice(5, size=count, p=[0.01, 0.05, 0.78, 0.13, 0.03])

    present = np.arange(4) < lengths[:, None]
    order = np.argsort(np.where(present, -slots[:, :, 0], np.inf), axis=1)
    slots = np.take_along_axis(slots, order[:, :, None], axis=1)
    charges = np.take_along_axis(charges, order, axis=1)

    def jagged(values):
        return ak.unflatten(values[present], lengths)

    muons = {
        "pt": jagged(round_mantissa(slots[:, :, 0], 10)),
        "eta": jagged(round_mantissa(slots[:, :, 1], 9)),
        "phi": jagged(round_mantissa(slots[:, :, 2], 9)),
        "mass": jagged(np.full((count, 4), MUON_MASS, dtype=np.float32)),
        "charge": jagged(charges.astype(np.int32)),
    }
    met = rng.rayleigh(14.0, count) + rng.exponential(6.0, count)
    return muons, round_mantissa(met, 7)


def round_mantissa(values, bits):
    """As NanoAOD does: 32-bit floats whose mantissa keeps `bits` bits, so that they compress."""
    raw = np.asarray(values, dtype=np.float32).view(np.uint32)
    drop = 23 - bits
    raw = raw + np.uint32(1 << (drop - 1))
    return (raw & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def write(path, seed, mix, count, runs):
    rng = np.random.default_rng(seed)
    muons, met = events(rng, mix, count)
    run = np.sort(rng.choice(np.array(runs, dtype=np.uint32), size=count))
    number = np.arange(1, count + 1, dtype=np.uint64)
    lumi = (1 + (number - 1) // 400).astype(np.uint32)
    file_id = uuid.uuid5(uuid.NAMESPACE_URL, f"wqx dimuon {path.name} {seed}")
    with uproot.recreate(path, compression=uproot.ZSTD(19), uuid_function=lambda: file_id) as file:
        tree = file.mktree(
            "Events",
            {
                "run": "uint32",
                "luminosityBlock": "uint32",
                "event": "uint64",
                "Muon": ak.zip(muons).type.content,
                "MET_pt": "float32",
            },
            title="Events",
            counter_name=lambda counted: "n" + counted,
            field_name=lambda outer, inner: f"{outer}_{inner}",
        )
        for start in range(0, count, EVENTS_PER_BASKET):
            part = slice(start, start + EVENTS_PER_BASKET)
            tree.extend(
                {
                    "run": run[part],
                    "luminosityBlock": lumi[part],
                    "event": number[part],
                    "Muon": ak.zip({name: values[part] for name, values in muons.items()}),
                    "MET_pt": met[part],
                }
            )
    print(f"{path}: {count} events, {path.stat().st_size / 1e6:.2f} MB")


def main():
    default = Path(__file__).resolve().parent / "data"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "dimuon_a.root", 20261, DATA_MIX, 120_000, [194_533, 194_644, 194_789, 195_013])
    write(folder / "dimuon_b.root", 20262, SIMULATION_MIX, 40_000, [1])


if __name__ == "__main__":
    main()
