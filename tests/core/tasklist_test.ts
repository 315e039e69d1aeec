import assert from "node:assert/strict";
import fc from "fast-check";
import { fileInput, shared, urlInput } from "../../core/cache_names.ts";
import { workerId } from "../../core/ids.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import { whyUnsendable } from "../../core/scheduler/block.ts";
import type { Attempt, TaskEnd } from "../../core/scheduler/tasks.ts";
import { taskId } from "../../core/ids.ts";
import { type Found, keptNameOf, taskSpecOf } from "../../core/tasklist/build.ts";
import { defaultSandboxName, parseSandboxName, TaskNames } from "../../core/tasklist/names.ts";
import { describeCounts } from "../../core/tasklist/progress.ts";
import { ListFailures } from "../../core/tasklist/failures.ts";
import { lineOf, resultOf, type ResultState } from "../../core/tasklist/result.ts";
import { bytesOf, nothingMoved, resources, taskSpec } from "../support/builders.ts";
import { listed, localInput, localOutput, textInput } from "../support/tasklist.ts";

const file: Found = { kind: "file", version: "10 1" };
const spec = (...args: Parameters<typeof listed>) =>
  taskSpecOf(listed(...args), new Map([["/d/a", file], ["/d/b", file]]), new Map());

Deno.test("a listed task becomes the task that a manager runs, with nothing that was not said", () => {
  assert.deepEqual(spec(1), taskSpec({ request: {} }));
  const limits = { features: ["avx"], wallTimeMs: 1000, endTimeMs: 5 };
  const more = { command: "x", category: "fit", priority: 2, env: ["A=1"], retriesMax: 3 };
  assert.deepEqual(
    spec(1, [], { ...limits, ...more }),
    taskSpec({ request: {}, ...limits, ...more }),
  );
  assert.deepEqual(spec(1, [], { request: { memoryMb: 5 } }).request, { memoryMb: 5 });
});

Deno.test("cached inputs are shared by what is in them, others belong to one task and one place", () => {
  const names = (id: number, cache: boolean) =>
    spec(id, [], {
      inputs: [
        localInput("/d/a", { cache }),
        localInput("/d/a", { cache, sandboxName: "a2" }),
        textInput("x", { cache }),
      ],
    }).inputs.map(({ cacheName }) => cacheName);
  assert.deepEqual(names(1, true), names(2, true));
  const own = [...names(1, false), ...names(2, false), ...names(3, true)];
  assert.equal(new Set(own).size, 6 + 2);
});

Deno.test("a cached file that was rewritten is another one", () => {
  const name = (version: string) =>
    taskSpecOf(
      listed(1, [], { inputs: [localInput("/d/a", { cache: true })] }),
      new Map([["/d/a", { kind: "file", version }]]),
      new Map(),
    ).inputs[0]!.cacheName;
  assert.notEqual(name("10 1"), name("10 2"));
  assert.equal(name("10 1"), name("10 1"));
});

Deno.test("a cached output is the same object as the cached input of the same path", () => {
  const writer = listed(1, [], { outputs: [localOutput("/d/a", { cache: true })] });
  const [output] = taskSpecOf(writer, new Map(), new Map()).outputs;
  assert.equal(output?.cacheName, keptNameOf(writer, writer.outputs[0]!));
  const kept = new Map([["/d/a", output!.cacheName]]);
  const reader = listed(2, [1], {
    inputs: [localInput("/d/a", { cache: true }), localInput("/d/b", { cache: true })],
  });
  const [a, b] = taskSpecOf(reader, new Map([["/d/a", file], ["/d/b", file]]), kept).inputs;
  assert.equal(a?.cacheName, output?.cacheName);
  assert.notEqual(b?.cacheName, output?.cacheName);
});

Deno.test("cached names are plain whatever a file, a buffer or a URL is called", () => {
  fc.assert(fc.property(fc.string(), fc.boolean(), (name, cache) => {
    const path = `/${name}`;
    const task = listed(1, [], {
      inputs: [
        localInput(path, { cache, sandboxName: "a" }),
        { ...textInput("x", { cache }), sandboxName: `b/${name}` },
        { source: { kind: "url", url: `http://h/${name}` }, sandboxName: "c", cache },
        { source: { kind: "empty directory" }, sandboxName: "d", cache },
      ],
      outputs: [localOutput(path, { cache, sandboxName: "e" })],
    });
    const { inputs, outputs } = taskSpecOf(task, new Map([[path, file]]), new Map());
    for (const { cacheName } of [...inputs, ...outputs]) {
      assert.match(cacheName, /^[A-Za-z0-9._-]{1,150}$/);
    }
  }));
});

Deno.test("URLs and folders are inputs of their own kinds", () => {
  assert.deepEqual(urlInput("http://h/x", { sandboxName: "x", owner: "1.0" }).source, {
    kind: "url",
    url: "http://h/x",
  });
  const folder = fileInput("/d", { sandboxName: "d", owner: shared, kind: "directory" });
  assert.deepEqual(folder.source, { kind: "directory", path: "/d" });
  assert.equal(folder.cache, true);
  const built = spec(1, [], { inputs: [localInput("/d/a"), textInput("x")] });
  assert.equal(whyUnsendable(taskId(1), built), null);
});

Deno.test("tasks are found by name or number, and what is not there is said", () => {
  const names = new TaskNames();
  assert.equal(names.claim("select", 1), null);
  assert.equal(names.claim("select", 2), 1);
  assert.equal(names.resolve("select", 3, 3), 1);
  assert.equal(names.resolve(2, 3, 3), 2);
  const table: [string | number, RegExp][] = [
    ["selct", /^there is no task "selct": did you mean "select"\?$/],
    [0, /there is no task 0: tasks are numbered from 1/],
    [4, /there is no task 4/],
    [1.5, /there is no task 1\.5/],
    [3, /cannot come after itself/],
  ];
  for (const [named, message] of table) {
    assert.throws(() => names.resolve(named, 3, 3), { name: "UsageError", message });
  }
});

