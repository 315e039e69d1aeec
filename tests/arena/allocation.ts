/** The contest of allocation policies: each task set with each contestant, as tables. */
import Table from "cli-table3";
import { contestants, type Figures, play } from "./contestants.ts";
import { setNames, type TaskSet, taskSet } from "./task_sets.ts";

export interface ContestOptions {
  readonly seed: number;
  /** Sets and contestants by name; empty: all. */
  readonly sets: readonly string[];
  readonly policies: readonly string[];
  /** In place of the synthetic sets. */
  readonly trace: TaskSet | null;
}

/** Means that were published for sets like these. */
const published: Readonly<Record<string, number>> = {
  "whole node": 0.23,
  "oracle maximum": 0.55,
  "max-throughput": 0.58,
  "min-waste": 0.60,
  "greedy-bucketing": 0.62,
};

/** Runs the contest and returns what there is to print. */
export function allocationTable(options: ContestOptions, clock: () => number): string {
  const players = options.policies.length > 0 ? options.policies : contestants;
  const sets = options.trace !== null
    ? [options.trace]
    : (options.sets.length > 0 ? options.sets : setNames).map((name) =>
      taskSet(name, options.seed)
    );
  const results = sets.map((set) => ({
    name: set.name,
    figures: players.map((player) => play(player, set.tasks, options.seed, clock)),
  }));
  const bySet = new Table({
    head: ["score (failed tries)", ...players],
    colAligns: ["left", ...players.map(() => "right" as const)],
    colWidths: [27, ...players.map(() => 14)],
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  });
  for (const { name, figures } of results) {
    bySet.push([name, ...figures.map((f) => `${f.memory.toFixed(3)} (${f.failedTries})`)]);
  }
  const means = new Table({
    head: ["mean over the sets", "score", "published", "failed tries", "ms a decision", "99.9 %"],
    colAligns: ["left", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const [i, player] of players.entries()) {
    const all = results.map(({ figures }) => figures[i]!);
    means.push([
      player,
      mean(all, (f) => f.memory).toFixed(3),
      published[player]?.toFixed(2) ?? "",
      mean(all, (f) => f.failedTries).toFixed(0),
      mean(all, (f) => f.decisionMs.mean).toFixed(4),
      mean(all, (f) => f.decisionMs.most).toFixed(3),
    ]);
  }
  const aims = players.includes("adaptive") ? `\n${judged(results, players)}` : "";
  return `${bySet}\n${means}${aims}`;
}

/** How `adaptive` stands against the best other policy on each set. */
function judged(
  results: readonly { readonly name: string; readonly figures: readonly Figures[] }[],
  players: readonly string[],
): string {
  const lag = results.map(({ name, figures }) => {
    const others = figures.filter((_, i) =>
      !["adaptive", "whole node", "oracle maximum"].includes(players[i]!)
    );
    const best = Math.max(...others.map((f) => f.memory));
    return { name, behind: best - figures[players.indexOf("adaptive")]!.memory, best };
  });
  const worst = lag.reduce((a, b) => b.behind > a.behind ? b : a);
  const bestMean = lag.reduce((sum, { best }) => sum + best, 0) / lag.length;
  if (!Number.isFinite(bestMean)) return "";
  const stands = worst.behind > 0
    ? `behind it by ${worst.behind.toFixed(3)} at most (${worst.name})`
    : "never behind it";
  return `best other policy of each set: mean ${bestMean.toFixed(3)}; adaptive is ${stands}`;
}

function mean(all: readonly Figures[], of: (figures: Figures) => number): number {
  return all.reduce((sum, figures) => sum + of(figures), 0) / all.length;
}
