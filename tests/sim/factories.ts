/** Factories in the simulator: real machines on queues of their own, one manager, one catalog. */
import type { Rng } from "../../core/env.ts";
import {
  type FactoryAction,
  type FactoryEvent,
  FactoryMachine,
} from "../../core/factory/machine.ts";
import type { JobId, JobStatus } from "../../core/factory/job.ts";
import type { FactorySettings } from "../../core/factory/settings.ts";
import type { JxObject } from "../../core/jx/value.ts";
import { jobId, jxRecord, managerRecord, settings } from "../support/factory.ts";

export interface QueueOptions {
  /** Jobs that can run at once. */
  readonly slots: number;
  /** Time in the queue, at most; ms. */
  readonly waitMsMax: number;
  /** Jobs that start are over at once, with a failure. */
  readonly broken?: boolean;
  /** Jobs are killed so long after their start, drawn between the two; ms. */
  readonly killed?: { readonly minMs: number; readonly maxMs: number };
}

export interface SimFactoryOptions extends QueueOptions {
  readonly id: string;
  readonly intervalMs: number;
  readonly settings?: Partial<FactorySettings>;
}

interface Job {
  readonly startsAtMs: number;
  running: boolean;
  /** It is counted by the manager from then on. */
  connectsAtMs: number;
  killedAtMs: number;
  /** The manager has counted it. */
  joined: boolean;
}

const startMs = 1_000_000_000;
/** Updates of managers are this far apart, as by cctools'. */
const managerEveryMs = 60_000;
/** A record is seen by others after so long, at most. */
const catalogDelayMsMax = 5_000;
const connectMs = 3_000;

/** One queue, and the machine that hands jobs in. */
class SimFactory {
  readonly jobs = new Map<JobId, Job>();
  submitted = 0;
  removed = 0;
  /** Workers that have ever connected. */
  joined = 0;
  /** The longest time without a job handed in, between the first and the last. */
  gapMsMax = 0;
  nextMs: number;
  readonly #machine: FactoryMachine;
  #count = 0;
  #submittedMs: number | null = null;

  constructor(readonly options: SimFactoryOptions, private readonly world: FactoryWorld) {
    this.nextMs = startMs + world.rng() * options.intervalMs;
    this.#machine = new FactoryMachine({
      facts: { id: options.id, port: -1, owner: "o", version: "v", batchType: "sim" },
      settings: settings({ minWorkers: 0, maxWorkers: 1000, ...options.settings }),
      protocols: null,
      removeAfterMs: 120_000,
      connectMsMax: 300_000,
    });
  }

  cycle(nowMs: number): void {
    this.nextMs = nowMs + this.options.intervalMs;
    this.#run(nowMs);
    const answer = { records: this.world.catalog(nowMs), direct: null };
    this.#happens({ type: "answer", answer }, nowMs);
    this.#happens({ type: "jobs", statuses: this.#statuses() }, nowMs);
    for (const action of this.#happens({ type: "tick" }, nowMs)) this.#perform(action, nowMs);
  }

  connected(nowMs: number): number {
    this.#run(nowMs);
    return [...this.jobs.values()].filter((job) => job.running && job.connectsAtMs <= nowMs).length;
  }

  #happens(event: FactoryEvent, nowMs: number): FactoryAction[] {
    return this.#machine.handle(event, nowMs);
  }

  #perform(action: FactoryAction, nowMs: number): void {
    if (action.type === "advertise") {
      this.world.tell(this.options.id, action.record, nowMs);
    } else if (action.type === "submit") {
      this.gapMsMax = Math.max(this.gapMsMax, nowMs - (this.#submittedMs ?? nowMs));
      this.#submittedMs = nowMs;
      for (let i = 0; i < action.count; i++) {
        const id = jobId(`${this.options.id}${++this.#count}`);
        const startsAtMs = nowMs + this.world.rng() * this.options.waitMsMax;
        const never = { connectsAtMs: Infinity, killedAtMs: Infinity };
        this.jobs.set(id, { startsAtMs, running: false, joined: false, ...never });
        this.#happens({ type: "submitted", id }, nowMs);
        this.submitted++;
      }
    } else if (action.type === "remove") {
      for (const id of action.ids) this.jobs.delete(id);
      this.removed += action.ids.length;
      this.#happens({ type: "removed", ids: action.ids }, nowMs);
    }
  }

  /** Ends those that are killed, and starts those whose time has come, as far as there are slots. */
  #run(nowMs: number): void {
    for (const [id, job] of this.jobs) {
      const { joined, connectsAtMs, killedAtMs } = job;
      if (!joined && connectsAtMs <= Math.min(nowMs, killedAtMs)) {
        job.joined = true;
        this.joined++;
      }
      if (killedAtMs <= nowMs) this.jobs.delete(id);
    }
    let free = this.options.slots - [...this.jobs.values()].filter(({ running }) => running).length;
    for (const [id, job] of this.jobs) {
      if (job.running || job.startsAtMs > nowMs || free <= 0) continue;
      if (this.options.broken) {
        this.jobs.delete(id);
        continue;
      }
      job.running = true;
      job.connectsAtMs = nowMs + connectMs;
      const { killed } = this.options;
      if (killed !== undefined) {
        job.killedAtMs = nowMs + killed.minMs + this.world.rng() * (killed.maxMs - killed.minMs);
      }
      free--;
    }
  }

  #statuses(): Map<JobId, JobStatus> {
    const gone: JobStatus = { phase: "ended", exitCode: 1, why: "broken" };
    return new Map(
      this.#machine.jobIds().map((id): [JobId, JobStatus] => {
        const job = this.jobs.get(id);
        if (job === undefined) return [id, gone];
        return [
          id,
          job.running
            ? { phase: "running", host: null, sinceEpochS: null }
            : { phase: "pending", why: null },
        ];
      }),
    );
  }
}

