/** Workers that are not of wqx, which are sent wqx to monitor tasks. */
import assert from "node:assert/strict";
import { wqxInput } from "../../core/cache_names.ts";
import type { CategorySettings } from "../../core/allocation/category.ts";
import type { TaskId, WorkerId } from "../../core/ids.ts";
import type { MonitorMode } from "../../core/monitor/mode.ts";
import { summaryBytesMax } from "../../core/monitor/summary_reader.ts";
import type { TaskBlock } from "../../core/protocol/messages.ts";
import type { Failure } from "../../core/scheduler/tasks.ts";
import { quoted } from "../../core/shell_words.ts";
import {
  bytesOf,
  greeting,
  input,
  ManagerProbe,
  only,
  output,
  resources,
  type Told,
} from "../support/builders.ts";

const source = { kind: "file", path: "/opt/wqx" } as const;
const diskMb = 46;

function probeWith(
  monitor: MonitorMode,
  settings: CategorySettings = { mode: "fixed", chance: () => 0 },
): ManagerProbe {
  return new ManagerProbe({}, {
    monitor,
    foreignMonitor: { source, diskMb },
    allocations: new Map([["default", settings]]),
  });
}

/** What the monitor wrote; `null`: nothing. */
type Written = Readonly<Record<string, unknown>> | null;

/** The worker tells that the task is over, and gives the summary; outputs are asked for then. */
function end(
  probe: ManagerProbe,
  worker: WorkerId,
  id: TaskId,
  written: Written,
  told: Told = {},
): void {
  probe.take();
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id, told);
  probe.receive(worker, { type: "end" });
  const path = `summary-${id}`;
  assert.deepEqual(asked(probe), [path], "the summary, and nothing else yet");
  if (written === null) {
    probe.receive(worker, { type: "missing", path, errno: 2 });
  } else {
    const bytes = bytesOf(JSON.stringify(written));
    probe.receive(worker, { type: "file", path, length: bytes.length });
    const { into } = only(probe.take(), "receive").at(-1)!;
    assert.equal(into.kind, bytes.length <= summaryBytesMax ? "printed" : "nobody");
    probe.stored(worker, into.kind === "printed" ? { kind: "printed", bytes } : { kind: "file" });
  }
  probe.receive(worker, { type: "end" });
}

/** Cached names of what was asked for since the last look. */
function asked(probe: ManagerProbe): string[] {
  return only(probe.take(), "send").flatMap(({ message }) =>
    message.type === "get" ? [message.cacheName] : []
  );
}

/** Gives the outputs: the probe's own way would answer for the summary, too. */
function give(probe: ManagerProbe, worker: WorkerId, ...paths: string[]): void {
  for (const path of paths) {
    probe.receive(worker, { type: "file", path, length: 1 });
    probe.stored(worker, { kind: "file" });
    probe.receive(worker, { type: "end" });
  }
}

/** What is dispatched now. */
function block(probe: ManagerProbe): TaskBlock {
  return only(probe.schedule(), "dispatch")[0]!.block;
}

/** Of the task that came back. */
function failureOf(probe: ManagerProbe): Failure {
  const { end } = only(probe.take(), "returned")[0]!;
  assert.ok(end.kind === "failure", end.kind);
  return end;
}

const normal = { exit_status: 0, exit_type: "normal", cpu_time: [2, "s"], memory: [70, "MB"] };
const overMemory = (limit: number) => ({
  exit_status: 143,
  exit_type: "limits",
  limits_exceeded: { memory: [limit, "MB"] },
  memory: [limit + 10, "MB"],
});

Deno.test("wqx is sent once to a worker that is not of wqx", () => {
  const probe = probeWith("watchdog");
  probe.join(resources(2));
  for (let i = 0; i < 2; i++) probe.submit();
  const [first, second] = only(probe.schedule(), "dispatch");
  assert.deepEqual(first!.inputs, [wqxInput(source)]);
  assert.deepEqual(second!.inputs, [], "it has it");
  assert.deepEqual(second!.block.inputs.map(({ sandboxName }) => sandboxName), ["wqx"]);
});

Deno.test("a worker of wqx is asked by a variable, and the command is left as it is", () => {
  const probe = probeWith("watchdog");
  const worker = probe.open();
  const [hello, ...rest] = greeting("here", resources(1));
  const wqx = { type: "info", key: "wqx", value: "0.1.0" } as const;
  for (const message of [hello!, wqx, ...rest]) probe.receive(worker, message);
  probe.submit({ command: "date" });
  const { command, inputs, outputs, env } = block(probe);
  assert.deepEqual([command, inputs, outputs], ["date", [], []]);
  assert.deepEqual(env, ["WQX_MONITOR=watchdog"]);
});

Deno.test("a task that has wqx already is not sent another", () => {
  const probe = probeWith("watchdog");
  probe.join();
  probe.submit({ inputs: [wqxInput({ kind: "buffer", bytes: bytesOf("own"), mode: 0o755 })] });
  const { inputs, block } = only(probe.schedule(), "dispatch")[0]!;
  assert.deepEqual([inputs.length, block.inputs.length], [1, 1]);
  assert.match(block.command, /^exec '\.\/wqx' monitor /);
});

