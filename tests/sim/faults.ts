/** What a seed makes of the world: even how likely each fault is. Many do not occur at all. */
import { crc32 } from "node:zlib";
import { type Rng, seededRng } from "../../core/env.ts";

/** Chance in streams of their own names, so that a new fault does not change what others do. */
export class Chances {
  readonly #streams = new Map<string, Rng>();

  constructor(private readonly seed: number) {}

  of(name: string): Rng {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = seededRng(crc32(name, this.seed >>> 0));
      this.#streams.set(name, stream);
    }
    return stream;
  }
}

/** As `--fsync` of the manager has it. */
export const fsyncModes = ["never", "interval", "always"] as const;
export type FsyncMode = typeof fsyncModes[number];

export interface Faults {
  /** Faults happen until then; afterwards everything has to come to an end. */
  readonly lastMs: number;

  // Mean times between faults, over all workers; Infinity: never.
  readonly cutEveryMs: number;
  readonly killEveryMs: number;
  /** The power of a worker goes: it is not there any more, and nobody is told. */
  readonly muteEveryMs: number;
  readonly stallEveryMs: number;
  /** A router forgets a link: both ends live on, and nothing arrives at either. */
  readonly halfOpenEveryMs: number;
  /** SIGSTOP, and SIGCONT up to `freezeMsMax` later. */
  readonly freezeEveryMs: number;
  readonly freezeMsMax: number;
  /** A second worker that calls itself by the same name and id. */
  readonly twinEveryMs: number;
  /** The calendar of a worker is set to another time; clocks that measure go on. */
  readonly calendarEveryMs: number;
  /** Between changes of how many workers their factory wants. */
  readonly limitEveryMs: number;

  // Of the manager.
  readonly managerDiesEveryMs: number;
  /** Of these deaths: the power goes, and takes what was not on disk. */
  readonly powerCut: number;
  readonly managerFreezeEveryMs: number;
  readonly fullDiskEveryMs: number;
  readonly fullDiskMsMax: number;
  /** Longest time of one write, or of bringing a file to disk. */
  readonly diskMsMax: number;
  readonly fsync: FsyncMode;

  // Of batch system and catalog, where workers are jobs of a factory.
  readonly jobRefused: number;
  readonly jobVanishesEveryMs: number;
  /** The batch system does not say how its jobs are. */
  readonly queueSilent: number;
  readonly catalogLossEveryMs: number;

  // Probabilities.
  readonly taskFails: number;
  /** A signal, with half of an output written. */
  readonly taskCrashes: number;
  readonly taskHangs: number;
  /** Of tasks, not of attempts, also when no other fault happens any more: it kills its worker. */
  readonly taskPoisons: number;
  /** It says that all is well, and an output is missing. */
  readonly outputMissing: number;
  /** Of tasks, not of attempts: the output is something else, each time. */
  readonly outputWrong: number;
  readonly outputHuge: number;
  /** An outcome that nobody can read, which ends an analysis. */
  readonly outputGarbled: number;
  /** A worker cannot keep what it receives: its disk is full. */
  readonly storeFails: number;
  /** The manager cannot keep an output. */
  readonly outputUnstored: number;
  readonly inputUnreadable: number;
  /** Of each file that a worker was told to take from what it kept. */
  readonly keptGarbled: number;

  /** Largest piece in which bytes arrive. */
  readonly pieceBytesMax: number;
  /** Of messages, those that arrive in such pieces. */
  readonly inPieces: number;
  /** Largest factor by which a worker is slower than others. */
  readonly slownessMax: number;
  readonly latencyMsMax: number;
  /** Largest need of a plain task. */
  readonly memoryMbMax: number;
}

/** Whether workers, or links to them, are lost by anything but tasks. */
export function losesWorkers(faults: Faults): boolean {
  const { cutEveryMs, killEveryMs, muteEveryMs, stallEveryMs, halfOpenEveryMs } = faults;
  const { freezeEveryMs, managerFreezeEveryMs, jobVanishesEveryMs } = faults;
  const breaks = [cutEveryMs, killEveryMs, muteEveryMs, stallEveryMs, halfOpenEveryMs];
  const others = [freezeEveryMs, managerFreezeEveryMs, jobVanishesEveryMs];
  return [...breaks, ...others].some((everyMs) => everyMs < Infinity);
}

