import assert from "node:assert/strict";
import { isManager } from "../../core/catalog/selection.ts";
import { toJson } from "../../core/jx/json.ts";
import { advertOf, endedAdvert, isNews, workersToldMax } from "../../core/status/advert.ts";
import { resources } from "../support/builders.ts";
import { CountedProbe } from "../support/counted_probe.ts";

const options = { id: "one-of-a-kind", lifetimeS: 180 };

Deno.test("a manager advertises its queue, how long to believe it, and its workers one by one", () => {
  const probe = new CountedProbe();
  const worker = probe.join(resources(4, 8000, 20_000), "node1");
  probe.nowMs = 3000;
  probe.finish(worker, [], {});
  probe.submit({ request: { cores: 2, memoryMb: 1000, diskMb: 500 } });
  probe.schedule();
  const { full, lean } = advertOf(probe.source(), options);
  const record = toJson(full) as Record<string, unknown>;
  assert.deepEqual(record["wqx_workers"], [{
    host: "node1",
    address: "10.0.0.1:4000",
    cores: 4,
    cores_inuse: 2,
    memory: 8000,
    memory_inuse: 4000, // half of it, as of the cores
    disk: 20_000,
    disk_inuse: 10_000,
    gpus: 0,
    tasks_running: 1,
    tasks_done: 0,
    joined: 1_795_000_000,
  }]);
  assert.equal(record["type"], "wq_master");
  assert.equal(record["project"], "demo");
  assert.equal(record["wqx_id"], "one-of-a-kind");
  assert.equal(full.get("lifetime"), 180n, "an integer, or catalogs read 0");
  assert.equal(full.get("port"), 9123n);
  assert.ok(!full.has("uuid"), "a new manager on the same port takes the place of the old record");
  assert.equal(lean.get("tasks_running"), 1n);
  for (const key of ["categories", "wqx_workers", "working_dir"]) assert.ok(!lean.has(key), key);
});

Deno.test("both records tell the pin of a manager that has a key, and say so only with --ssl", () => {
  const probe = new CountedProbe();
  const { full, lean } = advertOf(probe.source(), { ...options, pin: "47DEQpj8HBSa" });
  assert.deepEqual([full.get("wqx_pin"), lean.get("wqx_pin")], ["47DEQpj8HBSa", "47DEQpj8HBSa"]);
  assert.equal(full.get("ssl"), false, "or real workers would want TLS");
  const without = advertOf(probe.source(), options);
  assert.ok(!without.full.has("wqx_pin") && !without.lean.has("wqx_pin"));
});

Deno.test("of many workers the newest are told", () => {
  const probe = new CountedProbe();
  for (let i = 0; i < workersToldMax + 5; i++) probe.join(resources(1), `n${i}`);
  const record = toJson(advertOf(probe.source(), options).full) as {
    workers: number;
    wqx_workers: { host: string }[];
  };
  assert.equal(record.workers, workersToldMax + 5);
  assert.equal(record.wqx_workers.length, workersToldMax);
  assert.equal(record.wqx_workers.at(-1)?.host, `n${workersToldMax + 4}`);
});

Deno.test("the record of a manager that has ended takes the same place and is no manager's", () => {
  const advert = advertOf(new CountedProbe().source(), options);
  const ended = endedAdvert(advert);
  assert.ok(isManager(advert.full) && isManager(advert.lean));
  assert.ok(!isManager(ended), "nobody goes there any more");
  assert.equal(ended.get("port"), advert.full.get("port"));
  assert.equal(ended.get("lifetime"), 1n);
});

Deno.test("isNews() sees workers come and go, and tasks by the tenth", () => {
  const told = { waiting: 1000, running: 8, done: 0, workers: 4, joined: 6 };
  const cases: [changes: Partial<typeof told>, news: boolean][] = [
    [{}, false],
    [{ workers: 5 }, true],
    [{ workers: 0 }, true],
    [{ joined: 7 }, true],
    [{ waiting: 901, done: 4 }, false],
    [{ waiting: 900 }, true],
    [{ done: 5 }, true],
    [{ running: 4 }, false],
    [{ running: 0 }, true],
  ];
  for (const [changes, news] of cases) {
    assert.equal(isNews(told, { ...told, ...changes }), news, JSON.stringify(changes));
  }
});
