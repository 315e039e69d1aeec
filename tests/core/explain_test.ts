/** Explanations as whole paragraphs: they are read by people, so people have to have read them. */
import assert from "node:assert/strict";
import type { JxObject } from "../../core/jx/value.ts";
import { parseJxValue } from "../../core/jx/parse.ts";
import { isJxArray, isJxObject } from "../../core/jx/value.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import { statusAnswer } from "../../core/status/answer.ts";
import { explainFromRecords } from "../../core/status/explain_records.ts";
import { explain } from "../../core/status/explain_source.ts";
import {
  explainQuestion,
  parseExplainPath,
  parseExplainQuestion,
  type Subject,
} from "../../core/status/questions.ts";
import type { OwnerView, StatusSource } from "../../core/status/snapshot.ts";
import { CountedProbe, facts } from "../support/counted_probe.ts";
import { resources } from "../support/builders.ts";
import { matchesGolden } from "../support/golden.ts";

const GB = 1024;
const { startedEpochMs } = facts;

/** What is asked, of which manager. */
interface Case {
  readonly name: string;
  readonly subject: Subject;
  make(probe: CountedProbe): OwnerView | void;
}

const task = (name: number | string): Subject => ({ kind: "task", name: String(name) });
const worker = (name: string): Subject => ({ kind: "worker", name });
const queue: Subject = { kind: "queue" };

