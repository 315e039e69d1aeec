/** A batch system whose jobs are workers, the real factory that hands them in, and the real catalog. */
import { keyOf } from "../../core/catalog/record.ts";
import { CatalogTable } from "../../core/catalog/table.ts";
import type { JobId, JobStatus } from "../../core/factory/job.ts";
import { type FactoryAction, FactoryMachine } from "../../core/factory/machine.ts";
import type { JxObject } from "../../core/jx/value.ts";
import type { Scheduler } from "../../core/scheduler/machine.ts";
import {
  ended,
  jobId,
  jxRecord,
  managerRecord,
  pending,
  running,
  settings,
} from "../support/factory.ts";
import type { Chances, Faults, Probable } from "./faults.ts";
import type { Timeline } from "./timeline.ts";

const cycleMs = 10_000;
const managerTellsMs = 15_000;
const waitMsMax = 20_000;

export interface GridOptions {
  readonly timeline: Timeline;
  readonly chances: Chances;
  readonly faults: Faults;
  readonly isFaulty: () => boolean;
  readonly happens: (what: Probable) => boolean;
  readonly maxWorkers: number;
  /** A job begins to run on a host of this name. */
  readonly start: (host: string) => void;
  /** It was removed while it ran. */
  readonly kill: (host: string) => void;
  /** Of the manager that is there; `null`: there is none. */
  readonly scheduler: () => Scheduler | null;
}

interface Job {
  running: boolean;
  sinceMs: number;
}

export class SimGrid {
  readonly #jobs = new Map<JobId, Job>();
  readonly #catalog = new CatalogTable();
  readonly #factory: FactoryMachine;
  readonly #ended = new Map<JobId, JobStatus>();
  #catalogBackMs = 0;
  #count = 0;

  constructor(private readonly options: GridOptions) {
    const { maxWorkers, timeline, faults } = options;
    this.#factory = new FactoryMachine({
      facts: { id: "grid", port: -1, owner: "o", version: "v", batchType: "sim" },
      settings: settings({ minWorkers: 0, maxWorkers, managerName: "ana1" }),
      protocols: null,
      removeAfterMs: 60_000,
      connectMsMax: 120_000,
    });
    this.#again(cycleMs, () => this.#cycle());
    this.#again(managerTellsMs, () => this.#advertise());
    const { catalogLossEveryMs, jobVanishesEveryMs } = faults;
    this.#sometimes(catalogLossEveryMs, () => {
      const forMs = options.chances.of("catalog loss")() * 60_000;
      this.#catalogBackMs = timeline.nowMs + forMs;
      this.#catalog.expire(Infinity);
    });
    this.#sometimes(jobVanishesEveryMs, (rng) => {
      const ids = [...this.#jobs.keys()];
      const id = ids[Math.floor(rng() * ids.length)];
      if (id !== undefined) this.#remove(id, ended(null, "it is not in the queue any more"));
    });
  }

  /** Whether a worker that looks for the manager by its name finds it now. */
  get findsManager(): boolean {
    if (this.#isLost || this.options.scheduler() === null) return false;
    return this.#catalog.entries().some(({ record }) => record.get("project") === "ana1");
  }

  /** The worker of a job is over. */
  over(host: string, exitCode: number): void {
    const id = jobId(host);
    if (this.#jobs.delete(id)) this.#ended.set(id, ended(exitCode));
  }

  get #isLost(): boolean {
    return this.options.timeline.nowMs < this.#catalogBackMs;
  }

  #advertise(): void {
    const scheduler = this.options.scheduler();
    if (scheduler === null) return;
    const { waiting, running, workers } = scheduler.counts;
    const counts = { tasks_waiting: waiting, tasks_on_workers: running, workers };
    this.#tell(managerRecord({ ...counts, address: "10.0.0.1", lifetime: 60 }));
  }

  #tell(record: JxObject): void {
    if (this.#isLost) return;
    const { nowMs } = this.options.timeline;
    const heard = new Map(record).set("lastheardfrom", BigInt(Math.floor(nowMs / 1000)));
    this.#catalog.put({ key: keyOf(heard), record: heard }, nowMs);
  }

  #cycle(): void {
    const { timeline: { nowMs }, happens } = this.options;
    this.#catalog.expire(nowMs);
    this.#startJobs();
    const records = this.#catalog.entries().map(({ record }) => record);
    const handle = (event: Parameters<FactoryMachine["handle"]>[0]) =>
      this.#factory.handle(event, nowMs);
    if (this.#isLost) handle({ type: "no_answer", why: "the catalog does not answer" });
    else handle({ type: "answer", answer: { records, direct: null } });
    if (happens("queueSilent")) {
      handle({ type: "jobs_unknown", why: "the batch system does not answer" });
    } else handle({ type: "jobs", statuses: this.#statuses() });
    for (const action of handle({ type: "tick" })) this.#perform(action);
    for (const action of handle({ type: "hosts", hosts: null })) this.#perform(action);
  }

  #perform(action: FactoryAction): void {
    const { timeline: { nowMs }, chances, happens, maxWorkers } = this.options;
    switch (action.type) {
      case "submit":
        for (let i = 0; i < action.count; i++) {
          if (happens("jobRefused")) {
            this.#factory.handle({ type: "submit_failed", why: "too many jobs" }, nowMs);
            return;
          }
          const id = jobId(`node${++this.#count}`);
          const sinceMs = nowMs + chances.of("queue")() * waitMsMax;
          this.#jobs.set(id, { running: false, sinceMs });
          this.#factory.handle({ type: "submitted", id }, nowMs);
          if (this.#jobs.size > maxWorkers) {
            throw new Error(`The factory has ${this.#jobs.size} jobs, and may have ${maxWorkers}`);
          }
        }
        return;
      case "remove":
        for (const id of action.ids) this.#remove(id, ended(null, "it was removed"));
        this.#factory.handle({ type: "removed", ids: action.ids }, nowMs);
        return;
      case "advertise":
        this.#tell(new Map([...action.record, ...jxRecord({ name: "grid", address: "10.0.0.2" })]));
        return;
      case "end":
        throw new Error(`The factory ended: ${action.why}`);
      case "report":
      case "say":
      case "ask_hosts":
        return;
    }
  }

  #startJobs(): void {
    const { nowMs } = this.options.timeline;
    for (const [id, job] of this.#jobs) {
      if (job.running || job.sinceMs > nowMs) continue;
      job.running = true;
      this.options.start(id);
    }
  }

  #remove(id: JobId, status: JobStatus): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.delete(id);
    this.#ended.set(id, status);
    if (job.running) this.options.kill(id);
  }

  #statuses(): Map<JobId, JobStatus> {
    return new Map(
      this.#factory.jobIds().map((id): [JobId, JobStatus] => {
        const job = this.#jobs.get(id);
        if (job === undefined) return [id, this.#ended.get(id)!];
        return [id, job.running ? running(id) : pending];
      }),
    );
  }

  #again(everyMs: number, happen: () => void): void {
    const { timeline } = this.options;
    const next = () => {
      happen();
      timeline.in(everyMs, next);
    };
    timeline.in(1, next);
  }

  #sometimes(meanMs: number, happen: (rng: () => number) => void): void {
    const { timeline, chances, isFaulty } = this.options;
    const rng = chances.of(`grid ${meanMs}`);
    const next = () => {
      if (!isFaulty()) return;
      happen(rng);
      timeline.in(-meanMs * Math.log(1 - rng()), next);
    };
    timeline.in(-meanMs * Math.log(1 - rng()), next);
  }
}
