/** Who takes part in the arena: every policy, and two yardsticks. */
import { Category } from "../../core/allocation/category.ts";
import { type Mode, modes } from "../../core/allocation/mod.ts";
import { seededRng } from "../../core/env.ts";
import type { Resources } from "../../core/resources.ts";
import { type Allocator, replay, type Score } from "./replay.ts";
import { type ArenaTask, nodeMemoryMb } from "./task_sets.ts";

export type Figures = Score;

/** Disk is never short, except where a trace says how much was used. */
export const node: Resources = { cores: 16, memoryMb: nodeMemoryMb, diskMb: 1_000_000, gpus: 0 };
const nodes = 4;

/** The first tasks get a whole node; the originals are as quick to be steady. */
const wholeNodeTasks = 10;

/** `fixed` learns nothing: undeclared, it is the whole node. */
export const contestants: readonly string[] = [
  "whole node",
  "oracle maximum",
  ...modes.filter((mode) => mode !== "fixed"),
];

/** One contestant on one set. `clock`: in ms, times the decisions. */
export function play(
  contestant: string,
  tasks: readonly ArenaTask[],
  seed: number,
  clock?: () => number,
): Figures {
  const allocator = allocatorOf(contestant, tasks, seed);
  return replay(tasks, allocator, { node, nodes, wholeNodeTasks }, clock);
}

/** A fresh one. `tasks`: the set, of which the oracle knows the maximum. */
function allocatorOf(
  contestant: string,
  tasks: readonly ArenaTask[],
  seed: number,
): Allocator {
  switch (contestant) {
    case "whole node":
      return { allocate: (_task, _tries, node) => node, observe: () => {} };
    case "oracle maximum":
      return oracle(tasks);
    default:
      return categories(contestant as Mode, seed);
  }
}

/** Always the largest that any task of the category needs. */
function oracle(tasks: readonly ArenaTask[]): Allocator {
  const largest = new Map<string, { memoryMb: number; diskMb: number }>();
  for (const { category, memoryMb, diskMb } of tasks) {
    const sofar = largest.get(category) ?? { memoryMb: 0, diskMb: 0 };
    largest.set(category, {
      memoryMb: Math.max(sofar.memoryMb, memoryMb),
      diskMb: Math.max(sofar.diskMb, diskMb),
    });
  }
  return { allocate: ({ category }) => largest.get(category)!, observe: () => {} };
}

/** A policy as wqx uses it, one for each category; without advice, the whole node. */
function categories(mode: Mode, seed: number): Allocator {
  const all = new Map<string, Category>();
  const chance = seededRng(seed);
  const of = (name: string): Category => {
    let category = all.get(name);
    if (category === undefined) {
      category = new Category(name, { mode, steadyCount: wholeNodeTasks, chance });
      all.set(name, category);
    }
    return category;
  };
  return {
    allocate({ category, cores }, outgrown, node) {
      const found = of(category).allocate({ declared: { cores }, outgrown, largest: node });
      if (found.kind === "impossible") throw new Error(`${mode}: ${found.why}`);
      const { request, floor } = found.wish;
      const amount = (name: "memoryMb" | "diskMb") =>
        request[name] === undefined ? node[name] : Math.max(request[name], floor[name] ?? 0);
      return { memoryMb: amount("memoryMb"), diskMb: amount("diskMb") };
    },
    observe({ category }, seen, node) {
      of(category).observe(seen, node);
    },
  };
}
