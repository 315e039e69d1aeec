/** One seed, one world: a manager, its workers, the links between them, and what goes wrong. */
import { modes } from "../../core/allocation/mod.ts";
import { seededRng } from "../../core/env.ts";
import { monitorModes } from "../../core/monitor/mode.ts";
import { protocolsSpoken } from "../../core/protocol/messages.ts";
import type { MonitorProgram } from "../../core/scheduler/foreign_monitor.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import { bytesOf } from "../support/builders.ts";
import { AnalysisWorkload } from "./analysis_workload.ts";
import { drawFaults, type Faults } from "./faults.ts";
import { SimManager } from "./manager.ts";
import { TaskWorkload, workerMemoryMb } from "./task_workload.ts";
import { Timeline } from "./timeline.ts";
import { Wire } from "./wire.ts";
import { type Files, SimWorker } from "./worker.ts";
import type { Workload } from "./workload.ts";

const foreignMonitor: MonitorProgram = {
  source: { kind: "buffer", bytes: bytesOf("wqx"), mode: 0o755 },
  diskMb: 46,
};

/** All workers are of one. */
const factory = "sim";

/** After the last fault everything has to be done within this virtual time. */
const calmMsMax = 4 * 3_600_000;

export interface Outcome {
  readonly seed: number;
  readonly faults: Faults;
  readonly virtualMs: number;
  /** What the manager did, line by line, if that was asked for. */
  readonly log: readonly string[];
}

export interface WorldOptions {
  readonly logs?: boolean;
  /** A scheduler with a fault of its own, to see that it is found. */
  readonly scheduler?: () => Scheduler;
  /** Workers do not look at what they put together from pieces. */
  readonly gullible?: boolean;
}

/** Runs the world of a seed; throws with what did not hold. */
export function runSeed(seed: number, options: WorldOptions = {}): Outcome {
  const world = new World(seed, options);
  return world.run();
}

interface Place {
  readonly name: string;
  /** What the worker keeps from link to link, while it lives. */
  kept: Files;
  worker: SimWorker | null;
  wire: Wire | null;
}

class World {
  readonly #timeline = new Timeline();
  readonly #rng;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #manager: SimManager;
  readonly #places: Place[];
  readonly #log: string[] = [];

