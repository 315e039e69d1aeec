import assert from "node:assert/strict";
import fc from "fast-check";
import { taskId } from "../../core/ids.ts";
import type { ManagerEvent } from "../../core/scheduler/actions.ts";
import { statusAnswer } from "../../core/status/answer.ts";
import type { StatusMessage } from "../../core/status/request.ts";
import { type StatusSource, taskRows } from "../../core/status/snapshot.ts";
import { wireTask } from "../../core/status/wire.ts";
import { greeting, output, resources, taskSpec } from "../support/builders.ts";
import { CountedProbe } from "../support/counted_probe.ts";
import { matchesGolden } from "../support/golden.ts";

function ask(request: string): StatusMessage {
  return { type: "status", request };
}

function get(path: string): StatusMessage {
  return { type: "http", path };
}

function answer(message: StatusMessage, source: StatusSource): string {
  const pieces = statusAnswer(message, source);
  assert.ok(pieces !== null, `${JSON.stringify(message)} has an answer`);
  return [...pieces].join("");
}

type Row = Record<string, unknown>;

function rows(request: string, source: StatusSource): Row[] {
  return JSON.parse(answer(ask(request), source)) as Row[];
}

/** Tasks in all phases, of three categories, on two workers; one more worker left. */
function busyManager(): CountedProbe {
  const probe = new CountedProbe();
  const gone = probe.join(resources(1, 500, 1000));
  const large = probe.join(resources(4, 8000, 20_000, 1));
  probe.join(resources(2, 2000, 4000));
  probe.close(gone);
  const first = probe.submit({ category: "preprocessing", request: { cores: 4 } });
  probe.schedule();
  probe.nowMs = 2500;
  probe.receive(large, { type: "info", key: "wqx-measured", value: `${first} 1800 100 250.5` });
  probe.finish(large, first, { wallUs: 2_000_000 });
  probe.submit({ command: "fit 1", category: "processing", request: { cores: 1, memoryMb: 1500 } });
  const outputs = [output("result.root")];
  const reported = probe.submit({ category: "processing", request: { cores: 2 }, outputs });
  const request = { cores: 16, memoryMb: 64_000, gpus: 1 };
  probe.submit({ command: "merge 1", category: "accumulating", request, priority: 2.5 });
  probe.cancel(probe.submit());
  probe.schedule();
  probe.nowMs = 10_000;
  const { phase } = probe.scheduler.tasks.get(reported)!;
  assert.ok(phase.name === "running");
  const worker = phase.copies[0]!.worker;
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, reported, { wallUs: 5_000_000 });
  return probe;
}

for (const name of ["queue", "task", "worker", "wable"]) {
  Deno.test(`${name}_status of a busy manager is as it was looked at`, async () => {
    const found = rows(`${name}_status`, busyManager().source());
    await matchesGolden(`status/${name}.json`, `${JSON.stringify(found, null, 2)}\n`);
  });
}

/**
 * Of the reference of Work Queue's records, and our own, which begin with `wqx`; `my_manager` and
 * `tlq_url` are a foreman's.
 */
