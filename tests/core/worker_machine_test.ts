import assert from "node:assert/strict";
import type { WorkerAction } from "../../core/worker/actions.ts";
import { briefWork, epochOffsetMs, resources, textOf, WorkerProbe } from "../support/builders.ts";

/** The results among these actions: task, status, exit code, µs, words of ours if any. */
function results(actions: readonly WorkerAction[]): unknown[] {
  return actions.flatMap((action) => {
    if (action.type !== "send_result") return [];
    const { taskId, status, exitCode, wallUs, length } = action.message;
    const body = action.body === "captured" ? `${length} captured bytes` : textOf(action.body);
    return [[taskId, status, exitCode, wallUs, body]];
  });
}

Deno.test("the greeting has all that managers wait for, in the order of real workers", () => {
  const probe = new WorkerProbe({
    resources: resources(4, 2000, 4000, 1),
    features: ["NVIDIA A100", "fast"],
  });
  const actions = probe.handle({ type: "connected" });
  assert.deepEqual(actions[0], {
    type: "send",
    message: {
      type: "workqueue",
      protocol: 11,
      hostname: "node7",
      os: "Linux",
      arch: "x86_64",
      version: "0.1.0",
    },
  });
  assert.deepEqual(briefWork(actions), [
    "workqueue",
    "info worker-id worker-7b117d8fba266f8cbce1cf140f978cf6",
    "info wqx 0.1.0",
    "info wqx-pieces 1",
    "feature NVIDIA A100",
    "feature fast",
    "alive",
    "resource workers 1 1 1",
    "resource disk 4000 4000 4000",
    "resource memory 2000 2000 2000",
    "resource gpus 1 1 1",
    "resource cores 4 4 4",
    "resource tag 0",
    "info end_of_resource_update 0",
    "info tasks_running 0",
    "info worker-end-time 0",
  ]);
});

Deno.test("a task is staged in, run, staged out, announced, told, and forgotten", () => {
  const probe = new WorkerProbe();
  assert.deepEqual(briefWork(probe.task(1)), ["stage_in 1"]);
  assert.deepEqual(briefWork(probe.stagedIn(1)), ["start 1", "info tasks_running 1"]);
  const measured = { cpuUserMs: 5, cpuSystemMs: 1, memoryPeakMb: 20 };
  assert.deepEqual(
    briefWork(probe.exited(1, { exitCode: 3, wallMs: 8.026, measured })),
    ["stage_out 1"],
  );
  assert.deepEqual(briefWork(probe.stagedOut(1, 12)), ["available_results"]);
  const told = probe.receive({ type: "send_results" });
  assert.deepEqual(briefWork(told), [
    "info wqx-measured 1 5.000 1.000 20.000",
    "result of 1: 0 3",
    "end",
  ]);
  assert.deepEqual(results(told), [[1, 0, 3, 8026, "12 captured bytes"]]);
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), ["end"], "told once");
  assert.equal(probe.machine.taskCount, 1, "kept until the manager lets it go");
  assert.deepEqual(briefWork(probe.receive({ type: "kill", taskId: 1 })), ["forget 1"]);
  assert.equal(probe.machine.taskCount, 0);
});

Deno.test("a task whose inputs cannot be staged is told with status 1 and the reason", () => {
  const probe = new WorkerProbe({ resources: resources(1, 500, 1000) });
  probe.task(1);
  probe.task(2);
  const trouble = "in.txt: Permission denied";
  assert.deepEqual(briefWork(probe.stagedIn(1, trouble)), [
    "stage_in 2", // its room is free again
    "available_results",
  ]);
  const told = probe.receive({ type: "send_results" });
  assert.deepEqual(results(told), [[1, 1, 1, 0, trouble]]);
});

Deno.test("results are told in the order in which tasks ended", () => {
  const probe = new WorkerProbe();
  for (const id of [1, 2, 3]) probe.task(id);
  for (const id of [3, 1, 2]) probe.run(id);
  const told = results(probe.receive({ type: "send_results" })) as [number][];
  assert.deepEqual(told.map(([id]) => id), [3, 1, 2]);
});

