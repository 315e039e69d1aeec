import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { createTaskProgress } from "../../cmd/task_progress.ts";
import type { TaskProgress } from "../../core/tasklist/progress.ts";
import { recordingTerminal } from "../support/terminal.ts";

function at(seconds: number, changed: Partial<TaskProgress> = {}): TaskProgress {
  return {
    phase: "running",
    total: 1000,
    waiting: 700,
    running: 50,
    succeeded: 247,
    failed: 3,
    workers: 2,
    allocations: [],
    elapsedMs: seconds * 1000,
    tasksPerSecond: 12.5,
    leftMs: 60_000,
    ...changed,
  };
}

/** What is written for these states, without colour and cursor movements. */
function shown(
  mode: "bars" | "lines" | "json" | "quiet",
  states: readonly TaskProgress[],
  columns = 80,
): string {
  const terminal = recordingTerminal({
    columns,
    isTTY: mode === "bars",
    env: { LANG: "C.UTF-8", NO_COLOR: "1" },
  });
  const view = createTaskProgress(mode, terminal.stderr);
  for (const state of states.slice(0, -1)) view.update(state);
  view.finish(states.at(-1)!);
  // deno-lint-ignore no-control-regex -- escape sequences are what is looked for
  return terminal.err().replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
}

Deno.test("a list of tasks is a bar and a line, within the window", () => {
  assert.deepEqual(shown("bars", [at(20)]).trimEnd().split("\n"), [
    "Tasks  25% ━━━━━━━──────────────────────── 250/1000 [0:00 < 1:00 | 12.5 task/s]",
    "running: 700 waiting · 50 running · 247 succeeded · 3 failed · 2 workers",
  ]);
  for (let columns = 1; columns < 150; columns++) {
    for (const line of shown("bars", [at(20)], columns).split("\n")) {
      assert.ok(line.length <= Math.max(0, columns - 1), `${columns}: ${line}`);
    }
  }
});

Deno.test("without a terminal there is a line now and then; a stream has no total", () => {
  const states = [at(1), at(2), at(12, { total: null, leftMs: null }), at(13, { phase: "done" })];
  assert.deepEqual(shown("lines", states).trimEnd().split("\n"), [
    "[0:01] running: 250/1000 tasks (25%); 12.5 task/s; 1:00 left; 700 waiting, 50 running, " +
    "247 succeeded, 3 failed, 2 workers",
    "[0:12] running: 250 tasks; 12.5 task/s; 700 waiting, 50 running, 247 succeeded, 3 failed, " +
    "2 workers",
    "[0:13] done: 250/1000 tasks (25%); 12.5 task/s; 1:00 left; 700 waiting, 50 running, " +
    "247 succeeded, 3 failed, 2 workers",
  ]);
  assert.equal(shown("quiet", states), "");
  assert.deepEqual(JSON.parse(shown("json", [at(1)])), { type: "progress", ...at(1) });
});

Deno.test("results on the same terminal do not run into the bars", () => {
  const terminal = recordingTerminal({ isTTY: true });
  const view = createTaskProgress("bars", terminal.stderr);
  view.update(at(1));
  const before = terminal.err().length;
  view.aside(() => terminal.stderr.write('{"id":1}\n'));
  const [cleared, drawn] = terminal.err().slice(before).split('{"id":1}\n');
  // deno-lint-ignore no-control-regex -- escape sequences are what is looked for
  assert.match(cleared!, /\x1b\[2K|\x1b\[0?J/, "the bars are taken away");
  assert.match(drawn!, /Tasks/, "and drawn again");
});

Deno.test("below the bars stands what the tasks of each category are given, and why", () => {
  const terminal = recordingTerminal({ columns: 100, isTTY: true });
  const view = createTaskProgress("bars", terminal.stderr);
  view.update(at(1, {
    allocations: [{
      category: "fit",
      mode: "adaptive",
      current: { cores: 1, memoryMb: 512, diskMb: 100 },
      largestSeen: { memoryMb: 480.2 },
      steady: false,
      why: "2 more tasks to go",
      exhausted: 3,
      wasted: { coreHours: 0, memoryGbHours: 0 },
    }],
  }));
  assert.match(
    stripVTControlCharacters(terminal.err()),
    /fit: 1 core, 512 MB memory each; largest seen 481 MB; learning, 2 more tasks to go; 3 exhausted/,
  );
});
