/** Tasks in packed environments, from their managers to the processes that run. */
import assert from "node:assert/strict";
import { packEnvironment, wrapperScript } from "../support/environment.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";
import { resultsOf, startTaskList, startWqxWorker } from "../interop/wqx_parts.ts";

const one = { cores: 1 };

/** Says in which environment it ran, below which folder. */
const where = 'echo "in ${CONDA_PREFIX%/*}"';

/** What a command line does is the same, whoever activates the environment. */
const commands: readonly string[] = [
  "hello",
  "hello 'a  b' \"$NAME\" c",
  "hello > out; cat out; rm out",
  "hello >out 2>&1 && cat out",
  "exec hello 1",
  "X=1 hello; echo $X-$NAME",
  "echo $(hello 1) | wc -w",
  "hello one & wait; hello two",
  "no-such-program; echo $?",
  "exit 7",
  "echo ${CONDA_PREFIX:+set} ${PYTHONPATH-unset} $EXTRA",
  "command -v hello | sed s,.*/bin,bin,",
  'printf "%s|" a "" "b c" \'$NAME\'',
  "cat <<END\n$NAME\nEND",
];

Deno.test("the worker runs commands in an environment as poncho_package_run does", async () => {
  await using bed = await TestBed.create();
  const files = { "etc/conda/activate.d/extra.sh": "export EXTRA=activated\n" };
  await packEnvironment(bed.folder, "env.tar.gz", { files });
  await Deno.chmod(await bed.folder.write("runner", wrapperScript), 0o755);
  const wrapped = commands.map((command) => ({
    command,
    environment: "env.tar.gz",
    env: { NAME: "n m", PYTHONPATH: "/x" },
    resources: one,
  }));
  // As other programs write it, with what the outer shell reads first.
  const outer = ["hello 'a  b' \"$NAME\" c >out; cat out", "hello $(echo 1 2)", "sh -c 'hello 3'"]
    .map((command) => ({
      command: `A=1 ./runner -d -e env.tar.gz -u "$WORK_QUEUE_SANDBOX"/x -- ${command}` +
        " | grep -v runner",
      inputs: ["env.tar.gz", "runner"],
      env: { NAME: "n m" },
      resources: one,
    }));
  const told: unknown[] = [];
  for (const options of [[], ["--no-native-environments"]]) {
    const { manager, port } = await startTaskList(bed, [...wrapped, ...outer]);
    await using _manager = manager;
    await using worker = startWqxWorker(bed, port, ...options);
    await manager.ended;
    assert.equal(await worker.ended, 0, worker.stderr);
    const unpacked = worker.stderr.match(/^Unpacked the environment/gm)?.length ?? 0;
    assert.equal(unpacked, options.length === 0 ? 1 : 0, worker.stderr);
    const sorted = resultsOf(manager).sort((a, b) => a.id - b.id);
    told.push(sorted.map(({ id, exit_code, output }) => ({
      id,
      exit_code,
      output: output?.replace(/hello from \S+:/g, "hello:").replace(
        /\S+: line \d+: |\S*sh: \d+: /g,
        "",
      ),
    })));
    await bed.clean();
  }
  assert.deepEqual(told[0], told[1]);
});