Deno.test("results are announced once, and again only after the answer is complete", () => {
  const probe = new WorkerProbe();
  for (const id of [1, 2, 3]) probe.task(id);
  assert.deepEqual(briefWork(probe.run(1)), ["available_results"]);
  assert.deepEqual(briefWork(probe.run(2)), []);
  assert.deepEqual(briefWork(probe.receive({ type: "check" })), [
    "alive",
    "info tasks_running 0",
  ]);
  const told = probe.receive({ type: "send_results" });
  assert.deepEqual(briefWork(told).at(-1), "end", "nothing is announced before the end");
  assert.deepEqual(briefWork(probe.run(3)), ["available_results"]);

  // An answer without results ends an announcement as well.
  probe.receive({ type: "kill", taskId: 3 });
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), ["end"]);
  probe.task(4);
  assert.deepEqual(briefWork(probe.run(4)), ["available_results"]);
});

Deno.test("tasks wait for room in the order in which they came, and smaller ones overtake", () => {
  const probe = new WorkerProbe({ resources: resources(4, 2000, 4000) });
  assert.deepEqual(briefWork(probe.task(1, { cores: 3 })), ["stage_in 1"]);
  assert.deepEqual(briefWork(probe.task(2, { cores: 2 })), []);
  assert.deepEqual(briefWork(probe.task(3, { cores: 2 })), []);
  assert.deepEqual(briefWork(probe.task(4, { cores: 1 })), ["stage_in 4"]);
  probe.stagedIn(1);
  assert.deepEqual(briefWork(probe.exited(1)), ["stage_out 1", "stage_in 2"]);
  assert.deepEqual(briefWork(probe.receive({ type: "kill", taskId: 2 })), [
    "forget 2",
    "stage_in 3",
  ]);
});

Deno.test("each of cores, memory, disk and gpus can run out", () => {
  const large = { cores: 1, memoryMb: 100, diskMb: 100, gpus: 1 };
  for (const name of ["cores", "memoryMb", "diskMb", "gpus"] as const) {
    const probe = new WorkerProbe({ resources: resources(10, 1000, 1000, 10) });
    const most = { ...large, [name]: probe.machine.identity.resources[name] };
    assert.deepEqual(briefWork(probe.task(1, most)), ["stage_in 1"]);
    assert.deepEqual(briefWork(probe.task(2, large)), [], `no ${name} left`);
    probe.stagedIn(1);
    assert.deepEqual(briefWork(probe.exited(1)), ["stage_out 1", "stage_in 2"]);
  }
});

Deno.test("a task that asks for nothing gets the whole worker", () => {
  const nothing = { cores: 0, memoryMb: 0, diskMb: 0, gpus: 0 };
  const probe = new WorkerProbe();
  assert.deepEqual(briefWork(probe.task(1, nothing)), ["stage_in 1"]);
  assert.deepEqual(briefWork(probe.task(2, { cores: 1, memoryMb: 1, diskMb: 1 })), []);
});

Deno.test("a task larger than the worker is forsaken: what there is, then status 40", () => {
  const probe = new WorkerProbe();
  const actions = probe.task(1, { cores: 5 });
  assert.deepEqual(briefWork(actions), [
    "alive",
    "resource workers 1 1 1",
    "resource disk 4000 4000 4000",
    "resource memory 2000 2000 2000",
    "resource gpus 0 0 0",
    "resource cores 4 4 4",
    "resource tag 0",
    "info end_of_resource_update 0",
    "available_results",
  ]);
  assert.deepEqual(results(probe.receive({ type: "send_results" })), [[1, 40, 0, 0, ""]]);
  // Nothing is held for it.
  assert.deepEqual(briefWork(probe.task(2, { cores: 4 })), ["stage_in 2"]);
});

