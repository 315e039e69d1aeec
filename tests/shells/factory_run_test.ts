import assert from "node:assert/strict";
import type { FactoryFacts } from "../../core/factory/advert.ts";
import type { Plan } from "../../core/factory/plan.ts";
import type { FactorySettings } from "../../core/factory/settings.ts";
import {
  BatchError,
  type BatchSystem,
  type JobId,
  type JobStatus,
  type WorkerJob,
} from "../../factory/batch/batch_system.ts";
import { ConfigFile } from "../../factory/config_file.ts";
import { Factory, type FactoryOptions } from "../../factory/run.ts";
import { Scratch } from "../../factory/scratch.ts";
import { FakeCatalog } from "../support/fake_catalog.ts";
import { FakeManager } from "../support/fake_manager.ts";
import {
  jobId,
  jxRecord,
  managerFields,
  managerRecord,
  running,
  settings,
} from "../support/factory.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

/** A batch system on which jobs run as soon as they are handed in, and until they are removed. */
class FakeBatch implements BatchSystem {
  readonly name = "fake";
  readonly jobs = new Map<JobId, { readonly job: WorkerJob; status: JobStatus }>();
  /** What the next calls throw. */
  submitFails: string | null = null;
  statusFails: string | null = null;
  /** Ids that no removal gets rid of. */
  readonly stuck = new Set<JobId>();
  #count = 0;

  check(): Promise<void> {
    return Promise.resolve();
  }

  submit(job: WorkerJob): Promise<JobId> {
    if (this.submitFails !== null) return Promise.reject(new BatchError(this.submitFails));
    const id = jobId(`${++this.#count}`);
    this.jobs.set(id, { job, status: running("n1") });
    return Promise.resolve(id);
  }

  status(ids: readonly JobId[]): Promise<ReadonlyMap<JobId, JobStatus>> {
    if (this.statusFails !== null) return Promise.reject(new BatchError(this.statusFails));
    const gone: JobStatus = { phase: "ended", exitCode: 0, why: "it is gone" };
    return Promise.resolve(new Map(ids.map((id) => [id, this.jobs.get(id)?.status ?? gone])));
  }

  remove(ids: readonly JobId[]): Promise<void> {
    for (const id of ids) if (!this.stuck.has(id)) this.jobs.delete(id);
    return Promise.resolve();
  }

  find(name: string): Promise<readonly JobId[]> {
    const found = [...this.jobs].filter(([, { job }]) => job.name === name);
    return Promise.resolve(found.map(([id]) => id));
  }
}

const facts: FactoryFacts = { id: "m", port: -5, owner: "me", version: "wqx", batchType: "fake" };

/** A factory in this process, with what it says and plans. */
class Bed implements AsyncDisposable {
  readonly said: string[] = [];
  readonly plans: Plan[] = [];
  readonly scratch: Scratch;
  readonly stop = new AbortController();
  readonly abort = new AbortController();
  #running: Promise<number> | null = null;

  constructor(folder: TempFolder, readonly batch: FakeBatch) {
    this.scratch = Scratch.open({ base: folder.path, identity: ["fake", "ana"] });
  }

  start(changed: Partial<FactorySettings>, options: Partial<FactoryOptions> = {}): Promise<number> {
    const of = settings({ minWorkers: 0, ...changed });
    const factory = new Factory(
      {
        settings: of,
        config: null,
        facts,
        terms: {
          program: "./work_queue_worker",
          wrappers: [],
          manager: null,
          join: null,
          catalogs: [],
          passwordFile: null,
          tls: false,
          taskWrapper: null,
          features: [],
          wallTimeS: 3600,
          size: "settings",
        },
        catalogs: [],
        password: null,
        protocols: [9, 10, 11],
        inputs: ["work_queue_worker"],
        env: { A: "b" },
        intervalMs: 20,
        removeAfterMs: 60_000,
        connectMsMax: 300_000,
        output: {
          say: (line) => this.said.push(line),
          ending: (line) => this.said.push(line),
          report: (plan) => this.plans.push(plan),
          loaded: (path) => this.said.push(`loaded ${path}`),
        },
        debug() {},
        ...options,
      },
      this.batch,
      this.scratch,
      { settings: of, hostsBlocked: [] },
    );
    return this.#running = factory.run({ stop: this.stop.signal, abort: this.abort.signal });
  }