Deno.test("ten tasks unpack an environment once, others run meanwhile", async () => {
  await using bed = await TestBed.create();
  const gate = bed.folder.join("gate");
  const unpack = `while [ ! -e ${gate} ]; do sleep .02; done`;
  await packEnvironment(bed.folder, "env.tar.gz", { unpack });
  const inside = { command: "hello", environment: "env.tar.gz", resources: one };
  const { manager, port } = await startTaskList(bed, [
    inside,
    // Without this one, the environment is never there.
    { command: `touch ${gate}`, resources: one },
    ...Array.from({ length: 9 }, () => inside),
  ]);
  await using _manager = manager;
  await using worker = startWqxWorker(bed, port);
  assert.equal(await manager.ended, 0, manager.stderr + manager.stdout);
  assert.equal(await worker.ended, 0);
  const outputs = resultsOf(manager).map(({ output }) => output);
  assert.equal(outputs.filter((output) => /^hello from /.test(output ?? "")).length, 10);
  assert.equal(new Set(outputs).size, 2);
  assert.equal(
    worker.stderr.match(/^Unpacked the environment env-\w{12}\.tar\.gz \(/gm)?.length,
    1,
  );
  await bed.clean();
});

Deno.test("an archive that is cut off fails only the tasks that want it", async () => {
  await using bed = await TestBed.create();
  const path = await packEnvironment(bed.folder, "good.tar.gz");
  const whole = await Deno.readFile(path);
  await Deno.writeFile(bed.folder.join("bad.tar.gz"), whole.subarray(0, whole.length / 2));
  await Deno.chmod(await bed.folder.write("runner", wrapperScript), 0o755);
  const tasks = ["good", "bad", "good", "bad"].map((name) => ({
    command: `./runner -e ${name}.tar.gz -- ${where}`,
    inputs: [`${name}.tar.gz`, "runner"],
    resources: one,
  }));
  const { manager, port } = await startTaskList(bed, tasks);
  await using _manager = manager;
  await using worker = startWqxWorker(bed, port);
  assert.equal(await manager.ended, 1);
  assert.equal(await worker.ended, 0);
  for (const { id, exit_code, output } of resultsOf(manager)) {
    assert.equal(exit_code, id % 2 === 0 ? 1 : 0, output ?? "");
    if (id % 2 === 0) assert.match(output ?? "", /^Cannot unpack bad\.tar\.gz into /);
  }
  await bed.clean();
});

Deno.test("an environment that cannot be used is told of before anything is sent", async (t) => {
  await using bed = await TestBed.create();
  const path = await packEnvironment(bed.folder, "env.tar.gz");
  const whole = await Deno.readFile(path);
  await Deno.writeFile(bed.folder.join("cut.tar.gz"), whole.subarray(0, whole.length - 9));
  await bed.folder.write("text.tar.gz", "no archive");
  await bed.folder.write("other/file", "");
  await new Deno.Command("tar", {
    args: ["-C", bed.folder.path, "-czf", bed.folder.join("other.tar.gz"), "other"],
  }).output();
  await bed.folder.write("p.sh", "exit 1");
  const cases: readonly (readonly [string, RegExp])[] = [
    ["enw.tar.gz", /there is no file "enw\.tar\.gz": did you mean "env\.tar\.gz"/],
    ["cut.tar.gz", /the environment "cut\.tar\.gz" cannot be used: it is cut off/],
    ["text.tar.gz", /cannot be used: it is neither a tar archive nor one compressed with gzip/],
    ["other.tar.gz", /cannot be used: it has no bin\/activate, as packed environments have/],
    ["other", /cannot be used: it is a folder; make an archive of it with wqx package create/],
  ];
  for (const [name, message] of cases) {
    await t.step(name, async () => {
      const task = { command: "hello", environment: name };
      await bed.folder.write("tasks.yaml", JSON.stringify({ tasks: [task], workers: "none" }));
      await bed.folder.write(
        "analysis.yaml",
        JSON.stringify({
          datasets: { a: { files: "x.root" } },
          processor: { command: "sh p.sh", inputs: ["p.sh"] },
          environment: name,
        }),
      );
      for (const file of ["tasks.yaml", "analysis.yaml"]) {
        const { code, stderr } = await bed.run(["manager", file]);
        assert.equal(code, 2, stderr);
        assert.match(stderr, message);
        assert.match(stderr, /^(tasks|analysis)\.yaml:1:\d+: .*environment/m);
      }
      // In a stream the others go on.
      await using stream = bed.start(["manager", "-", "--workers", "1"], { stdin: "piped" });
      await stream.write(`${JSON.stringify(task)}\n{"command": "true"}\n`);
      await stream.closeInput();
      assert.equal(await stream.ended, 1);
      const states = resultsOf(stream).map(({ state, why }) => `${state} ${why}`).sort();
      assert.match(states[0] ?? "", new RegExp(`^refused .*${message.source}`));
      assert.equal(states[1], "success null");
    });
  }
});

Deno.test("a worker that is killed while it unpacks leaves nothing that the next would use", async () => {
  await using bed = await TestBed.create();
  const gate = bed.folder.join("gate");
  const unpack = `touch ${bed.folder.join("begun")}; while [ ! -e ${gate} ]; do sleep .02; done`;
  await packEnvironment(bed.folder, "env.tar.gz", { unpack });
  const inside = { command: "hello", environment: "env.tar.gz", resources: one };
  const { manager, port } = await startTaskList(bed, [inside, inside]);
  await using _manager = manager;
  await using first = startWqxWorker(bed, port);
  await until(() => exists(bed.folder.join("begun")), { what: "the unpacking" });
  first.signal("SIGKILL");
  await first.ended;
  await until(() => [...Deno.readDirSync(bed.folder.join("tmp"))].length === 0, {
    what: "the end of its workspace",
  });
  await Deno.writeTextFile(gate, "");
  await using second = startWqxWorker(bed, port);
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal(await second.ended, 0);
  assert.equal(second.stderr.match(/^Unpacked/gm)?.length, 1);
  await bed.clean();
});

Deno.test("a task that is canceled while its environment is unpacked frees its place", async () => {
  await using bed = await TestBed.create();
  const unpack = `touch ${bed.folder.join("begun")}; while :; do sleep .02; done`;
  await packEnvironment(bed.folder, "env.tar.gz", { unpack });
  const task = { command: "hello", environment: "env.tar.gz", resources: one };
  const { manager, port } = await startTaskList(bed, [task]);
  await using _manager = manager;
  await using worker = startWqxWorker(bed, port);
  await until(() => exists(bed.folder.join("begun")), { what: "the unpacking" });
  manager.signal("SIGINT");
  // What runs may end; the second one ends it, once the first is taken.
  await manager.says(/Stopping: /);
  await until(() => {
    manager.signal("SIGINT");
    return !manager.running;
  }, { what: "the end of the manager" });
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

const python = findPython(["sys"]);

Deno.test({
  ...needs(
    "path" in python && Deno.build.os === "linux",
    "missing" in python ? python.missing : "",
    "the Python of an environment runs tasks where there is no other, and is kept warm",
  ),
  async fn() {
    if (!("path" in python)) return;
    await using bed = await TestBed.create();
    const files = { "share/mod/only_here.py": "print('imported')\n" };
    await packEnvironment(bed.folder, "env.tar.gz", { python: python.path, files });
    await bed.folder.write(
      "probe.py",
      "import os, sys\n" +
        "p = os.environ['CONDA_PREFIX']\n" +
        "inside = [(os.path.realpath(x) + '/').startswith(p + '/')\n" +
        "          for x in (sys.executable, sys.prefix, os.__file__)]\n" +
        "print(all(inside), 'forked' if 'only_here' in sys.modules else 'started')\n" +
        "sys.path.append(p + '/share/mod')\n" +
        "import only_here\n",
    );
    const task = (program: string) => ({
      command: `${program} probe.py`,
      inputs: ["probe.py"],
      environment: "env.tar.gz",
      resources: { cores: 2 },
    });
    const tasks = Array.from({ length: 8 }, (_, i) => task(i % 2 ? "python3" : "python"));
    const { manager, port } = await startTaskList(bed, tasks);
    await using _manager = manager;
    const args = ["-d", "all", "-o", bed.folder.join("debug")];
    const words = ["worker", "127.0.0.1", String(port), "--single-shot", "--cores", "2"];
    await using worker = bed.start([...words, ...args], { env: { PATH: "/nowhere" } });
    assert.equal(await manager.ended, 0, manager.stdout + worker.stderr);
    await worker.ended;
    for (const { output } of resultsOf(manager)) assert.match(output ?? "", /^True /);
    const debug = await Deno.readTextFile(bed.folder.join("debug"));
    assert.match(debug, /warm \S+\/environments\/\w+\/bin\/python: process/);
    await bed.clean();
  },
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
