import assert from "node:assert/strict";
import fc from "fast-check";
import { alarmingFallMb, Budget, nextLookMs, type Pace } from "../../core/monitor/cadence.ts";
import {
  brokenLimits,
  describeVerdict,
  parseLimits,
  parseLimitsFile,
} from "../../core/monitor/limits.ts";
import {
  numberAfter,
  parseIo,
  parsePssKb,
  parseStatReading,
  parseStatus,
} from "../../core/monitor/proc_text.ts";
import { resourceNamed, resourceTable, shownValue } from "../../core/monitor/resources.ts";
import {
  monitorExitCode,
  seriesHead,
  seriesLine,
  type Summary,
  summaryObject,
  summaryText,
  usageByName,
} from "../../core/monitor/summary.ts";
import { matchesGolden } from "../support/golden.ts";

Deno.test("a process's stat is read whatever its name is", () => {
  const fields = "S 7 5 5 0 -1 0 10 0 0 0 12 3 40 5 20 0 4 0 123456 999 1";
  const expected = {
    pid: 42,
    zombie: false,
    parent: 7,
    session: 5,
    cpuMs: 150,
    waitedCpuMs: 450,
    startTicks: 123456,
  };
  for (const name of ["sh", "a b", ") R 1 (", "\n"]) {
    assert.deepEqual(parseStatReading(`42 (${name}) ${fields}`), expected);
  }
  assert.equal(parseStatReading(`42 (x) ${fields.replace("S", "Z")}`)?.zombie, true);
  for (const text of ["", "42", "42 (x)", "x (y) S a b"]) {
    assert.equal(parseStatReading(text), null, text);
  }
});

Deno.test("status, io and smaps_rollup give their numbers, and a zombie's status zeros", () => {
  const status = "Name:\tx\nVmSize:\t  3060 kB\nVmHWM:\t 1712 kB\nVmRSS:\t 1700 kB\n" +
    "RssAnon:\t 112 kB\nVmSwap:\t 8 kB\nvoluntary_ctxt_switches:\t5\n" +
    "nonvoluntary_ctxt_switches:\t2\n";
  assert.deepEqual(parseStatus(status), {
    virtualKb: 3060,
    rssKb: 1700,
    anonKb: 112,
    rssPeakKb: 1712,
    swapKb: 8,
    contextSwitches: 7,
  });
  const zombie = parseStatus("Name:\tx\nState:\tZ\nvoluntary_ctxt_switches:\t5\n");
  assert.deepEqual([zombie.rssKb, zombie.contextSwitches], [0, 5]);
  assert.deepEqual(parseIo("rchar: 6976\nwchar: 12\nread_bytes: 0\n"), {
    readBytes: 6976,
    writtenBytes: 12,
  });
  assert.equal(parsePssKb("55c4-7ffc [rollup]\nRss: 1644 kB\nPss:     355 kB\nPss_Dirty: 1"), 355);
  assert.equal(numberAfter("anon 4096\nfile 1", "anon "), 4096);
});

const pace: Pace = {
  ageMs: 0,
  memoryMb: 0,
  memoryMbMax: null,
  growthMbPerMs: 0,
  wallLeftMs: null,
};

Deno.test("looks are frequent at first and rare later", () => {
  assert.equal(nextLookMs(pace), 25);
  assert.equal(nextLookMs({ ...pace, ageMs: 1_000 }), 200);
  assert.equal(nextLookMs({ ...pace, ageMs: 3_600_000 }), 2_000);
  const upTo = (ageMs: number) => {
    let count = 0;
    for (let t = 0; t < ageMs; t += nextLookMs({ ...pace, ageMs: t })) count++;
    return count;
  };
  assert.ok(upTo(1_000) <= 18, `${upTo(1_000)} in the first second`);
  assert.ok(upTo(60_000) <= 55, `${upTo(60_000)} in the first minute`);
});

Deno.test("what grows towards its limit is looked at before it is there", () => {
  const old = { ...pace, ageMs: 60_000, memoryMb: 400, memoryMbMax: 500 };
  assert.equal(nextLookMs({ ...old, growthMbPerMs: 0.1 }), 500);
  assert.equal(nextLookMs({ ...old, growthMbPerMs: 10 }), 25, "not faster than it can be of use");
  assert.equal(nextLookMs({ ...old, growthMbPerMs: -1 }), 2_000);
  assert.equal(nextLookMs({ ...old, wallLeftMs: 300 }), 301);
  assert.equal(nextLookMs({ ...old, wallLeftMs: -5 }), 1);
});

Deno.test("looking never takes more than its share of a core, however much there is to look at", () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0.1, max: 200, noNaN: true })), (costs) => {
    const budget = new Budget(0);
    let nowMs = 0, spentMs = 0;
    for (const cost of costs) {
      nowMs += budget.waitMs(nowMs);
      assert.ok(budget.waitMs(nowMs) < 1e-6);
      budget.spend(nowMs, cost);
      spentMs += cost;
    }
    const last = costs.at(-1) ?? 0;
    assert.ok(spentMs - last <= 50 + nowMs * 0.006 + 1e-6, `${spentMs} ms in ${nowMs} ms`);
  }));
});

