/**
 * Real managers, which are Debian's and speak protocol 9, served by wqx workers that are told
 * nothing of it.
 */
import assert from "node:assert/strict";
import { compile, Driver, needsParts, realProtocol } from "../support/cctools.ts";
import { Recorder } from "../support/recorder.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { startWqxWorker } from "./wqx_parts.ts";
import { expectedTotal, ruleCount, writeWorkflow } from "./workflow.ts";

/** Flags of files in `work_queue.h`. */
const flags = { nocache: 0, cache: 1, watch: 16, failureOnly: 32, successOnly: 64 };

/** Outcome of a task, without what depends on the machine. */
function outcomeOf(driver: Driver, tag: string): [result: number, exit: number, output: string] {
  const found = driver.results.get(tag);
  assert.ok(found !== undefined, `of ${tag} nothing, but of ${[...driver.results.keys()]}`);
  return [found.result, found.exit, found.output];
}

/** The manager gets all that it waits for from this worker, and lets it go. */
async function finishWith(manager: Driver, worker: Wqx): Promise<void> {
  const alone = worker.ended.then(async () => {
    await until(() => !manager.program.running, { what: `the manager; ${worker.stderr}` });
  });
  await Promise.all([alone, manager.finish()]);
  assert.equal(await worker.ended, 0, worker.stderr);
}

