/** One seed, one world: a manager, its workers, the links between them, and what goes wrong. */
import { modes } from "../../core/allocation/mod.ts";
import type { Rng } from "../../core/env.ts";
import { monitorModes } from "../../core/monitor/mode.ts";
import { protocolsSpoken } from "../../core/protocol/messages.ts";
import type { MonitorProgram } from "../../core/scheduler/foreign_monitor.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import type { SchedulerOptions } from "../../core/scheduler/state.ts";
import { bytesOf } from "../support/builders.ts";
import { AnalysisWorkload } from "./analysis_workload.ts";
import { checkQuiet } from "./checks.ts";
import { SimDisk } from "./disk.ts";
import { Chances, drawFaults, type Faults, type Probable } from "./faults.ts";
import { SimGrid } from "./grid.ts";
import { readSimJournal, SimJournal } from "./journal.ts";
import { SimManager } from "./manager.ts";
import { TaskWorkload, workerMemoryMb } from "./task_workload.ts";
import { Timeline } from "./timeline.ts";
import { Wire } from "./wire.ts";
import { type Files, type LostKept, SimWorker, type SimWorkerOptions } from "./worker.ts";
import type { Workload } from "./workload.ts";

const foreignMonitor: MonitorProgram = {
  source: { kind: "buffer", bytes: bytesOf("wqx"), mode: 0o755 },
  diskMb: 46,
};

/** All workers are of one. */
const factory = "sim";
const journalPath = "/journal";

/** After the last fault everything has to be done within this virtual time. */
const calmMsMax = 4 * 3_600_000;
/** Where tasks go on to kill young workers, for which factories pause for up to ten minutes. */
const poisonedCalmMsMax = 12 * 3_600_000;
/** Then workers forget what they have; those that are stopped, or behind a dead router, later. */
const quietMs = 8_000_000;

export interface Outcome {
  readonly seed: number;
  readonly faults: Faults;
  readonly virtualMs: number;
  /** How many times things went wrong, by name. */
  readonly happened: ReadonlyMap<string, number>;
  /** What managers did, line by line, if that was asked for. */
  readonly log: readonly string[];
}

/** Faults of wqx itself, to see that they are found. */
export interface WorldOptions {
  readonly logs?: boolean;
  /** What goes wrong, in place of what the seed says. */
  readonly faults?: (drawn: Faults) => Faults;
  readonly scheduler?: (options: Partial<SchedulerOptions>) => Scheduler;
  /** Workers do not look at what they put together from pieces. */
  readonly gullible?: boolean;
  /** Workers that do not hear every `kill`. */
  readonly deafToKill?: boolean;
  /** Workers that lose some of what they kept. */
  readonly losesKept?: LostKept;
  /** The journal says that things are on disk that are not. */
  readonly skipsFsync?: boolean;
  /** What a manager takes of the journal of another one. */
  readonly replay?: (records: readonly unknown[]) => readonly unknown[];
}

/** Runs the world of a seed; throws with what did not hold. */
export function runSeed(seed: number, options: WorldOptions = {}): Outcome {
  return new World(seed, options).run();
}

interface Place {
  readonly name: string;
  /** What the worker keeps from link to link, while it lives. */
  kept: Files;
  worker: SimWorker | null;
  wire: Wire | null;
  /** So far its calendar is ahead. */
  calendarMs: number;
}

class World {
  readonly #timeline = new Timeline();
  readonly #chances: Chances;
  readonly #rng: Rng;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #disk = new SimDisk();
  readonly #unread = new Set<string>();
  readonly #places: Place[] = [];
  readonly #grid: SimGrid | null;
  readonly #log: string[] = [];
  readonly #happened = new Map<string, number>();
  readonly #sized: Partial<SchedulerOptions>;
  #manager: SimManager | null = null;
  #journal: SimJournal | null = null;
  /** Records in the journal that no power cut may take any more, and no death of the manager. */
  #records = { before: 0, safe: 0 };
  #over = false;
  #managers = 0;
  readonly #keepTasksMs: number;

