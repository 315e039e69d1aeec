/** What answers of workers bring about, where they are odd. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { WorkerId } from "../../core/ids.ts";
import type { ToManager } from "../../core/protocol/messages.ts";
import {
  brief,
  bytesOf,
  input,
  ManagerProbe,
  only,
  output,
  resources,
  runningTask,
} from "../support/builders.ts";
import type { TaskInput, TaskSpec } from "../../core/scheduler/tasks.ts";

const whys = (probe: ManagerProbe) => only(probe.take(), "close").map(({ why }) => why);

/** A task whose command ended and whose outputs were asked for. */
function retrieving(
  options: Partial<TaskSpec> = { outputs: [output("o")] },
): ReturnType<typeof runningTask> {
  const running = runningTask(options);
  const { probe, worker, id } = running;
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id);
  probe.receive(worker, { type: "end" });
  probe.take();
  return running;
}

/** These lines, a payload after each that announces one. */
function say(probe: ManagerProbe, worker: WorkerId, ...messages: readonly ToManager[]): string[] {
  return messages.flatMap((message) => {
    const actions = probe.receive(worker, message);
    return brief(
      "length" in message ? [...actions, ...probe.stored(worker, { kind: "file" })] : actions,
    );
  });
}

const end = { type: "end" } as const;

Deno.test("an output that is neither there nor missing is no output", () => {
  const { probe, worker } = retrieving();
  assert.deepEqual(say(probe, worker, end), [`${worker}: close`, "attempt of 1: lost, again"]);
  assert.deepEqual(whys(probe), ['An "end" in place of an output']);
});

Deno.test("asynchronous lines may stand wherever a line may", () => {
  const odd: ToManager[] = [
    { type: "alive" },
    { type: "info", key: "tasks_running", value: "0" },
    { type: "info", key: "unheard-of", value: "x" },
    { type: "feature", name: "new" },
    { type: "resource tag", tag: 3 },
    { type: "tlq", url: "http://x/" },
    { type: "cache-update", cacheName: "x", bytes: 1, wallUs: 1 },
    { type: "thirdput-complete", value: 0 },
  ];
  const script: ToManager[] = [
    { type: "dir", path: "out-o" },
    { type: "file", path: "out-o/a", length: 0 },
    { type: "missing", path: "out-o/b", errno: 2 },
    end,
  ];
  fc.assert(fc.property(fc.array(fc.constantFrom(...odd)), fc.nat({ max: 4 }), (lines, at) => {
    const { probe, worker, id } = retrieving();
    say(probe, worker, ...script.slice(0, at), ...lines, ...script.slice(at));
    assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
  }));
});

Deno.test("a directory is made where the output belongs, and its files go into it", () => {
  const { probe, worker, id } = retrieving();
  const actions = say(
    probe,
    worker,
    { type: "dir", path: "out-o" },
    { type: "dir", path: "out-o/sub" },
    { type: "file", path: "out-o/sub/a b", length: 1 },
    { type: "missing", path: "out-o/dangling", errno: 2 },
    end,
  );
  assert.deepEqual(actions.slice(0, 3), [
    `${worker}: make /run/o`,
    `${worker}: make /run/o/sub`,
    `${worker}: receive /run/o/sub/a b`,
  ]);
  assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
});

Deno.test("names that climb out of an output are refused, in any kind of answer", () => {
  for (const inside of ["/..", "/../x", "/a/../b", "/", "//x", "/./x", "/a//b", "/a/", "/a\0b"]) {
    const path = `out-o${inside}`;
    const answers: ToManager[] = [
      { type: "dir", path },
      { type: "file", path, length: 0 },
      { type: "missing", path, errno: 2 },
    ];
    for (const answer of answers) {
      const { probe, worker } = retrieving();
      assert.deepEqual(say(probe, worker, answer)[0], `${worker}: close`, `${answer.type} ${path}`);
      assert.match(whys(probe)[0]!, /^Refused the sandbox name/);
    }
  }
  for (const path of ["out-", "out-oo", "out-oo/x", "/out-o", "x/out-o"]) {
    const { probe, worker } = retrieving();
    probe.receive(worker, { type: "dir", path });
    assert.deepEqual(whys(probe), [`Asked for "out-o" and got "${path}"`]);
  }
});

Deno.test("what goes wrong first with the outputs is told, and the rest is read", () => {
  const { probe, worker, id } = retrieving({ outputs: [output("a"), output("b")] });
  probe.receive(worker, { type: "dir", path: "out-a" });
  const events = ["a file is in its way", "again"].map((why) =>
    probe.handle({ type: "directory_failed", worker, why })
  );
  assert.deepEqual(events.flat(), []);
  say(probe, worker, end, { type: "missing", path: "out-b", errno: 2 }, end);
  const why = "the manager could not make a directory for its outputs: a file is in its way";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 80, why }]]);

  const within = retrieving();
  within.probe.receive(within.worker, { type: "file", path: "out-o/a", length: 1 });
  within.probe.stored(within.worker, { kind: "failed", why: "disk full" });
  say(within.probe, within.worker, end);
  const story = "the manager could not store its output o/a: disk full";
  assert.deepEqual(within.probe.ends(), [[1, { kind: "failure", code: 80, why: story }]]);

  // News of a directory that nobody waits for any more.
  assert.deepEqual(probe.handle({ type: "directory_failed", worker, why: "late" }), []);
});

Deno.test("a failure of the command counts for more than one of its outputs", () => {
  const { probe, worker, id } = runningTask({ outputs: [output("o", { when: "failure" })] });
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id, { exitCode: 3 });
  say(probe, worker, end, { type: "missing", path: "out-o", errno: 2 }, end);
  const why = "it ended with exit code 3";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 0, why }]]);
});

