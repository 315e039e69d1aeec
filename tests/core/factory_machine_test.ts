import assert from "node:assert/strict";
import {
  type FactoryAction,
  type FactoryEvent,
  FactoryMachine,
} from "../../core/factory/machine.ts";
import type { JobStatus } from "../../core/factory/job.ts";
import type { FactorySettings } from "../../core/factory/settings.ts";
import { integerOf, type JxObject, type JxValue } from "../../core/jx/value.ts";
import { ended, jobId, managerRecord, running, settings } from "../support/factory.ts";

const facts = { id: "m", port: -5, owner: "me", version: "wqx 0", batchType: "slurm" };

/** A machine with a clock. */
class Bench {
  nowMs = 1_700_000_000_000;
  readonly machine: FactoryMachine;
  #jobs = 0;

  constructor(changed: Partial<FactorySettings> = {}) {
    this.machine = new FactoryMachine({
      facts,
      settings: settings({ minWorkers: 0, ...changed }),
      protocols: [9, 10, 11],
      removeAfterMs: 60_000,
      connectMsMax: 300_000,
    });
  }

  after(seconds: number): this {
    this.nowMs += seconds * 1000;
    return this;
  }

  happens(event: FactoryEvent): FactoryAction[] {
    return this.machine.handle(event, this.nowMs);
  }

  says(event: FactoryEvent): string[] {
    return linesOf(this.happens(event));
  }

  managers(...records: JxObject[]): string[] {
    return this.says({ type: "answer", answer: { records, direct: null } });
  }

  waiting(tasks: number, workers = 0, fields: Record<string, JxValue> = {}): string[] {
    return this.managers(managerRecord({ tasks_waiting: tasks, workers, ...fields }));
  }

  /** Does what it is told; returns how many jobs were handed in. */
  cycle(): number {
    const [submit] = this.happens({ type: "tick" }).filter((action) => action.type === "submit");
    for (let i = 0; i < (submit?.count ?? 0); i++) {
      this.happens({ type: "submitted", id: jobId(`${++this.#jobs}`) });
    }
    return submit?.count ?? 0;
  }

  all(status: JobStatus): string[] {
    const statuses = new Map(this.machine.jobIds().map((id) => [id, status]));
    return this.says({ type: "jobs", statuses });
  }

  record(): JxObject {
    const [action] = this.happens({ type: "tick" }).filter(({ type }) => type === "advertise");
    assert.ok(action?.type === "advertise");
    return action.record;
  }
}

function linesOf(actions: readonly FactoryAction[]): string[] {
  return actions.flatMap((action) => action.type === "say" ? [action.line] : []);
}

Deno.test("a slow queue does not stop the growth", () => {
  const bench = new Bench();
  bench.waiting(12);
  assert.deepEqual([bench.cycle(), bench.cycle(), bench.cycle(), bench.cycle()], [5, 5, 2, 0]);
});

Deno.test("workers that run and do not connect stop it", () => {
  const bench = new Bench();
  bench.waiting(12);
  bench.cycle();
  bench.all(running("n1"));
  assert.equal(bench.cycle(), 0);
  bench.waiting(9, 3);
  assert.equal(bench.cycle(), 3);
});

Deno.test("jobs that end at once are started again at longer and longer intervals", () => {
  const bench = new Bench();
  bench.waiting(100);
  assert.equal(bench.cycle(), 5);
  const said = bench.after(30).all(ended(127, "sh: not found"));
  assert.equal(said.length, 4);
  assert.equal(said[0], "Job 1 ended too early: sh: not found");
  assert.equal(said[3], "2 more jobs ended too early");
  const starts: number[] = [];
  let seconds = 0;
  for (; seconds < 3600; seconds += 10) {
    bench.after(10);
    bench.all(ended(127));
    if (bench.cycle() > 0) starts.push(seconds);
  }
  assert.ok(starts.length < 12, `${starts.length} times in an hour`);
  const gaps = starts.slice(1).map((at, i) => at - starts[i]!);
  assert.ok(gaps.at(-1)! >= 600, `${gaps}`);
  const { plan } = bench.happens({ type: "tick" }).find((action) => action.type === "report")!;
  assert.match(plan.why, /but jobs end as soon as they start .*; the next try comes after \d+ s$/);
});