const keys = {
  queue_status: `type project owner version protocol port ssl priority starttime working_dir
    time_when_started manager_preferred_connection network_interfaces workers workers_connected
    workers_init workers_idle workers_busy workers_able workers_joined workers_removed
    workers_released workers_idled_out workers_fast_aborted workers_lost workers_blocked
    tasks_waiting tasks_on_workers tasks_running tasks_with_results tasks_left tasks_submitted
    tasks_dispatched tasks_done tasks_failed tasks_cancelled tasks_exhausted_attempts tasks_complete
    time_send time_receive time_send_good time_receive_good time_status_msgs time_internal
    time_polling time_application time_workers_execute time_workers_execute_good
    time_workers_execute_exhaustion bytes_sent bytes_received capacity_tasks capacity_cores
    capacity_memory capacity_disk capacity_gpus capacity_instantaneous capacity_weighted manager_load
    workers_inuse workers_total workers_smallest workers_largest cores_inuse cores_total
    cores_smallest cores_largest memory_inuse memory_total memory_smallest memory_largest disk_inuse
    disk_total disk_smallest disk_largest gpus_inuse gpus_total gpus_smallest gpus_largest
    tasks_total_cores tasks_total_memory tasks_total_disk tasks_total_gpus categories`,
  task_status: `taskid state category command host cores gpus memory disk priority address_port
    time_when_submitted time_when_commit_start time_when_commit_end current_time`,
  worker_status:
    `wqx_worker hostname os arch address_port ncpus total_tasks_complete total_tasks_running
    total_bytes_transferred total_transfer_time start_time current_time workers_inuse workers_total
    workers_smallest workers_largest cores_inuse cores_total cores_smallest cores_largest
    memory_inuse memory_total memory_smallest memory_largest disk_inuse disk_total disk_smallest
    disk_largest gpus_inuse gpus_total gpus_smallest gpus_largest current_task_000_id
    current_task_000_command`,
  wable_status: `category tasks_waiting tasks_running tasks_on_workers tasks_dispatched tasks_done
    tasks_failed tasks_cancelled workers_able max_cores max_memory max_disk max_gpus
    first_allocation_count max_allocation_count first_allocation max_allocation`,
};

for (const [request, expected] of Object.entries(keys)) {
  Deno.test(`${request} has every key of the reference, and no other`, () => {
    const [row] = rows(request, busyManager().source());
    assert.deepEqual(Object.keys(row!).sort(), expected.split(/\s+/).sort());
  });
}

Deno.test("a manager to which nothing happened says what Work Queue's says then", () => {
  const source = new CountedProbe().source({ project: null, interfaces: [], hostsBlocked: [] });
  for (const request of ["task_status", "worker_status", "wable_status"]) {
    assert.equal(answer(ask(request), source), "[]");
  }
  const [queue] = rows("queue_status", source);
  for (const key of ["project", "network_interfaces", "workers_blocked"]) {
    assert.ok(!(key in queue!), `there is no ${key}`);
  }
  const counts = Object.entries(queue!).filter(([key]) =>
    /^(workers|tasks|cores|memory|disk|gpus|bytes)/.test(key) && key !== "tasks_left"
  );
  assert.deepEqual(counts.filter(([, value]) => value !== 0), []);
  const { capacity_tasks, capacity_cores, capacity_memory, capacity_disk, capacity_weighted } =
    queue!;
  assert.deepEqual(
    [capacity_tasks, capacity_cores, capacity_memory, capacity_disk, capacity_weighted],
    [10, 10, 5120, 10_240, 10],
  );
});

Deno.test("a line is answered by the JSON alone", () => {
  const source = busyManager().source();
  for (const name of ["queue", "resources", "task", "worker", "wable"]) {
    const text = answer(ask(`${name}_status`), source);
    assert.ok(text.startsWith('[{"') && text.endsWith("}]"), text.slice(0, 20));
  }
  assert.equal(
    answer(ask("resources_status"), source),
    answer(ask("queue_status"), source),
  );
});

Deno.test("a browser is answered with a head whose lines end in LF", () => {
  const source = busyManager().source();
  const head = "HTTP/1.1 200 OK\nConnection: close\nAccess-Control-Allow-Origin: *\n" +
    "Content-type: text/plain\n\n";
  const pages = [
    ["queue_status", "/queue_status", "/queue", "/resources_status"],
    ["task_status", "/task_status", "/tasks"],
    ["worker_status", "/worker_status", "/workers"],
    ["wable_status", "/wable_status", "/categories"],
  ] as const;
  for (const [request, ...paths] of pages) {
    for (const path of paths) {
      assert.equal(answer(get(path), source), head + answer(ask(request), source), path);
    }
  }
  for (const path of ["/nothing", "", "//", "/queue_status/", "/%71ueue", "/__proto__"]) {
    assert.equal(answer(get(path), source), head, path);
  }
  const index = answer(get("/"), source);
  assert.ok(index.startsWith("HTTP/1.1 200 OK\nConnection: close\nContent-type: text/html\n\n<"));
  const links = [...index.matchAll(/href="([^"]*)"/g)].map(([, path]) => path!);
  assert.ok(links.length >= 4 && links.every((path) => answer(get(path), source) !== head));
});

