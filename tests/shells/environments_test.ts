/** Environments on a worker: unpacked once, shared, bounded, kept. */
import assert from "node:assert/strict";
import { Environments, type EnvironmentTask, type Held } from "../../worker/environments.ts";
import { packEnvironment, wrapperScript } from "../support/environment.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const mb = 1024 ** 2;

/** Environments in a folder, whose cache has what the test puts there. */
class Bed implements AsyncDisposable {
  readonly log: string[] = [];
  readonly environments: Environments;

  private constructor(readonly folder: TempFolder, bytesMax: number) {
    this.environments = new Environments({
      folder: folder.join("environments"),
      bytesMax,
      cachePath: (name) => folder.join("cache", name),
      log: (line) => this.log.push(line),
      debug: (line) => this.log.push(`debug: ${line}`),
    });
  }

  static async create(bytesMax = 1000 * mb): Promise<Bed> {
    const folder = await TempFolder.create();
    await folder.write("cache/runner", wrapperScript);
    return new Bed(folder, bytesMax);
  }

  /** An archive in the cache that becomes so many bytes, and a few. */
  async pack(name: string, bytes = 0, unpack = ":"): Promise<void> {
    const files = { [`share/${name}`]: "x".repeat(bytes) };
    const path = await packEnvironment(this.folder, `${name}.tar.gz`, { files, unpack });
    await Deno.rename(path, this.folder.join("cache", name));
  }

  task(name: string, env: Record<string, string> = {}): EnvironmentTask {
    return {
      command: `./run -e ${name} -- hello`,
      env: { PATH: "/usr/bin:/bin", ...env },
      inputs: [
        { cacheName: "runner", sandboxName: "run" },
        { cacheName: name, sandboxName: name },
      ],
    };
  }

  async prepare(name: string, signal = new AbortController().signal): Promise<Held> {
    const held = await this.environments.prepare(this.task(name), signal);
    assert.ok(held !== null);
    return held;
  }

  /** As one task after the other uses it: what is wrong, or `null`. */
  async use(name: string): Promise<string | null> {
    const { prepared, release } = await this.prepare(name);
    release();
    return prepared.kind === "failed" ? prepared.why : null;
  }

  count(pattern: RegExp): number {
    return this.log.filter((line) => pattern.test(line)).length;
  }

