import assert from "node:assert/strict";
import fc from "fast-check";
import { resourceTable, shownValue, type UsageKey } from "../../core/monitor/resources.ts";
import { type Summary, summaryObject, summaryText } from "../../core/monitor/summary.ts";
import { measuredIn, readSummary, summaryBytesMax } from "../../core/monitor/summary_reader.ts";
import { bytesOf } from "../support/builders.ts";

const read = (value: unknown) => readSummary(bytesOf(JSON.stringify(value)));

const keys = resourceTable.flatMap(({ key }) => key === null ? [] : [key]);
const limited = resourceTable.flatMap(({ key, limited }) => key !== null && limited ? [key] : []);
const usages = fc.dictionary(
  fc.constantFrom(...keys),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
) as fc.Arbitrary<Partial<Record<UsageKey, number>>>;

const summaries: fc.Arbitrary<Summary> = fc.record({
  usage: usages,
  broken: fc.subarray(limited).map((some) =>
    some.map((key) => ({ key, limit: 1000, measured: 2000 }))
  ),
  killed: fc.boolean(),
  peakAtMs: fc.constant({ memoryMb: 12 }),
  by: fc.constant("/proc" as const),
});

Deno.test("a summary reads as it was written, in one line or many", () => {
  const exits = fc.record({ exitCode: fc.nat(255), signal: fc.option(fc.nat(64)) });
  fc.assert(fc.property(summaries, exits, fc.boolean(), (summary, end, pretty) => {
    const object = summaryObject(summary, { verbatim: [["task_id", "7"]], command: "x", end });
    const back = readSummary(bytesOf(summaryText(object, pretty)));
    assert.ok(back !== null);
    assert.equal(back.killed, summary.killed);
    assert.equal(back.exitStatus, object["exit_status"]);
    assert.equal(Object.keys(back.broken).length, summary.broken.length);
    // `+ 0`: JSON knows one zero only.
    const shown = resourceTable.flatMap((row) => {
      const value = row.key === null ? undefined : summary.usage[row.key];
      return value === undefined ? [] : [[row.name, shownValue(row, value) + 0]];
    });
    assert.deepEqual(back.measured, Object.fromEntries(shown));
  }));
});

Deno.test("a summary of resource_monitor, with what wqx does not write, gives its numbers", () => {
  const text = `{"task_id":"7","category":"processing","host":"node12",
 "command":"python fn_wrapper >stdout.log 2>&1","exit_status":143,"exit_type":"limits",
 "limits_exceeded":{"memory":[1500,"MB"]},
 "wall_time":[42.5,"s"],"cpu_time":[39.1,"s"],"memory":[1612,"MB"],"bytes_received":[210,"MB"],
 "gpus":0,"snapshots":[{"x":1}],"later":{"y":[2]},"peak_times":{"memory":[40.012,"s"]}}`;
  const summary = readSummary(bytesOf(text))!;
  assert.deepEqual(measuredIn(summary), {
    cpuUserMs: 39_100,
    cpuSystemMs: 0,
    memoryPeakMb: 1612,
    monitored: { wall_time: 42.5, cpu_time: 39.1, memory: 1612, bytes_received: 210, gpus: 0 },
    exceeded: { resource: "memory", limit: 1500, measured: 1612 },
  });
});

Deno.test("a limit that was broken by a command that was not killed is no exhaustion", () => {
  const summary = read({ exit_status: 0, limits_exceeded: { disk: [5, "MB"] } })!;
  assert.deepEqual([summary.broken, summary.killed], [{ disk: 5 }, false]);
  assert.equal(measuredIn(summary).exceeded, undefined);
});

Deno.test("what is no summary of an ended command is refused", () => {
  for (
    const value of [
      ...[null, 1, "x", [], [{}], {}],
      { exit_type: "running", memory: [1, "MB"] },
      ...["0", null, 0.5, {}, []].map((exit_status) => ({ exit_status })),
    ]
  ) {
    assert.equal(read(value), null, JSON.stringify(value));
  }
  assert.equal(readSummary(bytesOf("")), null);
  assert.equal(readSummary(bytesOf('{"exit_status":0}{"exit_status":0}')), null);
  const long = { exit_status: 0, command: "x".repeat(summaryBytesMax) };
  assert.equal(read(long), null, "too long");
  assert.equal(read({ ...long, command: "" })?.exitStatus, 0);
});

Deno.test("any bytes are read as amounts that make sense, or refused", () => {
  const odd = fc.oneof(
    fc.uint8Array(),
    fc.json().map(bytesOf),
    fc.dictionary(
      fc.constantFrom("exit_status", "exit_type", "limits_exceeded", "memory", "cpu_time"),
      fc.oneof(fc.jsonValue(), fc.integer(), fc.constant("limits")),
    ).map((value) => bytesOf(JSON.stringify(value))),
  );
  fc.assert(fc.property(odd, (bytes) => {
    const summary = readSummary(bytes);
    if (summary === null) return;
    assert.ok(Number.isSafeInteger(summary.exitStatus));
    const { cpuUserMs, memoryPeakMb, exceeded } = measuredIn(summary);
    for (const amount of [cpuUserMs, memoryPeakMb, exceeded?.limit ?? 0]) {
      assert.ok(amount >= 0 && !Number.isNaN(amount), String(amount));
    }
  }));
});
