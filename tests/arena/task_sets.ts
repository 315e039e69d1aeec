/** Synthetic task sets: how much memory each task of a category needs, from a seed. */
import { type Rng, seededRng } from "../../core/env.ts";

/** One task: what it really needs, and for how long it runs. */
export interface ArenaTask {
  readonly category: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly wallMs: number;
}

export interface TaskSet {
  readonly name: string;
  readonly tasks: readonly ArenaTask[];
}

export const tasksDefault = 2000;
export const nodeMemoryMb = 64_000;
const [taskCores, taskWallMs] = [4, 500_000];

type Draw = (chance: Rng) => number;

const uniform = (low: number, high: number): Draw => (chance) => low + (high - low) * chance();
const exponential = (mean: number): Draw => (chance) => -mean * Math.log(1 - chance());
/** Box and Muller's. */
const normal = (mean: number, deviation: number): Draw => (chance) => {
  const radius = Math.sqrt(-2 * Math.log(1 - chance()));
  return mean + deviation * radius * Math.cos(2 * Math.PI * chance());
};
/** For whole a and b, Beta(a, b) is the a-th smallest of a + b − 1 uniform numbers. */
const beta = (a: number, b: number, scale: number): Draw => (chance) =>
  scale * Array.from({ length: a + b - 1 }, chance).sort((x, y) => x - y)[a - 1]!;

/** `shuffled`: modes at random; `phases`: mode after mode; `rising`: by memory. */
type Order = "shuffled" | "phases" | "rising";

interface Recipe {
  readonly name: string;
  /** Equally frequent. */
  readonly modes: readonly Draw[];
  readonly order: Order;
}

function inAllOrders(name: string, modes: readonly Draw[]): Recipe[] {
  return (["shuffled", "phases", "rising"] as const).map((order) => ({
    name: `${name}, ${order}`,
    modes,
    order,
  }));
}

function shuffled(name: string, ...modes: Draw[]): Recipe {
  return { name, modes, order: "shuffled" };
}

const recipes: readonly Recipe[] = [
  shuffled("normal 32,000±5,000", normal(32_000, 5000)),
  shuffled("normal 8,000±2,000", normal(8000, 2000)),
  shuffled("uniform 10,000–40,000", uniform(10_000, 40_000)),
  shuffled("uniform 1,000–4,000", uniform(1000, 4000)),
  shuffled("exponential 20,000", exponential(20_000)),
  shuffled("exponential 10,000", exponential(10_000)),
  shuffled("40,000·Beta(8,2)", beta(8, 2, 40_000)),
  shuffled("40,000·Beta(2,5)", beta(2, 5, 40_000)),
  shuffled("bimodal", normal(32_000, 5000), normal(8000, 2000)),
  shuffled("trimodal", normal(32_000, 4000), normal(11_000, 1000), normal(16_000, 4000)),
  shuffled("four classes", ...[8000, 8333, 8667, 9000].map((mean) => normal(mean, 20))),
  ...inAllOrders("narrow bimodal", [normal(32_000, 500), normal(8000, 200)]),
  ...inAllOrders("narrow trimodal", [
    normal(32_000, 400),
    normal(11_000, 100),
    normal(16_000, 400),
  ]),
];

export const setNames: readonly string[] = recipes.map(({ name }) => name);

/** The set of that name; the same seed gives the same tasks. */
export function taskSet(name: string, seed: number, count = tasksDefault): TaskSet {
  const { modes, order } = recipes.find((recipe) => recipe.name === name)!;
  const chance = seededRng(seed * 1000 + setNames.indexOf(name));
  const needs = Array.from({ length: count }, (_, i) => {
    const mode = order === "phases" ? Math.floor(i * modes.length / count) : undefined;
    const drawn = modes[mode ?? Math.floor(chance() * modes.length)]!(chance);
    return Math.min(nodeMemoryMb, Math.max(100, drawn));
  });
  if (order === "rising") needs.sort((a, b) => a - b);
  return {
    name,
    tasks: needs.map((memoryMb) => ({
      category: "task",
      cores: taskCores,
      memoryMb,
      diskMb: 0,
      wallMs: taskWallMs,
    })),
  };
}
