/** The worker's monitor on real processes: what it kills, what it finds, what it costs. */
import assert from "node:assert/strict";
import { monitorVariable } from "../../core/monitor/mode.ts";
import type { UsageKey } from "../../core/monitor/resources.ts";
import { readProcess, readPssKb } from "../../io/proc_usage.ts";
import { listProcesses, readEnvironment } from "../../io/procfs.ts";
import { Monitor } from "../../worker/monitor.ts";
import { openSpawner } from "../../worker/process.ts";
import { watchTask } from "../../worker/watched.ts";
import { taskBlock } from "../support/builders.ts";
import { compilerReason, hasCompiler, LoadBed, type Ran } from "../support/monitor_load.ts";
import { needs } from "../support/skip.ts";
import { SpawnerBed } from "../support/spawner_bed.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const onLinux = Deno.build.os === "linux";

function assertKilledFor({ summary, told, exit }: Ran, key: UsageKey): void {
  assert.deepEqual(told.map((verdict) => verdict.key), [key]);
  assert.deepEqual(summary.broken, told);
  assert.equal(summary.killed, true);
  assert.equal(exit.signal, 9);
  const { limit, measured } = told[0]!;
  assert.ok(measured > limit, `${measured} over ${limit}`);
}

function loadTest(name: string, fn: (bed: LoadBed) => Promise<void>): void {
  Deno.test({
    ...needs(hasCompiler, compilerReason, name),
    fn: async () => {
      await using bed = await LoadBed.create();
      await fn(bed);
    },
  });
}

loadTest("a task over its memory is killed at once, and what it used is told", async (bed) => {
  const ran = await bed.run("hold 200 60000", { limits: { memoryMb: 150 } });
  assertKilledFor(ran, "memoryMb");
  const { cpuMs = 0, memoryMb = 0, wallMs = 0 } = ran.summary.usage;
  assert.ok(memoryMb >= 150 && memoryMb < 210, `${memoryMb} MB`);
  assert.ok(cpuMs > 0 && wallMs < 10_000);
});

loadTest("a burst of 2 GB in 100 ms is cut short behind the sampler's back", async (bed) => {
  // Old enough to be looked at seldom: the sentinel has to notice.
  const command = `sleep 1; exec ${bed.program} burst 2000 100`;
  const ran = await bed.run(command, { limits: { memoryMb: 300 }, shell: true });
  assertKilledFor(ran, "memoryMb");
  const { memoryMb = 0 } = ran.summary.usage;
  assert.ok(memoryMb < 1900, `it came to ${memoryMb} MB`);
});

loadTest("a tree that is over its memory only as a whole is killed, all of it", async (bed) => {
  const ran = await bed.run("tree 4 60 60000", { limits: { memoryMb: 200 } });
  assertKilledFor(ran, "memoryMb");
  const left = listProcesses().filter((pid) =>
    readEnvironment(pid)?.some((entry) => entry.includes(bed.folder.path))
  );
  assert.deepEqual(left, []);
});

loadTest("memory that is shared kills nobody for being counted twice", async (bed) => {
  const ran = await bed.run("shared 4 100 300", { limits: { memoryMb: 250 } });
  assert.deepEqual([ran.told, ran.exit.exitCode], [[], 0]);
});

loadTest("a task is killed for wall time, disk, files and processes too", async (bed) => {
  const wall = bed.run("sleep 60", { limits: { wallMs: 300 }, shell: true });
  const disk = bed.run("disk . 100 200 4000", { limits: { diskMb: 5 } });
  const files = bed.run("disk . 100 1 4000", { limits: { filesPeak: 20 } });
  const tree = bed.run("tree 5 1 60000", { limits: { processesPeak: 3 } });
  assertKilledFor(await wall, "wallMs");
  assertKilledFor(await disk, "diskMb");
  assertKilledFor(await files, "filesPeak");
  assertKilledFor(await tree, "processesPeak");
  const { wallMs = 0 } = (await wall).summary.usage;
  assert.ok(wallMs >= 300 && wallMs < 3_000, `${wallMs} ms`);
});

loadTest(
  "what is only measured, or over its limit when it has ended, is told and not killed",
  async (bed) => {
    const limits = { memoryMb: 50 };
    const measured = await bed.run("hold 100 200", { limits, mode: "measure" });
    assert.deepEqual([measured.told, measured.summary.killed, measured.exit.exitCode], [
      [],
      false,
      0,
    ]);
    assert.equal(measured.summary.broken[0]?.key, "memoryMb");
    const off = await bed.run("hold 100 100", { limits, mode: "off" });
    assert.deepEqual([off.summary.broken, off.summary.by, off.summary.usage.memoryMb], [
      [],
      "nothing",
      undefined,
    ]);
  },
);