Deno.test("a task whose inputs find a full disk is forsaken, any other trouble is the task's", () => {
  for (
    const [trouble, status] of [
      ["p.js: No space left on device (os error 28)", 40],
      ["p.js: no such file", 1],
    ] as const
  ) {
    const probe = new WorkerProbe();
    probe.task(1);
    probe.stagedIn(1, trouble);
    assert.deepEqual(results(probe.receive({ type: "send_results" })), [[
      1,
      status,
      1,
      0,
      trouble,
    ]]);
  }
});

Deno.test("a known id is a new task, in whatever phase the old one is", () => {
  const lifes: ((probe: WorkerProbe) => void)[] = [
    (probe) => probe.task(1, { cores: 9 }),
    (probe) => probe.task(1),
    (probe) => (probe.task(1), probe.stagedIn(1)),
    (probe) => (probe.task(1), probe.stagedIn(1), probe.exited(1)),
    (probe) => (probe.task(1), probe.run(1)),
    (probe) => (probe.task(1), probe.run(1), probe.receive({ type: "send_results" })),
  ];
  for (const live of lifes) {
    const probe = new WorkerProbe({ resources: resources(1, 500, 1000) });
    live(probe);
    assert.deepEqual(briefWork(probe.task(1)), ["forget 1", "stage_in 1"]);
    assert.equal(probe.machine.taskCount, 1);
    probe.receive({ type: "send_results" });
    probe.run(1);
    assert.equal(results(probe.receive({ type: "send_results" })).length, 1);
  }
});

Deno.test("kill forgets one task, kill -1 all of them, and the link stays", () => {
  const probe = new WorkerProbe();
  for (const id of [1, 2, 3, 4, 5]) probe.task(id);
  probe.stagedIn(2);
  probe.run(3);
  assert.deepEqual(briefWork(probe.receive({ type: "kill", taskId: 99 })), []);
  assert.deepEqual(briefWork(probe.receive({ type: "kill", taskId: 2 })), ["forget 2"]);
  assert.deepEqual(briefWork(probe.exited(2)), [], "what comes of it later is nothing");
  assert.deepEqual(briefWork(probe.receive({ type: "kill", taskId: -1 })), [
    "forget 1",
    "forget 3",
    "forget 4",
    "forget 5",
  ]);
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), ["end"]);
  assert.deepEqual(briefWork(probe.task(6, { cores: 4 })), ["stage_in 6"], "all room is free");
});

Deno.test("late news of a task that was forgotten changes nothing", () => {
  const probe = new WorkerProbe();
  assert.deepEqual(
    [probe.stagedIn(7), probe.exited(7), probe.stagedOut(7), probe.stagedIn(7, "no")].flat(),
    [],
  );
});

Deno.test("what is put, fetched and unlinked is handed to the shell", () => {
  const probe = new WorkerProbe();
  const put = { type: "put", cacheName: "in-1", inside: "", mode: 0o755, length: 3 } as const;
  assert.deepEqual(probe.receive(put), [{ type: "store", place: put, mode: 0o755 }]);
  const large = { ...put, length: 1e15 };
  assert.deepEqual(probe.receive(large), [{
    type: "decline",
    place: large,
    why: "it is 909.5 TB, and this worker has 3.9 GB of disk",
  }]);
  assert.deepEqual(briefWork(probe.receive({ type: "get", cacheName: "out-1" })), [
    "send_cached out-1",
  ]);
  assert.deepEqual(briefWork(probe.receive({ type: "unlink", cacheName: "in-1" })), [
    "unlink in-1",
  ]);
});

Deno.test("check is answered with a sign of life and the number of running commands", () => {
  const probe = new WorkerProbe();
  probe.task(1);
  probe.task(2);
  const check = () => briefWork(probe.receive({ type: "check" }));
  assert.deepEqual(check(), ["alive", "info tasks_running 0"]);
  probe.stagedIn(1);
  probe.stagedIn(2);
  assert.deepEqual(check(), ["alive", "info tasks_running 2"]);
  probe.exited(1);
  assert.deepEqual(check(), ["alive", "info tasks_running 1"]);
});

