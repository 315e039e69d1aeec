import assert from "node:assert/strict";
import { RunError } from "../../core/errors.ts";
import { childrenOf, listProcesses, readStat } from "../../io/procfs.ts";
import { openSpawner, type SpawnRequest } from "../../worker/process.ts";
import { needs } from "../support/skip.ts";
import { SpawnerBed } from "../support/spawner_bed.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const linux = Deno.build.os === "linux";
const path = "/usr/bin:/bin";

for (const exact of [true, false]) {
  const kind = exact ? "measured" : "plain";

  Deno.test(`a ${kind} task has its folder, its whole environment, no input, one output`, async () => {
    await using bed = await SpawnerBed.create(exact);
    const env = { PATH: path, pid: "mine", MESSAGE: "two\nlines = 1" };
    const command = 'pwd; echo "$pid $MESSAGE"; cat; echo err >&2; env | grep -c ^HOME=';
    const { process, output, outputPath } = await bed.start(command, env);
    const exit = await process.exited;
    assert.equal(exit.exitCode, 1);
    assert.equal(output(), `${bed.folder.path}\nmine two\nlines = 1\nerr\n0\n`);
    assert.equal((Deno.statSync(outputPath).mode ?? 0) & 0o777, 0o600);
  });

  Deno.test(`a ${kind} task reports exit codes and signals as Work Queue does`, async () => {
    await using bed = await SpawnerBed.create(exact);
    const cases = [
      { command: "true", exitCode: 0, signal: null },
      { command: "exit 42", exitCode: 42, signal: null },
      { command: "kill -SEGV $$", exitCode: 11, signal: 11 },
      { command: "kill -KILL $$", exitCode: 9, signal: 9 },
      { command: "no-such-command", exitCode: 127, signal: null },
      { command: "if", exitCode: 2, signal: null },
    ];
    for (const { command, exitCode, signal } of cases) {
      const exit = await bed.run(command);
      assert.deepEqual({ command, exitCode, signal }, {
        command,
        exitCode: exit.exitCode,
        signal: exit.signal,
      });
      assert.equal(exit.measured !== null, exact && linux);
    }
  });

  Deno.test(`a ${kind} task that leaves processes behind takes them with it`, async () => {
    await using bed = await SpawnerBed.create(exact);
    const commands = [
      "sleep 1000 & exit 0",
      "nohup sleep 1000 >/dev/null 2>&1 & exit 0",
      "setsid sleep 1000 & exit 0",
      "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 0.05",
      "trap '' TERM HUP; (trap '' TERM; sleep 1000; sleep 1000) & exit 0",
    ];
    for (const command of commands) {
      const { process } = await bed.start(command);
      await process.exited;
      // Without adoption the killed ones belong to init, which may take its time.
      await until(() => bed.left(process.group).length === 0, { what: `no rest of ${command}` });
    }
  });

  Deno.test(`kill() ends a ${kind} task and all that it started`, async () => {
    await using bed = await SpawnerBed.create(exact);
    const { process } = await bed.start(
      "sleep 1000 & (sleep 1000; :) & setsid sleep 1000 & touch ready; wait",
    );
    await until(() => Deno.stat(bed.folder.join("ready")).catch(() => null), { what: "the task" });
    process.kill();
    const exit = await process.exited;
    assert.deepEqual([exit.exitCode, exit.signal], [9, 9]);
    await until(() => bed.left(process.group).length === 0, { what: "the end of all" });
    process.kill();
  });

  Deno.test(`disposing of a ${kind} spawner kills what runs, and its tasks report it`, async () => {
    const bed = await SpawnerBed.create(exact);
    const { process } = await bed.start("setsid sleep 1000 & sleep 1000");
    await bed[Symbol.asyncDispose]();
    assert.equal((await process.exited).signal, 9);
  });

  Deno.test(`a ${kind} task that cannot start is an error that says why`, async () => {
    await using bed = await SpawnerBed.create(exact);
    const env = { PATH: path };
    const outputPath = bed.folder.join("output");
    const gone = bed.folder.join("gone");
    const fails = async (request: Partial<SpawnRequest>, message: RegExp) => {
      const whole = { command: "true", cwd: "/", env, outputPath, ...request };
      const started = async () => await (await bed.spawner.spawn(whole)).exited;
      await assert.rejects(
        started,
        (error) => error instanceof RunError && message.test(error.message),
      );
    };
    await fails({ cwd: gone }, /^Cannot start "true" in .*gone: .*(folder|NotFound|No such)/);
    await fails({ outputPath: `${gone}/output` }, /^Cannot start "true" in \/: ./);
    await fails({ command: "x".repeat(200_000) }, /^Cannot start "x{79}…" in \/: .{1,200}$/);
    await fails({ command: "a\0b" }, /^Cannot start "a\\u0000b" in \/: .*(NUL|nul)/);
    await fails({ env: { A: "a\0b" } }, /^Cannot start "true" in \/: .*(NUL|nul)/);
    assert.equal((await bed.run("exit 3")).exitCode, 3);
  });
}