Deno.test("a new task brings its own allowance", () => {
  const budget = new Budget(0);
  budget.spend(0, 60);
  assert.ok(budget.waitMs(0) > 1_000);
  for (let i = 0; i < 6; i++) budget.taskAdded();
  assert.equal(budget.waitMs(0), 0);
});

Deno.test("a fall of memory alarms in proportion to the machine", () => {
  assert.equal(alarmingFallMb(4_096), 128);
  assert.equal(alarmingFallMb(512_000), 5_120);
});

Deno.test("limits are read as people and managers write them", () => {
  const cases: [string, object][] = [
    ["memory: 500", { memoryMb: 500 }],
    ["memory: 2GB", { memoryMb: 2048 }],
    ["wall_time: 60.000000", { wallMs: 60_000 }],
    ["wall_time: 10m, cores: 1.500", { wallMs: 600_000, cores: 1.5 }],
    ["# comment\nmemory: 1\n\ndisk = 2\n", { memoryMb: 1, diskMb: 2 }],
    ["bytes_read: 3", { readBytes: 3 * 1024 ** 2 }],
    ["gpus: 0", { gpus: 0 }],
    ["memory: -1", {}],
    ["", {}],
  ];
  for (const [text, limits] of cases) {
    assert.deepEqual(parseLimits(text), { limits, notes: [] }, text);
  }
});

Deno.test("a limits file is JSON as in summaries, or lines", () => {
  const json = '{"memory": [100, "MB"], "cores": 2, "disk": [-1, "MB"]}';
  assert.deepEqual(parseLimitsFile(json, "f").limits, { memoryMb: 100, cores: 2 });
  assert.deepEqual(parseLimitsFile("memory: 100\n", "f").limits, { memoryMb: 100 });
});

Deno.test("a name that is no resource, or none that wqx measures, is a note", () => {
  assert.deepEqual(parseLimits("memry: 5").notes, [
    'No resource is called "memry": no limit is set: did you mean "memory"?',
  ]);
  assert.deepEqual(parseLimits("bandwidth: 5").notes, [
    "A limit of bandwidth has no effect: wqx does not measure it against one",
  ]);
});