  constructor(private readonly seed: number, private readonly options: WorldOptions) {
    const chances = this.#chances = new Chances(seed);
    const rng = this.#rng = chances.of("world");
    const drawn = drawFaults(chances);
    const faults = this.#faults = options.faults?.(drawn) ?? drawn;
    const keeps = chances.of("keeps");
    this.#keepTasksMs = keeps() < 0.3 ? 0 : keeps() < 0.3 ? 20_000 : 900_000;
    const makeWorkload = rng() < 0.5 ? TaskWorkload : AnalysisWorkload;
    const happens = (name: Probable) => this.#happens(name);
    this.#workload = new makeWorkload(this.#timeline, {
      faults,
      chances,
      happens,
      note: (what) => this.#note(what),
    });
    const slow: [string, number][] = [["default", 3], ["processing", 2]];
    const stragglerFactors = new Map(rng() < 0.5 ? slow : []);
    const mode = modes[Math.floor(rng() * modes.length)]!;
    const monitor = monitorModes[Math.floor(rng() * monitorModes.length)]!;
    // In mode `fixed` as real managers have it; the others start from nothing.
    const max = mode === "fixed" ? { cores: 1 } : {};
    const allocations = new Map([["default", { mode, chance: chances.of("sizes"), max }]]);
    this.#sized = { stragglerFactors, allocations, monitor, foreignMonitor };
    const count = 1 + Math.floor(rng() * 6);
    this.#grid = rng() < 0.3 ? this.#makeGrid(count) : null;
    if (this.#grid !== null) return;
    for (let i = 0; i < count; i++) {
      const place = this.#addPlace(`host${i}`);
      this.#timeline.in(rng() * 2000, () => this.#join(place));
    }
  }

  run(): Outcome {
    this.#workload.prepare(this.#disk);
    this.#startManager();
    this.#planFaults();
    const { lastMs, taskPoisons } = this.#faults;
    const calmMs = taskPoisons > 0 ? poisonedCalmMsMax : calmMsMax;
    this.#timeline.run(lastMs + calmMs, () => this.#workload.done());
    if (!this.#workload.done()) throw new Error(`Some tasks never come to an end: ${this.#state}`);
    this.#workload.check(this.#manager!);
    this.#quiet();
    return {
      seed: this.seed,
      faults: this.#faults,
      virtualMs: this.#timeline.nowMs,
      happened: this.#happened,
      log: this.#log,
    };
  }

  /** Nothing is held any more, here or there. */
  #quiet(): void {
    this.#over = true;
    const { workers } = this.#manager!.scheduler;
    const isQuiet = () =>
      this.#heldOn === null && ![...workers.values()].some(({ offered }) => offered.size > 0);
    this.#timeline.run(this.#timeline.nowMs + quietMs, isQuiet);
    checkQuiet(this.#manager!.scheduler);
    if (this.#heldOn !== null) throw new Error(`${this.#heldOn} still has a sandbox`);
  }

  /** A worker that the manager knows and that has tasks, or offers some of another manager. */
  get #heldOn(): string | null {
    const workers = [...this.#manager!.scheduler.workers.values()];
    const offering = workers.find(({ offered }) => offered.size > 0);
    if (offering !== undefined) return offering.address;
    const known = workers.map(({ address }) => address);
    const busy = this.#places.find(({ name, worker }) =>
      (worker?.taskCount ?? 0) > 0 && known.includes(`${name}:1`)
    );
    return busy?.name ?? null;
  }

  /** For people who have to find out why. */
  get #state(): string {
    const manager = this.#manager;
    if (manager === null || manager.isDead) return "there is no manager";
    const { counts, tasks } = manager.scheduler;
    const phases = [...tasks.values()].slice(0, 5).map(({ id, phase }) => `${id} ${phase.name}`);
    const paused = manager.paused ? ", and nothing is to be started" : "";
    return `${JSON.stringify(counts)}, tasks ${phases.join(", ")}${paused}`;
  }

  get #isFaulty(): boolean {
    return !this.#over && this.#timeline.nowMs < this.#faults.lastMs;
  }

  #planFaults(): void {
    const { faults } = { faults: this.#faults };
    const { freezeMsMax, fullDiskMsMax, lastMs } = faults;
    this.#everyPlace("cutEveryMs", (place) => place.wire?.cut());
    this.#everyPlace("stallEveryMs", (place, rng) => place.wire?.stall(rng() * 20_000));
    this.#everyPlace("killEveryMs", (place) => this.#kill(place));
    this.#everyPlace("muteEveryMs", (place) => this.#mute(place));
    this.#everyPlace("halfOpenEveryMs", (place) => place.wire?.forget());
    this.#everyPlace("freezeEveryMs", (place, rng) => place.worker?.freeze(rng() * freezeMsMax));
    this.#everyPlace("calendarEveryMs", (place, rng) => {
      place.calendarMs = (rng() - 0.5) * 7_200_000;
    });
    this.#everyPlace("twinEveryMs", ({ name }) => {
      if (this.#grid === null && this.#places.length < 12) this.#join(this.#addPlace(name));
    });
    this.#every("limitEveryMs", (rng) => {
      this.#manager?.limitFactory(factory, 1 + Math.floor(rng() * this.#places.length));
    });
    this.#every("managerDiesEveryMs", (rng) => this.#killManager(rng));
    this.#every("managerFreezeEveryMs", (rng) => this.#manager?.freeze(rng() * freezeMsMax));
    this.#every("fullDiskEveryMs", (rng) => {
      this.#disk.isFull = true;
      this.#timeline.in(rng() * fullDiskMsMax, () => this.#disk.isFull = false);
    });
    this.#timeline.in(lastMs, () => {
      for (const place of this.#places) place.calendarMs = 0;
      this.#manager?.limitFactory(factory, 100);
    });
  }

  #startManager(): void {
    const { faults, disk } = { faults: this.#faults, disk: this.#disk };
    const chance = (name: string) => this.#chances.of(name);
    const diskMs = () => this.#isFaulty ? chance("disk")() * faults.diskMsMax : 0;
    const run = { id: "sim", manager: `m${++this.#managers}` };
    const sized = { ...this.#sized, run };
    const scheduler = this.options.scheduler?.(sized) ?? new Scheduler(sized);
    const manager: SimManager = new SimManager(this.#timeline, {
      scheduler,
      disk,
      firstTask: this.#manager?.nextTask ?? 1,
      diskMs,
      unstored: () => this.#happens("outputUnstored"),
      unread: this.#unread,
      unreadable: () => this.#happens("inputUnreadable"),
      returned: (task, end) => this.#workload.returned(manager, task, end),
      log: this.options.logs ? (line) => this.#log.push(line) : undefined,
    });
    const { records, end } = readSimJournal(disk, journalPath);
    const usable = this.options.replay?.(records) ?? records;
    if (records.length > 0) this.#note("resumed");
    if (end.kind === "torn" || end.kind === "damaged") this.#note(end.kind);
    this.#manager = manager;
    this.#records.before = records.length;
    this.#workload.begin({
      manager,
      records: usable,
      offset: end.offset,
      openJournal: (offset) => {
        if (offset === 0) this.#records = { before: 0, safe: 0 };
        return this.#journal = new SimJournal({
          timeline: this.#timeline,
          disk,
          path: journalPath,
          fsync: faults.fsync,
          rng: chance("journal"),
          diskMs,
          paused: (paused) => manager.paused = paused,
          skipsFsync: this.options.skipsFsync ?? false,
        }, offset);
      },
    });
  }

  /** SIGKILL, or the power goes; another one takes the run up later. */
  #killManager(rng: Rng): void {
    const manager = this.#manager;
    const journal = this.#journal!;
    if (manager === null || manager.isDead || this.#workload.done()) return;
    const powerCut = rng() < this.#faults.powerCut;
    const { said, isWritten } = journal;
    journal.die();
    manager.die();
    const { before } = this.#records;
    if (said.safe > 0) this.#records.safe = before + said.safe;
    if (powerCut) this.#disk.cutPower(rng);
    this.#note(powerCut ? "powerCut" : "managerKilled");
    const { records } = readSimJournal(this.#disk, journalPath);
    const promised = powerCut ? this.#records.safe : before + said.written;
    if (records.length < promised) {
      throw new Error(`The journal has ${records.length} records, and promised ${promised}`);
    }
    const usable = this.options.replay?.(records) ?? records;
    this.#workload.died(isWritten && !powerCut ? usable : null);
    this.#timeline.in(500 + rng() * 20_000, () => this.#startManager());
  }

  #every(name: keyof Faults & `${string}EveryMs`, strike: (rng: Rng) => void): void {
    const meanMs = this.#faults[name];
    if (meanMs === Infinity) return;
    const rng = this.#chances.of(name);
    const next = () => {
      if (!this.#isFaulty) return;
      strike(rng);
      this.#note(name.replace("EveryMs", ""));
      this.#timeline.in(-meanMs * Math.log(1 - rng()), next);
    };
    this.#timeline.in(-meanMs * Math.log(1 - rng()), next);
  }

  /** Whether it goes wrong this time; `stream`: of chance. */
  #happens(name: Probable, stream: string = name): boolean {
    if (!this.#isFaulty || this.#chances.of(stream)() >= this.#faults[name]) return false;
    this.#note(name);
    return true;
  }

  #note(what: string): void {
    this.#happened.set(what, (this.#happened.get(what) ?? 0) + 1);
  }

  #everyPlace(
    name: keyof Faults & `${string}EveryMs`,
    strike: (place: Place, rng: Rng) => void,
  ): void {
    this.#every(name, (rng) => {
      const place = this.#places[Math.floor(rng() * this.#places.length)];
      if (place !== undefined) strike(place, rng);
    });
  }

  #makeGrid(maxWorkers: number): SimGrid {
    const placeOf = (host: string) => this.#places.find(({ name }) => name === host)!;
    return new SimGrid({
      timeline: this.#timeline,
      chances: this.#chances,
      faults: this.#faults,
      isFaulty: () => this.#isFaulty,
      happens: (name) => this.#happens(name),
      maxWorkers,
      start: (host) => this.#join(this.#addPlace(host)),
      kill: (host) => {
        const place = placeOf(host);
        place.worker?.die();
        place.wire?.cut();
        this.#leave(place);
      },
      scheduler: () => this.#manager?.isDead === false ? this.#manager.scheduler : null,
    });
  }

  #addPlace(name: string): Place {
    const place = { name, kept: new Map(), worker: null, wire: null, calendarMs: 0 };
    this.#places.push(place);
    return place;
  }

  #leave(place: Place): void {
    const at = this.#places.indexOf(place);
    if (at >= 0) this.#places.splice(at, 1);
  }

  #join(place: Place): void {
    if (!this.#places.includes(place)) return;
    const manager = this.#manager;
    if (manager === null || manager.isDead || this.#grid?.findsManager === false) {
      this.#timeline.in(5000, () => this.#join(place));
      return;
    }
    const before = place.worker;
    if (before?.isKeeping) return this.#connect(place, before, manager);
    const worker: SimWorker = new SimWorker(this.#timeline, {
      ...this.#workerOptions(place),
      poisoned: () => {
        this.#note("poisoned");
        if (place.worker === worker) this.#kill(place);
        else worker.die();
      },
      // Workers that were told to go, or had nothing to do, are started again by someone.
      gone: (terminate) => {
        if (place.worker !== worker) return;
        if (terminate && this.#grid !== null) {
          this.#leave(place);
          this.#grid.over(place.name, 0);
        } else this.#timeline.in(1000, () => this.#join(place));
      },
    });
    this.#connect(place, worker, manager);
  }

  #connect(place: Place, worker: SimWorker, manager: SimManager): void {
    const { end, plug } = manager.accept(`${place.name}:1`);
    const ends = { manager: end, worker: worker.newEnd() };
    const wire = new Wire(this.#timeline, this.#rng, this.#faults, ends);
    place.worker = worker;
    place.wire = wire;
    plug(wire);
    worker.start(wire);
  }

  #workerOptions(place: Place): Omit<SimWorkerOptions, "gone" | "poisoned"> {
    const { rng, faults } = { rng: this.#rng, faults: this.#faults };
    const cores = Math.max(2, 1 + Math.floor(rng() * 8));
    const happens = (name: "taskFails" | "storeFails" | "keptGarbled") => () =>
      this.#happens(name, `worker ${name}`);
    return {
      identity: {
        hostname: place.name,
        os: "Linux",
        arch: "x86_64",
        version: "0.0.0",
        id: `worker-${place.name}`,
        resources: { cores, memoryMb: workerMemoryMb, diskMb: 5000, gpus: 0 },
        features: [],
        protocol: protocolsSpoken[Math.floor(rng() * protocolsSpoken.length)]!,
        coprocess: null,
        stopsAtMs: null,
        factory,
      },
      calendarAheadMs: () => place.calendarMs,
      slowness: 1 + rng() * (faults.slownessMax - 1),
      execute: (command, sandbox) => this.#workload.execute(command, sandbox),
      foreign: rng() < 0.3,
      monitorFails: happens("taskFails"),
      storeFails: happens("storeFails"),
      kept: place.kept,
      keptGarbled: happens("keptGarbled"),
      gullible: this.options.gullible ?? false,
      keepTasksMs: this.#keepTasksMs,
      unread: this.#unread,
      deafToKill: this.options.deafToKill ?? false,
      losesKept: this.options.losesKept ?? null,
    };
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
    if (this.#grid !== null) {
      this.#leave(place);
      this.#grid.over(place.name, 137);
      return;
    }
    this.#timeline.in(1000 + this.#rng() * 30_000, () => {
      if (place.worker === null) this.#join(place);
    });
  }
}