Deno.test("what is no question of the protocol has no answer at all", () => {
  const source = busyManager().source();
  const unknown = ["foo_status", "status", "_status", "queue_statusx", "QUEUE_STATUS", "__proto__"];
  for (const request of unknown) assert.equal(statusAnswer(ask(request), source), null, request);
});

/** Any UTF-16 at all: quotes, control characters, halves of surrogate pairs. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(String.fromCharCode) });
const hostile = fc.oneof(
  anyText,
  fc.string({ unit: fc.constantFrom('"', "\\", "\n", "\x1b", "\x7f", "\0", "'", "ü", "\ud800") }),
);

/** What cctools' reader takes: JSON without escapes above 007f. */
function readable(text: string): Row[] {
  assert.ok(text.isWellFormed(), "it can be sent as UTF-8");
  for (const [, hex] of text.replaceAll("\\\\", "").matchAll(/\\u([0-9a-f]{4})/g)) {
    assert.ok(parseInt(hex!, 16) <= 0x7f, `\\u${hex} is refused by cctools`);
  }
  return JSON.parse(text) as Row[];
}

Deno.test("whatever names are made of, answers are JSON that cctools reads", () => {
  fc.assert(fc.property(hostile, hostile, hostile, (project, command, hostname) => {
    const probe = new CountedProbe();
    const worker = probe.open();
    for (const message of greeting(hostname, resources(4))) probe.receive(worker, message);
    probe.submit({ command });
    probe.schedule();
    const source = probe.source({ project, owner: command, workingDir: hostname });
    const [queue] = readable(answer(ask("queue_status"), source));
    assert.equal(queue!.project, project.toWellFormed());
    const [task] = readable(answer(ask("task_status"), source));
    assert.equal(task!.command, command.toWellFormed());
    const [row] = readable(answer(ask("worker_status"), source));
    assert.equal(row!.current_task_000_command, command.toWellFormed());
    assert.doesNotMatch(String(row!.hostname) + String(task!.host), /\p{Cc}/u);
  }));
});

Deno.test("a command of more than 65,535 bytes is cut, or cctools would read no task at all", () => {
  for (const unit of ["x", "ü", "😀", "\x01", "\ud800"]) {
    for (const count of [10_000, 65_535, 100_000]) {
      const probe = new CountedProbe();
      probe.submit({ command: unit.repeat(count) });
      const [task] = readable(answer(ask("task_status"), probe.source()));
      const shown = String(task!.command);
      const bytes = new TextEncoder().encode(shown).length;
      const whole = unit.repeat(count).toWellFormed();
      if (new TextEncoder().encode(whole).length <= 65_535) assert.equal(shown, whole);
      else assert.ok(bytes > 65_525 && bytes <= 65_535 && shown.endsWith("…"), `${bytes}`);
    }
  }
});

Deno.test("numbers are whole where readers expect whole ones", () => {
  const probe = new CountedProbe();
  probe.join(resources(3.5, 1000.25, 2000.75));
  for (const cores of [0.1, 0.2, 0.5]) probe.submit({ request: { cores, memoryMb: 0.3 } });
  probe.schedule();
  probe.nowMs = 0.123456;
  const numbers = (row: Row) =>
    Object.entries(row).filter(([key, value]) => typeof value === "number" && key !== "cores");
  for (const request of ["queue_status", "task_status", "worker_status", "wable_status"]) {
    for (const row of rows(request, probe.source())) {
      assert.deepEqual(numbers(row).filter(([, value]) => !Number.isSafeInteger(value)), []);
    }
  }
});

