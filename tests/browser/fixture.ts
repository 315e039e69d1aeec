/** A catalog on a free port with a clock of its own, and records such as real sites have. */
import { tableLimitsDefault } from "../../core/catalog/table.ts";
import { CatalogServer } from "../../catalog/serve.ts";
import { CatalogStore } from "../../catalog/store.ts";
import { TempFolder } from "../support/temp.ts";

export type Fields = Readonly<Record<string, unknown>>;

export class Catalog implements AsyncDisposable {
  private constructor(
    readonly store: CatalogStore,
    readonly server: CatalogServer,
    private readonly clock: { ms: number },
    private readonly parts: AsyncDisposableStack,
  ) {}

  static async start(): Promise<Catalog> {
    await using parts = new AsyncDisposableStack();
    const folder = parts.use(await TempFolder.create());
    const clock = { ms: Date.now() };
    const nowMs = () => clock.ms;
    const note = () => {};
    const store = parts.use(
      await CatalogStore.open({
        history: folder.join("history"),
        limits: tableLimitsDefault,
        serverBytesMax: null,
        updateLog: null,
        nowMs,
        note,
      }),
    );
    const server = parts.use(
      await CatalogServer.start({
        token: null,
        store,
        timeoutMs: 60_000,
        streamTimeoutMs: 60_000,
        historyJobsMax: 4,
        facts: {
          name: "catalog.example.org",
          version: "0.1.0",
          startedMs: clock.ms - 86_400_000,
          lifetimeMs: tableLimitsDefault.lifetimeMs,
          nowMs,
        },
        hostname: "127.0.0.1",
        port: 0,
        tls: null,
        debug: note,
        note,
      }),
    );
    return new Catalog(store, server, clock, parts.move());
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}`;
  }

  get nowMs(): number {
    return this.clock.ms;
  }

  pass(ms: number): void {
    this.clock.ms += ms;
  }

  /** An update as if it came from this host; throws if the catalog drops it. */
  put(fields: Fields, host = "node1", address = "10.1.0.1"): void {
    const dropped = this.store.update(JSON.stringify(fields), { address, name: host });
    if (dropped !== null) throw new Error(dropped);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts.disposeAsync();
  }
}

/** What every manager tells. */
export function manager(project: string, port: number, more: Fields = {}): Fields {
  return {
    type: "wq_master",
    project,
    port,
    owner: "ada",
    version: "8.0.0",
    protocol: 11,
    starttime: Math.floor(Date.now() / 1000) - 7200,
    tasks_waiting: 0,
    tasks_running: 0,
    tasks_complete: 0,
    workers: 0,
    ...more,
  };
}

export function factory(name: string, port: number, more: Fields = {}): Fields {
  return {
    type: "wq_factory",
    factory_name: name,
    port: -port,
    owner: "ada",
    version: "8.0.0",
    workers_submitted: 12,
    workers_needed: 20,
    workers_requested: 5,
    workers_to_connect: 3,
    max_workers: 100,
    managers: [],
    ...more,
  };
}

const categories = [
  {
    category: "preprocessing",
    tasks_waiting: 0,
    tasks_running: 0,
    tasks_done: 41,
    tasks_failed: 0,
    workers_able: 6,
    first_allocation: { cores: 1, memory: 300, disk: 500, gpus: 0 },
    max_cores: "~0.900",
    max_memory: "~214",
    max_disk: "~12",
  },
  {
    category: "processing",
    tasks_waiting: 1260,
    tasks_running: 44,
    tasks_done: 3300,
    tasks_failed: 2,
    workers_able: 6,
    first_allocation: { cores: 1, memory: 1900, disk: 2000, gpus: 0 },
    max_cores: "1.000",
    max_memory: "~1840",
    max_disk: ">1999",
    wqx_chunksize: 65_536,
    wqx_events_per_second: 81_250.5,
  },
];

const workers = Array.from({ length: 6 }, (_, i) => ({
  host: `worker${i + 1}.cluster.example.org`,
  address: `10.1.7.${i + 1}:4${i}112`,
  cores: 8,
  cores_inuse: 8 - (i % 3),
  memory: 32_768,
  memory_inuse: 15_200 - 1900 * (i % 3),
  disk: 204_800,
  disk_inuse: 16_000 - 2000 * (i % 3),
  tasks_running: 8 - (i % 3),
  tasks_done: 600 - 37 * i,
  joined: Math.floor(Date.now() / 1000) - 600 * (i + 1),
}));

/** A manager of wqx in the middle of its run; `progress` from 0 to 1. */
export function dimuon(progress: number): Fields {
  const done = Math.round(4600 * progress);
  return manager("dimuon-2018", 9123, {
    version: "wqx 0.1.0",
    working_dir: "/home/user/dimuon",
    tasks_waiting: 4600 - done,
    tasks_running: Math.min(44, 4600 - done),
    tasks_complete: done,
    tasks_failed: 2,
    tasks_submitted: 4646,
    workers: 6,
    workers_connected: 6,
    workers_busy: 6,
    workers_idle: 0,
    cores_inuse: 44,
    cores_total: 48,
    memory_inuse: 83_600,
    memory_total: 196_608,
    disk_inuse: 88_000,
    disk_total: 1_228_800,
    tasks_total_cores: 1304,
    tasks_total_memory: 2_477_600,
    categories,
    wqx_workers: workers,
  });
}

/** A site at work: managers with a foreman and one gone silent, factories, other services. */
export function populate(catalog: Catalog): void {
  catalog.put(
    manager("nightly-trees", 9130, { tasks_waiting: 310, tasks_complete: 95, workers: 4 }),
    "old.example.org",
    "10.1.0.9",
  );
  catalog.pass(400_000); // the one above is silent from now on
  for (let minute = 0; minute <= 40; minute++) {
    catalog.put(dimuon(0.05 + minute / 60), "submit1.example.org", "10.1.0.1");
    if (minute < 40) catalog.pass(60_000 / 10);
  }
  catalog.put(
    manager("higgs-to-4l", 9123, {
      owner: "emmy",
      tasks_waiting: 12_400,
      tasks_running: 320,
      tasks_complete: 250_113,
      workers: 40,
      cores_inuse: 320,
      cores_total: 320,
      memory_inuse: 640_000,
      memory_total: 1_310_720,
      ssl: true,
      categories: [categories[1]],
    }),
    "submit2.example.org",
    "10.1.0.2",
  );
  catalog.put(
    manager("higgs-foreman", 9200, {
      owner: "emmy",
      tasks_waiting: 10,
      tasks_running: 64,
      workers: 8,
      cores_inuse: 64,
      cores_total: 64,
      my_manager: "10.1.0.2:9123",
    }),
    "rack7.example.org",
    "10.1.0.7",
  );
  catalog.put(
    factory("night-shift", 4711, {
      project_regex: "dimuon-.*",
      managers: [{ project: "dimuon-2018", name: "submit1.example.org", port: 9123 }],
    }),
    "submit1.example.org",
    "10.1.0.1",
  );
  catalog.put({ type: "chirp", port: 9094, owner: "data", version: "7.14.5" }, "store1");
  catalog.put({ type: "catalog", port: 9097, owner: "root", version: "8.0.0" }, "node1");
}