  /** What is unpacked. */
  get folders(): number {
    return [...Deno.readDirSync(this.folder.join("environments"))].length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

Deno.test("tasks that come at once share one environment, and its variables", async () => {
  await using bed = await Bed.create();
  await bed.pack("env");
  const held = await Promise.all(Array.from({ length: 10 }, () => bed.prepare("env")));
  assert.equal(bed.count(/^Unpacked the environment env \(/), 1);
  for (const { prepared, release } of held) {
    assert.equal(prepared.kind, "ready");
    if (prepared.kind !== "ready") return;
    assert.equal(prepared.command, "hello");
    const prefix = prepared.env.CONDA_PREFIX!;
    assert.ok(prefix.startsWith(bed.folder.join("environments/")), prefix);
    assert.equal(prepared.env.PATH, `${prefix}/bin:/usr/bin:/bin`);
    release();
  }
});

Deno.test("what a task sets itself comes before the activation", async () => {
  await using bed = await Bed.create();
  await bed.pack("env");
  const task = bed.task("env", { PYTHONPATH: "/mine", A: "0", B: "2" });
  const command = `A=1 ${task.command}`;
  const held = await bed.environments.prepare({ ...task, command }, AbortSignal.timeout(10_000));
  assert.ok(held?.prepared.kind === "ready");
  const { A, B, PYTHONPATH } = held.prepared.env;
  assert.deepEqual({ A, B, PYTHONPATH }, { A: "1", B: "2", PYTHONPATH: undefined });
  held.release();
});

Deno.test("one archive under two names is unpacked once, another one of its name again", async () => {
  await using bed = await Bed.create();
  await bed.pack("one");
  await Deno.copyFile(bed.folder.join("cache/one"), bed.folder.join("cache/two"));
  assert.equal(await bed.use("one"), null);
  assert.equal(await bed.use("two"), null);
  assert.equal(bed.count(/^Unpacked/), 1);
  await Deno.remove(bed.folder.join("cache/one"));
  await bed.pack("one", 5);
  assert.equal(await bed.use("one"), null);
  assert.equal(bed.count(/^Unpacked/), 2);
  assert.equal(bed.folders, 2);
});

Deno.test("an archive that is cut off fails its tasks with a sentence and leaves nothing", async () => {
  await using bed = await Bed.create();
  await bed.pack("env", 1000);
  const path = bed.folder.join("cache/env");
  const whole = await Deno.readFile(path);
  await Deno.writeFile(path, whole.subarray(0, whole.length - 100));
  for (let i = 0; i < 2; i++) {
    const why = await bed.use("env");
    assert.match(why ?? "", /^Cannot unpack env into .*: .*(cut off|ends? (too )?early|missing)/);
  }
  assert.equal(bed.folders, 0);
  await Deno.writeFile(path, whole);
  assert.equal(await bed.use("env"), null);
});

Deno.test("an environment whose scripts fail says so", async () => {
  await using bed = await Bed.create();
  const files = { "etc/conda/activate.d/x.sh": "echo no licence >&2; return 3\n" };
  const path = await packEnvironment(bed.folder, "env.tar.gz", { files });
  await Deno.rename(path, bed.folder.join("cache/env"));
  assert.match(await bed.use("env") ?? "", /^Cannot activate .*: .*no licence/);
});

Deno.test("a task that is given up does not wait, and the last one ends the unpacking", async () => {
  await using bed = await Bed.create();
  await bed.pack("env", 0, `while [ ! -e ${bed.folder.join("gate")} ]; do sleep .02; done`);
  const waiting = [new AbortController(), new AbortController()];
  const tasks = waiting.map(({ signal }) => bed.environments.prepare(bed.task("env"), signal));
  await until(() => exists(bed.folder.join("environments")), { what: "the unpacking" });
  waiting[0]!.abort();
  assert.equal(await tasks[0], null);
  waiting[1]!.abort();
  assert.equal(await tasks[1], null);
  await bed.environments.endOfSession(0);
  assert.equal(bed.folders, 0);
  await bed.folder.write("gate", "");
  assert.equal(await bed.use("env"), null, "the next one starts afresh");
});

Deno.test("the next manager's tasks find it, unless a task has changed it", async () => {
  await using bed = await Bed.create();
  await bed.pack("env");
  const { prepared, release } = await bed.prepare("env");
  assert.ok(prepared.kind === "ready");
  const prefix = prepared.env.CONDA_PREFIX!;
  // Byte code comes by itself.
  await bed.folder.write(prefix.replace(bed.folder.path, "") + "/lib/__pycache__/x.pyc", "");
  release();
  await bed.environments.endOfSession(100 * mb);
  assert.equal(await bed.use("env"), null);
  assert.equal(bed.count(/^Unpacked/), 1);
  await Deno.writeTextFile(`${prefix}/bin/hello`, "#!/bin/sh\necho bye\n");
  await bed.environments.endOfSession(100 * mb);
  assert.equal(await bed.use("env"), null);
  assert.equal(bed.count(/^Unpacked/), 2);
  assert.equal(bed.count(/^Tasks have changed the environment env/), 1);
  assert.match(await Deno.readTextFile(`${prefix}/bin/hello`), /hello/);
  await Deno.remove(prefix, { recursive: true });
  await bed.environments.endOfSession(100 * mb);
  assert.equal(await bed.use("env"), null);
  assert.equal(bed.count(/^Unpacked/), 3);
});

Deno.test("of what is kept the last used stay, within the bound", async () => {
  await using bed = await Bed.create();
  for (const name of ["a", "b", "c"]) {
    await bed.pack(name, 2 * mb);
    assert.equal(await bed.use(name), null);
  }
  assert.equal(await bed.use("a"), null);
  await bed.environments.endOfSession(5 * mb);
  assert.equal(bed.folders, 2);
  bed.log.length = 0;
  for (const name of ["a", "c"]) assert.equal(await bed.use(name), null);
  assert.equal(bed.count(/^Unpacked/), 0);
  assert.equal(await bed.use("b"), null);
  assert.equal(bed.count(/^Unpacked/), 1);
});

Deno.test("what nobody uses makes room; where there is none, a sentence says so", async () => {
  await using bed = await Bed.create(5 * mb);
  for (const name of ["a", "b"]) await bed.pack(name, 3 * mb);
  await bed.pack("large", 9 * mb);
  const a = await bed.prepare("a");
  assert.match(await bed.use("b") ?? "", /^Cannot unpack b into .*(5|3|2).*/);
  a.release();
  assert.equal(await bed.use("b"), null);
  assert.equal(bed.folders, 1);
  assert.match(await bed.use("large") ?? "", /^Cannot unpack large into /);
});

const others: readonly (readonly [string, (bed: Bed) => Promise<EnvironmentTask>])[] = [
  ["another program of the wrapper's name", async (bed) => {
    await bed.folder.write("cache/runner", "#!/bin/sh\necho mine\n");
    return bed.task("env");
  }],
  ["a folder in place of an archive", async (bed) => {
    await Deno.mkdir(bed.folder.join("cache/folder"));
    return { ...bed.task("folder") };
  }],
  ["an archive that is not there", (bed) => Promise.resolve(bed.task("none"))],
  ["a command of another kind", (bed) => Promise.resolve({ ...bed.task("env"), command: "ls" })],
];
for (const [what, taskOf] of others) {
  Deno.test(`${what} is left to the shell`, async () => {
    await using bed = await Bed.create();
    await bed.pack("env");
    const task = await taskOf(bed);
    assert.equal(await bed.environments.prepare(task, new AbortController().signal), null);
  });
}

function exists(path: string): boolean {
  try {
    return [...Deno.readDirSync(path)].length > 0;
  } catch {
    return false;
  }
}