const cases: readonly Case[] = [
  {
    name: "a task, and no worker is there",
    subject: task(1),
    make: (probe) =>
      void probe.submit({ category: "fit", request: { cores: 2, memoryMb: 4 * GB } }),
  },
  {
    name: "a task that is too large for the one worker",
    subject: task(1),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.submit({ category: "fit", request: { cores: 8, memoryMb: 16 * GB } });
    },
  },
  {
    name: "a task that is too large for every worker",
    subject: task(1),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.join(resources(16, 2 * GB, 50 * GB), "node8");
      probe.submit({ category: "merge", request: { cores: 1, memoryMb: 10 * GB } });
    },
  },
  {
    name: "a task that waits for room, behind others",
    subject: task(5),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.join(resources(1, GB, 50 * GB), "node8");
      probe.submit({ category: "fit", request: { cores: 3, memoryMb: 6 * GB } });
      probe.schedule();
      probe.submit({ category: "fit", priority: 5, request: { cores: 4 } });
      probe.submit({ category: "fit", request: { cores: 2, memoryMb: 4 * GB } });
      probe.submit({ category: "fit", request: { cores: 2, memoryMb: 4 * GB } });
      probe.submit({ category: "fit", request: { cores: 2, memoryMb: 4 * GB } });
      probe.schedule();
    },
  },
  {
    name: "a task that starts within a moment",
    subject: task(1),
    make(probe) {
      probe.join(resources(4), "node7");
      probe.submit();
    },
  },
  {
    name: "a task that takes a whole worker",
    subject: task(2),
    make(probe) {
      probe.join(resources(4), "node7");
      probe.submit({ request: {} });
      probe.schedule();
      probe.submit({ request: {} });
    },
  },
  {
    name: "a task that asks for a feature that no worker has",
    subject: task(1),
    make(probe) {
      probe.join(resources(4), "node7");
      probe.join(resources(4), "node8");
      probe.submit({ features: ["cuda"] });
    },
  },
  {
    name: "a task that failed on the only worker that is there, and on another one",
    subject: task(1),
    make(probe) {
      const first = probe.join(resources(4), "node7");
      probe.submit({ retriesMax: 5 });
      probe.schedule();
      probe.finish(first, 1 as never, { exitCode: 3 });
      probe.join(resources(1), "node8");
      probe.submit();
    },
  },
  {
    name: "a task whose host is blocked",
    subject: task(3),
    make(probe) {
      const bad = probe.join(resources(4, 8 * GB), "bad1");
      probe.join(resources(1, GB), "good1");
      for (let i = 0; i < 2; i++) {
        const id = probe.submit({ request: { cores: 4 } });
        probe.schedule();
        probe.finish(bad, id, { exitCode: 1 });
      }
      probe.submit({ request: { cores: 4 } });
      probe.nowMs += 60_000;
    },
  },
  {
    name: "a task that is longer than its worker stays",
    subject: task(1),
    make(probe) {
      const leaving = probe.join(resources(4), "node7");
      const endMs = probe.epochMs + 1_800_000;
      probe.receive(leaving, {
        type: "info",
        key: "worker-end-time",
        value: String(Math.round(endMs / 1000)),
      });
      probe.submit({ wallTimeMs: 7_200_000 });
    },
  },
  {
    name: "a task that runs",
    subject: task(1),
    make(probe) {
      probe.join(resources(4), "node7");
      probe.submit({ category: "fit", request: { cores: 2, memoryMb: 700 } });
      probe.schedule();
      probe.nowMs += 130_000;
    },
  },
  {
    name: "a task that lost its worker",
    subject: task(1),
    make(probe) {
      const gone = probe.join(resources(4), "node7");
      probe.submit();
      probe.schedule();
      probe.close(gone);
    },
  },
  {
    name: "a task that is over",
    subject: task(1),
    make(probe) {
      const id = probe.submit();
      const one = probe.join(resources(4), "node7");
      probe.schedule();
      probe.finish(one, id);
    },
  },
  { name: "a task that never was", subject: task(41), make: (probe) => void probe.submit() },
  {
    name: "a task of a list that comes after others",
    subject: task("merge"),
    make: (): OwnerView => ({
      named: (name) => name === "merge" ? { kind: "held", after: ['task "fit"', "task 7"] } : null,
      nameOf: () => null,
      held: 1,
      courses: new Map(),
    }),
  },
  {
    name: "a task by its name in a list",
    subject: { kind: "any", name: "fit" },
    make(probe): OwnerView {
      const id = probe.submit({ category: "fits" });
      return {
        named: (name) => name === "fit" ? { kind: "submitted", id } : null,
        nameOf: () => "fit",
        held: 0,
        courses: new Map(),
      };
    },
  },
  {
    name: "a worker that idles without tasks",
    subject: worker("w1"),
    make: (probe) => void probe.join(resources(4, 8 * GB, 50 * GB), "node7"),
  },
  {
    name: "a worker that is too small for what waits",
    subject: worker("node7"),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.submit({ category: "fit", request: { cores: 64 } });
      probe.submit({ category: "merge", request: { cores: 5 } });
      probe.schedule();
    },
  },
  {
    name: "a worker without the feature that the waiting task wants",
    subject: worker("w1"),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.submit({ category: "fit", features: ["cuda"] });
      probe.schedule();
    },
  },
  {
    name: "a worker of a factory that starts too small ones",
    subject: worker("w1"),
    make(probe) {
      const small = probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.receive(small, { type: "info", key: "from-factory", value: "night" });
      probe.submit({ category: "fit", request: { cores: 64 } });
      probe.schedule();
    },
  },
  {
    name: "a worker that is full",
    subject: worker("10.0.0.1:4000"),
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      for (let i = 0; i < 6; i++) probe.submit({ category: "fit", request: { cores: 1 } });
      probe.schedule();
    },
  },
  {
    name: "a worker that has said nothing yet",
    subject: worker("w1"),
    make(probe) {
      const opened = probe.open();
      probe.receive(opened, {
        type: "workqueue",
        protocol: 11,
        hostname: "node7",
        os: "Linux",
        arch: "x86_64",
        version: "8.0.0",
      });
    },
  },
  {
    name: "a worker to which a file is being sent",
    subject: worker("w1"),
    make(probe) {
      const one = probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.submit();
      probe.schedule();
      probe.handle({ type: "sending", worker: one, bytes: 3 * 1024 ** 3 });
      probe.nowMs += 45_000;
    },
  },
  {
    name: "a worker that never was",
    subject: worker("w9"),
    make: (probe) => void probe.join(resources(4)),
  },
  { name: "a word that means nothing", subject: { kind: "any", name: "fit" }, make: () => {} },
  { name: "a queue without tasks and workers", subject: queue, make: () => {} },
  {
    name: "a queue without workers",
    subject: queue,
    make: (probe) => void probe.submit({ request: { cores: 2, memoryMb: 500 } }),
  },
  {
    name: "a queue with too few workers, and a task too large for them",
    subject: queue,
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      for (let i = 0; i < 10; i++) probe.submit({ category: "fit", request: { cores: 1 } });
      probe.submit({ category: "merge", request: { memoryMb: 64 * GB } });
      probe.schedule();
    },
  },
  {
    name: "a queue in which nothing has moved, since no worker is large enough",
    subject: queue,
    make(probe) {
      probe.join(resources(4, 8 * GB, 50 * GB), "node7");
      probe.submit({ category: "merge", request: { cores: 1, memoryMb: 10 * GB } });
      probe.schedule();
      probe.nowMs += 130_000;
    },
  },
  {
    name: "a queue in which nothing has moved, since one task hangs",
    subject: queue,
    make(probe) {
      const one = probe.join(resources(4), "node7");
      const done = probe.submit({ category: "fit", request: { cores: 1 } });
      probe.submit({ category: "fit", request: { cores: 1 } });
      probe.schedule();
      probe.nowMs += 20_000;
      probe.finish(one, done, { wallUs: 20_000_000 });
      probe.source(); // as every second
      probe.nowMs += 900_000;
    },
  },
  {
    name: "a queue with more workers than tasks",
    subject: queue,
    make(probe) {
      probe.join(resources(4), "node7");
      probe.join(resources(4), "node8");
      probe.submit();
      probe.schedule();
    },
  },
];

