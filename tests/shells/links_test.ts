import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Registry, registry } from "../../cmd/commands.ts";
import { linkedNames, programNamed, programNames } from "../../cmd/names.ts";
import { buildSelfExtracting } from "../../scripts/build.ts";
import { matchesGolden } from "../support/golden.ts";
import { deadPort, ScriptedManager } from "../support/scripted_manager.ts";
import { recordingTerminal } from "../support/terminal.ts";
import { TestBed } from "../support/wqx.ts";

/** A test bed with links in its folder `bin`. */
async function linked(): Promise<TestBed> {
  const bed = await TestBed.create();
  const made = await bed.run(["links", "bin"]);
  assert.equal(made.code, 0, made.stderr);
  return bed;
}

Deno.test("wqx links makes a link for every name whose program is there", async () => {
  await using bed = await linked();
  const names = [...Deno.readDirSync(bed.folder.join("bin"))].map(({ name }) => name).sort();
  assert.deepEqual(names, linkedNames().sort());
  assert.ok(names.includes("work_queue_worker"));
  for (const name of Object.keys(programNames)) {
    const command = programNames[name]!.command;
    assert.equal(names.includes(name), Object.hasOwn(registry, command), name);
  }
  const again = await bed.run(["links", "bin", "--json"]);
  assert.deepEqual(
    again.stdout.trim().split("\n").map((line) => JSON.parse(line)),
    linkedNames().map((name) => ({ type: "link", path: `bin/${name}` })),
  );
});

Deno.test("wqx links replaces no program of others, unless it is told to", async () => {
  await using bed = await TestBed.create();
  const path = await bed.folder.write("bin/work_queue_worker", "the real one\n");
  const refused = await bed.run(["links", "bin"]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^bin\/work_queue_worker is there already and not of wqx: give --f/);
  assert.equal(await Deno.readTextFile(path), "the real one\n");
  assert.equal((await bed.run(["links", "bin", "--force"])).code, 0);
  assert.match(await Deno.readTextFile(path), /^#!\/bin\/sh\n/);
});

Deno.test("wqx links says where it cannot make them", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("file", "");
  const { code, stderr } = await bed.run(["links", "file/bin"]);
  assert.equal(code, 2);
  assert.match(stderr, /^Cannot make links in file\/bin: .*; choose a folder of your own$/m);
});

/** As scripts of today call it. */
const workerWords = ["-t", "300", "-C", "cat", "--cores=2.000", "--memory=500", "--disk=1000"];

Deno.test("called work_queue_worker, wqx is the worker: options, help, version and exit codes", async () => {
  await using bed = await linked();
  const worker = [bed.folder.join("bin/work_queue_worker")];
  const run = (args: string[]) => bed.run(args, { command: worker });

  const [help, version, wrong, lost, task] = await Promise.all([
    run(["-h"]),
    run(["-v"]),
    run(["--no-such-option"]),
    run(["127.0.0.1", String(deadPort()), "-t", "1", "-b", "1"]),
    run(["task"]),
  ]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: work_queue_worker HOST PORT \[options\]$/m);
  assert.match(help.stdout, /^ {2}work_queue_worker localhost 9123 --cores 4 --memory 8GB /m);
  assert.match(help.stdout, /--coprocesses-total N/, "all options at once");
  assert.match(version.stdout, /^work_queue_worker of wqx \d+\.\d+\.\d+\n$/);
  assert.deepEqual([wrong.code, wrong.stderr], [
    1,
    'Unknown option "--no-such-option": work_queue_worker --help-all lists all\n',
  ]);
  assert.equal(lost.code, 0, "no manager is no failure");
  assert.match(lost.stderr, /^Cannot connect to a manager at 127\.0\.0\.1:\d+ /m);
  assert.deepEqual([task.code, task.stderr.split(":")[0]], [
    1,
    "Cannot tell which manager to serve",
  ]);

  using manager = new ScriptedManager();
  await using serving = bed.start(["127.0.0.1", String(manager.port), ...workerWords], {
    command: worker,
  });
  const link = await manager.accept();
  await link.greeting();
  await link.says(/^resource cores 2 2 2$/);
  const command = "env; : end";
  await link.send(`task 1\ncmd ${command.length}\n${command}cores 1\nend\n`);
  await link.says(/^available_results$/);
  await link.send("send_results -1\n");
  await link.says(/^end$/);
  assert.ok(link.lines.some((line) => line.startsWith("WQX=")), "the task saw its environment");
  const told = link.lines.filter((line) => line.startsWith("WQX_STARTED_AS"));
  assert.deepEqual(told, [], "a wqx that a task starts is not called so");
  await link.send("exit\n");
  assert.equal(await serving.ended, 0, serving.stderr);
  await bed.clean();
});

Deno.test("the help of a program of cctools is that of the command, under its own name", async () => {
  const terminal = recordingTerminal();
  await programNamed("/opt/bin/work_queue_worker")!.run(["--help"], terminal);
  await matchesGolden("help/work_queue_worker.txt", terminal.out());
});

Deno.test("a name whose program is not there yet says so; other names are wqx", async () => {
  const none: Registry = {};
  await assert.rejects(programNamed("work_queue_worker", none)!.run([], recordingTerminal()), {
    name: "UsageError",
    message: "This version of wqx has no work_queue_worker yet",
  });
  assert.deepEqual(linkedNames(none), []);
  for (const path of ["wqx", "/usr/bin/wqx-0.1", "constructor", "", "work_queue_worker.old"]) {
    assert.equal(programNamed(path), null, path);
  }
});

Deno.test("a single file learns its name from links to it, and links to itself", async () => {
  await using bed = await TestBed.create();
  const deno = await bed.folder.write("deno", `#!/bin/sh\nexec "${Deno.execPath()}" "$@"\n`);
  await Deno.chmod(deno, 0o755);
  const entry = fileURLToPath(new URL("../support/named_program.ts", import.meta.url));
  const output = bed.folder.join("wq x");
  await buildSelfExtracting({ entry, assets: [], output, deno });
  const link = bed.folder.join("work_queue_worker");
  await Deno.symlink(output, link);
  const run = async (words: string[]) => {
    const env = {
      XDG_CACHE_HOME: bed.folder.join("cache"),
      PATH: `${bed.folder.path}:/usr/bin:/bin`,
    };
    const { stdout, stderr } = await bed.run([], { command: words, env });
    assert.equal(stderr, "");
    return JSON.parse(stdout);
  };
  const twice = [run([link]), run(["./work_queue_worker"]), run(["work_queue_worker"])];
  for (const told of await Promise.all(twice)) {
    assert.match(told.startedAs, /(^|\/)work_queue_worker$/);
    assert.deepEqual([told.executable, told.left], [link, []]);
  }
  assert.deepEqual(await run([output]), { startedAs: output, executable: output, left: [] });
});
