import assert from "node:assert/strict";
import { Buffers, parseTask } from "../../core/api/task.ts";
import { tuned } from "../../core/api/tuning.ts";
import { hungryBelow } from "../../core/api/stats.ts";
import { whyUnsendable } from "../../core/scheduler/block.ts";
import { bytesOf } from "../support/builders.ts";

function parsed(task: unknown, raw = "") {
  return parseTask(task, new Buffers(bytesOf(raw)));
}

Deno.test("a task of two fields has the defaults of Work Queue", () => {
  const { id, spec, monitorOutput } = parsed([7, "true"]);
  assert.equal(id, 7);
  assert.equal(monitorOutput, null);
  assert.deepEqual(spec, {
    command: "true",
    category: "default",
    priority: 0,
    request: {},
    inputs: [],
    outputs: [],
    env: [],
    retriesMax: 0,
    exitCodeIsData: true,
  });
});

Deno.test("options of a task, in their units; what is not above the least says nothing", () => {
  const cases: [Record<string, unknown>, Record<string, unknown>][] = [
    [{ cores: 1.5, memory: 100, disk: 0, gpus: -1 }, {
      request: { cores: 1.5, memoryMb: 100, diskMb: 0 },
    }],
    [{ priority: -2.5 }, { priority: -2.5 }],
    [{ max_retries: 3 }, { dispatchesMax: 3 }],
    [{ max_retries: 0 }, {}],
    [{ end_time: 5_000_000, start_time_min: 2_000_000 }, { endTimeMs: 5000, notBeforeMs: 2000 }],
    [{ end_time: 0, start_time_min: 0, running_time: 0 }, {}],
    [{ running_time: 1_500_000, running_time_min: 60 }, {
      wallTimeMs: 1500,
      wallTimeMinMs: 60_000,
    }],
    [{ env: { A: "1", B: null, C: "x=y" } }, {
      env: ["A=1", "C=x=y"],
      command: "unset B; true",
    }],
    [{ features: ["gpu", "big"] }, { features: ["gpu", "big"] }],
    [{ coprocess: "fit" }, {
      coprocess: "wq_worker_coprocess:fit",
      features: ["wq_worker_coprocess:fit"],
    }],
    [{ tag: "t", algorithm: 3, monitor_output: "/m" }, {}],
  ];
  const { spec: plain } = parsed([1, "true"]);
  for (const [options, wanted] of cases) {
    const { spec } = parsed([1, "true", "default", [], [], options]);
    assert.deepEqual(spec, { ...plain, ...wanted }, JSON.stringify(options));
  }
  assert.equal(parsed([1, "", "a", [], [], { monitor_output: "/m" }]).monitorOutput, "/m");
});

Deno.test("each kind of input has its source, and buffers follow one another", () => {
  const { spec } = parsed([
    1,
    "true",
    "default",
    [
      [1, "/a/b", "./in//b", 1],
      [2, 3, "x"],
      [2, 2, "y", 1],
      [3, "date > %%", "when"],
      [4, "/a/b", "part", 0, 2, 4],
      [5, "", "made"],
      [6, "http://h/f", "f"],
    ],
  ], "abcde");
  const sources = spec.inputs.map(({ source, sandboxName, cache }) => [sandboxName, source, cache]);
  assert.deepEqual(sources, [
    ["in/b", { kind: "file", path: "/a/b" }, true],
    ["x", { kind: "buffer", bytes: bytesOf("abc"), mode: 0o644 }, false],
    ["y", { kind: "buffer", bytes: bytesOf("de"), mode: 0o644 }, true],
    ["when", { kind: "command", command: "date > %%" }, false],
    ["part", { kind: "piece", path: "/a/b", first: 2, last: 4 }, false],
    ["made", { kind: "empty directory" }, false],
    ["f", { kind: "url", url: "http://h/f" }, false],
  ]);
  assert.equal(whyUnsendable(parsed([1, "true"]).id, spec), null);
  assert.equal(new Set(spec.inputs.map(({ cacheName }) => cacheName)).size, spec.inputs.length);
});

Deno.test("flags of outputs say when they are fetched; a cached one is the input of its path", () => {
  const outputs = [["/o/a", "a"], ["/o/b", "b", 32], ["/o/c", "c", 64 | 16], ["/o/d", "d", 1]];
  const { spec } = parsed([1, "true", "default", [], outputs]);
  const said = spec.outputs.map(({ when, watch, cache }) => [when, watch, cache]);
  assert.deepEqual(said, [
    ["always", undefined, undefined],
    ["failure", undefined, undefined],
    ["success", true, undefined],
    ["always", undefined, true],
  ]);
  const { spec: next } = parsed([2, "true", "default", [[1, "/o/d", "d", 1]]]);
  assert.equal(next.inputs[0]?.cacheName, spec.outputs[3]?.cacheName);
});

Deno.test("what is no task is refused, with what is wrong", () => {
  const cases: [unknown, RegExp][] = [
    ["true", /^a task is "true", not a list/],
    [[0, "true"], /^its id is 0, not a whole number of at least 1/],
    [[1.5, "true"], /^its id is 1.5/],
    [[1], /^its command is missing, not a text/],
    [[1, "true", null], /^its category is null/],
    [[1, "true", "a", {}], /^its inputs is {}, not a list/],
    [[1, "true", "a", [[9, "/x", "x"]]], /^there is no kind 9 of inputs/],
    [[1, "true", "a", [[1, "x", "x"]]], /^the path of an input is "x", not an absolute path/],
    [[1, "true", "a", [[2, 4, "x"]]], /^its buffers are longer than the raw section/],
    [[1, "true", "a", [[1, "/x", "x", 8]]], /bits that mean nothing/],
    [[1, "true", "a", [], [["x", "x"]]], /^the path of an output is "x"/],
    [[1, "true", "a", [], [], { core: 1 }], /^there is no option "core" of tasks/],
    [[1, "true", "a", [], [], { cores: "1" }], /^cores is "1", not a number/],
    [[1, "true", "a", [], [], { env: { "A=": "1" } }], /^"A=" is no name of a variable/],
  ];
  for (const [task, why] of cases) {
    assert.throws(() => parsed(task, "abc"), { name: "UsageError", message: why });
  }
  assert.throws(() => new Buffers(bytesOf("abc")).end(), /3 bytes of the raw section belong to no/);
});

Deno.test("a name that leads out of the sandbox, and a command without %%, fail their own task", () => {
  const why = (inputs: unknown[]) => {
    const { id, spec } = parsed([1, "true", "default", inputs]);
    return whyUnsendable(id, spec);
  };
  assert.match(why([[1, "/x", "/etc/x"]])!, /must be a relative path/);
  assert.match(why([[1, "/x", "../x"]])!, /must be a relative path/);
  assert.match(why([[3, "date", "x"]])!, /has no %%/);
  assert.match(why([[1, "/x", "x"], [1, "/y", "./x"]])!, /two of its inputs/);
});

Deno.test("tunables do what they say, nothing, or are unknown", () => {
  assert.deepEqual(tuned("keepalive-interval", 0), {
    kind: "limits",
    change: { keepaliveIntervalMs: Infinity },
  });
  assert.deepEqual(tuned("category-steady-n-tasks", 3), {
    kind: "tuning",
    change: { steadyCount: 3 },
  });
  assert.deepEqual(tuned("short-timeout", 3), { kind: "nothing" });
  assert.deepEqual(tuned("monitor-interval", 3), { kind: "unknown" });
});

Deno.test("a manager without workers is hungry for ten tasks", () => {
  assert.equal(hungryBelow([], { minimum: 10, factor: 2 }), 10);
});