Deno.test("workers that are killed after they had connected are replaced at once", () => {
  const bench = new Bench();
  bench.waiting(5);
  for (let joined = 5; joined <= 50; joined += 5) {
    assert.equal(bench.cycle(), 5, `after ${joined - 5} had been killed`);
    bench.all(running());
    bench.after(10).waiting(5, 0, { workers_joined: joined });
    bench.all(ended(null, "it was killed"));
  }
});

Deno.test("the report of killed workers that comes late ends the pause, a refusal's it does not", () => {
  for (const refused of [false, true]) {
    const bench = new Bench();
    bench.waiting(5);
    for (let i = 0; i < 2; i++) {
      assert.equal(bench.cycle(), 5);
      bench.after(10).all(ended(null, "it was killed"));
    }
    assert.equal(bench.cycle(), 0, "nobody has told of them yet");
    if (refused) {
      const failure = { type: "submit_failed", why: "sbatch: no such partition" } as const;
      bench.happens(failure);
      bench.happens(failure);
    }
    bench.after(1).waiting(5, 0, { workers_joined: 7 });
    assert.equal(bench.cycle(), refused ? 0 : 5);
  }
});

Deno.test("workers that joined before, or a manager that has started anew, clear no broken command", () => {
  const bench = new Bench();
  bench.waiting(5, 0, { workers_joined: 40 });
  for (let i = 0; i < 2; i++) {
    assert.equal(bench.cycle(), 5);
    bench.after(10).all(ended(127));
    bench.waiting(5, 0, { workers_joined: i === 0 ? 40 : 3 });
  }
  assert.equal(bench.cycle(), 0);
  bench.managers(managerRecord({ port: 9124, tasks_waiting: 5, workers_joined: 60 }));
  assert.equal(bench.cycle(), 0);
});

Deno.test("while it pauses, a factory's plan is the same from cycle to cycle", () => {
  const bench = new Bench();
  bench.waiting(5);
  for (let i = 0; i < 2; i++) {
    bench.cycle();
    bench.after(10).all(ended(127));
  }
  const reasons = Array.from({ length: 3 }, () => {
    const report = bench.after(9).happens({ type: "tick" }).find(({ type }) => type === "report");
    assert.ok(report?.type === "report");
    return report.plan.why;
  });
  assert.match(reasons[0]!, /but jobs end as soon as they start \(it ended\); the next try comes/);
  assert.equal(new Set(reasons).size, 1, reasons.join("\n"));
});

Deno.test("a new configuration ends the pause, and so does a worker that stays", () => {
  for (const how of ["config", "well"]) {
    const bench = new Bench();
    bench.waiting(100);
    for (let i = 0; i < 3; i++) {
      bench.cycle();
      bench.all(ended(1));
      bench.after(i < 2 ? 40 : 0);
    }
    assert.equal(bench.cycle(), 0, "the pause is on");
    if (how === "config") bench.happens({ type: "config", settings: settings() });
    else bench.after(120);
    assert.equal(bench.cycle(), 5);
    if (how === "config") continue;
    bench.all(running());
    bench.after(61).all(running());
    bench.all(ended(1));
    assert.equal(bench.cycle(), 5, "jobs that ended late do not count");
  }
});

Deno.test("jobs that an operator cancels are replaced at once", () => {
  const bench = new Bench();
  bench.waiting(4);
  bench.cycle();
  bench.all(running());
  bench.after(120).waiting(0, 4, { tasks_on_workers: 4 });
  bench.happens({ type: "jobs", statuses: new Map([[jobId("2"), ended(null, "cancelled")]]) });
  bench.waiting(1, 3, { tasks_on_workers: 3 });
  assert.equal(bench.cycle(), 1);
});