Deno.test({
  ...needs(
    onLinux,
    "there is no /proc",
    "a limit broken unseen is told at the end, and kills nobody",
  ),
  fn: async () => {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    using monitor = new Monitor();
    const told: unknown[] = [];
    const task = monitor.watch({
      mode: "watchdog",
      limits: { memoryMb: 200 },
      pid: child.pid,
      session: null,
      folders: [],
      onExceeded: (broken) => told.push(broken),
    });
    const summary = task.finish({ cpuUserMs: 30, cpuSystemMs: 10, memoryPeakMb: 300 });
    child.kill("SIGKILL");
    await child.status;
    assert.deepEqual([told, summary.killed, summary.by], [[], false, "/proc"]);
    assert.deepEqual(summary.broken, [{ key: "memoryMb", limit: 200, measured: 300 }]);
  },
});

loadTest("what a task reads and writes is counted, and its files as disk", async (bed) => {
  const command = "head -c 20000000 /dev/zero > a; cat a > b; mkdir d; mv a d/a; exec sleep 0.2";
  const { summary: { usage } } = await bed.run(command, { shell: true });
  const mb = 1e6, { readBytes = 0, writtenBytes = 0, diskMb = 0, filesPeak = 0 } = usage;
  assert.ok(readBytes >= 40 * mb && readBytes < 45 * mb, `${readBytes} read`);
  assert.ok(writtenBytes >= 40 * mb && writtenBytes < 45 * mb, `${writtenBytes} written`);
  assert.ok(diskMb >= 38.1 && diskMb < 39, `${diskMb} MB of disk`);
  assert.equal(filesPeak, 4);
});

Deno.test({
  ...needs(onLinux, "there is no /proc", "a process is read once more only if it has run since"),
  fn: async () => {
    const first = readProcess(Deno.pid)!;
    assert.equal(first.reading.pid, Deno.pid);
    assert.ok(first.reading.rssKb > 1000 && first.reading.rssPeakKb >= first.reading.rssKb);
    assert.ok(readPssKb(Deno.pid)! > 1000);
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    const asleep = await until(() => {
      const kept = readProcess(child.pid);
      return kept?.statText.includes("(sleep) S") && kept;
    }, { what: "a process that sleeps" });
    assert.equal(readProcess(child.pid, asleep), asleep);
    child.kill("SIGKILL");
    await child.status;
    const marked = { ...first, statText: "" };
    assert.notEqual(readProcess(Deno.pid, marked), marked);
    assert.equal(readProcess(2 ** 22 + 1), null);
  },
});

Deno.test({
  ...needs(onLinux, "there is no /proc", "a task that is watched late is timed from its start"),
  fn: async () => {
    await using bed = await SpawnerBed.create(true);
    using monitor = new Monitor();
    const { process } = await bed.start("sleep 0.4");
    await new Promise((resolve) => setTimeout(resolve, 200));
    const task = taskBlock(1, { command: "sleep 0.4", env: [monitorVariable("measure")] });
    const watched = watchTask({ monitor, cgroups: null }, task, process, bed.folder.path)!;
    const { measured } = await process.exited;
    const wallS = watched.finish(measured).monitored!["wall_time"]!;
    assert.ok(wallS >= 0.4, `${wallS} s`);
  },
});

Deno.test({
  ...needs(
    onLinux,
    "there is no /proc",
    "monitoring 100 tasks that start at once takes less than 5 ms of each",
  ),
  fn: async () => {
    await using folder = await TempFolder.create();
    await using spawner = openSpawner({ owner: folder.path });
    using monitor = new Monitor();
    const tasks = await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const cwd = folder.join(`t.${i}`);
      await Deno.mkdir(cwd);
      const process = await spawner.spawn({
        // A shell and a child that does something now and then.
        command: "for i in 1 2 3 4 5 6; do sleep 0.5; done; :",
        cwd,
        env: { PATH: "/usr/bin:/bin" },
        outputPath: folder.join(`out.${i}`),
      });
      const task = monitor.watch({
        mode: "watchdog",
        limits: { memoryMb: 1000 },
        pid: process.pid,
        session: process.group,
        folders: [cwd],
        onExceeded: () => {},
      });
      return { process, task };
    }));
    let endingMs = 0;
    const startedMs = performance.now();
    for (const { process, task } of tasks) {
      const { measured } = await process.exited;
      const beforeMs = performance.now();
      task.finish(measured);
      endingMs += performance.now() - beforeMs;
    }
    const wallMs = performance.now() - startedMs;
    const { spentMs, lookCount } = monitor;
    const figures = `${spentMs.toFixed(0)} ms of CPU time in ${wallMs.toFixed(0)} ms for ` +
      `100 tasks, ${lookCount} walks; ${endingMs.toFixed(0)} ms at their ends`;
    assert.ok(spentMs + endingMs < 100 * 5, figures);
    Deno.stdout.writeSync(new TextEncoder().encode(`${figures}\n`));
  },
});