const measured = (name: string) => needs(linux, "measuring needs wait4 of Linux", name);

Deno.test({
  ...measured("a small task reports its own memory although its worker is large"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const ballast = new Uint8Array(200 * 1024 ** 2).fill(1);
    const exit = await bed.run("true");
    assert.ok(exit.measured !== null && exit.measured.memoryPeakMb > 0.3);
    assert.ok(exit.measured.memoryPeakMb < 20, `${exit.measured.memoryPeakMb} MB`);
    assert.equal(ballast.at(-1), 1);
  },
});

Deno.test({
  ...measured("a task that takes memory and CPU time reports both, those of its children too"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    // tail keeps the one line of 64 MiB; the loop takes CPU time in the shell itself.
    const memory = await bed.run("head -c 67108864 /dev/zero | tail -n 1 | wc -c");
    assert.equal(memory.output.trim(), "67108864");
    assert.ok(memory.measured!.memoryPeakMb >= 64, `${memory.measured!.memoryPeakMb} MB`);
    assert.ok(memory.measured!.memoryPeakMb < 200, `${memory.measured!.memoryPeakMb} MB`);
    const spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    const cpu = (await bed.run(spin)).measured!;
    const idle = (await bed.run("sleep 0.2")).measured!;
    assert.ok(cpu.cpuUserMs > 4 * idle.cpuUserMs, `${cpu.cpuUserMs} ms, ${idle.cpuUserMs} ms idle`);
    // What was left behind counts too.
    const behind = (await bed.run(`(sh -c '${spin}; touch spun' &) ; ${waitFor("spun")}`))
      .measured!;
    assert.ok(behind.cpuUserMs > cpu.cpuUserMs / 2, `${behind.cpuUserMs} ms behind`);
  },
});

function waitFor(name: string): string {
  return `until [ -e ${name} ]; do sleep 0.01; done`;
}

Deno.test({
  ...measured("an orphan that hides its mark and its session goes with the last task it may be of"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const hide = "(setsid env -i sh -c 'echo $$ >hidden.tmp; mv hidden.tmp hidden; sleep 1000' &)";
    const first = await bed.start(`${hide}; ${waitFor("hidden")}`);
    const second = await bed.start(waitFor("second"));
    await first.process.exited;
    const hidden = Number(await Deno.readTextFile(bed.folder.join("hidden")));
    // One that was seen before it hid has gone with its own task.
    const state = () => readStat(hidden)?.state ?? "gone";
    await until(() => ["S", "gone"].includes(state()), {
      what: "an orphan that sleeps or is gone",
    });
    await bed.folder.write("second", "");
    await second.process.exited;
    await until(() => readStat(hidden) === null, { what: "the end of the hidden orphan" });
  },
});

Deno.test({
  ...measured("children of Deno in sessions of their own are no orphans, and keep their exit"),
  async fn() {
    await using folder = await TempFolder.create();
    // A process of its own: here tests do not run on the main thread, which adopts orphans.
    const script = new URL("../support/own_children.ts", import.meta.url).pathname;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, folder.path],
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const expected = JSON.stringify([...Array.from({ length: 20 }, (_, i) => i), "SIGTERM"]);
    assert.equal(text(stdout), expected, text(stderr));
  },
});