/** Faults that are there or not, each time that they might be. */
export type Probable =
  | "jobRefused"
  | "queueSilent"
  | "taskFails"
  | "taskCrashes"
  | "taskHangs"
  | "outputMissing"
  | "outputGarbled"
  | "storeFails"
  | "outputUnstored"
  | "inputUnreadable"
  | "keptGarbled";

export function drawFaults(chances: Chances): Faults {
  const draw = (name: keyof Faults, probability: number, value: (rng: Rng) => number, no = 0) => {
    const rng = chances.of(`fault ${name}`);
    return rng() < probability ? value(rng) : no;
  };
  const between = (low: number, high: number) => (rng: Rng) => low * (high / low) ** rng();
  const every = (name: keyof Faults, probability: number, low: number, high: number) =>
    draw(name, probability, between(low, high), Infinity);
  const share = (name: keyof Faults, probability: number, most: number) =>
    draw(name, probability, (rng) => rng() * most);
  const modes = chances.of("fault fsync");
  return {
    lastMs: draw("lastMs", 1, between(5_000, 300_000)),
    cutEveryMs: every("cutEveryMs", 0.5, 500, 60_000),
    killEveryMs: every("killEveryMs", 0.4, 2_000, 60_000),
    muteEveryMs: every("muteEveryMs", 0.3, 5_000, 100_000),
    stallEveryMs: every("stallEveryMs", 0.4, 1_000, 60_000),
    halfOpenEveryMs: every("halfOpenEveryMs", 0.3, 5_000, 100_000),
    freezeEveryMs: every("freezeEveryMs", 0.3, 3_000, 60_000),
    freezeMsMax: draw("freezeMsMax", 1, between(1_000, 400_000)),
    twinEveryMs: every("twinEveryMs", 0.2, 10_000, 100_000),
    calendarEveryMs: every("calendarEveryMs", 0.2, 5_000, 60_000),
    limitEveryMs: every("limitEveryMs", 0.3, 2_000, 60_000),
    managerDiesEveryMs: every("managerDiesEveryMs", 0.5, 2_000, 100_000),
    powerCut: share("powerCut", 0.6, 1),
    managerFreezeEveryMs: every("managerFreezeEveryMs", 0.2, 5_000, 100_000),
    fullDiskEveryMs: every("fullDiskEveryMs", 0.3, 5_000, 100_000),
    fullDiskMsMax: draw("fullDiskMsMax", 1, between(500, 60_000)),
    diskMsMax: draw("diskMsMax", 0.5, between(0.1, 2_000)),
    fsync: fsyncModes[Math.floor(modes() * fsyncModes.length)]!,
    jobRefused: share("jobRefused", 0.4, 0.5),
    jobVanishesEveryMs: every("jobVanishesEveryMs", 0.4, 5_000, 100_000),
    queueSilent: share("queueSilent", 0.3, 0.5),
    catalogLossEveryMs: every("catalogLossEveryMs", 0.4, 10_000, 200_000),
    taskFails: share("taskFails", 0.4, 0.4),
    taskCrashes: share("taskCrashes", 0.3, 0.2),
    taskHangs: share("taskHangs", 0.2, 0.1),
    taskPoisons: share("taskPoisons", 0.2, 0.03),
    outputMissing: share("outputMissing", 0.3, 0.2),
    outputWrong: share("outputWrong", 0.2, 0.2),
    outputHuge: share("outputHuge", 0.2, 0.1),
    outputGarbled: share("outputGarbled", 0.1, 0.02),
    storeFails: share("storeFails", 0.3, 0.1),
    outputUnstored: share("outputUnstored", 0.2, 0.1),
    inputUnreadable: share("inputUnreadable", 0.3, 0.1),
    keptGarbled: share("keptGarbled", 0.3, 0.5),
    pieceBytesMax: Math.round(draw("pieceBytesMax", 0.5, between(1, 100), 65_536)),
    inPieces: draw("inPieces", 1, between(0.02, 1)),
    slownessMax: draw("slownessMax", 0.5, between(1, 20), 1),
    latencyMsMax: draw("latencyMsMax", 1, between(0.1, 200)),
    memoryMbMax: draw("memoryMbMax", 0.5, between(100, 2000)),
  };
}
