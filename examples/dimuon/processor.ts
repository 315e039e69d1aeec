/**
 * The demo of wqx: pairs of muons, from the lightest mesons to beyond the Z.
 * Copy it to start an analysis of your own.
 */
import { axis, Hist, type Processor } from "wqx";

/** 150 bins of equal width in log(m), from 0.25 to 300 GeV. */
const massEdges = Array.from({ length: 151 }, (_, i) => 0.25 * 1200 ** (i / 150));

export default {
  // Read these and nothing else. A star stands for any run of characters.
  columns: ["run", "MET_pt", "Muon_*"],

  // Called once a chunk. What it returns is added to what all other chunks return.
  process(events) {
    const dataset = events.metadata.dataset;
    const weight = Number(events.metadata.weight ?? 1); // from the analysis file

    const cutflow = { all: 0, "two muons": 0, "opposite charge": 0, "60 < m < 120 GeV": 0 };
    const mass: number[] = [];
    for (const muons of events.objects("Muon", ["pt", "eta", "phi", "mass", "charge"])) {
      cutflow["all"]++;
      const [first, second] = muons; // hardest first
      if (!first || !second) continue;
      cutflow["two muons"]++;
      if (first.charge === second.charge) continue;
      cutflow["opposite charge"]++;
      const m = pairMass(first, second);
      if (m > 60 && m < 120) cutflow["60 < m < 120 GeV"]++;
      mass.push(m);
    }

    const datasets = axis.category([], { name: "dataset", growth: true });
    const gev = { name: "mass", label: "m(μμ)", unit: "GeV" };
    const pt = { name: "pt", label: "Muon pT", unit: "GeV" };
    return {
      runs: { [dataset]: new Set(events.flat("run")) },
      cutflow: { [dataset]: cutflow },
      spectrum: new Hist([datasets, axis.variable(massEdges, gev)], { label: "Muon pairs" })
        .fill({ dataset, mass }),
      z: new Hist([datasets, axis.regular(60, 60, 120, gev)], {
        storage: "weighted",
        label: "Z → μμ",
      }).fill({ dataset, mass, weight }),
      muons: {
        pt: new Hist([datasets, axis.regular(50, 0, 100, pt)])
          .fill({ dataset, pt: events.jagged("Muon_pt").values }),
        eta: new Hist([datasets, axis.regular(48, -2.4, 2.4, { name: "eta", label: "Muon η" })])
          .fill({ dataset, eta: events.jagged("Muon_eta").values }),
      },
      met: new Hist([axis.regular(50, 0, 100, { name: "met", label: "Missing pT", unit: "GeV" })], {
        label: "Missing transverse momentum",
      }).fill({ met: events.flat("MET_pt") }),
    };
  },
} satisfies Processor;

interface Particle {
  pt: number;
  eta: number;
  phi: number;
  mass: number;
}

/** Invariant mass: m² = m₁² + m₂² + 2 (E₁E₂ − p₁·p₂). */
function pairMass(a: Particle, b: Particle): number {
  const momenta = a.pt * b.pt *
    (Math.cos(a.phi - b.phi) + Math.sinh(a.eta) * Math.sinh(b.eta));
  return Math.sqrt(a.mass ** 2 + b.mass ** 2 + 2 * (energy(a) * energy(b) - momenta));
}

function energy({ pt, eta, mass }: Particle): number {
  return Math.hypot(pt * Math.cosh(eta), mass);
}