Deno.test({
  ...measured("orphans that end while their task runs do not stay as zombies"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const { process } = await bed.start(
      `for i in 1 2 3 4; do (sleep 0.01 &) ; (setsid sleep 0.01 &); done; ${waitFor("on")}`,
    );
    await until(() => bed.left().length > 1, { what: "orphans" });
    // Of the main thread, which adopts them: the task is the child of the one that runs tests.
    await until(() => childrenOf(Deno.pid).length === 0, { what: "the orphans to be reaped" });
    await bed.folder.write("on", "");
    assert.equal((await process.exited).exitCode, 0);
  },
});

Deno.test({
  ...measured("two hundred tasks at once each report their own exit, and Deno keeps its children"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const own = new Deno.Command("/bin/sh", { args: ["-c", "exit 77"] }).output();
    const exits = await Promise.all(
      Array.from({ length: 200 }, (_, i) => bed.run(`exit ${i}`)),
    );
    assert.deepEqual(exits.map((exit) => exit.exitCode), Array.from({ length: 200 }, (_, i) => i));
    assert.equal((await own).code, 77);
    assert.deepEqual(childrenOf(Deno.pid), []);
  },
});

Deno.test({
  ...measured("a task gets no descriptor but its input and output, and its own session"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const { output } = await bed.run("ls /proc/self/fd; cut -d' ' -f 1,5,6 /proc/$$/stat; echo $$");
    const [input, out, err, ofLs, numbers, shell] = output.split("\n");
    // ls has the folder open that it lists.
    assert.deepEqual([input, out, err, ofLs], ["0", "1", "2", "3"]);
    assert.equal(numbers, `${shell} ${shell} ${shell}`);
  },
});

Deno.test({
  ...measured("a launcher that someone kills is replaced, and its tasks are not harmed"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const { process } = await bed.start(waitFor("on"));
    const launcher = listProcesses().find((pid) =>
      readStat(pid)?.parent === Deno.pid && nameOf(pid) === "wqx-launcher"
    );
    assert.ok(launcher !== undefined);
    Deno.kill(launcher, "SIGKILL");
    const dead = () => ["Z", undefined].includes(readStat(launcher)?.state);
    await until(dead, { what: "the end of the launcher" });
    assert.equal((await bed.run("exit 5")).exitCode, 5);
    await bed.folder.write("on", "");
    assert.equal((await process.exited).exitCode, 0);
    await until(() => readStat(launcher) === null, { what: "the launcher to be reaped" });
  },
});

function nameOf(pid: number): string | undefined {
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0")[0];
}

Deno.test({
  ...measured("a spawner that cannot put its launcher anywhere runs plain tasks, and says why"),
  async fn() {
    await using folder = await TempFolder.create();
    await using spawner = openSpawner({ owner: folder.join("gone") });
    assert.match(spawner.unmeasured ?? "", /gone\/\.launcher/);
    const outputPath = folder.join("output");
    const request = { command: "exit 6", cwd: "/", env: { PATH: path }, outputPath };
    const { exitCode, measured } = await (await spawner.spawn(request)).exited;
    assert.deepEqual({ exitCode, measured }, { exitCode: 6, measured: null });
  },
});

Deno.test({
  ...measured("a task can be interrupted: SIGINT, SIGQUIT and SIGPIPE are not ignored in it"),
  async fn() {
    await using bed = await SpawnerBed.create(true);
    const { output } = await bed.run("grep SigIgn /proc/self/status");
    const ignored = Number.parseInt(output.split(/\s+/)[1] ?? "", 16);
    for (const signal of [1, 2, 3, 13, 15]) assert.equal(ignored & (1 << (signal - 1)), 0);
    assert.equal((await bed.run("kill -INT $$; sleep 1000")).signal, 2);
  },
});
