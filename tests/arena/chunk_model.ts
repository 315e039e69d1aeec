/**
 * Tasks whose time and memory are linear in their events, and slots that run them in virtual time:
 * the real course of a run, with all that is around it left out.
 */
import type { Item } from "../../core/analysis/items.ts";
import { AnalysisRun, type Ended } from "../../core/analysis/run.ts";
import type { DynamicChunkSize } from "../../core/analysis/spec.ts";
import { type Rng, seededRng } from "../../core/env.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import { analysisSpec, inputFile } from "../support/builders.ts";

/** What tasks of a scenario take; each number is for one event or one task. */
export interface Scenario {
  readonly name: string;
  /** Events of each file, by dataset. */
  readonly datasets: Readonly<Record<string, readonly number[]>>;
  /** How much more an event of the dataset takes, of time and of memory; 1 if it is not listed. */
  readonly weights: Readonly<Record<string, number>>;
  readonly baseMb: number;
  readonly perEventMb: number;
  readonly baseSeconds: number;
  readonly perEventSeconds: number;
  /** Standard deviation of the logarithm of what a task takes. */
  readonly noise: number;
  /** This share of tasks takes so many times as much time, and so much more memory. */
  readonly outliers: { readonly share: number; readonly time: number; readonly memory: number };
  /** One slot each: how many times as long tasks take there. */
  readonly slots: readonly number[];
  readonly targets: { readonly memoryMb: number | null; readonly wallMs: number | null };
  /** A task that needs more is ended, when it has got so far. */
  readonly limitMb: number;
}

export interface Choice {
  readonly chunkSize: number;
  readonly model: DynamicChunkSize["model"] | null;
}

export interface RunScore {
  readonly eventsPerSecond: number;
  readonly splits: number;
  /** Share of the chunks that were done whose tasks took more than a target. */
  readonly overTarget: number;
  /** Of the chunks in the order in which they were cut. */
  readonly chunks: readonly ChunkSeen[];
}

export interface ChunkSeen {
  readonly dataset: string;
  /** That the run asked for; files are cut evenly, so real chunks are smaller. */
  readonly asked: number;
  readonly events: number;
  /** 1 for chunks cut before any of the dataset was done, 2 for those cut after these, … */
  readonly generation: number;
}

const mergeSeconds = 2;

/** Runs a scenario once. Throws if the run fails, or does not process each event once. */
export function runScenario(scenario: Scenario, choice: Choice, seed: number): RunScore {
  const rng = seededRng(seed);
  const entries = new Map<string, number>();
  const files = Object.entries(scenario.datasets).flatMap(([dataset, sizes]) =>
    sizes.map((size, i) => {
      const file = `${dataset}-${i}.root`;
      entries.set(file, size);
      return inputFile(file, { dataset });
    })
  );
  const { chunkSize, model } = choice;
  const dynamic = model === null ? {} : { dynamicChunkSize: { ...scenario.targets, model } };
  const run = new AnalysisRun(
    analysisSpec({ files, chunkSize, ...dynamic }),
    false,
    seededRng(seed + 1),
  );
  for (const { file } of files) run.ended(ended(run.next()!, { entries: entries.get(file)! }));
  const slots = new Slots(run, scenario, rng);
  const seconds = slots.runAll();
  const { eventsTotal, chunks } = run.counts;
  if (run.end?.result?.events !== eventsTotal || run.end.stopped !== null) {
    throw new Error(`${scenario.name}: ${JSON.stringify(run.end)}`);
  }
  return {
    eventsPerSecond: eventsTotal! / seconds,
    splits: chunks.split,
    overTarget: slots.over / slots.done,
    chunks: slots.chunks,
  };
}

interface Running {
  readonly item: Item;
  readonly endsAt: number;
  readonly slowness: number;
  readonly end: Ended;
}

class Slots {
  readonly chunks: ChunkSeen[] = [];
  /** Chunks done, and those over a target. */
  done = 0;
  over = 0;
  readonly #running: Running[] = [];
  readonly #idle: number[];
  readonly #generations = new Map<string, number>();
  readonly #generationOf = new Map<Item, number>();
  #now = 0;