Deno.test("release, exit and a wanted password end the link, each in its way", () => {
  const cases = [
    ["release", "reconnect", "the manager released it"],
    ["exit", "terminate", "the manager has no more work"],
    ["auth", "reconnect", "the manager requires a password"],
  ] as const;
  for (const [type, then, why] of cases) {
    const probe = new WorkerProbe();
    probe.task(1);
    assert.deepEqual(probe.receive({ type }), [{ type: "close", why, then }]);
    const after = [probe.stagedIn(1), probe.receive({ type: "check" }), probe.after(1000)];
    assert.deepEqual(after.flat(), [], "nothing comes after the end");
  }
});

Deno.test("a worker without tasks leaves after its idle timeout, and says so", () => {
  const probe = new WorkerProbe({}, 60_000);
  assert.deepEqual(probe.after(60), []);
  assert.deepEqual(briefWork(probe.after(1)), ["info idle-disconnecting 60", "close, terminate"]);
});

Deno.test("only what brings work starts the idle timeout anew", () => {
  const put = { type: "put", cacheName: "in-1", inside: "", mode: 0o644, length: 3 } as const;
  const fetch = { from: "url", source: "http://x/", cacheName: "u", mode: 0o644 } as const;
  const dir = { type: "dir", cacheName: "d", inside: "" } as const;
  const cases: [string, boolean, (probe: WorkerProbe) => void][] = [
    ["put", true, (probe) => probe.receive(put)],
    ["moving", true, (probe) => probe.handle({ type: "moving" })],
    ["fetch", true, (probe) => probe.receive({ type: "fetch", ...fetch })],
    ["dir", true, (probe) => probe.receive(dir)],
    ["tlq", false, (probe) => probe.receive({ type: "tlq", url: "x" })],
    ["invalidate", false, (probe) => probe.receive({ type: "invalidate-file", cacheName: "x" })],
    ["kill", true, (probe) => probe.receive({ type: "kill", taskId: 1 })],
    ["check", false, (probe) => probe.receive({ type: "check" })],
    ["send_results", false, (probe) => probe.receive({ type: "send_results" })],
    ["get", false, (probe) => probe.receive({ type: "get", cacheName: "a" })],
    ["unlink", false, (probe) => probe.receive({ type: "unlink", cacheName: "a" })],
  ];
  for (const [what, anew, happens] of cases) {
    const probe = new WorkerProbe({}, 60_000);
    probe.after(59);
    happens(probe);
    assert.equal(probe.after(2).length === 0, anew, what);
  }
});

Deno.test("a worker that has a task is not idle, however long it takes", () => {
  const probe = new WorkerProbe({}, 60_000);
  probe.task(1);
  probe.stagedIn(1);
  assert.deepEqual(probe.after(10_000), []);
  probe.exited(1);
  probe.stagedOut(1);
  assert.deepEqual(probe.after(10_000), [], "its result is not fetched yet");
  probe.receive({ type: "send_results" });
  assert.deepEqual(probe.after(10_000), [], "its outputs may be");
  probe.receive({ type: "kill", taskId: 1 });
  assert.deepEqual(probe.after(60), []);
  assert.deepEqual(briefWork(probe.after(1)).at(-1), "close, terminate");
});

Deno.test("the greeting tells the protocol, when the worker will stop, and who started it", () => {
  const stopsAtMs = epochOffsetMs + 1999;
  const probe = new WorkerProbe({ protocol: 9, stopsAtMs, factory: "pool" });
  const actions = probe.handle({ type: "connected" });
  const [first] = actions;
  assert.ok(first?.type === "send" && first.message.type === "workqueue");
  assert.equal(first.message.protocol, 9);
  assert.deepEqual(briefWork(actions).slice(-2), [
    "info worker-end-time 1700000001",
    "info from-factory pool",
  ]);
});

