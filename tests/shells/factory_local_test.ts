/** The real program, with real workers on this machine. */
import assert from "node:assert/strict";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { until } from "../support/until.ts";

const size = ["--cores", "1", "--memory", "200", "--disk", "100"];

async function startManager(bed: TestBed, commands: readonly string[]): Promise<[Wqx, string]> {
  const lines = commands.map((command) => JSON.stringify({ command }) + "\n");
  const path = await bed.folder.write("tasks.jsonl", lines.join(""));
  const manager = bed.start(["manager", path, "--workers", "none", "--port", "0"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return [manager, port!];
}

/** A command of a task that leaves a mark, and then goes on with `then`. */
function marking(bed: TestBed, then: string): string {
  return `mktemp -p ${bed.folder.path} mark.XXXXXX && ${then}`;
}

/** So many tasks have begun. The manager's own lines come every 10 s. */
async function marks(bed: TestBed, count: number): Promise<void> {
  const names = () => [...Deno.readDirSync(bed.folder.path)].map(({ name }) => name);
  await until(() => names().filter((name) => name.startsWith("mark.")).length === count, {
    what: `${count} marks of tasks`,
    timeoutMs: 30_000,
  });
}

function startFactory(bed: TestBed, port: string, more: readonly string[] = []): Wqx {
  const words = ["factory", "-T", "local", "127.0.0.1", port, "-w", "0", "--interval", "300ms"];
  return bed.start([...words, ...size, ...more]);
}

Deno.test("workers come for the tasks, and with the factory all of them go", async () => {
  await using bed = await TestBed.create();
  const [started, port] = await startManager(bed, [
    ...Array.from({ length: 3 }, () => marking(bed, "true")),
    "sleep 1000",
  ]);
  await using manager = started;
  await using factory = startFactory(bed, port, ["--env", "GREETING=a=b c"]);
  await factory.says(/want 4 workers.*: submit 4$/m);
  await marks(bed, 3);
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, factory.stderr);
  assert.match(factory.stderr, /removing \d workers\.\.\.\n.* all workers removed\.\n$/);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("a factory that is killed leaves its workers to the next one, which goes on with them", async () => {
  await using bed = await TestBed.create();
  const [started, port] = await startManager(
    bed,
    Array.from({ length: 2 }, () => marking(bed, "sleep 1000")),
  );
  await using manager = started;
  {
    await using killed = startFactory(bed, port);
    await marks(bed, 2);
    killed.signal("SIGKILL");
    await killed.ended;
  }
  await using factory = startFactory(bed, port);
  await factory.says(/Going on with 2 jobs of an earlier run: \d+, \d+/);
  await factory.says(/of ours 2 run and 0 wait in the queue, 2 workers are connected: nothing to/);
  factory.signal("SIGINT");
  assert.equal(await factory.ended, 0, factory.stderr);
  assert.match(factory.stderr, /removing 2 workers\.\.\.\n/);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("a worker that dies is replaced, a password is handed on for its owner's eyes only", async () => {
  await using bed = await TestBed.create();
  const password = await bed.folder.write("password.txt", "open sesame\n");
  const command = JSON.stringify({ command: marking(bed, "sleep 1000") });
  const tasks = await bed.folder.write("tasks.jsonl", `${command}\n`);
  await using manager = bed.start([
    ...["manager", tasks, "--workers", "none", "--port", "0", "--password", password],
  ]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using factory = startFactory(bed, port!, ["-P", password, "-S", bed.folder.join("s")]);
  await marks(bed, 1);
  // One that ends before its manager tells of it counts as one that cannot connect.
  await factory.says(/, 1 worker is connected/);
  const [folder] = [...Deno.readDirSync(bed.folder.join("s"))];
  const scratch = bed.folder.join("s", folder!.name);
  assert.equal(Deno.statSync(`${scratch}/pwfile`).mode! & 0o777, 0o600);
  const jobs = () => JSON.parse(Deno.readTextFileSync(`${scratch}/factory.json`)).jobs as string[];
  const [first] = jobs();
  Deno.kill(-Number(first), "SIGKILL");
  await until(() => jobs().length === 1 && jobs()[0] !== first, { what: "another worker" });
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, factory.stderr);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("workers that are killed as soon as they have connected are replaced without a pause", async () => {
  await using bed = await TestBed.create();
  const runs = await bed.folder.write("runs", "");
  const [started, port] = await startManager(bed, [`echo run >> ${runs}; sleep 1000`]);
  await using manager = started;
  await using factory = startFactory(bed, port, ["-S", bed.folder.join("s")]);
  await factory.says(/submit 1$/m);
  const [folder] = [...Deno.readDirSync(bed.folder.join("s"))];
  const scratch = bed.folder.join("s", folder!.name);
  const jobs = () => JSON.parse(Deno.readTextFileSync(`${scratch}/factory.json`)).jobs as string[];
  for (let n = 1; n <= 4; n++) {
    await until(() => Deno.readTextFileSync(runs).split("\n").length > n, {
      what: `worker ${n}`,
      timeoutMs: 60_000,
    });
    if (n < 4) Deno.kill(-Number(jobs()[0]), "SIGKILL");
  }
  assert.equal(factory.stderr.match(/ended too early/g)?.length, 3);
  assert.doesNotMatch(factory.stderr, /jobs end as soon as they start/);
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, factory.stderr);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("with --parent-death a factory ends with whoever started it", async () => {
  await using bed = await TestBed.create();
  const command = [
    Deno.execPath(),
    "run",
    "-A",
    new URL("../../main.ts", import.meta.url).pathname,
  ];
  const words = [
    ...command,
    "factory",
    "-T",
    "local",
    "127.0.0.1",
    "9",
    "-w",
    "0",
    "--parent-death",
  ];
  const script = `${words.map((word) => `'${word}'`).join(" ")} 2> said & wait`;
  await using shell = bed.start(["-c", script], { command: ["/bin/sh"] });
  const said = () => {
    try {
      return Deno.readTextFileSync(bed.folder.join("said"));
    } catch {
      return "";
    }
  };
  await until(() => said().includes("couldn't connect"), { what: "a cycle", timeoutMs: 30_000 });
  shell.signal("SIGKILL");
  await until(() => said().includes("all workers removed."), { what: "its end" });
  assert.match(said(), /parent process exited, shutting down\n/);
  await bed.clean();
});
