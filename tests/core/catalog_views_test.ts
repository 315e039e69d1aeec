import assert from "node:assert/strict";
import fc from "fast-check";
import {
  categoryView,
  entriesMax,
  factoriesOf,
  type FactoryRow,
  factoryRow,
  isAbout,
  isStale,
  kindOf,
  managerDetail,
  type ManagerRow,
  managerRow,
  nested,
  presentable,
  serviceRow,
  staleAfterMs,
  textLettersMax,
  textOf,
  totalsOf,
} from "../../core/catalog/views.ts";
import { fromJson } from "../../core/jx/json.ts";
import { amountOf, isJxObject, type JxObject, type JxValue } from "../../core/jx/value.ts";
import { anyText } from "../support/texts.ts";

function record(fields: Readonly<Record<string, unknown>>): JxObject {
  const value = fromJson(fields);
  assert.ok(isJxObject(value));
  return value;
}

const full = {
  type: "wq_master",
  project: "dimuon",
  name: "submit.example.org",
  address: "10.0.0.1",
  lastheardfrom: 1_795_000_000,
  starttime: 1_794_990_000,
  port: 9123,
  owner: "ada",
  version: "8.0.0",
  protocol: 11,
  ssl: true,
  tasks_waiting: 12,
  tasks_running: 4,
  tasks_on_workers: 5,
  tasks_left: 7,
  tasks_complete: 30,
  tasks_failed: 1,
  tasks_submitted: 47,
  workers: 2,
  workers_busy: 1,
  workers_idle: 1,
  workers_blocked: ["bad1", "bad2"],
  capacity_tasks: 100,
  cores_inuse: 4,
  cores_total: 8,
  memory_inuse: 1000,
  memory_total: 4000,
  tasks_total_cores: 16,
  working_dir: "/data/run",
  categories: [{ category: "whole queue", tasks_waiting: 12 }, {
    category: "processing",
    tasks_waiting: 12,
    tasks_running: 4,
    tasks_done: 30,
    tasks_failed: 1,
    workers_able: 2,
    first_allocation: { cores: 1.5, memory: -1, disk: 100 },
    max_memory: "~700",
    max_cores: 2,
    wqx_chunksize: 4096,
    wqx_events_per_second: 1234.5,
  }],
  wqx_workers: [{ host: "w1", address: "10.0.0.9:40000", cores: 8, cores_inuse: 4, joined: 5 }],
};

Deno.test("a full record becomes a row with all its figures", () => {
  const row = managerDetail(record(full));
  assert.equal(row.project, "dimuon");
  assert.equal(row.host, "submit.example.org");
  assert.deepEqual(
    [row.port, row.protocol, row.ssl, row.heardS, row.startedS],
    [9123, 11, true, 1_795_000_000, 1_794_990_000],
  );
  assert.deepEqual(
    [row.waiting, row.running, row.onWorkers, row.left, row.done, row.failed, row.submitted],
    [12, 4, 5, 7, 30, 1, 47],
  );
  assert.deepEqual([row.workers, row.workersBusy, row.workersIdle, row.capacity], [2, 1, 1, 100]);
  assert.deepEqual(row.hostsBlocked, ["bad1", "bad2"]);
  assert.deepEqual(row.resources.memoryMb, { inUse: 1000, total: 4000 });
  assert.deepEqual(row.resources.gpus, { inUse: null, total: null });
  assert.deepEqual(row.wanted.cores, 16);
  const [category, ...others] = row.categories;
  assert.deepEqual(others, []);
  assert.deepEqual(category?.allocation, { cores: 1.5, memoryMb: null, diskMb: 100, gpus: null });
  assert.deepEqual(category?.largest, { cores: "2", memoryMb: "~700", diskMb: null, gpus: null });
  assert.deepEqual([category?.chunkSize, category?.eventsPerSecond], [4096, 1234.5]);
  const [worker] = row.workerList ?? [];
  assert.deepEqual(worker?.resources.cores, { inUse: 4, total: 8 });
  assert.deepEqual([worker?.host, worker?.joinedS], ["w1", 5]);
});

Deno.test("what a record does not tell is null, and never 0", () => {
  const row = managerDetail(record({ type: "wq_master" }));
  const { type, ssl, resources, categories, hostsBlocked, wanted, ...rest } = row;
  assert.deepEqual([type, ssl, categories, hostsBlocked], ["wq_master", false, [], []]);
  for (const { inUse, total } of Object.values(resources)) {
    assert.deepEqual([inUse, total], [null, null]);
  }
  for (const amount of Object.values(wanted)) assert.equal(amount, null);
  for (const [name, value] of Object.entries(rest)) assert.equal(value, null, name);
});

Deno.test("fields of another type are as if they were missing", () => {
  const wrong = Object.fromEntries(
    Object.keys(full).map((key) => [key, key === "type" ? "wq_master" : { strange: [1] }]),
  );
  assert.deepEqual(managerDetail(record(wrong)), managerDetail(record({ type: "wq_master" })));
  assert.equal(amountOf(new Map([["port", Infinity]]), "port"), null);
  assert.equal(textOf(new Map([["owner", " \t "]]), "owner"), null);
});

const value: fc.Arbitrary<JxValue> = fc.letrec<{ value: JxValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double(),
    anyText(),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(fc.constantFrom("host", "cores", "category", "project"), tie("value")))
      .map((entries) => new Map(entries)),
  ),
})).value;

const anyRecord = fc.array(
  fc.tuple(fc.constantFrom(...Object.keys(full), "my_manager", "managers", "max_workers"), value),
).map((entries): JxObject => new Map(entries));

