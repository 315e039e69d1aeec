/** Python scripts that are forked from a Python with their imports: as if started, and faster. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { pythonCommand } from "../../core/worker/python_command.ts";
import { readStat } from "../../io/procfs.ts";
import { Monitor } from "../../worker/monitor.ts";
import { WarmSpawner } from "../../worker/warm_spawner.ts";
import { needs } from "../support/skip.ts";
import { SpawnerBed } from "../support/spawner_bed.ts";
import { until } from "../support/until.ts";

const linux = Deno.build.os === "linux";
const PATH = "/usr/local/bin:/usr/bin:/bin";

async function warmBed(debug: (line: string) => void = () => {}): Promise<SpawnerBed> {
  return await SpawnerBed.create(true, (plain, folder) => {
    Deno.mkdirSync(`${folder}/.wqx`);
    return WarmSpawner.over(plain, { folder: `${folder}/.wqx`, debug });
  });
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ ...needs(linux, "warm Pythons need Linux", name), fn });
}

/** Scripts whose output and end a fork must not change. */
const scripts: Record<string, string> = {
  "prints": "print('one'); print('two', end='')",
  "prints to both": "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)",
  "ends with a number": "import sys\nsys.exit(7)",
  "ends with a large number": "import sys\nsys.exit(300)",
  "ends with a text": "import sys\nprint('first')\nsys.exit('a reason')",
  "ends at once": "import os\nos._exit(9)",
  "raises": "def f():\n    raise ValueError('bad')\nf()",
  "raises from another": "try:\n    1/0\nexcept Exception as e:\n    raise KeyError('k') from e",
  "has a syntax error": "print('no'\n",
  "kills itself": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
  "crashes": "import ctypes\nctypes.string_at(0)",
  "leaves a file open": "f = open('left', 'w')\nf.write('kept')",
  "leaves a file open in an object":
    "class A:\n    def __init__(self):\n        self.f = open('left', 'w')\n        self.me = self\n" +
    "A().f.write('kept too')",
  "has an exit handler": "import atexit\natexit.register(print, 'at exit')\nprint('before')",
  "has a thread": "import threading, time\n" +
    "threading.Thread(target=lambda: (time.sleep(.05), print('thread'))).start()\nprint('main')",
  "reads its input": "import sys\nprint(repr(sys.stdin.read()))",
  "knows itself": "import sys, os\n" +
    "print(__name__, __file__, sys.argv, os.getcwd(), sys.path[0] == os.getcwd(), __doc__)",
  "knows its variables": "import os\nprint(sorted(k for k in os.environ if k != 'WQX_TASK'))",
  "makes temporary files": "import tempfile\nprint(tempfile.gettempdir())",
  "has a child": "import subprocess\nprint(subprocess.run(['echo', 'child'], " +
    "capture_output=True, text=True).stdout)",
  "has a pool": "import multiprocessing as m\ndef f(x):\n    return x * x\n" +
    "if __name__ == '__main__':\n    with m.Pool(2) as p:\n        print(p.map(f, range(5)))",
  "pickles its own classes": "import pickle\nclass A:\n    x = 1\n" +
    "print(pickle.loads(pickle.dumps(A())).x)",
  "imports what lies beside it": "import beside\nprint(beside.where)",
  "imports what hides a module": "import colorsys\nprint(colorsys.where)",
  "imports what is not there": "import no_such_module",
  "has letters of all kinds": "print('µ→é')",
};

