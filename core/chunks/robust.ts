/**
 * The chunk size by default, where it is dynamic. For each dataset, and for memory and time apart,
 * a robust line through what chunks took; the chunk that stays under the targets by it.
 *
 * - A dataset begins with probes, much smaller than the configured size, of two sizes, so that base
 *   and slope can be told apart. From there the size grows in bounded steps.
 * - Memory is a limit: the size leaves room for the spread around the line, and for what is not
 *   known of the slope where chunks were never that large. Time is an aim: half of the tasks may
 *   take longer.
 * - Towards the end of the run chunks get smaller, so that slots end together.
 * - A chunk that was exhausted took more than the limit; it counts as if it took just that, if the
 *   line says less. Sizes that were too large are not asked for again (see SizeEvidence).
 * - The size changes only when it is off by more than noise makes it.
 */
import type { Rounding } from "../analysis/chunks.ts";
import { SizeEvidence } from "./evidence.ts";
import { type Line, lineThrough, type Point, quantile } from "./fit.ts";
import type { ChunkDone, ChunkExhausted, ChunkSizer, ChunkTargets, RestOfRun } from "./sizer.ts";

/** Probes have the configured size divided by this, and twice that. */
const probeDivisor = 16;
/**
 * The last chunks of a run get smaller, so that no slot waits long for another: each is the share
 * of one slot in what is left, if it were to be cut in so many rounds; down to the size divided by
 * the second number.
 */
const endRounds = 2;
const endDivisorMax = 3;
/** Of a dataset before its turn: the smallest number that tells of two sizes twice. */
const probeCount = 4;
/** Probes while only one size was processed, at most. */
const secondProbeMax = 4;
/** At most so many times the largest chunk that was processed. */
const growthMax = 16;
/** Steps back from sizes that were too large. */
const backStep = 1.2;
/** Room above the line, in standard deviations: one in 700 normal tasks is outside. */
const sigmas = 3;
/** Likewise for the slope, beyond the chunks seen so far. */
const slopeSigmas = 1.5;
/** Room for what is above the line more often than normal tasks are, at most; as a share. */
const excessMax = 0.5;
/** All the room leaves at least this part of what the bare line gives, as far as it is known. */
const roomShareMin = 0.25;
/** Smaller changes of the size are not made, nor such as are within the spread of tasks. */
const shrinkMin = 0.05;
const growMin = 0.15;
/** Chunks kept of each range of sizes within a factor of two, so that small ones are not lost. */
const keptPerOctave = 24;
/** Lines are drawn anew when there is so much more to draw them from, as a share; and not later. */
const redrawShare = 1 / 16;
const redrawCountMax = 24;
/** In place of nothing, where it is divided by; MB or s. */
const perEventMin = 1e-12;
const tookMin = 1e-3;
/** Results before it is said that a target cannot be met, or that nothing is measured. */
const surenessMin = 3;

export class RobustSizer implements ChunkSizer {
  readonly rounding: Rounding = "up";
  readonly perDataset = true;
  readonly #datasets = new Map<string, DatasetSize>();
  readonly #notes: string[] = [];
  #current: number;

  constructor(private readonly chunkSize: number, private readonly targets: ChunkTargets) {
    this.#current = chunkSize;
  }

  get current(): number {
    return this.#current;
  }