  constructor(
    private readonly run: AnalysisRun,
    private readonly scenario: Scenario,
    private readonly rng: Rng,
  ) {
    this.#idle = [...scenario.slots];
  }

  /** Returns how long it took; seconds. */
  runAll(): number {
    this.#start();
    while (this.#running.length > 0) {
      const next = this.#running.reduce((a, b) => a.endsAt <= b.endsAt ? a : b);
      this.#running.splice(this.#running.indexOf(next), 1);
      this.#idle.push(next.slowness);
      this.#now = next.endsAt;
      this.#learn(next);
      this.run.ended(next.end);
      this.#start();
    }
    return this.#now;
  }

  #start(): void {
    while (this.#idle.length > 0) {
      const item = this.run.next();
      if (item === null) return;
      // Any one of them: fast workers are not kept for anything.
      const [slowness = 1] = this.#idle.splice(Math.floor(this.rng() * this.#idle.length), 1);
      const { seconds, end } = this.#attempt(item, slowness);
      this.#running.push({ item, endsAt: this.#now + seconds, slowness, end });
      if (item.kind !== "process") continue;
      const { dataset } = item.file;
      const generation = 1 + (this.#generations.get(dataset) ?? 0);
      this.#generationOf.set(item, generation);
      const asked = this.run.counts.chunks.current;
      const events = item.range.stop - item.range.start;
      if (item.piece.length === 0) this.chunks.push({ dataset, asked, events, generation });
    }
  }

  #learn({ item, end }: Running): void {
    if (item.kind !== "process" || end.end.kind !== "success") return;
    const { dataset } = item.file;
    const generation = this.#generationOf.get(item)!;
    this.#generations.set(dataset, Math.max(generation, this.#generations.get(dataset) ?? 0));
  }

  #attempt(item: Item, slowness: number): { seconds: number; end: Ended } {
    const { scenario, rng } = this;
    if (item.kind !== "process") return { seconds: mergeSeconds, end: ended(item) };
    const { outliers, noise, targets, limitMb } = scenario;
    const events = item.range.stop - item.range.start;
    const weight = scenario.weights[item.file.dataset] ?? 1;
    const odd = rng() < outliers.share;
    const factor = (scale: number) => Math.exp(noise * normal(rng)) * (odd ? scale : 1);
    const memoryMb = (scenario.baseMb + scenario.perEventMb * weight * events) *
      factor(outliers.memory);
    const seconds = (scenario.baseSeconds + scenario.perEventSeconds * weight * events) *
      factor(outliers.time) * slowness;
    if (memoryMb > limitMb) {
      const exhausted = { resource: "memory", limit: limitMb, measured: 1.02 * limitMb };
      const code = resultCode.resourceExhaustion;
      const failure = { kind: "failure", code, why: "too much memory", exhausted } as const;
      return { seconds: seconds * limitMb / memoryMb, end: { ...ended(item), end: failure } };
    }
    this.done++;
    const wallMs = 1000 * seconds;
    const { memoryMb: mb, wallMs: ms } = targets;
    if ((mb !== null && memoryMb > mb) || (ms !== null && wallMs > ms)) this.over++;
    return { seconds, end: ended(item, { measured: { memoryPeakMb: memoryMb, wallMs } }) };
  }
}

function ended(
  item: Item,
  options: { entries?: number; measured?: Ended["measured"] } = {},
): Ended {
  const { entries = 0, measured = null } = options;
  const outcome = item.kind === "preprocess"
    ? { ok: true, kind: item.kind, entries, uuid: "" } as const
    : { ok: true, kind: item.kind, events: 0, bytesRead: 0 } as const;
  const end = { kind: "success" } as const;
  const last = { host: null, exitCode: 0, attempts: 1, printed: "" };
  return { item, end, outcome, resultPath: "", measured, ...last };
}

/** Box and Muller. */
function normal(rng: Rng): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}