for (const [what, script] of Object.entries(scripts)) {
  test(`a forked script that ${what} does and says what a started one does`, async () => {
    await using plain = await SpawnerBed.create(true);
    await using warm = await warmBed();
    const ends: unknown[] = [];
    for (const bed of [plain, warm, warm]) {
      await bed.folder.write("t/script.py", script);
      await bed.folder.write("t/beside.py", "where = 'beside'");
      await bed.folder.write("t/colorsys.py", "where = 'beside, too'");
      const temporary = bed.folder.join("t");
      const env = { PATH, TMPDIR: temporary, LANG: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" };
      const command = "python3 script.py a 'b c' 2>&1";
      const { exitCode, signal, output } = await bed.run(command, env, "t");
      const left = await Deno.readTextFile(`${temporary}/left`).catch(() => null);
      ends.push({ exitCode, signal, left, output: output.replaceAll(bed.folder.path, "") });
    }
    assert.deepEqual(ends[1], ends[0]);
    assert.deepEqual(ends[2], ends[0]);
  });
}

/** Waits for its import to be done by the one that will be forked from. */
async function warmUp(bed: SpawnerBed, script: string, env: Record<string, string>): Promise<void> {
  const warm = async () => (await bed.run(script, env)).output.includes("warm");
  await until(warm, { what: "a fork that finds its modules imported" });
}

const slow = `import time
time.sleep(0.3)
by_import = [0] * 100
`;

test("what scripts import is imported once, while the first of them runs", async () => {
  await using bed = await warmBed();
  await bed.folder.write("lib/slow.py", slow);
  await bed.folder.write(
    "s.py",
    "import sys\nprint('warm' if 'slow' in sys.modules else 'cold')\nimport slow\n" +
      "print(slow.by_import[0])\nslow.by_import[0] = 1",
  );
  const env = { PATH, PYTHONPATH: bed.folder.join("lib") };
  assert.equal((await bed.run("python3 s.py", env)).output, "cold\n0\n");
  await warmUp(bed, "python3 s.py", env);
  // What a task changes dies with it.
  for (let i = 0; i < 3; i++) {
    assert.equal((await bed.run("python3 s.py", env)).output, "warm\n0\n");
  }
  const exits = await Promise.all(Array.from({ length: 20 }, () => bed.run("python3 s.py", env)));
  assert.deepEqual(new Set(exits.map(({ output }) => output)), new Set(["warm\n0\n"]));
});

test("a forked task is a child of the worker with a session and an output of its own", async () => {
  await using bed = await warmBed();
  await bed.folder.write("s.py", "print('ready', flush=True)\nimport time\ntime.sleep(1000)");
  const { process, output, outputPath } = await bed.start("python3 s.py", { PATH });
  await until(() => output() === "ready\n", { what: "the script" });
  const stat = readStat(process.pid);
  assert.deepEqual([stat?.parent, stat?.session], [Deno.pid, process.pid]);
  assert.equal(process.group, process.pid);
  assert.ok(process.sharedKb > 1000, `${process.sharedKb}`);
  assert.equal((Deno.statSync(outputPath).mode ?? 0) & 0o777, 0o600);
  process.kill();
  const exit = await process.exited;
  assert.deepEqual([exit.exitCode, exit.signal], [9, 9]);
});

test("memory that tasks share with the one they are forked from is not theirs", async () => {
  await using bed = await warmBed();
  await bed.folder.write("lib/large.py", "data = bytearray(b'x' * (150 << 20))");
  await bed.folder.write(
    "s.py",
    "import sys\nprint('warm' if 'large' in sys.modules else 'cold')\nimport large\n" +
      "mine = b'y' * (40 << 20)\ndel mine",
  );
  const env = { PATH, PYTHONPATH: bed.folder.join("lib") };
  await warmUp(bed, "python3 s.py", env);
  const { measured } = await bed.run("python3 s.py", env);
  assert.ok(
    measured!.memoryPeakMb > 40 && measured!.memoryPeakMb < 70,
    `${measured!.memoryPeakMb}`,
  );
  assert.ok(measured!.cpuUserMs + measured!.cpuSystemMs > 5);
  await bed.folder.write("killed.py", "import large, os\nos.kill(os.getpid(), 9)");
  const killed = (await bed.run("python3 killed.py", env)).measured!;
  assert.ok(killed.memoryPeakMb < 30, `${killed.memoryPeakMb}`);
});

test("the monitor counts of a forked task what is its own, and nothing of where it came from", async () => {
  await using bed = await warmBed();
  using monitor = new Monitor();
  await bed.folder.write("lib/large.py", "data = bytearray(b'x' * (150 << 20))");
  await bed.folder.write(
    "s.py",
    "import sys, time\nprint('warm' if 'large' in sys.modules else 'cold', flush=True)\n" +
      "import large\nmine = b'y' * (40 << 20)\ntime.sleep(0.3)",
  );
  const env = { PATH, PYTHONPATH: bed.folder.join("lib") };
  await warmUp(bed, "python3 s.py", env);
  for (let i = 0; i < 5; i++) {
    const { process } = await bed.start("python3 s.py", env);
    const { pid, group: session, sharedKb, marks } = process;
    const shared = { sharedKb, ...(marks !== undefined && { marks }) };
    const watch = { mode: "measure", limits: {}, pid, session, folders: [], ...shared } as const;
    const watched = monitor.watch({ ...watch, onExceeded: () => {} });
    const { measured } = await process.exited;
    const { memoryMb = 0, processesPeak = 0 } = watched.finish(measured).usage;
    assert.ok(memoryMb > 40 && memoryMb < 75, `${memoryMb} MB`);
    assert.ok(processesPeak <= 1, `${processesPeak} processes`);
  }
});

test("random numbers of forked tasks differ", async () => {
  await using bed = await warmBed();
  await bed.folder.write(
    "s.py",
    "import sys\nprint('warm', 'random' in sys.modules)\n" +
      "import random\nprint(random.random())",
  );
  const run = async () => (await bed.run("python3 s.py", { PATH })).output;
  await until(async () => (await run()).includes("True"), { what: "a fork with random" });
  assert.notEqual(await run(), await run());
});

test("a module that starts threads is left to the tasks, and the rest is still imported", async () => {
  const said: string[] = [];
  await using bed = await warmBed((line) => said.push(line));
  await bed.folder.write("lib/slow.py", slow);
  await bed.folder.write(
    "lib/threaded.py",
    "import threading, time\nevent = threading.Event()\n" +
      "threading.Thread(target=event.wait, daemon=True).start()",
  );
  await bed.folder.write(
    "s.py",
    "import sys\nprint('warm' if 'slow' in sys.modules else 'cold', 'threaded' in sys.modules)\n" +
      "import threaded, slow, threading\nprint(threading.active_count())",
  );
  const env = { PATH, PYTHONPATH: bed.folder.join("lib") };
  const expected = "warm False\n2\n";
  const run = async () => (await bed.run("python3 s.py", env)).output;
  await until(async () => await run() === expected, { what: "a fork without the threads" });
  assert.equal(said.filter((line) => line.includes('"threaded" starts threads')).length, 1);
});

test("where the warm Python is killed, another one takes its place, and no task is lost", async () => {
  const said: string[] = [];
  await using bed = await warmBed((line) => said.push(line));
  await bed.folder.write("s.py", "print('done')");
  const pidOf = (line = "") => Number(/process (\d+)$/.exec(line)?.[1]);
  for (let i = 1; i <= 3; i++) {
    assert.equal((await bed.run("python3 s.py", { PATH })).output, "done\n");
    assert.equal(said.length, i);
    Deno.kill(pidOf(said.at(-1)), "SIGKILL");
  }
});

test("an interpreter that cannot fork is started, and not asked for ever", async () => {
  await using bed = await warmBed();
  await bed.folder.write("bin/python3", '#!/bin/sh\necho "$@" >>started\necho "it is $*"\n');
  await Deno.chmod(bed.folder.join("bin/python3"), 0o755);
  await bed.folder.write("s.py", "");
  const env = { PATH: `${bed.folder.join("bin")}:${PATH}` };
  for (let i = 0; i < 4; i++) {
    assert.equal((await bed.run("python3 s.py x", env)).output, "it is s.py x\n");
  }
});

test("each interpreter and environment has a Python of its own, and only the latest stay", async () => {
  const said: string[] = [];
  await using bed = await warmBed((line) => said.push(line));
  await bed.folder.write("s.py", "import os\nprint(os.environ['KIND'], os.environ['CORES'])");
  for (const kind of ["a", "b", "a", "c", "d", "e", "f"]) {
    for (const CORES of ["1", "2"]) {
      const { output } = await bed.run("python3 s.py", { PATH, KIND: kind, CORES });
      assert.equal(output, `${kind} ${CORES}\n`);
    }
  }
  assert.equal(said.length, 6);
  const left = () => said.filter((line) => readStat(Number(line.split(" ").at(-1))) !== null);
  await until(() => left().length === 4, { what: "the end of all but four" });
});

test("what a fork leaves behind goes with it, and so does all with the spawner", async () => {
  const bed = await warmBed();
  await bed.folder.write(
    "s.py",
    "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n" +
      "        time.sleep(1000)\n    os._exit(0)\nprint('left')",
  );
  const { process, output } = await bed.start("python3 s.py", { PATH });
  await process.exited;
  assert.equal(output(), "left\n");
  await until(() => bed.left(process.group).length <= 1, { what: "the end of the grandchild" });
  await bed.folder.write("sleep.py", "import time\ntime.sleep(1000)");
  const { process: sleeping } = await bed.start("python3 sleep.py", { PATH });
  await bed[Symbol.asyncDispose]();
  assert.equal((await sleeping.exited).signal, 9);
});

test("a command that needs no shell has the words that a shell would give it", async () => {
  await using bed = await SpawnerBed.create(true);
  await bed.folder.write("bin/python3", "#!/bin/sh\nprintf '<%s>' \"$@\"\n");
  await Deno.chmod(bed.folder.join("bin/python3"), 0o755);
  const env = { PATH: `${bed.folder.join("bin")}:${PATH}`, A: "va", B: "v b", EMPTY: "" };
  const pieces = fc.constantFrom(
    ..."a b 'c d' \" \\ $ A {B} ${A} $B $EMPTY -u s.py = x=1 ' ~ * ? # ; | & < > ( ` ! , : 2 é"
      .split(" "),
    " ",
    "  ",
    "\t",
  );
  const commands = fc.array(pieces, { maxLength: 8 }).map((parts) =>
    `python3 s.py${parts.join("")}`
  );
  let parsed = 0;
  await fc.assert(
    fc.asyncProperty(commands, async (command) => {
      const found = pythonCommand(command, env);
      if (found === null || found.redirections.length > 0) return;
      parsed++;
      const { output } = await bed.run(command, env);
      assert.equal(output, found.argv.map((word) => `<${word}>`).join(""), command);
    }),
    { numRuns: 600 },
  );
  assert.ok(parsed > 30, `${parsed} commands`);
});