Deno.test("names in a sandbox are relative paths that stay in it", () => {
  const good = { "a": "a", "./a//b/": "a/b", "a.b/..c": "a.b/..c" };
  for (const [written, name] of Object.entries(good)) {
    assert.equal(parseSandboxName(written), name);
  }
  const bad = { "/a": "starts with /", "a/../b": "leads out", "..": "leads out", "./": "is empty" };
  for (const [written, why] of Object.entries({ ...bad, "a\0": "NUL" })) {
    assert.throws(() => parseSandboxName(written), { name: "UsageError", message: RegExp(why) });
  }
  assert.deepEqual(["a/b", "b", "/x/b/", "../b"].map(defaultSandboxName), ["b", "b", "b", "b"]);
});

function attempt(options: Partial<Attempt> = {}): Attempt {
  return {
    worker: workerId("w1"),
    host: "node7",
    startedMs: 1000,
    endedMs: 3000,
    box: resources(2),
    ending: { kind: "success" },
    exitCode: 0,
    wallMs: 1900.1234,
    measured: null,
    printed: bytesOf("hé\n"),
    moved: nothingMoved,
    ...options,
  };
}

const result = (end: TaskEnd, attempts: Attempt[]) =>
  resultOf(
    listed(4, [], { name: "fit", tag: "t" }),
    {
      id: taskId(9),
      spec: taskSpec(),
      phase: { name: "done", end },
      attempts,
      wish: null,
      suspicion: null,
    },
    end,
    Date.UTC(2026, 10, 22),
  );

Deno.test("a result says what came of a task, where, when and with what", () => {
  const measured = { cpuUserMs: 1500, cpuSystemMs: 100, memoryPeakMb: 250.5 };
  const failed = { kind: "failure", code: resultCode.success, why: "exit code 1" } as const;
  const attempts = [attempt({ ending: failed, exitCode: 1 }), attempt({ measured })];
  assert.deepEqual(result({ kind: "success" }, attempts), {
    id: 4,
    name: "fit",
    tag: "t",
    category: "default",
    state: "success",
    why: null,
    exit_code: 0,
    output: "hé\n",
    host: "node7",
    worker: "w1",
    started: "2026-11-22T00:00:01.000Z",
    ended: "2026-11-22T00:00:03.000Z",
    wall_time: 1.900123,
    allocated: { cores: 2, memory: 2000, disk: 4000, gpus: 0 },
    measured: { cpu_time: 1.6, memory: 250.5 },
    attempts: 2,
    tries: [],
  });
});

Deno.test("a result of a task that did not succeed says why", () => {
  const failed = { kind: "failure", code: resultCode.success, why: "it crashed" } as const;
  const why = (end: TaskEnd, ...attempts: Attempt[]) => result(end, attempts).why;
  assert.equal(why(failed, attempt({ ending: failed })), "it crashed");
  assert.equal(why({ kind: "canceled" }), "the run was interrupted");
  assert.equal(
    why({ kind: "canceled" }, attempt({ ending: failed })),
    "it crashed, and the run was interrupted before another attempt",
  );
  const lost = attempt({ ending: { kind: "lost", why: "gone" }, exitCode: null, wallMs: 0 });
  assert.equal(result(failed, [lost]).wall_time, null);
  assert.deepEqual(Object.keys(result(failed, [lost])), Object.keys(result(failed, [])));
});

Deno.test("an entry that never ran has the same keys", () => {
  const refused = lineOf({ id: 3, name: "x", why: "no" }, "refused", "no");
  assert.deepEqual(Object.keys(refused), Object.keys(result({ kind: "success" }, [])));
  assert.deepEqual([refused.id, refused.name, refused.state, refused.why], [
    3,
    "x",
    "refused",
    "no",
  ]);
});

Deno.test("a run is summed up by what there is to say", () => {
  const none = { success: 0, failure: 0, "not run": 0, refused: 0, canceled: 0 };
  assert.equal(describeCounts(none), "0 succeeded");
  assert.equal(describeCounts({ ...none, success: 7 }), "7 succeeded");
  const counts = { success: 7, failure: 1, "not run": 2, refused: 3, canceled: 4 };
  assert.equal(
    describeCounts(counts),
    "7 succeeded, 1 failed, 2 not run, 3 refused, 4 canceled",
  );
});

Deno.test("failures are grouped by cause, whatever names and numbers are in it", () => {
  const failures = new ListFailures();
  const line = (
    id: number,
    state: ResultState,
    why: string | null,
    host: string | null = null,
  ) => ({
    ...lineOf(listed(id), state, why),
    host,
  });
  failures.add(line(1, "success", null, "a"));
  failures.add(line(2, "failure", 'no "x.root" after 3 s', "b"));
  failures.add(line(3, "failure", "exit code 1", "a"));
  failures.add(line(4, "failure", 'no "y.root" after 12 s', "c"));
  failures.add(line(5, "refused", "it is no task"));
  assert.deepEqual(failures.groups, [
    { cause: 'no "x.root" after 3 s', count: 2, hosts: ["b", "c"], tasks: [2, 4] },
    { cause: "exit code 1", count: 1, hosts: ["a"], tasks: [3] },
    { cause: "it is no task", count: 1, hosts: [], tasks: [5] },
  ]);
});
