import assert from "node:assert/strict";
import { createProgress } from "../../cmd/progress.ts";
import { progressMode } from "../../cmd/progress_view.ts";
import type { Progress } from "../../core/analysis/progress.ts";
import { matchesGolden } from "../support/golden.ts";
import { needs } from "../support/skip.ts";
import { recordingTerminal } from "../support/terminal.ts";

/** A run of 12 files and 1.2 million events that takes a minute, at a moment of it. */
function at(seconds: number, changed: Partial<Progress> = {}): Progress {
  const events = 1_200_000;
  const grown = (from: number, to: number, total: number) =>
    Math.round(Math.min(1, Math.max(0, (seconds - from) / (to - from))) * total);
  const processed = grown(10, 50, events);
  const known = seconds >= 6;
  return {
    phase: seconds < 6
      ? "preprocessing"
      : seconds < 50
      ? "processing"
      : seconds < 60
      ? "accumulating"
      : "done",
    preprocessed: { done: grown(0, 6, 12), total: 12 },
    submitted: { done: grown(6, 30, events), total: known ? events : null },
    processed: { done: processed, total: known ? events : null },
    accumulated: { done: grown(20, 60, 7), total: seconds >= 20 ? 7 : null },
    tasks: { waiting: 60 - seconds, running: 8, done: seconds, failed: seconds > 30 ? 2 : 0 },
    workers: 2,
    allocations: [],
    elapsedMs: seconds * 1000,
    eventsPerSecond: processed === 0 ? 0 : processed / (seconds - 10),
    leftMs: processed === 0 ? null : (events - processed) / (processed / (seconds - 10)) * 1000,
    ...changed,
  };
}

/** The last picture on a screen of that width, after the moments up to the last. */
function picture(columns: number, seconds: readonly number[], env: Record<string, string>): string {
  const terminal = recordingTerminal({ columns, isTTY: true, env });
  const view = createProgress("bars", terminal.stderr);
  for (const second of seconds.slice(0, -1)) view.update(at(second));
  const before = terminal.err().length;
  view.finish(at(seconds.at(-1) ?? 0));
  // After a note the picture is drawn anew, whole.
  view.note("");
  return plain(terminal.err().slice(before)).split("\n").slice(-6, -1)
    .map((line) => line.trimEnd()).join("\n") + "\n";
}

/** Without colour and cursor movements. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex -- escape sequences are what is looked for
  return text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
}

const utf8 = { LANG: "C.UTF-8", NO_COLOR: "1" };
const moments = [0, 3, 6, 10, 15, 20, 25, 30, 36];

Deno.test("bars fit windows of 140, 80 and 45 columns", async () => {
  for (const columns of [140, 80, 45]) {
    const shown = picture(columns, moments, utf8);
    for (const line of shown.split("\n")) assert.ok(line.length < columns, line);
    await matchesGolden(`view/bars-${columns}.txt`, shown);
  }
});

Deno.test("bars are ASCII where the locale is", async () => {
  const shown = picture(80, moments, { LANG: "C", NO_COLOR: "1" });
  // deno-lint-ignore no-control-regex -- the whole of ASCII is meant
  assert.match(shown, /^[\x00-\x7f]*$/);
  await matchesGolden("view/bars-ascii.txt", shown);
});

Deno.test("bars begin without totals and end full", async () => {
  await matchesGolden("view/bars-begin.txt", picture(80, [0, 1], utf8));
  const all = Array.from({ length: 61 }, (_, second) => second);
  await matchesGolden("view/bars-end.txt", picture(80, all, utf8));
});

Deno.test("no window is too small for the bars, down to one column", () => {
  for (let columns = 1; columns <= 200; columns++) {
    for (const line of picture(columns, moments, utf8).split("\n")) {
      assert.ok(line.length <= Math.max(0, columns - 1), `${columns}: ${line}`);
    }
  }
});

/** Whether a program can be given a terminal of its own. */
const hasScript = (await new Deno.Command("sh", { args: ["-c", "command -v script"] }).output())
  .success;

