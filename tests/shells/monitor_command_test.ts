/** `wqx monitor`, also as resource_monitor: files, limits, exit codes, signals, mistakes. */
import assert from "node:assert/strict";
import { programNamed } from "../../cmd/names.ts";
import { monitorOptions, splitCommand } from "../../cmd/monitor_options.ts";
import { matchesGolden } from "../support/golden.ts";
import { until } from "../support/until.ts";
import { recordingTerminal } from "../support/terminal.ts";
import { readJson, TestBed } from "../support/wqx.ts";

Deno.test("wqx monitor runs a command in the terminal's place, and writes what it used", async () => {
  await using bed = await TestBed.create();
  const script = "cat; echo to stderr >&2; head -c 9000000 /dev/zero > made; sleep 0.5; exit 3";
  await using monitor = bed.start(
    ["monitor", "-O", "fit", "-V", "task_id: 7", "--no-pprint", "--", "sh", "-c", script],
    { stdin: "piped" },
  );
  await monitor.write("hello\n");
  await monitor.closeInput();
  assert.equal(await monitor.ended, 1, "as the command failed");
  assert.deepEqual([monitor.stdout, monitor.stderr], ["hello\n", "to stderr\n"]);
  const text = await Deno.readTextFile(bed.folder.join("fit.summary"));
  assert.equal(text.split("\n").length, 2);
  const summary = JSON.parse(text);
  assert.deepEqual(Object.keys(summary).slice(0, 5), [
    "task_id",
    "host",
    "monitor_version",
    "executable_type",
    "command",
  ]);
  assert.deepEqual(
    [summary.task_id, summary.exit_type, summary.exit_status, summary.limits_exceeded],
    ["7", "normal", 3, undefined],
  );
  assert.match(summary.command, /^\S*\/sh -c cat; /);
  assert.deepEqual(summary.disk, [9, "MB"]);
  assert.deepEqual(summary.max_concurrent_processes, [2, "procs"]);
  assert.ok(summary.end[0] >= summary.start[0]);
  await bed.clean();
});

Deno.test("a broken limit has the exit code of resource_monitor, and kills unless told not to", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("limits.json", '{"wall_time": [0.3, "s"]}');
  const [wall, files, measured, kept] = await Promise.all([
    bed.run(["monitor", "-O", "wall", "-l", "limits.json", "--sh", "sleep 60 & sleep 60"]),
    bed.run(["monitor", "-O", "d/files", "-L", "total_files: 1", "--", "sleep", "60"], {
      cwd: (await bed.folder.write("w/d/x", ""), bed.folder.join("w")),
    }),
    bed.run(["monitor", "-O", "m", "-L", "wall_time: 0.1", "--measure-only", "--", "sleep", ".3"]),
    bed.run(["monitor", "-O", "k", "-L", "wall_time: 60", "-L", "memory: -1", "--", "true"]),
  ]);
  assert.deepEqual([wall.code, files.code, measured.code, kept.code], [3, 2, 3, 0]);
  assert.match(wall.stderr, /^Killed for wall_time: it used 0\.\d+ s, its limit is 0\.3 s\n$/);
  assert.deepEqual([measured.stderr, kept.stderr], ["", ""]);
  const told = await readJson(bed.folder.join("wall.summary"));
  assert.deepEqual([told.exit_type, told.exit_status, told.limits_exceeded], [
    "limits",
    143,
    { wall_time: [0.3, "s"] },
  ]);
  const only = await readJson(bed.folder.join("m.summary"));
  assert.deepEqual([only.exit_type, only.exit_status, only.limits_exceeded], [
    "normal",
    0,
    { wall_time: [0.1, "s"] },
  ]);
  await bed.clean();
});

Deno.test("signals go to the command, and what it leaves behind ends with it", async () => {
  await using bed = await TestBed.create();
  const script = "trap 'echo got it; exit 0' USR1; setsid sleep 60 & echo ready; wait";
  await using monitor = bed.start(["monitor", "-O", "s", "--sh", script]);
  await monitor.says(/ready/);
  monitor.signal("SIGUSR1");
  assert.equal(await monitor.ended, 0);
  assert.match(monitor.stdout, /got it/);
  const died = await bed.run(["monitor", "-O", "died", "--sh", "kill -TERM $$"]);
  assert.equal(died.code, 1);
  const { exit_type, exit_status, signal } = await readJson(bed.folder.join("died.summary"));
  assert.deepEqual([exit_type, exit_status, signal], ["signal", 143, 15]);
  await bed.clean();
});