Deno.test("a batch system that refuses is said once, asked again later, and said to work again", () => {
  const bench = new Bench();
  bench.waiting(3);
  const refused = { type: "submit_failed", why: "sbatch: no such partition" } as const;
  assert.deepEqual(bench.says(refused), ["sbatch: no such partition"]);
  assert.ok(bench.happens({ type: "tick" }).some(({ type }) => type === "submit"));
  assert.deepEqual(bench.says(refused), []);
  assert.ok(!bench.happens({ type: "tick" }).some(({ type }) => type === "submit"));
  assert.equal(integerOf(bench.record(), "wqx_room"), 0, "others take over meanwhile");
  bench.after(31);
  assert.ok(bench.happens({ type: "tick" }).some(({ type }) => type === "submit"));
  assert.deepEqual(bench.says({ type: "submitted", id: jobId("7") }), [
    "The batch system takes jobs again",
  ]);
});

Deno.test("jobs of an earlier run count", () => {
  const bench = new Bench();
  bench.waiting(4);
  const ids = ["11", "12", "13"].map(jobId);
  assert.deepEqual(bench.says({ type: "adopted", ids }), [
    "Going on with 3 jobs of an earlier run: 11, 12, 13",
  ]);
  assert.equal(bench.cycle(), 1);
});

Deno.test("a catalog that is silent is relied on for two minutes, and said once", () => {
  const bench = new Bench();
  const silent = { type: "no_answer", why: "no catalog answers" } as const;
  assert.deepEqual(bench.says(silent), ["no catalog answers"]);
  assert.equal(bench.cycle(), 0);
  assert.deepEqual(bench.waiting(100), ["There are answers again"]);
  assert.equal(bench.cycle(), 5);
  assert.deepEqual(bench.after(100).says(silent), ["no catalog answers"]);
  assert.equal(bench.cycle(), 5, "what was known goes on");
  assert.deepEqual(bench.after(100).says(silent), []);
  assert.equal(bench.cycle(), 0);
});

Deno.test("waiting jobs are not removed while nobody answers", () => {
  const bench = new Bench();
  bench.waiting(5);
  bench.cycle();
  bench.happens({ type: "no_answer", why: "no catalog answers" });
  for (let i = 0; i < 30; i++) {
    const actions = bench.after(10).happens({ type: "tick" });
    assert.ok(!actions.some(({ type }) => type === "remove"));
  }
  bench.managers();
  const removed = Array.from({ length: 8 }, () => bench.after(10).happens({ type: "tick" })).flat()
    .find((action) => action.type === "remove");
  assert.deepEqual(removed?.ids, ["5", "4", "3", "2", "1"]);
});

Deno.test("removed jobs count no more, and their end is not reported", () => {
  const bench = new Bench();
  bench.waiting(5);
  bench.cycle();
  bench.happens({ type: "removed", ids: ["4", "5"].map(jobId) });
  assert.equal(bench.cycle(), 2);
  assert.deepEqual(
    bench.says({ type: "jobs", statuses: new Map([[jobId("4"), ended(null)]]) }),
    [],
  );
});

Deno.test("without managers for longer than the factory timeout it ends", () => {
  const bench = new Bench({ factoryTimeoutS: 60 });
  bench.managers();
  bench.cycle();
  bench.after(50).waiting(1);
  bench.cycle();
  bench.after(59).managers();
  assert.ok(!bench.happens({ type: "tick" }).some(({ type }) => type === "end"));
  bench.after(2).managers();
  assert.ok(bench.happens({ type: "tick" }).some(({ type }) => type === "end"));
});

Deno.test("managers of a protocol that our workers do not speak are left out, and said", () => {
  const bench = new Bench();
  const old = managerRecord({ project: "ana_old", protocol: 8, tasks_waiting: 50 });
  const served = [9, 10, 11].map((protocol) =>
    managerRecord({ project: `ana${protocol}`, port: 9000 + protocol, protocol, tasks_waiting: 1 })
  );
  assert.deepEqual(bench.managers(old, ...served), [
    'Left out: "ana_old" (protocol 8); our workers speak protocols 9, 10, 11',
  ]);
  assert.equal(bench.cycle(), 3);
  assert.deepEqual(bench.managers(old, ...served), [], "once");
});

Deno.test("names are whole regular expressions, and a | of them", () => {
  const bench = new Bench({ managerName: "a|b" });
  const of = (project: string) => managerRecord({ project, tasks_waiting: 1 });
  bench.managers(of("a"), of("ab"), of("b"), of("cb"), of("ax"));
  assert.equal(bench.cycle(), 2);
});