  async hears(pattern: RegExp): Promise<void> {
    await until(() => this.said.some((line) => pattern.test(line)), {
      what: `${pattern}; so far: ${this.said.join("\n")}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.#running;
    this.scratch[Symbol.dispose]();
  }
}

function catalogOption(catalog: FakeCatalog): Partial<FactoryOptions> {
  return { catalogs: [catalog.address] };
}

function updatesOf(catalog: FakeCatalog): Record<string, unknown>[] {
  return catalog.updates.map((text) => JSON.parse(text));
}

Deno.test("a factory brings the workers that the catalog's managers need, and removes all at its end", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 7 })];
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  const ended = bed.start({ workersPerCycle: 0, cores: 2, memoryMb: 300 }, catalogOption(catalog));
  await until(() => batch.jobs.size === 7, { what: "seven jobs" });
  const { job } = [...batch.jobs.values()][0]!;
  assert.match(job.command, /^\.\/work_queue_worker -M 'ana\.\*' .*--cores=2\.000 --memory=300/);
  assert.deepEqual(job.request, {
    cores: 2,
    memoryMb: 300,
    diskMb: null,
    gpus: null,
    wallTimeS: 3600,
  });
  assert.deepEqual([job.inputs, job.env], [["work_queue_worker"], { A: "b" }]);
  assert.match(job.name, /^wqx-[0-9a-f]{8}$/);
  await until(() => updatesOf(catalog).some((one) => one.workers_submitted === 7), {
    what: "a record with all workers",
  });
  bed.stop.abort();
  assert.equal(await ended, 0);
  assert.equal(batch.jobs.size, 0);
  assert.deepEqual(bed.said, [
    "received abort signal, shutting down workers...",
    "removing 7 workers...",
    "all workers removed.",
  ]);
  const farewell = await until(() => {
    const last = updatesOf(catalog).at(-1);
    return last?.lifetime === 5 && last;
  }, { what: "its last words" });
  assert.deepEqual([farewell.wqx_id, farewell.workers_submitted, farewell.wqx_room], ["m", 0, 0]);
});

Deno.test("a manager at an address is asked itself, and no catalog", async () => {
  await using folder = await TempFolder.create();
  using manager = new FakeManager();
  manager.record = jxRecord({ type: "wq_master", port: 1, tasks_waiting: 2, protocol: 9 });
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  bed.start({ managerName: null }, {
    terms: {
      program: "./w",
      wrappers: [],
      manager: { host: "localhost", port: manager.port },
      join: null,
      catalogs: [],
      passwordFile: null,
      tls: false,
      taskWrapper: null,
      features: [],
      wallTimeS: null,
      size: "settings",
    },
  });
  await until(() => batch.jobs.size === 2, { what: "two jobs" });
  manager.record = null;
  await bed.hears(/^couldn't read from localhost port \d+: it closed the connection/);
});

Deno.test("a catalog that is down at the start, and later, is said once each time", async () => {
  await using folder = await TempFolder.create();
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  const gone = await FakeCatalog.start();
  await gone[Symbol.asyncDispose]();
  bed.start({}, catalogOption(gone));
  await bed.hears(/^no catalog answers \(127\.0\.0\.1:\d+: .*\); asking again and again$/);
  await bed.hears(/^no catalog takes the update .*; others do not see this factory$/);
  await until(() => bed.plans.length > 5, { what: "cycles" });
  assert.equal(bed.said.length, 2, bed.said.join("\n"));
});

Deno.test("a batch system that refuses is asked again, and its sentence said once", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 2 })];
  const batch = new FakeBatch();
  batch.submitFails = "sbatch is not in the folders of PATH";
  await using bed = new Bed(folder, batch);
  bed.start({}, catalogOption(catalog));
  await bed.hears(/^sbatch is not/);
  await until(() => bed.plans.some(({ why }) => why.includes("the next try comes after 30 s")), {
    what: "a pause",
  });
  assert.equal(bed.said.filter((line) => line.startsWith("sbatch")).length, 1);
});

Deno.test("a batch system that does not tell of jobs leaves them counted", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 3 })];
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  bed.start({}, catalogOption(catalog));
  await until(() => batch.jobs.size === 3, { what: "three jobs" });
  batch.statusFails = "squeue does not answer";
  await bed.hears(/^squeue does not answer$/);
  const cycles = bed.plans.length;
  await until(() => bed.plans.length > cycles + 3, { what: "cycles" });
  assert.equal(batch.jobs.size, 3);
  batch.statusFails = null;
  await bed.hears(/^The batch system answers again$/);
});

Deno.test("a factory that was killed goes on with its jobs, also with one not yet written down", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 3 })];
  const batch = new FakeBatch();
  const place = { base: folder.path, identity: ["fake", "ana"] };
  {
    using before = Scratch.open(place);
    const job: WorkerJob = {
      command: "w",
      inputs: [],
      env: {},
      request: { cores: null, memoryMb: null, diskMb: null, gpus: null, wallTimeS: null },
      name: before.jobName,
    };
    const first = await batch.submit({ ...job, name: "lost" });
    await batch.submit(job);
    before.keep([first, jobId("99")]);
  }
  await using bed = new Bed(folder, batch);
  const ended = bed.start({}, catalogOption(catalog));
  await bed.hears(/^Going on with 2 jobs of an earlier run: 1, 2$/);
  await until(() => batch.jobs.size === 3, { what: "the third job" });
  bed.stop.abort();
  assert.equal(await ended, 0);
  assert.equal(batch.jobs.size, 0);
});

Deno.test("jobs that no removal ends are named, and the exit code says so", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 3 })];
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  const ended = bed.start({}, catalogOption(catalog));
  await until(() => batch.jobs.size === 3, { what: "three jobs" });
  batch.stuck.add(jobId("2"));
  bed.stop.abort();
  await until(() => batch.jobs.size === 1, { what: "the removal of two jobs" });
  bed.abort.abort();
  assert.equal(await ended, 1);
  assert.equal(bed.said.at(-1), "Not removed, and to be looked after by hand: 2");
  assert.deepEqual(Scratch.peek({ base: folder.path, identity: ["fake", "ana"] }).jobs, ["2"]);
});

Deno.test("without managers for the factory timeout it ends by itself", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  await using bed = new Bed(folder, new FakeBatch());
  const ended = bed.start({ factoryTimeoutS: 0.2, minWorkers: 1 }, catalogOption(catalog));
  assert.equal(await ended, 0);
  assert.match(bed.said[0]!, /^There have been no managers for longer/);
  assert.equal(bed.batch.jobs.size, 0);
});

Deno.test("a configuration that changes is followed, a bad edit said once and left alone", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 100 })];
  const batch = new FakeBatch();
  const path = await folder.write("factory.jx", '{"manager-name": "ana.*", "max-workers": 2}');
  const config = new ConfigFile(path, settings({ minWorkers: 0, workersPerCycle: 0 }));
  const { settings: loaded } = config.load();
  await using bed = new Bed(folder, batch);
  bed.start(loaded, { ...catalogOption(catalog), config });
  await until(() => batch.jobs.size === 2, { what: "two jobs" });
  await folder.write("factory.jx", '{"manager-name": "ana.*", "max-workers": -3}');
  await bed.hears(/max-workers.*\(the values before are kept\)$/);
  const cycles = bed.plans.length;
  await until(() => bed.plans.length > cycles + 3, { what: "cycles" });
  assert.equal(bed.said.filter((line) => line.includes("kept")).length, 1);
  await folder.write("factory.jx", '{"manager-name": "ana.*", "max-workers": 4}');
  await until(() => batch.jobs.size === 4, { what: "four jobs" });
  await Deno.remove(path);
  await bed.hears(/^Cannot read the configuration .*\(the values before are kept\)$/);
  await folder.write("factory.jx", '{"manager-name": "ana.*", "max-workers": 5}');
  await until(() => batch.jobs.size === 5, { what: "five jobs" });
});

Deno.test("hosts whose workers do not connect are found out at the managers", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  using manager = new FakeManager();
  manager.record = managerRecord();
  manager.workers = [jxRecord({ hostname: "other.site" })];
  catalog.records = [
    managerFields({ tasks_waiting: 2, address: "127.0.0.1", port: manager.port, workers: 0 }),
  ];
  const batch = new FakeBatch();
  await using bed = new Bed(folder, batch);
  bed.start({}, { ...catalogOption(catalog), connectMsMax: 50 });
  await bed.hears(/^On n1 2 jobs \(1, 2\) have run for up to 0:00, but no worker from there/);
});

Deno.test("two factories of the same words have a folder each", async () => {
  await using folder = await TempFolder.create();
  const place = { base: folder.join("new", "scratch"), identity: ["local", "a.*|b", ""] };
  using first = Scratch.open(place);
  using second = Scratch.open(place);
  assert.notEqual(first.path, second.path);
  assert.notEqual(first.jobName, second.jobName);
  assert.match(first.path, /\/local-a\._b-[0-9a-f]{6}$/);
});

Deno.test("a scratch folder that cannot be made gets a sentence", async () => {
  await using folder = await TempFolder.create();
  const file = await folder.write("file", "");
  assert.throws(() => Scratch.open({ base: file, identity: ["local", "a"] }), {
    name: "UsageError",
    message: /^Cannot use the scratch folder .*\/file: .*name one that you may write to by --scrat/,
  });
});
