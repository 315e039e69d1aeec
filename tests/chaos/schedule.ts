/**
 * What goes wrong when: drawn from a seed, so that a run can be had again. The seed draws the weight
 * of each fault too, and some are zero.
 */
import { type Rng, seededRng } from "../../core/env.ts";

export const workerNodes = ["worker-1", "worker-2", "worker-3"] as const;
export const nodeNames = ["manager", "catalog", "factory", ...workerNodes] as const;
export type NodeName = typeof nodeNames[number];
export type WorkerNode = typeof workerNodes[number];

/**
 * `cut`: nothing passes the node's link. `loss`: a share of the packets does not. `kill`: the
 * program is killed, and started again after `forMs` (workers by the factory). `stop`: the program
 * stands still. `freeze`: all of the node does. `full`: no space on its disk. `reboot`: the node
 * loses power: its programs, its connections and its disk are gone, and nobody is told.
 */
export type FaultKind = "cut" | "loss" | "kill" | "stop" | "freeze" | "full" | "reboot";

export interface Fault {
  /** From the start of the run. */
  readonly atMs: number;
  readonly kind: FaultKind;
  readonly on: NodeName;
  readonly forMs: number;
  /** Of `loss`: how many of a hundred packets. */
  readonly percent?: number;
}

export interface Schedule {
  readonly seed: number;
  readonly durationMs: number;
  readonly weights: Readonly<Record<FaultKind, number>>;
  /** In the order of their beginning. */
  readonly faults: readonly Fault[];
}

/** Where each fault may strike. */
const targets: Readonly<Record<FaultKind, readonly NodeName[]>> = {
  cut: nodeNames,
  loss: nodeNames,
  kill: ["catalog", "factory", ...workerNodes],
  stop: nodeNames,
  freeze: workerNodes,
  full: ["manager", ...workerNodes],
  reboot: workerNodes,
};

/** How often the manager is killed, whatever the seed. */
export const managerKills = 2;

/** Between the beginnings of faults; they may overlap. */
const everyMs = { low: 500, high: 5000 };
/** Shorter than what the peers take for a loss, and longer. */
const lastsMs = { low: 200, high: 9000 };
/** Half-open connections are found out after 150 s of silence: longer runs only. */
const rebootsFromMs = 180_000;

/** The faults of a run that is to last so long. */
export function scheduleOf(seed: number, durationMs: number): Schedule {
  const rng = seededRng(seed);
  const weights = drawWeights(rng, durationMs);
  const faults = killsOfManager(rng, durationMs);
  const busy: Fault[] = [...faults];
  for (let atMs = between(rng, everyMs); atMs < durationMs; atMs += between(rng, everyMs)) {
    const kind = drawKind(rng, weights);
    const on = targets[kind][Math.floor(rng() * targets[kind].length)]!;
    // Squared: short ones are more frequent.
    const lasts = lastsMs.low + rng() ** 2 * (lastsMs.high - lastsMs.low);
    const forMs = Math.round(Math.min(lasts, durationMs - atMs));
    const percent = Math.round(5 + rng() * 35);
    const isBusy = busy.some((one) =>
      one.kind === kind && one.on === on && one.atMs + one.forMs >= atMs
    );
    if (isBusy) continue;
    const fault = { atMs: Math.round(atMs), kind, on, forMs, ...(kind === "loss" && { percent }) };
    faults.push(fault);
    busy.push(fault);
  }
  faults.sort((a, b) => a.atMs - b.atMs);
  return { seed, durationMs, weights, faults };
}

/** As a person reads it, a fault a line. */
export function showSchedule({ seed, durationMs, weights, faults }: Schedule): string {
  const drawn = Object.entries(weights).map(([kind, weight]) => `${kind} ${weight.toFixed(2)}`);
  return [
    `seed ${seed}, ${durationMs / 1000} s; ${drawn.join(", ")}`,
    ...faults.map(showFault),
  ].join("\n");
}

export function showFault({ atMs, kind, on, forMs, percent }: Fault): string {
  const share = percent === undefined ? "" : ` ${percent} %`;
  return `${seconds(atMs)} ${kind}${share} ${on} for ${(forMs / 1000).toFixed(1)} s`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`.padStart(8);
}

function drawWeights(rng: Rng, durationMs: number): Record<FaultKind, number> {
  const draw = () => rng() < 0.15 ? 0 : 0.2 + rng();
  return {
    cut: draw(),
    loss: draw(),
    kill: 0.2 + rng() / 2, // always some: a worker lives for a minute or two
    stop: draw(),
    freeze: draw(),
    full: draw(),
    reboot: durationMs < rebootsFromMs ? 0 : draw() / 4,
  };
}

function drawKind(rng: Rng, weights: Readonly<Record<FaultKind, number>>): FaultKind {
  const entries = Object.entries(weights) as [FaultKind, number][];
  let left = rng() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of entries) {
    if (left < weight) return kind;
    left -= weight;
  }
  return "kill";
}

function killsOfManager(rng: Rng, durationMs: number): Fault[] {
  return Array.from({ length: managerKills }, (_, i) => ({
    atMs: Math.round(durationMs * (i + 0.7 + 0.6 * rng()) / (managerKills + 1)),
    kind: "kill",
    on: "manager",
    forMs: Math.round(rng() * 4000),
  }));
}

function between(rng: Rng, { low, high }: { low: number; high: number }): number {
  return low + rng() * (high - low);
}