Deno.test("a time series has a line an interval, and the summary is there meanwhile", async () => {
  await using bed = await TestBed.create();
  const args = ["monitor", "-O", "t", "--with-time-series", "--update-summary", "-i", "100ms"];
  const { code } = await bed.run([...args, "--sh", "sleep 1; grep -c running t.summary"]);
  assert.equal(code, 0);
  const lines = (await Deno.readTextFile(bed.folder.join("t.series"))).trim().split("\n");
  assert.ok(lines.length >= 5, lines.join("\n"));
  const times = lines.slice(2).map((line) => Number(line.split("\t")[0]));
  assert.deepEqual(times, times.toSorted());
});

Deno.test("a process that runs already is followed to its end", async () => {
  await using bed = await TestBed.create();
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const args = ["--pid", String(child.pid), "-O", "p", "--update-summary", "-i", "20ms"];
  await using following = bed.start(["monitor", ...args]);
  const path = bed.folder.join("p.summary");
  await until(async () => (await Deno.readTextFile(path).catch(() => "")).includes("running"), {
    what: "a summary of the process that runs",
  });
  child.kill("SIGKILL");
  await child.status;
  assert.equal(await following.ended, 0);
  const { total_processes } = await readJson(bed.folder.join("p.summary"));
  assert.deepEqual(total_processes, [1, "procs"]);
});

Deno.test("what the monitor cannot do is a sentence, and exit code 4", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("plain", "");
  await bed.folder.write("wrong.json", "{");
  const run = (...args: string[]) => bed.run(["monitor", ...args]);
  const cases: [string[], RegExp][] = [
    [[], /^Say what to run: wqx monitor \[options\] -- COMMAND, --sh COMMAND, or --pid N\n$/],
    [["--sh", "true", "--", "true"], /^Say one thing to run, not several: /],
    [["--", "no-such-tool"], /^Cannot start "no-such-tool": no program of that name is in /],
    [["--", "./plain"], /^Cannot start "\.\/plain": it may not be executed: chmod \+x it first\n$/],
    [["--", "./none"], /^Cannot start "\.\/none": there is no such file\n$/],
    [["--limts", "x", "--", "true"], /^Unknown option "--limts": did you mean "--limits"\?\n$/],
    [["-L", "memory: 4GBB", "--", "true"], /^--limits: memory: "4GBB" is not a size: did you /],
    [["-l", "none", "--", "true"], /^Cannot read the limits in none: /],
    [["-l", "wrong.json", "--", "true"], /^wrong\.json: not JSON/],
    [["-O", "none/x", "--", "true"], /^Cannot write none\/x\.summary: /],
    [["--measure-dir", "none", "--", "true"], /^Cannot measure the disk of none: it is no folder/],
    [["-d", "all", "-o", "none/x", "--", "true"], /^Cannot write the log to none\/x: /],
    [["-i", "1ms", "--", "true"], /^--interval: "1ms" is too short: it must be 20ms or more/],
    [["-V", "x", "--", "true"], /^--verbatim-to-summary: "x" is not a field: write "name: value"/],
    [["--pid", "4194305"], /^Cannot monitor process 4194305: there is none/],
  ];
  await Promise.all(cases.map(async ([args, message]) => {
    const { code, stderr, stdout } = await run(...args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [4, ""], args.join(" "));
  }));
});

Deno.test("options that do nothing here, and names that are no resources, say so and go on", async () => {
  await using bed = await TestBed.create();
  const args = ["-O", "n", "--with-inotify", "-L", "bandwidth: 3", "--", "true"];
  const { code, stderr } = await bed.run(["monitor", ...args]);
  assert.equal(code, 0);
  assert.equal(
    stderr,
    "--with-inotify has no effect here: files that are opened are not listed\n" +
      "A limit of bandwidth has no effect: wqx does not measure it against one\n",
  );
});

Deno.test("the words of the command are cut off where it begins", () => {
  const cases: [string, string, string][] = [
    ["-O x -- ls -l", "-O x", "ls -l"],
    ["-O x ls -l -- y", "-O x", "ls -l -- y"],
    ["-Ox --measure-only --interval=5 ls", "-Ox --measure-only --interval=5", "ls"],
    ["-L memory:5 -V a:b", "-L memory:5 -V a:b", ""],
    ["-- -x", "", "-x"],
    ["--help", "--help", ""],
  ];
  for (const [line, own, words] of cases) {
    const split = splitCommand(line.split(" "), monitorOptions);
    assert.deepEqual([split.own.join(" "), split.words.join(" ")], [own, words], line);
  }
});

Deno.test("the help of resource_monitor is that of wqx monitor, and all of it", async () => {
  const terminal = recordingTerminal();
  await programNamed("/opt/bin/resource_monitor")!.run(["--help"], terminal);
  await matchesGolden("help/resource_monitor.txt", terminal.out());
});