Deno.test({
  ...needsParts(
    `Makeflow runs a workflow of ${ruleCount} rules with files both ways on two wqx workers`,
    "makeflow",
    "mpirun",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await writeWorkflow(bed.folder);
    // Open MPI, which Debian's makeflow starts with, leaves a folder there.
    const scratch = bed.folder.join("makeflow-scratch");
    await Deno.mkdir(scratch);
    const root = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
    await using makeflow = bed.start(["-T", "wq", "-Z", "port", "work.makeflow"], {
      command: ["makeflow"],
      env: { ...root, TMPDIR: scratch },
    });
    const port = await until(async () => {
      if (!makeflow.running) assert.fail(makeflow.stdout + makeflow.stderr);
      const text = await Deno.readTextFile(bed.folder.join("port")).catch(() => "");
      return text.trim() === "" ? null : Number(text);
    }, { what: "Makeflow's port" });
    await using first = Recorder.before(port);
    await using second = Recorder.before(port);
    await using workers = new AsyncDisposableStack();
    const ended = [first, second].map((recorder) =>
      workers.use(startWqxWorker(bed, recorder.port)).ended
    );
    assert.equal(await makeflow.ended, 0, makeflow.stdout + makeflow.stderr);
    assert.deepEqual(await Promise.all(ended), [0, 0], "Makeflow releases its workers");
    assert.equal(await Deno.readTextFile(bed.folder.join("total")), `${expectedTotal}\n`);
    const counts = [first, second].map((recorder) =>
      recorder.lines("M").filter((line) => line.startsWith("task ")).length
    );
    assert.equal(counts[0]! + counts[1]!, ruleCount);
    assert.ok(counts.every((count) => count > 10), `the workers had ${counts.join(" and ")} rules`);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts("work_queue_example packs its files on a wqx worker", "work_queue_example", "gcc"),
  async fn() {
    await using bed = await TestBed.create();
    const library = bed.folder.join("any_port.so");
    const source = new URL("./any_port.c", import.meta.url).pathname;
    await compile(source, library, ["-shared", "-fPIC", "-ldl"]);
    const names = Array.from({ length: 12 }, (_, i) => `file${i}`);
    for (const name of names) await bed.folder.write(name, `${name}\n`.repeat(1000));
    await using example = bed.start(names, {
      command: ["work_queue_example"],
      env: { LD_PRELOAD: library },
    });
    const [, port] = await example.says(/listening on port (\d+)/);
    await using worker = startWqxWorker(bed, Number(port));
    assert.equal(await example.ended, 0, example.stdout + example.stderr);
    assert.equal(await worker.ended, 0, worker.stderr);
    for (const name of names) {
      const packed = (await Deno.open(bed.folder.join(`${name}.gz`))).readable;
      const text = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
      assert.equal(text, `${name}\n`.repeat(1000));
    }
    await bed.clean();
  },
});

for (const options of [[], ["--protocol", `${realProtocol}`]]) {
  Deno.test({
    ...needsParts(
      `a C program gets what it should from a wqx worker${
        options.length > 0 ? ` told to speak ${realProtocol}` : ""
      }`,
      "gcc",
      "libwork_queue",
    ),
    fn: () => runEverything(options),
  });
}

/** Every kind of file and every kind of ending that the library knows, in one run. */
async function runEverything(options: readonly string[]): Promise<void> {
  await using bed = await TestBed.create();
  const { folder } = bed;
  await folder.write("in.txt", "one\n");
  await folder.write("with space.txt", "spaced\n");
  await Deno.chmod(await folder.write("run.sh", "#!/bin/sh\necho ran $1\n"), 0o755);
  await folder.write("tree/a", "x");
  await folder.write("tree/sub/b", "y");
  await Deno.mkdir(folder.join("tree/empty"));
  await Deno.symlink("a", folder.join("tree/link"));
  const { nocache, cache, failureOnly, successOnly } = flags;
  await using manager = await Driver.start(
    bed,
    [
      ["name", "interop"],
      ["workers", 1],
      ["task", "files", "cat buffer in.txt 'a b'; ./run.sh well; echo back > out/out.txt"],
      ["buffer", "buffered ", "buffer", nocache],
      ["file", "in", "in.txt", "in.txt", cache],
      ["file", "in", "with space.txt", "a b", nocache],
      ["file", "in", "run.sh", "run.sh", cache],
      ["directory", "in", "-", "out", nocache],
      ["file", "out", "back.txt", "out/out.txt", nocache],
      ["submit"],
      ["task", "tree", "find t | sort; cat t/link; mkdir o; cp -r t/* o; chmod +x o/a"],
      ["directory", "in", "tree", "t", cache],
      ["directory", "out", "tree-back", "o", nocache],
      ["submit"],
      ["task", "piece", "cat p"],
      ["piece", "in.txt", "p", 1, 2, nocache],
      ["submit"],
      ["task", "remotely", "cat r"],
      ["remotely", "echo made there > %%", "r", nocache],
      ["submit"],
      ["task", "environment", 'echo "$OWN $CORES $MEMORY $(basename $PWD)"; test -d "$TMPDIR"'],
      ["env", "OWN", "a b"],
      ["cores", 1],
      ["memory", 100],
      ["submit"],
      ["task", "exit", "echo to stdout; echo to stderr >&2; exit 3"],
      ["submit"],
      ["task", "signal", "kill -11 $$"],
      ["submit"],
      ["task", "missing", "true"],
      ["file", "out", "nothing", "nothing", nocache],
      ["submit"],
      ["task", "absent", "true"],
      ["file", "in", "no such file", "in", nocache],
      ["submit"],
      ["task", "failure", "echo f > f; echo s > s; exit 1"],
      ["file", "out", "failed.f", "f", failureOnly],
      ["file", "out", "failed.s", "s", successOnly],
      ["submit"],
      ["task", "success", "echo f > f; echo s > s"],
      ["file", "out", "succeeded.f", "f", failureOnly],
      ["file", "out", "succeeded.s", "s", successOnly],
      ["submit"],
      ["task", "large", "head -c 5000000 /dev/zero | tr '\\0' x"],
      ["submit"],
      ["task", "timely", "echo in time"],
      ["seconds", 600],
      ["submit"],
      ["task", "late", "sleep 600"],
      ["seconds", 1],
      ["submit"],
      ["wait"],
    ],
  );
  await using worker = startWqxWorker(bed, manager.port, ...options);
  await finishWith(manager, worker);

  const outcome = (tag: string) => outcomeOf(manager, tag);
  assert.deepEqual(outcome("files"), [0, 0, "buffered one\nspaced\nran well\n"]);
  assert.equal(await Deno.readTextFile(folder.join("back.txt")), "back\n");
  const listed = ["t", "t/a", "t/empty", "t/link", "t/sub", "t/sub/b"].map((name) => `${name}\n`);
  assert.deepEqual(outcome("tree"), [0, 0, `${listed.join("")}x`]);
  assert.equal(await Deno.readTextFile(folder.join("tree-back/sub/b")), "y");
  assert.equal(await Deno.readTextFile(folder.join("tree-back/link")), "x", "links are followed");
  assert.ok((await Deno.stat(folder.join("tree-back/empty"))).isDirectory);
  assert.deepEqual(outcome("piece"), [0, 0, "ne"]);
  assert.deepEqual(outcome("remotely"), [0, 0, "made there\n"]);
  const [result, exit, output] = outcome("environment");
  assert.deepEqual([result, exit], [0, 0]);
  assert.match(output, /^a b 1 [15]00 t\.\d+(\.\d+)?\n$/);
  assert.deepEqual(outcome("exit"), [0, 3, "to stdout\nto stderr\n"]);
  assert.deepEqual(outcome("signal"), [0, 11, ""], "a signal's number is the exit code");
  assert.equal(outcome("missing")[0], 2);
  assert.equal(outcome("absent")[0], 1);
  assert.deepEqual(outcome("failure"), [0, 1, ""]);
  assert.deepEqual(outcome("success"), [0, 0, ""]);
  const selected = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  assert.deepEqual(selected.filter((name) => /^(failed|succeeded)\./.test(name)), [
    "failed.f",
    "succeeded.s",
  ]);
  assert.deepEqual(outcome("large"), [0, 0, "x".repeat(5_000_000)]);
  assert.deepEqual(outcome("timely"), [0, 0, "in time\n"], "seconds are not taken as microseconds");
  assert.deepEqual(outcome("late").slice(0, 2), [56, 9]);
  await bed.clean();
}

Deno.test({
  ...needsParts(
    "a cached file goes to a worker once, another one with each task",
    "gcc",
    "libwork_queue",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await bed.folder.write("kept", "kept\n");
    await bed.folder.write("passing", "passing\n");
    const task = (tag: string) => [
      ["task", tag, "cat kept passing"],
      ["file", "in", "kept", "kept", flags.cache],
      ["file", "in", "passing", "passing", flags.nocache],
      ["submit"],
      ["wait"],
    ];
    await using manager = await Driver.start(bed, [...task("a"), ...task("b"), ...task("c")]);
    await using recorder = Recorder.before(manager.port);
    await using worker = startWqxWorker(bed, recorder.port);
    await finishWith(manager, worker);
    for (const tag of ["a", "b", "c"]) {
      assert.deepEqual(outcomeOf(manager, tag), [0, 0, "kept\npassing\n"]);
    }
    const puts = recorder.lines("M").filter((line) => line.startsWith("put "));
    assert.equal(puts.filter((line) => line.includes("-kept ")).length, 1, recorder.transcript());
    assert.equal(puts.filter((line) => line.includes("-passing ")).length, 3);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a task canceled by its tag is killed, and the next one gets its place",
    "gcc",
    "libwork_queue",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const { folder } = bed;
    const pidFile = folder.join("pid");
    await using manager = await Driver.start(bed, [
      // In the background of the shell, as what must not survive it.
      [
        "task",
        "endless",
        `sleep 1000 & echo $! > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; wait`,
      ],
      ["cores", 2],
      ["submit"],
      ["task", "next", "echo next"],
      ["cores", 2],
      ["submit"],
      ["until", pidFile],
      ["cancel", "endless"],
      ["wait"],
    ]);
    await using worker = startWqxWorker(bed, manager.port);
    await finishWith(manager, worker);
    assert.deepEqual([...manager.results.keys()], ["next"]);
    assert.deepEqual(outcomeOf(manager, "next"), [0, 0, "next\n"]);
    const pid = (await Deno.readTextFile(pidFile)).trim();
    assert.throws(() => Deno.statSync(`/proc/${pid}`), Deno.errors.NotFound);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a watched file is seen by a real manager while its task runs",
    "gcc",
    "libwork_queue",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const go = bed.folder.join("go");
    await using manager = await Driver.start(bed, [
      [
        "task",
        "growing",
        `echo first > log; until [ -e ${go} ]; do sleep 0.05; done; echo second >> log`,
      ],
      ["file", "out", "log", "log", flags.watch],
      ["submit"],
      ["wait"],
    ]);
    await using worker = startWqxWorker(bed, manager.port);
    const log = () => Deno.readTextFile(bed.folder.join("log")).catch(() => "");
    await until(async () => await log() === "first\n", { what: "the first line of the log" });
    await Deno.writeTextFile(go, "");
    await finishWith(manager, worker);
    assert.deepEqual(outcomeOf(manager, "growing"), [0, 0, ""]);
    assert.equal(await log(), "first\nsecond\n");
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a real manager's tasks survive the SIGKILL of a wqx worker, which leaves nothing",
    "gcc",
    "libwork_queue",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const started = bed.folder.join("started");
    const ids = Array.from({ length: 8 }, (_, i) => `t${i}`);
    await using manager = await Driver.start(bed, [
      ...ids.flatMap((tag) => [
        // The first ones wait for ever, those that come after the kill do not.
        ["task", tag, `[ -e ${started} ] || { touch ${started}; sleep 1000; }; echo ${tag}`],
        ["cores", 1],
        ["submit"],
      ]),
      ["wait"],
    ]);
    await using doomed = startWqxWorker(bed, manager.port);
    await until(() => Deno.stat(started).then(() => true, () => false), { what: "a task" });
    doomed.signal("SIGKILL");
    await doomed.ended;
    await bed.clean();
    await using worker = startWqxWorker(bed, manager.port);
    await finishWith(manager, worker);
    for (const tag of ids) assert.deepEqual(outcomeOf(manager, tag), [0, 0, `${tag}\n`]);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts("worker and real manager must have the same password", "gcc", "libwork_queue"),
  async fn() {
    await using bed = await TestBed.create();
    // Its line end counts.
    const right = await bed.folder.write("right", "secret\n");
    const wrong = await bed.folder.write("wrong", "secret");
    await using manager = await Driver.start(bed, [
      ["password", right],
      ["task", "guarded", "echo inside"],
      ["submit"],
      ["wait"],
    ]);
    await using stranger = startWqxWorker(bed, manager.port, "--password", wrong);
    assert.notEqual(await stranger.ended, 0);
    assert.match(stranger.stderr, /password/);
    await using nobody = startWqxWorker(bed, manager.port);
    assert.notEqual(await nobody.ended, 0);
    assert.match(nobody.stderr, /password/);
    await using worker = startWqxWorker(bed, manager.port, "--password", right);
    await finishWith(manager, worker);
    assert.deepEqual(outcomeOf(manager, "guarded"), [0, 0, "inside\n"]);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "Python scripts of a C program are forked by a wqx worker from one that has their imports",
    "gcc",
    "libwork_queue",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const { nocache, cache } = flags;
    // What takes long to import is found by way of the environment, as an installed package is.
    await bed.folder.write("lib/slow.py", "import time\ntime.sleep(0.5)\n");
    await bed.folder.write(
      "task.py",
      "import sys\nprint('warm' if 'slow' in sys.modules else 'cold', *sys.argv[1:])\n" +
        "import slow\nopen('out.txt', 'w').write(sys.argv[1])\n",
    );
    const count = 30;
    const tasks = Array.from({ length: count }, (_, i) => [
      ["task", `t${i}`, `python3 task.py ${i} >said.txt 2>&1`],
      ["file", "in", "task.py", "task.py", cache],
      ["file", "out", `out${i}.txt`, "out.txt", nocache],
      ["file", "out", `said${i}.txt`, "said.txt", nocache],
      ["env", "PYTHONPATH", bed.folder.join("lib")],
      ["cores", 1],
      ["memory", 100],
      ["disk", 100],
      ["submit"],
    ]).flat();
    await using manager = await Driver.start(bed, [["workers", 1], ...tasks, ["wait"]]);
    await using worker = startWqxWorker(bed, manager.port);
    await finishWith(manager, worker);
    let warm = 0;
    for (let i = 0; i < count; i++) {
      assert.deepEqual(outcomeOf(manager, `t${i}`), [0, 0, ""]);
      assert.equal(await Deno.readTextFile(bed.folder.join(`out${i}.txt`)), `${i}`);
      const said = await Deno.readTextFile(bed.folder.join(`said${i}.txt`));
      assert.match(said, new RegExp(`^(warm|cold) ${i}\n$`));
      if (said.startsWith("warm")) warm++;
    }
    // The first ones were on their way before anything was known of their imports.
    assert.ok(warm >= count / 2, `${warm} of ${count} were warm`);
    await bed.clean();
  },
});