Deno.test("files of the task may have the names that the monitor would use", () => {
  const probe = probeWith("watchdog");
  probe.join();
  probe.submit({
    inputs: [input("wqx/table", { cacheName: "in-table" }), input("cctools-monitor.summary")],
    outputs: [output("wqx-")],
  });
  const { command, inputs, outputs } = block(probe);
  const names = [...inputs, ...outputs].map(({ sandboxName }) => sandboxName);
  assert.equal(new Set(names).size, 5);
  assert.ok(names.includes("wqx--") && names.includes("cctools-monitor-.summary"), `${names}`);
  assert.match(command, /^exec '\.\/wqx--' monitor .* --with-output-files=cctools-monitor- /);
});

Deno.test("a task is held to the memory and disk of its box, wqx itself not counted", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join(resources(4, 2000, 4000));
  const command = 'echo "it\'s" > $HOME/x';
  const id = probe.submit({ command, category: "fit's" });
  const told = block(probe).command;
  assert.ok(told.includes("-L 'memory: 500' -L 'disk: 1046' "), told);
  assert.ok(told.includes(` -V 'task_id: ${id}' -V ${quoted("category: fit's")} `), told);
  assert.ok(told.endsWith(` --sh ${quoted(command)}`), told);
  assert.doesNotMatch(told, /cores|measure-only/);
  end(probe, worker, id, {
    exit_status: 143,
    exit_type: "limits",
    limits_exceeded: { disk: [1046, "MB"] },
    disk: [1100, "MB"],
  }, { exitCode: 2 });
  const ended = failureOf(probe);
  assert.deepEqual(ended.exhausted, { resource: "disk", limit: 1000, measured: 1054 });
});

Deno.test("only measured, a task has no limits but its time, which the monitor keeps", () => {
  const probe = probeWith("measure");
  const worker = probe.join();
  probe.submit();
  assert.match(block(probe).command, /cctools-monitor -V .* --measure-only --sh/);
  const timely = probe.submit({ wallTimeMs: 60_000, endTimeMs: 90_000 });
  probe.nowMs = 50_000;
  const { command, wallTimeMs, endTimeMs } = block(probe);
  assert.match(command, /-L 'wall_time: 40' -V/);
  assert.doesNotMatch(command, /measure-only|memory|disk/);
  assert.deepEqual([wallTimeMs, endTimeMs], [90_000, 120_000], "the worker comes in later");
  const late = { exit_status: 143, exit_type: "limits", limits_exceeded: { wall_time: [40, "s"] } };
  end(probe, worker, timely, late, { exitCode: 3 });
  const why = "its end time passed";
  assert.deepEqual(probe.ends(), [[timely, { kind: "failure", code: 24, why }]]);
});

Deno.test("what was measured there is what workers of wqx measure", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit({ outputs: [output("a"), output("b", { when: "failure" })] });
  probe.schedule();
  probe.nowMs += 5000;
  const written = { ...normal, wall_time: [0.5, "s"], disk: [47, "MB"] };
  end(probe, worker, id, written, { wallUs: 600_000 });
  assert.deepEqual(asked(probe), ["out-a"]);
  give(probe, worker, "out-a");
  const { attempt } = only(probe.take(), "attempt_ended")[0]!;
  assert.deepEqual(attempt.measured, {
    cpuUserMs: 2000,
    cpuSystemMs: 0,
    memoryPeakMb: 70,
    monitored: { wall_time: 0.5, cpu_time: 2, memory: 70, disk: 1 },
  });
  assert.deepEqual([attempt.exitCode, attempt.ending], [0, { kind: "success" }]);
  assert.equal(attempt.wallMs, 500, "without the start of the monitor");
});

Deno.test("the exit code is the command's, and says which outputs are wanted", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit({ outputs: [output("a"), output("b", { when: "failure" })] });
  probe.schedule();
  end(probe, worker, id, { ...normal, exit_status: 42 }, { exitCode: 1 });
  assert.deepEqual(asked(probe), ["out-b"]);
  give(probe, worker, "out-b");
  const why = "it ended with exit code 42";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 0, why }]]);
});

Deno.test("a command that ended well before it was seen over a limit has succeeded", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit({ outputs: [output("a")] });
  probe.schedule();
  end(probe, worker, id, { ...normal, limits_exceeded: { memory: [50, "MB"] } }, { exitCode: 2 });
  assert.deepEqual(asked(probe), ["out-a"]);
  give(probe, worker, "out-a");
  assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
});

Deno.test("a task that outgrew its box there is tried with a larger one", () => {
  const probe = probeWith("watchdog", { mode: "adaptive", chance: () => 0 });
  const worker = probe.join(resources(4, 4000, 16_000));
  const id = probe.submit({ request: {} });
  let had = 0;
  for (let tries = 0; had < 4000; tries++) {
    assert.ok(tries < 6, "the ladder has few steps");
    const { memoryMb } = block(probe);
    assert.ok(memoryMb > had, `${memoryMb} MB after ${had} MB`);
    had = memoryMb;
    end(probe, worker, id, overMemory(had), { exitCode: 2 });
  }
  const ended = failureOf(probe);
  assert.match(ended.why, /^it needs more than 4000 MB memory, all that the largest worker has/);
});