Deno.test("any record at all becomes rows of plain numbers and texts", () => {
  fc.assert(
    fc.property(anyRecord, (any) => {
      for (const row of [managerDetail(any), factoryRow(any), serviceRow(any), categoryView(any)]) {
        // Neither NaN, which JSON does not know, nor 64-bit integers, which it refuses.
        JSON.stringify(row, (key, part) => {
          if (typeof part === "number") assert.ok(Number.isFinite(part), key);
          if (typeof part === "string") {
            assert.ok(part.isWellFormed() && !/\p{Cc}/u.test(part), key);
          }
          return part;
        });
      }
    }),
  );
});

Deno.test("texts are of one line, of their own direction and not too long", () => {
  assert.equal(presentable("a\nb\u0007\u202ec"), "a\ufffdb\ufffd\ufffdc");
  assert.equal(presentable("x".repeat(300)), `${"x".repeat(textLettersMax - 1)}…`);
  assert.equal(presentable("é".repeat(textLettersMax)), "é".repeat(textLettersMax));
  assert.equal([...presentable("😀".repeat(10_000))].length, textLettersMax);
});

Deno.test("a record of too many entries shows the first of them", () => {
  const many = Array.from({ length: entriesMax + 100 }, (_, i) => ({ category: `c${i}` }));
  assert.equal(managerDetail(record({ categories: many })).categories.length, entriesMax);
});

Deno.test("hosts blocked are read from an array and from the older text", () => {
  assert.deepEqual(managerRow(record({ workers_blocked: "a b  c" })).hostsBlocked, ["a", "b", "c"]);
  assert.deepEqual(managerRow(record({ workers_blocked: ["a", 5, ""] })).hostsBlocked, ["a"]);
});

Deno.test("only Work Queue's managers and factories are those of the overview", () => {
  const kinds = ["wq_master", "wq_manager", "wq_factory", "vine_manager", "chirp", 5]
    .map((type) => kindOf(record({ type })));
  assert.deepEqual(kinds, ["manager", "manager", "factory", "service", "service", "service"]);
});

function row(address: string, port: number, worksFor?: string, fields = {}): ManagerRow {
  return managerRow(
    record({
      address,
      port,
      ...(worksFor === undefined ? {} : { my_manager: worksFor }),
      ...fields,
    }),
  );
}

function tree(rows: readonly ManagerRow[]): string[] {
  return nested(rows, (one) => one).map(({ item, depth }) => `${"-".repeat(depth)}${item.port}`);
}

Deno.test("foremen stand below their manager, and below one another", () => {
  const rows = [row("a", 3, "a:2"), row("a", 1), row("a", 2, "a:1"), row("b", 9)];
  assert.deepEqual(tree(rows), ["1", "-2", "--3", "9"]);
});

Deno.test("no foreman is lost: not without its manager, not as its own, not in a circle", () => {
  assert.deepEqual(tree([row("a", 1, "z:1")]), ["1"]);
  assert.deepEqual(tree([row("a", 1, "a:1")]), ["1"]);
  assert.deepEqual(tree([row("a", 1, "a:2"), row("a", 2, "a:1")]), ["1", "-2"]);
  assert.deepEqual(tree([row("a", 1, "127.0.0.1:-1")]), ["1"]);
  const chain = Array.from(
    { length: 20_000 },
    (_, i) => row("a", i, i === 0 ? undefined : `a:${i - 1}`),
  );
  assert.equal(nested(chain, (one) => one).at(-1)?.depth, 19_999);
});

Deno.test("sums leave out foremen, whose tasks are their managers', and negative figures", () => {
  const totals = totalsOf([
    row("a", 1, undefined, { tasks_waiting: 5, workers: 2, cores_inuse: 3, cores_total: 4 }),
    row("a", 2, "a:1", { tasks_waiting: 4, workers: 8 }),
    row("b", 1, undefined, { tasks_waiting: -7, workers: 1 }),
  ]);
  assert.deepEqual([totals.managers, totals.waiting, totals.workers], [2, 5, 3]);
  assert.deepEqual(totals.resources.cores, { inUse: 3, total: 4 });
});

Deno.test("a manager's factories are those that found it", () => {
  const served = (managers: unknown): FactoryRow => factoryRow(record({ managers }));
  const manager = managerRow(record(full));
  const right = [{ project: "dimuon", name: "submit.example.org", port: 9123 }];
  const byAddress = [{ project: "dimuon", name: "10.0.0.1", port: 9123 }];
  const others = [
    [{ project: "other", name: "submit.example.org", port: 9123 }],
    [{ project: "dimuon", name: "submit.example.org", port: 9124 }],
    [{ project: "dimuon", name: "elsewhere", port: 9123 }],
    "nonsense",
  ];
  const found = factoriesOf(manager, [right, byAddress, ...others].map(served));
  assert.equal(found.length, 2);
});

Deno.test("a filter looks for all its words, in any case", () => {
  const one = serviceRow(record(full));
  const answers = ["", "DIMU", "ada submit", "10.0.0", "ada nobody"].map((text) =>
    isAbout(one, text)
  );
  assert.deepEqual(answers, [true, true, true, true, false]);
});

Deno.test("a record is stale after three silences, and one without a time never", () => {
  const one = serviceRow(record(full));
  const heardMs = 1_795_000_000_000;
  assert.equal(isStale(one, heardMs + staleAfterMs), false);
  assert.equal(isStale(one, heardMs + staleAfterMs + 1), true);
  assert.equal(isStale(serviceRow(record({})), heardMs), false);
});
