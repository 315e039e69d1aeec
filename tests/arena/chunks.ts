/**
 * Chunk sizes in the arena: for tasks of many kinds, the best fixed size that a search finds, the
 * model of coffea, and wqx's own. All numbers are means over the same seeds.
 */
import { quantile } from "../../core/chunks/fit.ts";
import { type Choice, runScenario, type RunScore, type Scenario } from "./chunk_model.ts";

const files = (count: number, events: number) => Array.from({ length: count }, () => events);
const same = (count: number, slowness = 1) => Array.from({ length: count }, () => slowness);

/** Sizes start from here, whatever the scenario: coffea's default. */
export const chunkSizeStart = 100_000;

/** Memory is well-behaved here: a chunk of 170,000 events would take the limit, which is the aim. */
const plain: Scenario = {
  name: "memory",
  datasets: { A: files(20, 2_000_000) },
  weights: {},
  baseMb: 300,
  perEventMb: 0.01,
  baseSeconds: 8,
  perEventSeconds: 5e-4,
  noise: 0.03,
  outliers: { share: 0, time: 1, memory: 1 },
  slots: same(16),
  targets: { memoryMb: 2000, wallMs: null },
  limitMb: 2000,
};
const timed = { targets: { memoryMb: null, wallMs: 120_000 }, limitMb: 16_000 };

export const scenarios: readonly Scenario[] = [
  plain,
  { ...plain, ...timed, name: "time" },
  { ...plain, name: "memory and time", targets: { memoryMb: 2000, wallMs: 60_000 } },
  { ...plain, name: "noise of 20 %", noise: 0.2 },
  {
    ...plain,
    name: "outliers, 2 %",
    // Long enough that it does not all hang on an outlier at the end.
    datasets: { A: files(80, 2_000_000) },
    outliers: { share: 0.02, time: 5, memory: 2 },
  },
  {
    ...plain,
    name: "a dataset 10 × heavier",
    datasets: { A: files(10, 2_000_000), B: files(10, 200_000) },
    weights: { B: 10 },
  },
  { ...plain, ...timed, name: "two speeds", slots: [...same(8), ...same(8, 2.5)] },
  { ...plain, name: "small files", datasets: { A: files(400, 100_000) } },
  { ...plain, name: "light events", perEventMb: 0.001, datasets: { A: files(40, 10_000_000) } },
  { ...plain, name: "heavy events", perEventMb: 0.1, perEventSeconds: 5e-3 },
];

export interface Row {
  readonly scenario: Scenario;
  readonly best: { readonly chunkSize: number; readonly eventsPerSecond: number };
  readonly coffea: Mean;
  readonly robust: Mean;
  /** Of wqx's own: the worst of all runs, but for the share of the ideal, which is the middle. */
  readonly settling: Settling;
}

export interface Mean {
  readonly eventsPerSecond: number;
  readonly splits: number;
  readonly splitsMax: number;
}

export function compare(scenario: Scenario, seeds: readonly number[]): Row {
  const runs = (choice: Choice) => seeds.map((seed) => runScenario(scenario, choice, seed));
  const best = bestFixed(scenario, runs);
  const coffea = runs({ chunkSize: chunkSizeStart, model: "coffea" });
  const robust = runs({ chunkSize: chunkSizeStart, model: "robust" });
  const settled = robust.flatMap((run) => settling(run, scenario));
  return {
    scenario,
    best,
    coffea: meanOf(coffea),
    robust: meanOf(robust),
    settling: {
      generations: Math.max(...settled.map(({ generations }) => generations)),
      turns: Math.max(...settled.map(({ turns }) => turns)),
      ofIdeal: quantile(settled.map(({ ofIdeal }) => ofIdeal), 0.5),
    },
  };
}

/** Sizes tried, each so many times the one before; then closer ones around the best. */
const coarse = 2 ** 0.5;
const fine = 2 ** 0.125;