Deno.test("answers for a canceled task go nowhere, directories too", () => {
  const { probe, worker, id } = retrieving();
  probe.cancel(id);
  const actions = say(
    probe,
    worker,
    { type: "dir", path: "out-o" },
    { type: "file", path: "out-o/a", length: 0 },
    { type: "missing", path: "out-o/b", errno: 2 },
    end,
  );
  assert.deepEqual(actions, [`${worker}: receive nobody`]);
  assert.deepEqual(whys(probe), []);
});

// Objects that workers obtain themselves

const url = (name: string): TaskInput =>
  input(name, { source: { kind: "url", url: `http://x/${name}` }, cache: true });

/** The worker could not obtain this, for these reasons. */
function complain(probe: ManagerProbe, worker: WorkerId, cacheName: string, words: string): void {
  const bytes = bytesOf(words);
  probe.receive(worker, { type: "cache-invalid", cacheName, length: bytes.length });
  probe.stored(worker, { kind: "printed", bytes });
}

Deno.test("an object that could not be obtained is unlinked, and named anew for the next task", () => {
  const inputs = [url("a")];
  const { probe, worker, id } = runningTask({ inputs });
  const invalid = { type: "cache-invalid", cacheName: "in-a", length: 2 } as const;
  assert.deepEqual(brief(probe.receive(worker, invalid)), [
    `${worker}: unlink in-a`,
    `${worker}: receive printed`,
  ]);
  assert.deepEqual(probe.stored(worker, { kind: "printed", bytes: bytesOf("no") }), []);
  probe.finish(worker, id, { status: 1, exitCode: 1 });
  const again = probe.submit({ inputs });
  assert.deepEqual(brief(probe.schedule()), [`${worker}: put in-a, task ${again}`]);
  probe.finish(worker, again);
  const last = probe.submit({ inputs });
  assert.deepEqual(brief(probe.schedule()), [`${worker}: task ${last}`], "it has it now");
});

Deno.test("a failure to stage in says what the worker said of the inputs, if it says nothing else", () => {
  const inputs = [url("a"), url("b"), input("c")];
  const staging = "the worker could not stage its inputs";
  const cases: [string, string][] = [
    ["", `${staging}: a: curl: (6) no host; c: odd`],
    ["words of its own", `${staging}: words of its own`],
  ];
  for (const [printed, why] of cases) {
    const { probe, worker, id } = runningTask({ inputs });
    complain(probe, worker, "in-a", " curl: (6) no host\n");
    complain(probe, worker, "in-c", "odd");
    complain(probe, worker, "in-other", "of no interest");
    probe.finish(worker, id, { status: 1, exitCode: 1, printed });
    assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 1, why }]]);
  }
  const { probe, worker, id } = runningTask({ inputs });
  complain(probe, worker, "in-a", "x".repeat(10_000));
  probe.finish(worker, id, { status: 1, exitCode: 1 });
  const why = `${staging}: a: ${"x".repeat(500)}`;
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 1, why }]]);
});

Deno.test("words that could not be kept are no words", () => {
  const { probe, worker, id } = runningTask({ inputs: [url("a")] });
  probe.receive(worker, { type: "cache-invalid", cacheName: "in-a", length: 2 });
  probe.stored(worker, { kind: "failed", why: "no room" });
  probe.finish(worker, id, { status: 1, exitCode: 1 });
  const why = "the worker could not stage its inputs";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 1, why }]]);
});

// Watched files

Deno.test("updates go into the output they are of, and nowhere if it is of none", () => {
  const outputs = [output("log", { watch: true, when: "always" }), output("o")];
  const { probe, worker, id } = runningTask({ outputs });
  probe.receive(worker, { type: "available_results" });
  const update = (taskId: number, path: string, offset: number) => {
    const message = { type: "update", taskId, path, offset, length: 3 } as const;
    const [action] = only(probe.receive(worker, message), "receive");
    probe.stored(worker, { kind: "file" });
    return action?.into;
  };
  assert.deepEqual(update(id, "log", 0), { kind: "update", path: "/run/log", offset: 0 });
  assert.deepEqual(update(id, "log", 3), { kind: "update", path: "/run/log", offset: 3 });
  for (const [task, path] of [[id, "o"], [id, "../log"], [99, "log"]] as const) {
    assert.deepEqual(update(task, path, 0), { kind: "nobody" });
  }
  probe.cancel(id);
  assert.deepEqual(update(id, "log", 6), { kind: "nobody" });
  probe.receive(worker, end);
  assert.equal(update(id, "log", 9), undefined);
  assert.deepEqual(whys(probe), ["An update nobody asked for"]);
});

Deno.test("an update that cannot be kept does not harm the task", () => {
  const outputs = [output("log", { watch: true, when: "always" })];
  const { probe, worker, id } = runningTask({ outputs });
  probe.receive(worker, { type: "available_results" });
  const sizes = { path: "log", offset: 0, length: 3 };
  probe.receive(worker, { type: "update", taskId: id, ...sizes });
  assert.deepEqual(probe.stored(worker, { kind: "failed", why: "disk full" }), []);
  probe.receive(worker, end);
  probe.finish(worker, id);
  assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
});

Deno.test("a worker that shrinks while tasks run gets no more than it has", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(4));
  const ids = Array.from({ length: 6 }, () => probe.submit());
  assert.equal(probe.dispatched().length, 4);
  const size = { type: "resource", name: "cores", total: 1, smallest: 1, largest: 1 } as const;
  probe.receive(worker, size);
  probe.receive(worker, { type: "resource tag", tag: 4 });
  for (const id of ids.slice(0, 3)) {
    probe.finish(worker, id);
    assert.deepEqual(probe.dispatched(), []);
  }
  probe.finish(worker, ids[3]!);
  assert.equal(probe.dispatched().length, 1);
});
