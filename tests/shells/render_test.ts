import assert from "node:assert/strict";
import {
  outputMode,
  renderClosingTable,
  renderTable,
  streamOf,
  wantsColor,
  wantsUnicode,
} from "../../cmd/render.ts";
import type { CategorySummary } from "../../core/analysis/progress.ts";
import { matchesGolden } from "../support/golden.ts";
import { recordingTerminal } from "../support/terminal.ts";

const rows: readonly CategorySummary[] = [
  {
    category: "preprocessing",
    tasks: 12,
    retries: 0,
    failed: 0,
    wallSeconds: 4.21,
    cpuSeconds: 3.94,
    memoryMbMax: 180,
    eventsPerSecond: null,
  },
  {
    category: "processing",
    tasks: 1204,
    retries: 3,
    failed: 1,
    wallSeconds: 5403,
    cpuSeconds: 5102.7,
    memoryMbMax: 1536,
    eventsPerSecond: 231_234.5,
  },
  {
    category: "accumulating",
    tasks: 64,
    retries: 0,
    failed: 0,
    wallSeconds: 83,
    cpuSeconds: null,
    memoryMbMax: null,
    eventsPerSecond: null,
  },
];

Deno.test("the closing table has a row a category, in Unicode, ASCII and colour", async () => {
  const cases: [string, Record<string, string>][] = [
    ["closing.txt", { LANG: "C.UTF-8" }],
    ["closing-ascii.txt", { LANG: "C" }],
    ["closing-color.txt", { LANG: "C.UTF-8", FORCE_COLOR: "1" }],
  ];
  for (const [file, env] of cases) {
    const terminal = recordingTerminal({ env });
    renderClosingTable(rows, "table", terminal.stdout);
    await matchesGolden(`view/${file}`, terminal.out());
  }
});

Deno.test("the closing table as JSON is one object with every figure as it is", () => {
  const terminal = recordingTerminal();
  renderClosingTable(rows, "json", terminal.stdout);
  assert.deepEqual(JSON.parse(terminal.out()), { type: "summary", categories: rows });
  assert.equal(terminal.out().split("\n").length, 2);
});

Deno.test("--quiet prints no table, and --json wins over it", () => {
  const terminal = recordingTerminal();
  renderClosingTable(rows, outputMode({ json: false, quiet: true }), terminal.stdout);
  assert.equal(terminal.out(), "");
  assert.equal(outputMode({ json: true, quiet: true }), "json");
  assert.equal(outputMode({ json: false, quiet: false }), "table");
});

Deno.test("columns stay apart and in line when a cell holds wide letters", () => {
  const { colors } = recordingTerminal().stdout;
  const table = renderTable(
    [{ title: "name" }, { title: "n", align: "right" }, { title: "what" }],
    [["日本", "1", "x"], ["a", "1000", ""]],
    colors,
  );
  assert.equal(table, "name     n  what\n日本     1  x\na     1000\n");
});

Deno.test("colour follows NO_COLOR, then FORCE_COLOR, then the stream", () => {
  const cases: [Record<string, string>, boolean, boolean][] = [
    [{}, true, true],
    [{}, false, false],
    [{ TERM: "dumb" }, true, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ NO_COLOR: "1", FORCE_COLOR: "1" }, true, false],
  ];
  for (const [env, isTTY, expected] of cases) {
    assert.equal(wantsColor({ env, isTTY }), expected, JSON.stringify({ env, isTTY }));
  }
});

Deno.test("letters beyond ASCII follow the locale, the most special variable first", () => {
  const cases: [Record<string, string>, boolean][] = [
    [{ LANG: "en_US.UTF-8" }, true],
    [{ LANG: "de_DE.utf8" }, true],
    [{ LANG: "C" }, false],
    [{}, false],
    [{ LANG: "en_US.UTF-8", LC_ALL: "C" }, false],
    [{ LANG: "C", LC_CTYPE: "C.UTF-8" }, true],
  ];
  for (const [env, expected] of cases) assert.equal(wantsUnicode(env), expected);
});

/** A writer that takes three bytes at a time, and before that does what it is told. */
function slowWriter(...mishaps: Error[]) {
  const bytes: number[] = [];
  const writeSync = (chunk: Uint8Array): number => {
    const mishap = mishaps.shift();
    if (mishap !== undefined) throw mishap;
    bytes.push(...chunk.subarray(0, 3));
    return Math.min(3, chunk.length);
  };
  return {
    isTerminal: () => false,
    text: () => new TextDecoder().decode(new Uint8Array(bytes)),
    writeSync,
    write: async (chunk: Uint8Array) => await Promise.try(writeSync, chunk),
  };
}

Deno.test("a stream writes all of a text, however little the system takes at a time", () => {
  const writer = slowWriter(new Deno.errors.WouldBlock("full"), new Deno.errors.WouldBlock("full"));
  streamOf(writer, {}).write("naïve words");
  assert.equal(writer.text(), "naïve words");
});

Deno.test("a stream goes quiet when its reader has left, and other errors are told", () => {
  const left = slowWriter(new Deno.errors.BrokenPipe("gone"));
  const stream = streamOf(left, {});
  stream.write("first");
  stream.write("second");
  assert.equal(left.text(), "");
  const full = streamOf(slowWriter(new Error("No space left on device")), {});
  assert.throws(() => full.write("data"), /No space left/);
});

Deno.test("data is sent whole, and who sends it is told when nobody reads any more", async () => {
  const writer = slowWriter(new Deno.errors.WouldBlock("full"));
  assert.equal(await streamOf(writer, {}).send(new TextEncoder().encode("naïve words")), true);
  assert.equal(writer.text(), "naïve words");
  const left = slowWriter(new Deno.errors.BrokenPipe("gone"));
  const stream = streamOf(left, {});
  const bytes = new TextEncoder().encode("data");
  assert.deepEqual([await stream.send(bytes), await stream.send(bytes)], [false, false]);
  assert.equal(left.text(), "");
  const full = streamOf(slowWriter(new Error("No space left on device")), {});
  await assert.rejects(full.send(bytes), /No space left/);
});

Deno.test("the closing table of tasks without events has no column for them", () => {
  const terminal = recordingTerminal();
  renderClosingTable([{ ...rows[0]!, category: "fit" }], "table", terminal.stdout);
  assert.doesNotMatch(terminal.out(), /events/);
});