  sizeFor(dataset: string, { events, chunksOut }: RestOfRun): number {
    this.#current = this.#of(dataset).next();
    const share = Math.ceil(events / (endRounds * (chunksOut + 1)));
    const least = Math.ceil(this.#current / endDivisorMax);
    return Math.min(this.#current, Math.max(share, least));
  }

  isProbed(dataset: string): boolean {
    return this.#of(dataset).asked >= probeCount;
  }

  sizeWithin(dataset: string, events: number): number {
    return this.#of(dataset).within(events);
  }

  succeeded(chunk: ChunkDone): void {
    this.#of(chunk.dataset).succeeded(chunk);
  }

  exhausted(chunk: ChunkExhausted): number {
    return this.#of(chunk.dataset).exhausted(chunk);
  }

  takeNotes(): string[] {
    return this.#notes.splice(0);
  }

  #of(dataset: string): DatasetSize {
    let size = this.#datasets.get(dataset);
    if (size === undefined) {
      const learnt = [...this.#datasets.values()].flatMap(({ size }) =>
        size === null ? [] : [size]
      );
      const usual = learnt.length === 0 ? this.chunkSize : quantile(learnt, 0.5);
      const probe = Math.max(1, Math.round(usual / probeDivisor));
      const say = (note: string) => this.#notes.push(note);
      size = new DatasetSize(dataset, probe, this.chunkSize, this.targets, say);
      this.#datasets.set(dataset, size);
    }
    return size;
  }
}

/** As users write it. */
type TargetKey = "memory" | "wall_time";

/** What is known of one dataset. */
class DatasetSize {
  /** Chunks asked for so far. */
  asked = 0;
  /** What it has settled on; `null` while it is only probed. */
  size: number | null = null;
  readonly #evidence = new SizeEvidence();
  readonly #memory = new Sample();
  readonly #wall = new Sample();
  readonly #said = new Set<TargetKey>();
  #doneCount = 0;
  #largestDone = 0;
  #stale = false;

  constructor(
    private readonly dataset: string,
    private readonly probe: number,
    private readonly chunkSize: number,
    private readonly targets: ChunkTargets,
    private readonly say: (note: string) => void,
  ) {}

  next(): number {
    const serial = this.asked++;
    if (this.#stale) this.#settle();
    return this.size ?? this.#evidence.within(this.probe * (1 + serial % 2));
  }

  within(events: number): number {
    return this.#evidence.within(events);
  }

  succeeded({ events, memoryMb, wallMs }: ChunkDone): void {
    this.#doneCount++;
    this.#largestDone = Math.max(this.#largestDone, events);
    this.#evidence.succeeded(events);
    if (memoryMb !== null) this.#memory.add({ events, took: memoryMb });
    if (wallMs !== null) this.#wall.add({ events, took: wallMs / 1000 });
    this.#stale = true;
  }

  exhausted({ events, resource, limit, measured }: ChunkExhausted): number {
    this.#evidence.exhausted(events);
    const took = Math.max(limit ?? 0, measured ?? 0);
    if (took > 0 && resource === "memory") this.#memory.addBound({ events, took });
    if (took > 0 && resource === "wall_time") this.#wall.addBound({ events, took });
    this.#stale = true;
    this.#settle();
    const half = this.#evidence.within(Math.ceil(events / 2));
    return this.size === null ? half : Math.min(half, this.size);
  }

  #settle(): void {
    this.#stale = false;
    if (this.#doneCount === 0) return;
    const wanted = Math.min(this.#forMemory(), this.#forTime());
    const bounded = Math.min(wanted, growthMax * this.#largestDone);
    const size = this.#evidence.within(Math.max(1, Math.floor(bounded)), backStep);
    if (this.size === null || !this.#isKept(this.size, size)) this.size = size;
  }

  /** The new size differs by no more than it would by chance. */
  #isKept(old: number, size: number): boolean {
    if (this.#evidence.within(old) < old) return false;
    const { memoryMb, wallMs } = this.targets;
    const spread = Math.max(
      memoryMb === null ? 0 : this.#memory.line()?.spread ?? 0,
      wallMs === null ? 0 : this.#wall.line()?.spread ?? 0,
    );
    return size >= old * (1 - Math.max(shrinkMin, spread)) &&
      size <= old * (1 + Math.max(growMin, spread));
  }

  #forMemory(): number {
    const { memoryMb } = this.targets;
    if (memoryMb === null) return Infinity;
    const line = this.#memory.line();
    if (line === null) return this.#withoutLine(this.#memory, "memory", memoryMb);
    if (line.base < memoryMb) return sizeBelow(memoryMb, line);
    return this.#unreachable("memory", `${memoryMb} MB`, `${Math.ceil(line.base)} MB`);
  }

  #forTime(): number {
    if (this.targets.wallMs === null) return Infinity;
    const seconds = this.targets.wallMs / 1000;
    const line = this.#wall.line();
    if (line === null) return this.#withoutLine(this.#wall, "wall_time", seconds);
    if (line.base < seconds) return sizeAt(seconds, line);
    return this.#unreachable("wall_time", `${seconds} s`, `${line.base.toFixed(1)} s`);
  }

  /** Chunks of one size, or none that was measured. */
  #withoutLine({ points }: Sample, key: TargetKey, target: number): number {
    if (points.length === 0) {
      if (this.#doneCount >= surenessMin) {
        this.#sayOnce(
          key,
          `No worker measures the ${key} of tasks, so the chunk size of dataset ${this.dataset} ` +
            "cannot follow it.",
        );
      }
      const other = this.targets[key === "memory" ? "wallMs" : "memoryMb"];
      return other === null ? this.chunkSize : Infinity;
    }
    // Were all of it proportional to events, more would be too much.
    const perEvent = quantile(points.map(({ events, took }) => took / events), 0.5);
    return Math.min(secondProbeMax * this.probe, target / perEvent);
  }