Deno.test("freeing a box of gpus or disk alone does not free those of others", () => {
  const probe = new WorkerProbe({ resources: resources(4, 2000, 4000, 2) });
  const gpu = { cores: 0, memoryMb: 0, diskMb: 0, gpus: 1 };
  assert.deepEqual(briefWork(probe.task(1, gpu)), ["stage_in 1"]);
  assert.deepEqual(briefWork(probe.task(2, gpu)), ["stage_in 2"]);
  assert.deepEqual([probe.task(3, gpu), probe.task(4, gpu)].flat(), []);
  const kill = briefWork(probe.receive({ type: "kill", taskId: 1 }));
  assert.deepEqual(kill, ["forget 1", "stage_in 3"]);
});

Deno.test("directories, links and sources are handed to the shell", () => {
  const probe = new WorkerProbe();
  const place = { cacheName: "d", inside: "" };
  const deep = { cacheName: "d", inside: "s/l" };
  assert.deepEqual(briefWork(probe.receive({ type: "dir", ...place })), ["make_directory d"]);
  assert.deepEqual(briefWork(probe.receive({ type: "symlink", ...deep, target: "../x" })), [
    "make_link d/s/l",
  ]);
  assert.deepEqual(briefWork(probe.receive({ type: "dir_end", ...place })), []);
  const fetch = { from: "command", source: "date >%%", cacheName: "c", mode: 0o644 } as const;
  assert.deepEqual(briefWork(probe.receive({ type: "fetch", ...fetch })), [
    "expect c from date >%%",
  ]);
  assert.deepEqual(briefWork(probe.receive({ type: "invalidate-file", cacheName: "d" })), []);
  assert.deepEqual(briefWork(probe.receive({ type: "tlq", url: "http://x/" })), []);
});

Deno.test("names with %XX of their own are looked for decoded, then as they are written", () => {
  const probe = new WorkerProbe();
  const names = { cacheName: "a b", written: "a%20b" };
  assert.deepEqual(probe.receive({ type: "get", ...names }), [
    { type: "send_cached", names: ["a b", "a%20b"], written: "a%20b" },
  ]);
  assert.deepEqual(briefWork(probe.receive({ type: "unlink", ...names })), [
    "unlink a b or a%20b",
  ]);
});

Deno.test("what becomes of a source is told to managers that know of it", () => {
  const told = (protocol: number) => {
    const probe = new WorkerProbe({ protocol });
    const why = `curl: ${"é".repeat(3000)}`;
    return [
      probe.handle({ type: "fetched", cacheName: "u", bytes: 6, wallMs: 120.5 }),
      probe.handle({ type: "fetch_failed", cacheName: "v", why }),
    ].flatMap(briefWork);
  };
  // Cut short: a manager that writes does not read.
  const words = `curl: ${"é".repeat(1994)}`;
  assert.deepEqual(told(11), [
    "cache-update u 6 120500",
    "cache-invalid v 3994",
    `body ${words}`,
  ]);
  assert.deepEqual(told(10), []);
});

Deno.test("an output is given away, and 0 says that it went well", () => {
  const probe = new WorkerProbe({ protocol: 9 });
  const put = { type: "thirdput", to: "path", target: "/nfs/o", cacheName: "out-1" } as const;
  assert.deepEqual(briefWork(probe.receive(put)), ["deliver out-1 to /nfs/o"]);
  assert.deepEqual(briefWork(probe.handle({ type: "delivered", trouble: null })), [
    "thirdput-complete 0",
  ]);
  assert.deepEqual(briefWork(probe.handle({ type: "delivered", trouble: "exit code 1" })), [
    "thirdput-complete 1",
  ]);
});

Deno.test("a task that outlives a limit is killed once, and says which limit it was", () => {
  const cases = [
    [{ wallTimeMs: 1500 }, 56],
    [{ endTimeMs: epochOffsetMs + 1500 }, 24],
    [{ wallTimeMs: 1000, endTimeMs: epochOffsetMs + 500 }, 56],
  ] as const;
  for (const [limits, status] of cases) {
    const probe = new WorkerProbe();
    probe.task(1, limits);
    probe.stagedIn(1);
    assert.deepEqual(probe.after(0.4), []);
    assert.deepEqual(briefWork(probe.after(1.2)), ["kill 1"]);
    assert.deepEqual(probe.after(1), [], "once");
    assert.deepEqual(briefWork(probe.exited(1, { exitCode: 15 })), ["stage_out 1"]);
    probe.stagedOut(1, 3);
    assert.deepEqual(results(probe.receive({ type: "send_results" })), [
      [1, status, 9, 10_000, "3 captured bytes"],
    ]);
  }
});