Deno.test("explanations are as they were read", async () => {
  const lines = cases.map(({ name, subject, make }) => {
    const probe = new CountedProbe({ hostFailuresMax: 2 }, { epochOffsetMs: startedEpochMs });
    const owner = make(probe);
    const { about, text } = explain(subject, probe.source({}, owner ?? undefined));
    return `# ${name} (${about})\n${text}\n`;
  });
  await matchesGolden("status/explain.txt", lines.join("\n"));
});

/** A manager with a task that runs, some that wait, and an idle worker. */
function busy(): CountedProbe {
  const probe = new CountedProbe();
  probe.join(resources(4, 8 * GB, 50 * GB), "node7");
  probe.submit({ category: "fit", request: { cores: 4 } });
  probe.schedule();
  probe.join(resources(1, GB, 50 * GB), "node8");
  probe.submit({ category: "fit", request: { cores: 3 } });
  probe.submit({ category: "fit", request: { cores: 3 } });
  probe.submit({ category: "merge", request: { memoryMb: 64 * GB } });
  probe.schedule();
  probe.nowMs += 30_000;
  return probe;
}

function answer(request: string, source: StatusSource): readonly JxObject[] {
  const text = [...statusAnswer({ type: "status", request }, source)!].join("");
  const value = parseJxValue(text);
  assert.ok(isJxArray(value));
  return value.filter(isJxObject);
}

Deno.test("what a manager of others is known of is told from its records", async () => {
  const source = busy().source();
  const records = {
    queue: answer("queue_status", source)[0]!,
    tasks: answer("task_status", source),
    workers: answer("worker_status", source),
  };
  const subjects: Subject[] = [
    ...[1, 2, 4, 5, 0].map(task),
    ...["node8", "10.0.0.1:4000", "w7"].map(worker),
    { kind: "any", name: "fit" },
    queue,
  ];
  const lines = subjects.map((subject) => {
    const { about, name, text } = explainFromRecords(subject, records);
    return `# ${subject.kind} ${name} (${about})\n${text}\n`;
  });
  await matchesGolden("status/explain_records.txt", lines.join("\n"));
});

Deno.test("a manager answers questions for explanations by line and by path", () => {
  const source = busy().source();
  const [byLine] = answer("wqx_explain task 2", source);
  assert.equal(byLine?.get("about"), "task");
  assert.match(String(byLine?.get("text")), /^Task 2 \(fit\) waits: /);
  const page = [...statusAnswer({ type: "http", path: "/explain/task/2" }, source)!].join("");
  assert.ok(page.endsWith(`[${JSON.stringify(Object.fromEntries(byLine!))}]`), page);
  assert.ok(page.startsWith("HTTP/1.1 200 OK\n"));
  assert.equal(statusAnswer({ type: "status", request: "wqx_explain cat 2" }, source), null);
});

Deno.test("questions for explanations are read as they are written", () => {
  const subjects: Subject[] = [
    queue,
    task(41),
    worker("10.0.0.1:4000"),
    { kind: "any", name: "fit 1/2 ü" },
    { kind: "any", name: "task" },
  ];
  for (const subject of subjects) {
    const line = explainQuestion(subject);
    assert.deepEqual(parseExplainQuestion(line), subject, line);
    const path = `/${line.slice("wqx_".length).replaceAll(" ", "/")}`;
    assert.deepEqual(parseExplainPath(path), subject, path);
  }
  assert.deepEqual(parseExplainPath("/explain/"), queue);
  assert.equal(parseExplainPath("/explained"), null);
  assert.equal(parseExplainQuestion("wqx_explain task 1 2"), null);
  assert.deepEqual(parseExplainQuestion("wqx_explain 100%"), { kind: "any", name: "100%" });
});

Deno.test("a task that outgrew its box is told to get more", () => {
  const probe = new CountedProbe({}, {
    allocations: new Map([["fit", { mode: "max-seen", chance: () => 0 }]]),
    monitor: "watchdog",
  });
  const one = probe.join(resources(4, 8 * GB, 50 * GB), "node7");
  const id = probe.submit({ category: "fit", request: { cores: 1 } });
  probe.schedule();
  probe.finish(one, id, { status: resultCode.diskFull });
  probe.schedule();
  const { text } = explain(task(id), probe.source());
  assert.match(text, /It has outgrown what it was given once, and gets more since\./);
});

Deno.test("a task that may have taken its workers along is told to let others go first", () => {
  const probe = new CountedProbe();
  const id = probe.submit({});
  for (const host of ["node7", "node8"]) {
    const one = probe.join(resources(4, 8 * GB, 50 * GB), host);
    probe.schedule();
    probe.close(one);
  }
  const { text } = explain(task(id), probe.source());
  assert.match(text, /2 workers went away while it ran there\. It may have taken them along, so/);
  assert.match(text, /other tasks go first, for 2:00 at most\./);
});