Deno.test("without a readable summary a task has failed, and is not tried for ever", () => {
  const cases = [
    [
      null,
      127,
      "sh: ./wqx: not found\n",
      /cannot be started .*\(exit code 127: sh: .* not found\)/,
    ],
    [null, 126, "", /cannot be started on this worker \(exit code 126\)/],
    [null, 4, "Cannot write\n", /its monitor ended with exit code 4 and left no .*: Cannot write/],
    [null, 9, "", /its monitor ended with exit code 9 and left no summary$/],
    [{ exit_type: "running" }, 0, "", /exit code 0 and left no summary/],
    [{ ...normal, x: "y".repeat(summaryBytesMax) }, 0, "", /exit code 0 and left no summary/],
  ] as const;
  for (const [written, exitCode, printed, why] of cases) {
    const probe = probeWith("watchdog");
    const worker = probe.join();
    const id = probe.submit({ retriesMax: 1, outputs: [output("a")] });
    for (let attempt = 0; attempt < 2; attempt++) {
      assert.deepEqual(probe.dispatched(), [`${id} on ${worker}`]);
      end(probe, worker, id, written, { exitCode, printed });
    }
    const { task, end: ended } = only(probe.take(), "returned")[0]!;
    assert.ok(ended.kind === "failure" && ended.code === 72, JSON.stringify(ended));
    assert.match(ended.why, why);
    assert.deepEqual(task.attempts.map((one) => one.exitCode), [null, null]);
  }
});

Deno.test("a directory in place of the summary is no summary, and nothing of it is kept", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit();
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id);
  probe.receive(worker, { type: "end" });
  probe.take();
  probe.receive(worker, { type: "dir", path: `summary-${id}` });
  probe.receive(worker, { type: "file", path: `summary-${id}/a`, length: 1 });
  probe.stored(worker, { kind: "file" });
  const actions = probe.take();
  assert.deepEqual(only(actions, "make_directory"), []);
  assert.deepEqual(only(actions, "receive").map(({ into }) => into.kind), ["nobody"]);
  probe.receive(worker, { type: "end" });
  const ended = failureOf(probe);
  assert.equal(ended.code, 72);
});

Deno.test("a worker that reports another status than success is not asked for a summary", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit();
  probe.schedule();
  probe.finish(worker, id, { status: 56, exitCode: 9 });
  const ended = failureOf(probe);
  assert.equal(ended.code, 56);
});

Deno.test("a task may be canceled while its summary is under way", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const id = probe.submit({ outputs: [output("a")] });
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id);
  probe.receive(worker, { type: "end" });
  const unlinked = only(probe.cancel(id), "send").flatMap(({ message }) =>
    message.type === "unlink" ? [message.cacheName] : []
  );
  assert.deepEqual(unlinked, ["out-a", `summary-${id}`]);
  probe.take();
  const bytes = bytesOf(JSON.stringify(normal));
  probe.receive(worker, { type: "file", path: `summary-${id}`, length: bytes.length });
  probe.stored(worker, { kind: "printed", bytes });
  probe.receive(worker, { type: "end" });
  assert.deepEqual(asked(probe), [], "nobody wants its outputs");
  const next = probe.submit();
  assert.deepEqual(probe.dispatched(), [`${next} on ${worker}`]);
});

Deno.test("of a copy that fails while another one runs no summary is waited for", () => {
  const probe = new ManagerProbe({ stragglerSuccessesMin: 1 }, {
    monitor: "watchdog",
    foreignMonitor: { source, diskMb },
    stragglerFactors: new Map([["default", 2]]),
  });
  const slow = probe.join(resources(1));
  const first = probe.submit();
  probe.schedule();
  probe.nowMs += 1000;
  end(probe, slow, first, { ...normal, wall_time: [1, "s"] });
  const id = probe.submit();
  probe.schedule();
  const free = probe.join(resources(1));
  probe.after(10);
  probe.take();
  probe.receive(free, { type: "available_results" });
  probe.result(free, id, { exitCode: 2 });
  probe.receive(free, { type: "end" });
  const { attempt, again } = only(probe.take(), "attempt_ended")[0]!;
  assert.deepEqual([attempt.exitCode, again], [null, true]);
  const why = "it failed while another copy ran";
  assert.deepEqual(attempt.ending, { kind: "failure", code: 0, why });
  end(probe, slow, id, normal);
  assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
});

Deno.test("a command that is too long to be wrapped runs as it is", () => {
  const probe = probeWith("watchdog");
  const worker = probe.join();
  const command = `: ${"'".repeat(40_000)}`;
  const id = probe.submit({ command });
  assert.equal(block(probe).command, command);
  probe.finish(worker, id);
  assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
});

Deno.test("without monitoring tasks are sent as they are", () => {
  const probe = probeWith("off");
  probe.join();
  probe.submit({ command: "date" });
  const { command, inputs, outputs } = block(probe);
  assert.deepEqual([command, inputs, outputs], ["date", [], []]);
});
