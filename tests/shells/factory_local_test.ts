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

function startFactory(bed: TestBed, port: string, more: readonly string[] = []): Wqx {
  const words = ["factory", "-T", "local", "127.0.0.1", port, "-w", "0", "--interval", "300ms"];
  return bed.start([...words, ...size, ...more]);
}

Deno.test("workers come for the tasks, and with the factory all of them go", async () => {
  await using bed = await TestBed.create();
  const [started, port] = await startManager(bed, ["true", "true", "true", "sleep 1000"]);
  await using manager = started;
  await using factory = startFactory(bed, port, ["--env", "GREETING=a=b c"]);
  await factory.says(/want 4 workers.*: submit 4$/m);
  await manager.says(/3 succeeded/);
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, factory.stderr);
  assert.match(factory.stderr, /removing \d workers\.\.\.\n.* all workers removed\.\n$/);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("a factory that is killed leaves its workers to the next one, which goes on with them", async () => {
  await using bed = await TestBed.create();
  const [started, port] = await startManager(bed, ["sleep 1000", "sleep 1000"]);
  await using manager = started;
  {
    await using killed = startFactory(bed, port);
    await manager.says(/2 running/);
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
  const tasks = await bed.folder.write("tasks.jsonl", '{"command": "sleep 1000"}\n');
  await using manager = bed.start([
    ...["manager", tasks, "--workers", "none", "--port", "0", "--password", password],
  ]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using factory = startFactory(bed, port!, ["-P", password, "-S", bed.folder.join("s")]);
  await manager.says(/1 running/);
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