  #unreachable(key: TargetKey, target: string, base: string): number {
    if (this.#doneCount >= surenessMin) {
      this.#sayOnce(
        key,
        `No chunk of dataset ${this.dataset} stays under the ${key} of ${target} that ` +
          `dynamic-chunksize asks for: tasks take about ${base} whatever their size. It goes on ` +
          `with the smallest chunks, of ${this.probe} events.`,
      );
    }
    return this.probe;
  }

  #sayOnce(key: TargetKey, note: string): void {
    if (!this.#said.has(key)) this.say(note);
    this.#said.add(key);
  }
}

/** Events of which few tasks take more than `target`. */
function sizeBelow(target: number, line: Line): number {
  const room = 1 + Math.max(sigmas * line.spread, Math.min(line.excess, excessMax));
  const bare = (target - line.base) / Math.max(line.perEvent, perEventMin);
  return Math.max(
    onLine(target, line, room, slopeSigmas),
    Math.min(roomShareMin * bare, line.centre),
  );
}

/** Events of which about half of the tasks take more than `target`. */
function sizeAt(target: number, line: Line): number {
  return onLine(target, line, 1, 1);
}

/**
 * Solves (base + perEvent·n)·room + sigmas·perEventError·max(0, n − centre) = target: room for
 * what is above the line, and for what is not known of its slope beyond the chunks seen so far.
 */
function onLine(target: number, line: Line, room: number, sigmas: number): number {
  const { base, perEventError, centre } = line;
  const perEvent = Math.max(line.perEvent, perEventMin);
  const within = (target / room - base) / perEvent;
  if (within <= centre) return within;
  const error = sigmas * perEventError;
  return (target - room * base + error * centre) / (room * perEvent + error);
}

/** Chunks of one dataset and what they took of one resource, the latest of each size. */
class Sample {
  readonly #octaves = new Map<number, Point[]>();
  readonly #bounds: Point[] = [];
  #line: Line | null = null;
  #count = 0;
  #unused = 0;

  get points(): Point[] {
    return [...this.#octaves.values()].flat();
  }

  add({ events, took }: Point): void {
    const point = { events, took: Math.max(tookMin, took) };
    const octave = Math.floor(Math.log2(events));
    const kept = this.#octaves.get(octave) ?? [];
    this.#octaves.set(octave, [...kept, point].slice(-keptPerOctave));
    this.#count++;
    this.#unused++;
  }

  /** A chunk that took more than this. */
  addBound(point: Point): void {
    this.#bounds.push(point);
    this.#bounds.splice(0, this.#bounds.length - keptPerOctave);
    this.#unused = Infinity;
  }

  line(): Line | null {
    if (this.#unused > Math.min(redrawCountMax, redrawShare * this.#count)) {
      this.#line = this.#fit() ?? this.#line;
      this.#unused = 0;
    }
    return this.#line;
  }

  #fit(): Line | null {
    const points = this.points;
    const line = lineThrough(points);
    const above = this.#bounds.filter(({ events, took }) =>
      line === null || line.base + line.perEvent * events < took
    );
    return above.length === 0 ? line : lineThrough([...points, ...above]);
  }
}