/** By events per second, among the sizes of which half the tasks or more keep to the targets. */
function bestFixed(scenario: Scenario, runs: (choice: Choice) => RunScore[]): Row["best"] {
  let best = { chunkSize: 0, eventsPerSecond: 0 };
  const attempt = (size: number) => {
    const scores = runs({ chunkSize: Math.round(size), model: null });
    const { eventsPerSecond } = meanOf(scores);
    const over = mean(scores.map(({ overTarget }) => overTarget));
    if (over <= 0.5 && eventsPerSecond > best.eventsPerSecond) {
      best = { chunkSize: Math.round(size), eventsPerSecond };
    }
  };
  const ideal = Math.min(
    ...Object.keys(scenario.datasets).map((name) => idealSize(scenario, name)),
  );
  for (let size = ideal / 8; size < 16 * ideal; size *= coarse) attempt(size);
  const centre = best.chunkSize;
  for (let step = -3; step <= 3; step++) attempt(centre * fine ** step);
  return best;
}

/** At which a task of the dataset takes just the target, on a worker of middling speed. */
export function idealSize({ targets, slots, ...task }: Scenario, dataset: string): number {
  const weight = task.weights[dataset] ?? 1;
  const { memoryMb, wallMs } = targets;
  const seconds = (wallMs ?? Infinity) / 1000 / quantile(slots, 0.5);
  return Math.min(
    ((memoryMb ?? Infinity) - task.baseMb) / (task.perEventMb * weight),
    (seconds - task.baseSeconds) / (task.perEventSeconds * weight),
  );
}

/** How a dataset came to its size. */
export interface Settling {
  /** Results of so many generations were seen when half of the chunks or more were of that size. */
  readonly generations: number;
  /** How often the size turned from growing to shrinking or back after that. */
  readonly turns: number;
  readonly ofIdeal: number;
}

/** Within a third of the usual size of the second half of all chunks, by dataset. */
export function settling({ chunks }: RunScore, scenario: Scenario): Settling[] {
  return Object.keys(scenario.datasets).map((dataset) => {
    const own = chunks.filter((chunk) => chunk.dataset === dataset);
    const usual = quantile(own.slice(own.length / 2).map(({ asked }) => asked), 0.5);
    let generation = 1;
    const isThere = () => {
      const sizes = own.filter((chunk) => chunk.generation === generation);
      const near = sizes.filter(({ asked }) => asked > usual / 1.33 && asked < usual * 1.33);
      return near.length >= sizes.length / 2;
    };
    while (!isThere()) generation++;
    const steps = own.filter((chunk) => chunk.generation > generation)
      .map(({ asked }, i, all) => Math.sign(asked - (all[i - 1]?.asked ?? asked)))
      .filter((step) => step !== 0);
    const turns = steps.filter((step, i) => i > 0 && step !== steps[i - 1]).length;
    return { generations: generation - 1, turns, ofIdeal: usual / idealSize(scenario, dataset) };
  });
}

function meanOf(scores: readonly RunScore[]): Mean {
  return {
    eventsPerSecond: mean(scores.map(({ eventsPerSecond }) => eventsPerSecond)),
    splits: mean(scores.map(({ splits }) => splits)),
    splitsMax: Math.max(...scores.map(({ splits }) => splits)),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Enough for a mean that does not hang on one straggler. */
const seedCount = 5;

/** The table of all scenarios, as Markdown. */
export function chunksTable(seed: number): string {
  const seeds = Array.from({ length: seedCount }, (_, i) => seed + i);
  const head = [
    "scenario",
    "best fixed size",
    "its events/s",
    "coffea",
    "wqx",
    "splits a run: coffea",
    "wqx",
    "generations to its size",
    "turns after that",
    "of the ideal size",
  ];
  const rows = scenarios.map((scenario) => {
    const { best, coffea, robust, settling } = compare(scenario, seeds);
    const share = ({ eventsPerSecond }: Mean) => percent(eventsPerSecond / best.eventsPerSecond);
    return [
      scenario.name,
      String(best.chunkSize),
      best.eventsPerSecond.toFixed(0),
      share(coffea),
      share(robust),
      coffea.splits.toFixed(1),
      robust.splits.toFixed(1),
      String(settling.generations),
      String(settling.turns),
      percent(settling.ofIdeal),
    ];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