Deno.test("a link that did not greet is no worker, one without resources is still joining", () => {
  const probe = new CountedProbe();
  probe.open();
  const half = probe.open();
  probe.receive(half, greeting("node1", resources(4))[0]!);
  const [queue] = rows("queue_status", probe.source());
  assert.deepEqual(
    [queue!.workers, queue!.workers_init, queue!.workers_idle, queue!.workers_joined],
    [1, 1, 0, 1],
  );
  assert.deepEqual(rows("worker_status", probe.source()).map((row) => row.hostname), ["node1"]);
});

// Many tasks

function manyTasks(count: number): StatusSource {
  const probe = new CountedProbe();
  for (let i = 1; i <= count; i++) {
    const spec = taskSpec({ command: `python3 analysis.py --chunk ${i}`, category: `c${i % 5}` });
    probe.scheduler.handle({ type: "submitted", id: taskId(i), spec }, 0);
  }
  return probe.source();
}

Deno.test("100,000 tasks come in pieces, at a cost near that of writing their JSON at once", () => {
  const source = manyTasks(100_000);
  const stopwatch = (work: () => void) => {
    const sinceMs = performance.now();
    work();
    return performance.now() - sinceMs;
  };
  let count = 0;
  let longest = 0;
  const streamed: number[] = [];
  const atOnce: number[] = [];
  let objects: unknown[] = [...taskRows(source)].map((row) => wireTask(row, source.at));
  for (let round = 0; round < 3; round++) {
    count = 0;
    streamed.push(stopwatch(() => {
      for (const piece of statusAnswer(ask("task_status"), source)!) {
        count++;
        longest = Math.max(longest, piece.length);
      }
    }));
    atOnce.push(stopwatch(() => JSON.stringify(objects)));
  }
  objects = [];
  assert.ok(count > 200, `${count} pieces`);
  assert.ok(longest < 66_000, `the longest has ${longest} characters`);
  const ratio = Math.min(...streamed) / Math.min(...atOnce);
  assert.ok(ratio < 8, `${ratio.toFixed(1)} times JSON.stringify`);
  assert.equal(rows("queue_status", source)[0]!.tasks_waiting, 100_000);
});

Deno.test("tasks that come or go while the answer is read neither break nor prolong it", () => {
  const source = manyTasks(2000);
  const scheduler = source.scheduler as CountedProbe["scheduler"];
  let next = 2001;
  let text = "";
  for (const piece of statusAnswer(ask("task_status"), source)!) {
    text += piece;
    for (let i = 0; i < 1000; i++) {
      scheduler.handle({ type: "submitted", id: taskId(next++), spec: taskSpec() }, 0);
      scheduler.handle({ type: "cancel", id: taskId(i + 1000) }, 0);
    }
  }
  const found = JSON.parse(text) as Row[];
  assert.ok(next > 3001, "it came in several pieces");
  assert.ok(found.length <= 2000, `${found.length} rows`);
  assert.equal(new Set(found.map((row) => row.taskid)).size, found.length);
});

// Statistics

Deno.test("workers that left are counted by why: told to, idle, lost; questions are not workers", () => {
  const probe = new CountedProbe();
  const leave = [probe.join(), probe.join(), probe.join(), probe.join(), probe.open()];
  const [idle, lost, broken, told] = leave;
  probe.receive(idle!, { type: "info", key: "idle-disconnecting", value: "900" });
  probe.receive(broken!, { type: "end" });
  const { statistics: s } = probe;
  s.acted({ type: "send", worker: told!, message: { type: "release" } });
  for (const worker of leave) probe.close(worker);
  assert.ok(lost !== undefined);
  assert.deepEqual(
    [s.workersJoined, s.workersRemoved, s.workersReleased, s.workersIdledOut, s.workersLost],
    [4, 4, 1, 1, 2],
  );
});