Deno.test("hosts whose workers never connect are named, with job and age, once", () => {
  const bench = new Bench();
  bench.waiting(5);
  bench.cycle();
  const hosts = ["n1", "n2.site.edu", "n3", "n3", "n4"];
  const statuses = new Map(hosts.map((host, i) => [jobId(`${i + 1}`), running(host)]));
  bench.happens({ type: "jobs", statuses });
  bench.after(290).waiting(5, 3);
  assert.ok(!bench.happens({ type: "tick" }).some(({ type }) => type === "ask_hosts"));
  bench.after(20);
  assert.ok(bench.happens({ type: "tick" }).some(({ type }) => type === "ask_hosts"));
  const seen = { type: "hosts", hosts: ["n1.site.edu", "N2", "n3.site.edu"] } as const;
  assert.deepEqual(bench.says(seen), [
    "On n3 2 jobs (3, 4) have run for up to 5:10, but only 1 worker from there is connected: look " +
    "whether that host reaches the manager's port and can start the worker",
    "On n4 job 5 has run for 5:10, but no worker from there has connected to a manager: look " +
    "whether that host reaches the manager's port and can start the worker",
  ]);
  assert.deepEqual(bench.says(seen), []);
  assert.deepEqual(bench.says({ type: "hosts", hosts: null }), []);
});

Deno.test("where managers do not say where their workers are, all hosts are named together", () => {
  const bench = new Bench();
  bench.waiting(2);
  bench.cycle();
  bench.all(running("n7"));
  bench.after(301);
  assert.deepEqual(bench.says({ type: "hosts", hosts: null }), [
    "Of ours 2 jobs (1, 2) have run for up to 5:01 on n7, but no worker has connected to a manager",
  ]);
});

Deno.test("held jobs are named once, with the system's reason", () => {
  const bench = new Bench();
  bench.waiting(1);
  bench.cycle();
  const held = { phase: "held", why: "JobHeldUser" } as const;
  assert.deepEqual(bench.says({ type: "jobs", statuses: new Map([[jobId("1"), held]]) }), [
    "Job 1 is held: JobHeldUser",
  ]);
  assert.deepEqual(bench.says({ type: "jobs", statuses: new Map([[jobId("1"), held]]) }), []);
});

Deno.test("hosts that managers block are all of theirs, in either way of writing them", () => {
  const bench = new Bench();
  bench.managers(
    managerRecord({ workers_blocked: ["n2", "n1"] }),
    managerRecord({ port: 9124, workers_blocked: "n3 n1" }),
    managerRecord({ port: 9125 }),
  );
  assert.deepEqual(bench.machine.hostsBlocked, ["n1", "n2", "n3"]);
});

Deno.test("the record has work_queue_factory's fields, the counts as before the new jobs", () => {
  const bench = new Bench({ factoryName: "facA" });
  bench.waiting(12, 1, { tasks_running: 2, tasks_complete: 9 });
  const record: Record<string, JxValue> = Object.fromEntries(bench.record());
  const { managers, wqx_why, ...rest } = record;
  assert.match(String(wqx_why), /12 tasks waiting/);
  assert.deepEqual(managers, [
    new Map<string, JxValue>([
      ["project", "ana1"],
      ["name", "login1"],
      ["port", 9123n],
      ["tasks_waiting", 12n],
      ["tasks_running", 2n],
      ["tasks_complete", 9n],
      ["workers", 1n],
    ]),
  ]);
  assert.deepEqual(rest, {
    type: "wq_factory",
    port: -5n,
    owner: "me",
    version: "wqx 0",
    lifetime: 300n,
    workers_submitted: 0n,
    workers_needed: 12n,
    workers_requested: 5n,
    workers_to_connect: 0n,
    foremen: [],
    project_regex: "ana.*",
    submission_regex: "ana.*",
    max_workers: 100n,
    factory_name: "facA",
    wqx_id: "m",
    wqx_room: 100n,
    wqx_batch_type: "slurm",
    wqx_waiting: 0n,
    wqx_running: 0n,
    wqx_brought: 5n,
  });
});
