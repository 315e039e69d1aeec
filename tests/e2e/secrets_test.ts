/** What a run with a password leaves and shows: its secrets nowhere, and nothing open to others. */
import assert from "node:assert/strict";
import { listProcesses } from "../../io/procfs.ts";
import { until } from "../support/until.ts";
import { demo, TestBed } from "../support/wqx.ts";

/** All below a folder that is there, folders included, links not followed. */
function* walk(folder: string): Generator<{ path: string; info: Deno.FileInfo }> {
  for (const { name } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(path);
    } catch {
      continue; // gone meanwhile
    }
    yield { path, info };
    if (info.isDirectory) yield* walk(path);
  }
}

function contentOf(path: string): string {
  try {
    // Bytes as letters: what is looked for is ASCII.
    return new TextDecoder("latin1").decode(Deno.readFileSync(path));
  } catch {
    return ""; // gone meanwhile
  }
}

/** Processes whose command line or environment has the word. */
function processesWith(word: string): string[] {
  return listProcesses().flatMap((pid) =>
    ["cmdline", "environ"].filter((file) => contentOf(`/proc/${pid}/${file}`).includes(word))
      .map((file) => `${file} of ${pid}: ${contentOf(`/proc/${pid}/cmdline`)}`)
  );
}

function filesWith(folder: string, word: string): string[] {
  return [...walk(folder)].filter(({ path, info }) => info.isFile && contentOf(path).includes(word))
    .map(({ path }) => path.slice(folder.length + 1)).sort();
}

const modeOf = (path: string) => (Deno.lstatSync(path).mode ?? 0) & 0o777;

Deno.test("a password is in no command line, environment, log, record or file but its own", async () => {
  await using bed = await TestBed.create();
  const { folder } = bed;
  const word = `s3cret-${crypto.randomUUID()}`;
  await folder.write("pw", `${word}\n`);
  await Deno.chmod(folder.join("pw"), 0o600);
  await Deno.mkdir(folder.join("logs"));
  const log = (name: string) => ["-d", "all", "-o", folder.join("logs", name)];
  const env = { XDG_STATE_HOME: folder.join("state") };
  await using catalog = bed.start(["catalog", "-p", "0", "-H", "history", ...log("catalog")]);
  const [, port = ""] = await catalog.says(/listens: \S+:(\d+)/);
  const named = ["-M", "ana", "-P", "pw"];
  const at = { env: { ...env, CATALOG_HOST: `127.0.0.1:${port}` } };
  await using manager = bed.start(
    ["manager", "-", ...named, "--workers", "none", "--output", "run"],
    { ...at, stdin: "piped" },
  );
  const [, token = ""] = await manager.says(/wqx worker --join (\S+)$/m);
  await using factory = bed.start(
    [
      "factory",
      "-T",
      "local",
      ...named,
      "-w",
      "1",
      "-W",
      "1",
      "--cores",
      "1",
      ...log("factory"),
      "--interval",
      "500ms",
      "--scratch-dir",
      "scratch",
    ],
    at,
  );
  await using worker = bed.start(
    ["worker", "--join", token, "-P", "pw", "--cores", "1", ...log("worker")],
    at,
  );
  const command = "env; cat /proc/$PPID/cmdline; while ! [ -e " + folder.join("go") +
    " ]; do sleep 0.1; done";
  await manager.write(`${JSON.stringify({ command })}\n`.repeat(2));
  await until(() => manager.stderr.match(/ joined from /g)?.length === 2, { what: "both workers" });
  // Of this run: other tests may have tasks at the same time.
  const isTask = (environment: string) =>
    environment.includes("WQX_TASK=") && environment.includes(folder.path);
  const running = () =>
    listProcesses().filter((pid) => isTask(contentOf(`/proc/${pid}/environ`))).length;
  await until(() => running() >= 2, { what: "both tasks" });

  assert.deepEqual(processesWith(word), []);
  const answer = await fetch(`http://127.0.0.1:${port}/query.text`);
  const told = await answer.text();
  assert.match(told, /wqx_pin/);
  assert.ok(!told.includes(word), "the catalog knows it");
  const key = JSON.parse(contentOf(folder.join("state/wqx/manager-identity.json"))).key as string;
  const [, keyLine = ""] = key.split("\n");
  assert.ok(!told.includes(keyLine) && keyLine.length > 40);
  // Its copies, for workers: the factory's own one, and nothing else.
  const copies = filesWith(folder.path, word);
  assert.deepEqual(copies.filter((path) => !/^(scratch|tmp)\/.*pwfile$/.test(path)), ["pw"]);
  for (const path of copies) assert.equal(modeOf(folder.join(path)), 0o600, path);
  const journals = [...walk(folder.join("run"))].filter(({ path }) => /journal/.test(path));
  assert.ok(journals.some(({ info }) => info.isFile), "there is a journal");
  for (const { path, info } of journals) assert.equal((info.mode ?? 0) & 0o077, 0, path);
  const workspaces = [...Deno.readDirSync(folder.join("tmp"))].filter(({ name }) =>
    name.startsWith("worker-")
  );
  assert.ok(workspaces.length >= 1);
  for (const { name } of workspaces) assert.equal(modeOf(folder.join("tmp", name)), 0o700, name);

  await folder.write("go", "");
  await manager.closeInput();
  assert.equal(await manager.ended, 0, manager.stderr);
  factory.signal("SIGTERM");
  await Promise.all([factory.ended, worker.ended]);
  catalog.signal("SIGTERM");
  await catalog.ended;
  for (const program of [catalog, manager, factory, worker]) {
    assert.ok(!(program.stdout + program.stderr).includes(word));
    assert.ok(!(program.stdout + program.stderr).includes(keyLine));
  }
  assert.match(manager.stdout, /WQX_TASK=/, "the tasks told their environment");
  assert.deepEqual(filesWith(folder.path, word), ["pw"]);
  assert.deepEqual(filesWith(folder.path, keyLine), ["state/wqx/manager-identity.json"]);
  await bed.clean();
});