Deno.test("tasks and attempts are counted by how they ended", () => {
  const probe = new CountedProbe();
  const worker = probe.join(resources(8));
  const [good, failing, exhausted, retried, canceled] = [0, 0, 0, 1, 0].map((retriesMax) =>
    probe.submit({ retriesMax })
  );
  probe.schedule();
  probe.nowMs = 10_000;
  probe.finish(worker, good!, { wallUs: 1_000_000 });
  probe.finish(worker, failing!, { exitCode: 3, wallUs: 2_000_000 });
  probe.finish(worker, exhausted!, { status: 16, wallUs: 4_000_000 });
  probe.finish(worker, retried!, { status: 16, wallUs: 500_000 });
  probe.cancel(canceled!);
  probe.schedule();
  probe.finish(worker, retried!);
  const { statistics: s } = probe;
  assert.deepEqual(
    {
      submitted: s.tasksSubmitted,
      dispatched: s.tasksDispatched,
      done: s.tasksDone,
      failed: s.tasksFailed,
      canceled: s.tasksCanceled,
      exhausted: s.attemptsExhausted,
      here: s.doneBy(worker),
      ms: [s.executeMs, s.executeGoodMs, s.executeExhaustedMs],
      category: s.categories.get("default"),
    },
    {
      submitted: 5,
      dispatched: 6,
      done: 4,
      failed: 1, // a command that ran and failed has a result
      canceled: 1,
      exhausted: 2,
      here: 5,
      ms: [7500, 1000, 4500],
      category: { dispatched: 6, done: 2, failed: 3, canceled: 1, memoryPeakMb: null },
    },
  );
});

Deno.test("bytes are those of files, and time counts once however many links are busy", () => {
  const probe = new CountedProbe();
  const [a, b] = [probe.join(resources(1)), probe.join(resources(1))];
  const { statistics: s } = probe;
  const at = (nowMs: number, event: ManagerEvent) => {
    probe.nowMs = nowMs;
    probe.handle(event);
  };
  at(1000, { type: "sending", worker: a, bytes: 500 });
  at(2000, { type: "sending", worker: b, bytes: 70 });
  at(4000, { type: "sent", worker: a });
  at(5000, { type: "sent", worker: b });
  at(8000, { type: "sending", worker: b, bytes: 1000 });
  at(9000, { type: "link_closed", worker: b, why: "it broke" });
  assert.deepEqual([s.bytesSent, s.sendMs], [570, 5000]);

  const outputs = [output("result")];
  const id = probe.submit({ outputs });
  probe.schedule();
  probe.receive(a, { type: "available_results" });
  probe.result(a, id, { printed: "not a file" });
  probe.receive(a, { type: "end" });
  probe.receive(a, { type: "file", path: outputs[0]!.cacheName, length: 300 });
  at(11_000, { type: "stored", worker: a, stored: { kind: "file" } });
  assert.deepEqual([s.bytesReceived, s.receiveMs], [300, 2000]);
});

Deno.test("the capacity is run time over transfer time, and at least ten tasks", () => {
  for (const [wallMs, expected] of [[60_000, 60], [2000, 10]] as const) {
    const probe = new CountedProbe();
    const worker = probe.join(resources(2, 1000, 4000));
    for (let i = 0; i < 3; i++) {
      probe.handle({ type: "sending", worker, bytes: 1 });
      probe.nowMs += 1000;
      probe.handle({ type: "sent", worker });
      const id = probe.submit({ request: { cores: 2 } });
      probe.schedule();
      probe.nowMs += wallMs;
      probe.finish(worker, id, { wallUs: wallMs * 1000 });
    }
    const { tasks, box, instantaneous } = probe.statistics.capacity;
    assert.deepEqual([tasks, instantaneous], [expected, wallMs / 1000]);
    assert.deepEqual(box, resources(2 * tasks, 1000 * tasks, 4000 * tasks));
  }
});