Deno.test("a wrong limit is a sentence that says where and what would do", () => {
  const cases: [() => unknown, RegExp][] = [
    [() => parseLimits("memory"), /^"memory" is not a limit: write "memory: 500"/],
    [() => parseLimits("memory: 4GBB"), /^memory: "4GBB" is not a size: did you mean "4GB"\?/],
    [() => parseLimits("memory: -5"), /^memory: "-5" is not a limit: write a number of MB/],
    [() => parseLimits("cores: many"), /^cores: "many" is not a limit: write a number of cores/],
    [() => parseLimits("wall_time: 5 parsecs"), /^wall_time: "5 parsecs" is not a time/],
    [() => parseLimitsFile("{", "lim.json"), /^lim\.json: not JSON \(.*\): write \{"memory"/],
    [() => parseLimitsFile('{"disk": ["x"]}', "lim.json"), /^lim\.json: disk: "x" is not a limit/],
    [() => parseLimitsFile('{"disk": null}', "lim.json"), /^lim\.json: disk: "null" is not/],
  ];
  for (const [parse, message] of cases) {
    assert.throws(parse, { name: "UsageError", message });
  }
});

Deno.test("a limit is broken above it; cores by what a whole minute took, with some grace", () => {
  assert.deepEqual(brokenLimits({ memoryMb: 500 }, { memoryMb: 500 }, null), []);
  const memory = { key: "memoryMb", limit: 500, measured: 500.5 } as const;
  assert.deepEqual(brokenLimits({ memoryMb: 500.5 }, { memoryMb: 500 }, null), [memory]);
  const all = brokenLimits({ wallMs: 9, memoryMb: 500.5 }, { wallMs: 5, memoryMb: 500 }, null);
  assert.deepEqual(all.map(({ key }) => key), ["wallMs", "memoryMb"]);
  assert.deepEqual(brokenLimits({ cores: 4 }, { cores: 1 }, null), []);
  assert.deepEqual(brokenLimits({ cores: 4 }, { cores: 1 }, 1.2), []);
  assert.equal(brokenLimits({ cores: 4 }, { cores: 1 }, 1.3)[0]?.measured, 1.3);
  assert.deepEqual(brokenLimits({ gpus: 2 }, { gpus: 1 }, null), [], "not measured, only noted");
  assert.deepEqual(brokenLimits({}, { diskMb: 0 }, null), []);
});

Deno.test("a verdict says which resource, how much, and the limit", () => {
  const cases = [
    [
      { key: "memoryMb", limit: 1500, measured: 1612 },
      "memory: it used 1.6 GB, its limit is 1.5 GB",
    ],
    [{ key: "diskMb", limit: 1, measured: 1.26 }, "disk: it used 1.3 MB, its limit is 1 MB"],
    [{ key: "wallMs", limit: 500, measured: 512 }, "wall_time: it used 0.51 s, its limit is 0.5 s"],
    [{ key: "cores", limit: 1, measured: 2 }, "cores: it used 2 cores, its limit is 1 cores"],
  ] as const;
  for (const [verdict, text] of cases) assert.equal(describeVerdict(verdict), text);
});

Deno.test("memory and disk are rounded up to whole MB, other counts are cut", () => {
  const shown = (name: string, value: number) => shownValue(resourceNamed(name)!, value);
  assert.equal(shown("memory", 0.01), 1);
  assert.equal(shown("memory", 300), 300);
  assert.equal(shown("bytes_read", 1.9 * 1024 ** 2), 1);
  assert.equal(shown("wall_time", 1234.5678), 1.234568);
  assert.equal(shown("cores", 1.23456), 1.235);
  assert.equal(new Set(resourceTable.map(({ name }) => name)).size, resourceTable.length);
});

const summary: Summary = {
  usage: {
    startMs: 1_790_000_000_250,
    endMs: 1_790_000_042_750,
    wallMs: 42_500,
    cpuMs: 39_100,
    memoryMb: 1611.3,
    virtualMb: 2890,
    swapMb: 0,
    diskMb: 309.2,
    readBytes: 96.7 * 1024 ** 2,
    writtenBytes: 4 * 1024 ** 2,
    gpus: 0,
    cores: 0.92,
    coresAverage: 0.92,
    machineCores: 16,
    machineLoad: 11.4,
    contextSwitches: 2210,
    processesPeak: 2,
    processesTotal: 3,
    filesPeak: 41,
  },
  peakAtMs: { memoryMb: 40_012, diskMb: 35_008, wallMs: 42_500 },
  broken: [{ key: "memoryMb", limit: 1500, measured: 1611.3 }],
  killed: true,
  by: "/proc",
};

const words = { verbatim: [["task_id", "7"], ["host", "node12"]], command: "run.sh" } as const;

Deno.test("a summary file is what readers of resource_monitor's expect", async () => {
  const end = { exitCode: 0, signal: 9 };
  const killed = summaryObject(summary, { ...words, end });
  await matchesGolden(
    "monitor/summary.json",
    summaryText(killed, true) + summaryText(killed, false),
  );
});

Deno.test("a summary tells how the command ended", () => {
  const kept: Summary = { ...summary, broken: [], killed: false };
  const fields = (of: Summary, end: { exitCode: number; signal: number | null } | null) => {
    const { exit_type, exit_status, signal, limits_exceeded } = summaryObject(of, {
      ...words,
      end,
    });
    return { exit_type, exit_status, signal, limits_exceeded };
  };
  const none = { signal: undefined, limits_exceeded: undefined };
  assert.deepEqual(fields(kept, { exitCode: 3, signal: null }), {
    ...none,
    exit_type: "normal",
    exit_status: 3,
  });
  assert.deepEqual(fields(kept, { exitCode: 0, signal: 11 }), {
    ...none,
    exit_type: "signal",
    exit_status: 139,
    signal: 11,
  });
  assert.deepEqual(fields(kept, null), {
    ...none,
    exit_type: "running",
    exit_status: undefined,
  });
  assert.deepEqual(fields({ ...summary, killed: false }, { exitCode: 0, signal: null }), {
    exit_type: "normal",
    exit_status: 0,
    signal: undefined,
    limits_exceeded: { memory: [1500, "MB"] },
  });
});

Deno.test("what was measured goes by resource_monitor's names and units", () => {
  const usage = { wallMs: 1500, memoryMb: 300.5, readBytes: 2 * 1024 ** 2, processesPeak: 2 };
  assert.deepEqual(usageByName(usage), {
    wall_time: 1.5,
    memory: 300.5,
    bytes_read: 2,
    max_concurrent_processes: 2,
  });
});

Deno.test("exit codes are those of resource_monitor", () => {
  const wall = { key: "wallMs", limit: 1, measured: 2 } as const;
  const memory = { key: "memoryMb", limit: 1, measured: 2 } as const;
  const fine = { exitCode: 0, signal: null };
  assert.equal(monitorExitCode([], fine), 0);
  assert.equal(monitorExitCode([], { exitCode: 7, signal: null }), 1);
  assert.equal(monitorExitCode([], { exitCode: 0, signal: 9 }), 1);
  assert.equal(monitorExitCode([memory], fine), 2);
  assert.equal(monitorExitCode([wall, memory], fine), 3);
});

Deno.test("a time series has as many columns in each line", async () => {
  const lines = seriesHead() + seriesLine(1_790_000_001_500, summary.usage) +
    seriesLine(1_790_000_002_500, {});
  const columns = lines.trim().split("\n").map((line) =>
    line.replace(/^# /, "").split("\t").length
  );
  assert.deepEqual(columns, [15, 15, 15, 15]);
  await matchesGolden("monitor/series.txt", lines);
});