  constructor(private readonly seed: number, private readonly options: WorldOptions) {
    this.#rng = seededRng(seed);
    const faults = this.#faults = drawFaults(this.#rng);
    const makeWorkload = this.#rng() < 0.5 ? TaskWorkload : AnalysisWorkload;
    this.#workload = new makeWorkload(this.#timeline, this.#rng, faults);
    const slow: [string, number][] = [["default", 3], ["processing", 2]];
    const stragglerFactors = new Map(this.#rng() < 0.5 ? slow : []);
    const mode = modes[Math.floor(this.#rng() * modes.length)]!;
    const monitor = monitorModes[Math.floor(this.#rng() * monitorModes.length)]!;
    // In mode `fixed` as real managers have it; the others start from nothing.
    const max = mode === "fixed" ? { cores: 1 } : {};
    const allocations = new Map([["default", { mode, chance: this.#rng, max }]]);
    const sized = { stragglerFactors, allocations, monitor, foreignMonitor };
    this.#manager = new SimManager(this.#timeline, {
      scheduler: options.scheduler?.() ?? new Scheduler(sized),
      unreadable: () => this.#faulty() && this.#rng() < faults.inputUnreadable,
      returned: (task, end) => this.#workload.returned(this.#manager, task, end),
      log: options.logs ? (line) => this.#log.push(line) : undefined,
    });
    const count = 1 + Math.floor(this.#rng() * 6);
    this.#places = Array.from({ length: count }, (_, i) => ({
      name: `host${i}`,
      kept: new Map(),
      worker: null,
      wire: null,
    }));
  }

  run(): Outcome {
    for (const place of this.#places) {
      this.#timeline.in(this.#rng() * 2000, () => this.#join(place));
    }
    this.#workload.begin(this.#manager);
    this.#every(this.#faults.cutEveryMs, (place) => place.wire?.cut());
    this.#every(this.#faults.stallEveryMs, (place) => place.wire?.stall(this.#rng() * 20_000));
    this.#every(this.#faults.killEveryMs, (place) => this.#kill(place));
    this.#every(this.#faults.muteEveryMs, (place) => this.#mute(place));
    const count = this.#places.length;
    this.#every(this.#faults.limitEveryMs, () => {
      this.#manager.limitFactory(factory, 1 + Math.floor(this.#rng() * count));
    });
    this.#timeline.in(this.#faults.lastMs, () => this.#manager.limitFactory(factory, count));
    this.#timeline.run(this.#faults.lastMs + calmMsMax, () => this.#workload.done());
    if (!this.#workload.done()) throw new Error("Some tasks never come to an end");
    this.#workload.check(this.#manager);
    const { seed } = this;
    return { seed, faults: this.#faults, virtualMs: this.#timeline.nowMs, log: this.#log };
  }

  #faulty(): boolean {
    return this.#timeline.nowMs < this.#faults.lastMs;
  }

  #every(meanMs: number, strike: (place: Place) => void): void {
    if (meanMs === Infinity) return;
    const next = () => {
      if (!this.#faulty()) return;
      strike(this.#places[Math.floor(this.#rng() * this.#places.length)]!);
      this.#timeline.in(-meanMs * Math.log(1 - this.#rng()), next);
    };
    this.#timeline.in(-meanMs * Math.log(1 - this.#rng()), next);
  }

  #join(place: Place): void {
    const rng = this.#rng;
    const cores = 1 + Math.floor(rng() * 8);
    const worker: SimWorker = new SimWorker(this.#timeline, {
      identity: {
        hostname: place.name,
        os: "Linux",
        arch: "x86_64",
        version: "0.0.0",
        id: `worker-${place.name}`,
        resources: { cores: Math.max(2, cores), memoryMb: workerMemoryMb, diskMb: 5000, gpus: 0 },
        features: [],
        protocol: protocolsSpoken[Math.floor(rng() * protocolsSpoken.length)]!,
        coprocess: null,
        stopsAtMs: null,
        factory,
      },
      slowness: 1 + rng() * (this.#faults.slownessMax - 1),
      execute: (command, sandbox) => this.#workload.execute(command, sandbox),
      foreign: rng() < 0.3,
      monitorFails: () => this.#faulty() && rng() < this.#faults.taskFails,
      storeFails: () => this.#faulty() && rng() < this.#faults.storeFails,
      kept: place.kept,
      keptGarbled: () => this.#faulty() && rng() < this.#faults.keptGarbled,
      gullible: this.options.gullible ?? false,
      // Workers that were told to go, or had nothing to do, are started again by someone.
      gone: () => {
        if (place.worker === worker) this.#timeline.in(1000, () => this.#join(place));
      },
    });
    const { end, plug } = this.#manager.accept(`${place.name}:1`);
    const ends = { manager: end, worker: worker.end };
    const wire = new Wire(this.#timeline, rng, this.#faults, ends);
    place.worker = worker;
    place.wire = wire;
    plug(wire);
    worker.start(wire);
  }

  /** SIGKILL: the system closes the link, and someone starts another worker later. */
  #kill(place: Place): void {
    if (place.worker === null) return;
    place.worker.die();
    place.wire!.cut();
    this.#replace(place);
  }

  /** The power goes: nobody closes anything. */
  #mute(place: Place): void {
    if (place.worker === null) return;
    place.worker.die();
    place.wire!.deafen("manager", "worker");
    this.#replace(place);
  }

  #replace(place: Place): void {
    place.worker = null;
    place.kept = new Map();
    this.#timeline.in(1000 + this.#rng() * 30_000, () => {
      if (place.worker === null) this.#join(place);
    });
  }
}