Deno.test("what a run leaves can be changed by its user only, and state is read by nobody else", async () => {
  const before = Deno.umask(0o022);
  try {
    await using bed = await TestBed.create();
    const { folder } = bed;
    const analysis = (await Deno.readTextFile(`${demo}/analysis.yaml`))
      .replaceAll("data/", `${demo}/data/`);
    await folder.write("analysis.yaml", analysis);
    await Deno.copyFile(`${demo}/processor.ts`, folder.join("processor.ts"));
    const env = {
      XDG_STATE_HOME: folder.join("state"),
      WQX_CACHE: folder.join("cached/wqx"),
    };
    const words = ["manager", "analysis.yaml", "--workers", "1", "--maxchunks", "1"];
    const { code, stderr } = await bed.run([...words, "--output", "run"], { env });
    assert.equal(code, 0, stderr);
    const made = [...walk(folder.path)].map(({ path, info }) => ({
      path: path.slice(folder.path.length + 1),
      mode: (info.mode ?? 0) & 0o777,
      isFolder: info.isDirectory,
    }));
    assert.deepEqual(made.filter(({ mode }) => (mode & 0o022) !== 0), []);
    const kept = made.filter(({ path }) =>
      /^(state|cached)(\/|$)/.test(path) || /journal|\.wqx/.test(path)
    );
    assert.ok(kept.some(({ path }) => path.startsWith("state/wqx/")), "there is state");
    // Of what lies in a folder that nobody may enter, the modes do not matter.
    const closed = kept.filter(({ isFolder, mode }) => isFolder && (mode & 0o077) === 0)
      .map(({ path }) => `${path}/`);
    const open = kept.filter(({ path, mode }) =>
      (mode & 0o077) !== 0 && !closed.some((folder) => path.startsWith(folder))
    );
    assert.deepEqual(open, []);
    const results = made.filter(({ path }) => /^run\/[^.].*\.(json|svg)$/.test(path));
    assert.ok(results.length > 0 && results.every(({ mode }) => (mode & 0o044) === 0o044));
  } finally {
    Deno.umask(before);
  }
});