Deno.test({
  ...needs(
    hasScript,
    "`script` is missing, which gives a program a terminal",
    "bars never hide the cursor, so that no way out, not even SIGKILL, can leave it hidden",
  ),
  async fn() {
    const code = `
      import { createProgress } from "./cmd/progress.ts";
      import { openTerminal } from "./cmd/render.ts";
      const view = createProgress("bars", openTerminal().stderr);
      view.update(${JSON.stringify(at(20))});
      view.note("a note");
      Deno.kill(Deno.pid, "SIGKILL");`;
    const run = `'${Deno.execPath()}' eval --no-check '${code}'`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qc", run, "/dev/null"],
      cwd: new URL("../../", import.meta.url),
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stdout);
    assert.match(text, /Accumulated.*a note.*Accumulated/s);
    assert.ok(!text.includes("\x1b[?25l"));
  },
});

Deno.test("bars are drawn ten times a second at most, on a change of phase, and at the end", () => {
  const terminal = recordingTerminal({ isTTY: true, env: utf8 });
  const view = createProgress("bars", terminal.stderr);
  const drawn = (act: () => void) => {
    const before = terminal.err().length;
    act();
    return terminal.err().length > before;
  };
  assert.ok(drawn(() => view.update(at(20, { elapsedMs: 20_000 }))));
  assert.ok(!drawn(() => view.update(at(21, { elapsedMs: 20_099 }))));
  assert.ok(drawn(() => view.update(at(22, { elapsedMs: 20_100 }))));
  assert.ok(drawn(() => view.update(at(23, { elapsedMs: 20_101, phase: "stopping" }))));
  assert.ok(drawn(() => view.finish(at(24, { elapsedMs: 20_102, phase: "stopping" }))));
});

Deno.test("a note stands above the bars, stripped of what would steer the terminal", () => {
  const terminal = recordingTerminal({ isTTY: true, env: utf8 });
  const view = createProgress("bars", terminal.stderr);
  view.update(at(20));
  const before = terminal.err().length;
  view.note("task 7 failed\x1b[2J\x07\r\n  at process (line 3)");
  const lines = plain(terminal.err().slice(before)).split("\n");
  assert.deepEqual(lines.slice(0, 2), ["task 7 failed", "  at process (line 3)"]);
  assert.match(lines[2] ?? "", /^Preprocessing 100%/);
  assert.ok(!terminal.err().includes("\x1b[2J\x07"));
});

Deno.test("without a terminal there is a line now and then, at each phase and at the end", async () => {
  const terminal = recordingTerminal();
  const mode = progressMode("table", terminal.stderr);
  assert.equal(mode, "lines");
  const view = createProgress(mode, terminal.stderr);
  view.note("Listening on port 9123.");
  for (let second = 0; second <= 60; second++) view.update(at(second));
  view.finish(at(60));
  assert.ok(!terminal.err().includes("\x1b"));
  await matchesGolden("view/lines.txt", terminal.err());
});

Deno.test("--json tells every second what there is, as it is", () => {
  const terminal = recordingTerminal({ isTTY: true });
  const view = createProgress(progressMode("json", terminal.stderr), terminal.stdout);
  view.note("Listening on port 9123.");
  for (let ms = 0; ms < 3000; ms += 100) view.update(at(15, { elapsedMs: ms }));
  view.finish(at(60));
  const lines = terminal.out().trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines[0], { type: "note", text: "Listening on port 9123." });
  assert.deepEqual(lines.slice(1, -1).map((line) => line.elapsedMs), [0, 1000, 2000]);
  assert.deepEqual(lines.at(-1), { type: "progress", ...at(60) });
});

Deno.test("--quiet shows nothing", () => {
  const terminal = recordingTerminal({ isTTY: true });
  const view = createProgress(progressMode("quiet", terminal.stderr), terminal.stderr);
  view.update(at(1));
  view.note("Listening on port 9123.");
  view.finish(at(60));
  assert.equal(terminal.err(), "");
});

Deno.test("a run without events or files divides by nothing", () => {
  const terminal = recordingTerminal({ isTTY: true, env: utf8 });
  const view = createProgress("bars", terminal.stderr);
  const none = { done: 0, total: 0 };
  view.finish(at(0, { preprocessed: none, submitted: none, processed: none, accumulated: none }));
  assert.ok(!/NaN|Infinity|undefined/.test(terminal.err()), terminal.err());
});