Deno.test("the wall time counts from the start, and neither limit once the command has ended", () => {
  const probe = new WorkerProbe();
  probe.task(1, { wallTimeMs: 1000, endTimeMs: epochOffsetMs + 11_000 });
  assert.deepEqual(probe.after(5), [], "it is staged in for long");
  probe.stagedIn(1);
  assert.deepEqual(probe.after(1), [], "just in time");
  probe.exited(1);
  assert.deepEqual(probe.after(10), []);
  assert.deepEqual(briefWork(probe.stagedOut(1)), ["available_results"]);
  assert.deepEqual(results(probe.receive({ type: "send_results" })), [[
    1,
    0,
    0,
    10_000,
    "0 captured bytes",
  ]]);
});

/** A task with a watched file and one that is not, running. */
function watching(): WorkerProbe {
  const probe = new WorkerProbe();
  const watched = { cacheName: "out-1", sandboxName: "log", flags: 16 | 1 };
  const other = { cacheName: "out-2", sandboxName: "other", flags: 64 };
  probe.task(1, { outputs: [watched, other] });
  probe.stagedIn(1);
  return probe;
}

Deno.test("what a watched file gained is announced, and told after the results", () => {
  const probe = watching();
  assert.deepEqual(briefWork(probe.after(1)), ["look 1: log"]);
  const looked = (size: number | null) =>
    briefWork(probe.handle({
      type: "looked",
      taskId: 1,
      sizes: new Map(size === null ? [] : [["log", size]]),
    }));
  assert.deepEqual(looked(null), [], "it is not there yet");
  assert.deepEqual(looked(0), []);
  assert.deepEqual(looked(5), ["available_results"]);
  assert.deepEqual(looked(8), [], "announced already");
  probe.task(2);
  probe.run(2);
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), [
    "result of 2: 0 0",
    "update 1 log 0 8",
    "end",
  ]);
  assert.deepEqual(looked(8), []);
  assert.deepEqual(looked(9), ["available_results"]);
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), ["update 1 log 8 1", "end"]);
});

Deno.test("a watched file that shrinks is watched no more", () => {
  const probe = watching();
  const looked = (size: number) =>
    probe.handle({ type: "looked", taskId: 1, sizes: new Map([["log", size]]) });
  looked(5);
  probe.receive({ type: "send_results" });
  assert.deepEqual([looked(4), looked(9), probe.after(1)].flat(), []);
});

Deno.test("a task that ended before its growth was asked for has nothing to tell of it", () => {
  const probe = watching();
  probe.handle({ type: "looked", taskId: 1, sizes: new Map([["log", 5]]) });
  probe.receive({ type: "kill", taskId: 1 });
  assert.deepEqual(briefWork(probe.receive({ type: "send_results" })), ["end"]);
  const late = probe.handle({ type: "looked", taskId: 1, sizes: new Map([["log", 9]]) });
  assert.deepEqual(late, []);
  probe.task(2);
  assert.deepEqual(briefWork(probe.run(2)), ["available_results"]);
});

Deno.test("a worker that has to leave says why, and then nothing", () => {
  const probe = new WorkerProbe();
  probe.task(1);
  const leave = { type: "leave", key: "vacating", value: "15", why: "SIGTERM" } as const;
  assert.deepEqual(briefWork(probe.handle({ ...leave, then: "terminate" })), [
    "info vacating 15",
    "close, terminate",
  ]);
  assert.deepEqual([probe.stagedIn(1), probe.after(1000)].flat(), []);
});