/** A manager with so many tasks, each of which keeps one worker busy, and its factories. */
export class FactoryWorld {
  readonly factories: readonly SimFactory[];
  tasks: number;
  nowMs = startMs;
  /** The most jobs that there were at once. */
  peak = 0;
  readonly #told: { id: string; record: JxObject; seenAtMs: number }[] = [];
  #manager: JxObject;
  #managerMs = startMs;

  constructor(tasks: number, readonly rng: Rng, factories: readonly SimFactoryOptions[]) {
    this.tasks = tasks;
    this.#manager = this.#managerNow();
    this.factories = factories.map((options) => new SimFactory(options, this));
  }

  /** Jobs of all factories, in the queues and running. */
  get jobs(): number {
    return this.factories.reduce((sum, { jobs }) => sum + jobs.size, 0);
  }

  run(minutes: number): void {
    const endMs = this.nowMs + minutes * 60_000;
    for (; this.nowMs < endMs; this.nowMs += 500) {
      if (this.nowMs - this.#managerMs >= managerEveryMs) {
        this.#manager = this.#managerNow();
        this.#managerMs = this.nowMs;
      }
      for (const factory of this.factories) {
        if (this.nowMs >= factory.nextMs) factory.cycle(this.nowMs);
      }
      this.peak = Math.max(this.peak, this.jobs);
    }
  }

  tell(id: string, record: JxObject, nowMs: number): void {
    const seenAtMs = nowMs + this.rng() * catalogDelayMsMax;
    const heard = new Map(record).set("lastheardfrom", BigInt(Math.floor(nowMs / 1000)));
    this.#told.push({ id, record: heard, seenAtMs });
  }

  catalog(nowMs: number): JxObject[] {
    const latest = new Map<string, JxObject>();
    for (const { id, record, seenAtMs } of this.#told) {
      if (seenAtMs <= nowMs) latest.set(id, record);
    }
    return [this.#manager, ...latest.values()];
  }

  #managerNow(): JxObject {
    const connected = this.factories?.reduce((sum, one) => sum + one.connected(this.nowMs), 0) ?? 0;
    const busy = Math.min(connected, this.tasks);
    return new Map([
      ...managerRecord(),
      ...jxRecord({
        tasks_waiting: this.tasks - busy,
        tasks_on_workers: busy,
        workers: connected,
        workers_joined: this.factories?.reduce((sum, { joined }) => sum + joined, 0) ?? 0,
      }),
    ]);
  }
}
