/** `wqx status` and `wqx explain` as people use them: what they print, and what they say if not. */
import assert from "node:assert/strict";
import { programNamed } from "../../cmd/names.ts";
import { runCommandLine } from "../../cmd/commands.ts";
import { openToAll } from "../../manager/serving.ts";
import { Manager } from "../../manager/server.ts";
import { RunError, UsageError } from "../../core/errors.ts";
import { taskSpec } from "../support/builders.ts";
import { AnsweringManager, nobodyListens, startCatalog } from "../support/status_peers.ts";
import { type Recorded, recordingTerminal } from "../support/terminal.ts";
import { TempFolder } from "../support/temp.ts";

async function printed(...args: string[]): Promise<string> {
  const terminal = recordingTerminal();
  assert.equal(await runCommandLine(args, terminal), 0, terminal.err());
  return terminal.out();
}

async function fails(args: string[], kind: typeof UsageError | typeof RunError, said: RegExp) {
  const terminal: Recorded = recordingTerminal();
  await assert.rejects(runCommandLine(args, terminal), (error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.match(error.message, said);
    return true;
  });
  assert.equal(terminal.out(), "", "nothing is printed before");
}

/** A real manager with two waiting tasks. */
function startManager(password: string | null = null): Manager {
  const serving = password === null
    ? openToAll
    : { ...openToAll, password: { content: new TextEncoder().encode(password), path: "secret" } };
  const options = { name: "demo", version: "0.1.0", port: { low: 0, high: 0 }, serving };
  const manager = Manager.listen({ hostname: "127.0.0.1", ...options }, nobodyListens);
  manager.submit(taskSpec({ category: "fit", request: { cores: 2 } }));
  manager.submit(taskSpec({ category: "fit", request: { cores: 2 } }));
  return manager;
}

/** A port of this machine on which nobody listens. */
function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

const record = (project: string, port: number) =>
  `{"type":"wq_master","project":"${project}","name":"localhost","address":"127.0.0.1",` +
  `"manager_preferred_connection":"by_apparent_ip","port":${port},"tasks_waiting":5}`;

Deno.test("a manager is asked directly: tables, JSON and an explanation", async () => {
  await using manager = startManager();
  const at = ["127.0.0.1", String(manager.port)];
  const tables = await printed("status", ...at, "--once");
  assert.match(tables, /^Managers \(1\)\nproject +address .*\ndemo +127\.0\.0\.1:\d+/);
  assert.match(tables, /\nCategories \(2\)\n[^]*\nfit +2 +0 /);
  assert.match(tables, /\nWorkers \(0\)\nno worker is connected\n/);
  const [task, second] = (await printed("status", "-T", "--json", ...at)).trim().split("\n");
  assert.deepEqual(
    [JSON.parse(task!).taskid, JSON.parse(second!).state],
    [1, "WAITING"],
  );
  assert.equal(
    await printed("explain", "2", ...at),
    "Task 2 (fit) waits: no worker is connected, and it needs 2 cores. 1 waiting task\n" +
      "goes before it: 1 that came earlier.\n",
  );
  const queue = JSON.parse(await printed("explain", ...at, "--json"));
  assert.match(queue.text, /^2 tasks wait, 0 run, 0 are done\. No worker is connected/);
});

Deno.test("a manager is found by its name and asked there", async () => {
  await using manager = startManager();
  await using catalog = startCatalog([record("demo", manager.port), record("other", 1)]);
  const by = ["-C", `127.0.0.1:${catalog.port}`, "-M", "dem."];
  assert.match(await printed("status", "--once", ...by), /\nCategories \(2\)\n[^]*\nfit +2 /);
  assert.match(await printed("status", "-T", ...by), /\n2 +WAITING /);
  assert.match(await printed("explain", "1", ...by), /^Task 1 \(fit\) waits/);
  const everybody = await printed("status", "--once", "-C", `127.0.0.1:${catalog.port}`);
  assert.match(everybody, /^Managers \(2\)\n[^]*\ndemo [^]*\nother /);
});

Deno.test("a password is asked for, and a wrong one said", async () => {
  await using folder = await TempFolder.create("wqx-status-");
  const right = await folder.write("right", "secret");
  const wrong = await folder.write("wrong", "sesame");
  for (const path of [right, wrong]) await Deno.chmod(path, 0o600);
  await using manager = startManager("secret");
  const at = ["127.0.0.1", String(manager.port), "-t", "5"];
  await fails(["status", "-Q", ...at], RunError, /with a password it needs --password FILE/);
  await fails(["explain", "1", ...at], RunError, /with a password it needs --password FILE/);
  await fails(["status", "-Q", ...at, "-P", wrong], RunError, /password/i);
  assert.match(await printed("status", "-Q", ...at, "-P", right), /\ndemo /);
});

Deno.test("a manager that is not there, or no manager, is said to be", async () => {
  const port = freePort();
  await fails(
    ["status", "-Q", "127.0.0.1", port],
    RunError,
    new RegExp(`^couldn't connect to 127\\.0\\.0\\.1 port ${port}: `),
  );
  await fails(["status", "--once", "no-such-host.invalid"], RunError, /^couldn't find address of /);
  await using garbage = new AnsweringManager({ queue_status: "HTTP/1.1 200 OK\n\n<html>" });
  await fails(
    ["status", "-Q", "127.0.0.1", String(garbage.port)],
    RunError,
    /^couldn't read from 127\.0\.0\.1 port \d+: /,
  );
  await using endless = new AnsweringManager({ queue_status: "[…" });
  await fails(
    ["status", "-Q", "127.0.0.1", String(endless.port), "-t", "500ms"],
    RunError,
    /^couldn't read from 127\.0\.0\.1 port \d+: no answer within 1 s/,
  );
});

Deno.test("a catalog that is down, or knows none or two of a name, is said", async () => {
  const down = ["-C", `127.0.0.1:${freePort()}`, "-t", "200ms"];
  await fails(
    ["status", "-Q", ...down],
    RunError,
    /^failed to query catalog server: .*127\.0\.0\.1/,
  );
  await fails(["status", "--once", ...down], RunError, /^failed to query catalog server: /);
  await fails(["explain", "1", "-M", "demo", ...down], RunError, /^failed to query catalog server/);
  await using catalog = startCatalog([record("demo", 9001), record("demo", 9002)]);
  const up = ["-C", `127.0.0.1:${catalog.port}`];
  await fails(
    ["status", "-T", "-M", "demo", ...up],
    RunError,
    /^2 managers match "demo":\n {2}"demo" at localhost:9001\n {2}"demo" at localhost:9002\nGive HOST/,
  );
  await fails(
    ["explain", "1", "-M", "dimo", ...up],
    RunError,
    /^No manager "dimo" .* knows "demo"$/,
  );
  const nobody = /^No manager "dimo" is in the catalog$/;
  await assert.rejects(
    runCommandLine(["status", "--once", "-M", "dimo", ...up], recordingTerminal()),
    {
      message: nobody,
    },
  );
});

Deno.test("wrong command lines say what would do", async () => {
  const cases: [string[], RegExp][] = [
    [["status", "-M", "a(b"], /^--project-name: "a\(b" is not a regular expression/],
    [["status", "--where", "port=="], /^--where: invalid expression: port==/],
    [["status", "-T", "-W", "localhost"], /^-T and -W are mutually exclusive/],
    [["status", "-T"], /^Which manager\? Give HOST PORT, or -M NAME$/],
    [["status", "localhost", "http"], /^PORT: "http" is not a port/],
    [["status", "localhost", "1", "2"], /^Unexpected argument "2"/],
    [["status", "localhost", "-M", "demo"], /one of them will do$/],
    [["status", "--interval", "1ms"], /^--interval: "1ms" is too short/],
    [["status", "-P", "/nowhere/at/all"], /^Cannot read the password from \/nowhere\/at\/all/],
    [["explain"], /^Which manager\? Give HOST PORT, or -M NAME$/],
    [["explain", "41"], /^Which manager\? Give HOST PORT, or -M NAME$/],
    [["explain", "41", "localhost", "-M", "demo"], /one of them will do$/],
  ];
  for (const [args, said] of cases) await fails(args, UsageError, said);
});

Deno.test("as work_queue_status it refuses what that refuses, in its words", async () => {
  const run = (...args: string[]) =>
    programNamed("work_queue_status")!.run(args, recordingTerminal());
  const cases: [string[], string][] = [
    [["-T"], "Options -A, -T and -W need an explicit manager to query."],
    [["-R", "-M", "x"], "Option -M,--project-name can only be used together with -Q,--statistics"],
  ];
  for (const [args, message] of cases) await assert.rejects(run(...args), new UsageError(message));
  assert.deepEqual(programNamed("work_queue_status")!.exitCodes, { wrongUsage: 1, failed: 1 });
});

Deno.test("a manager that explains nothing is explained from its records", async () => {
  await using other = new AnsweringManager({
    queue_status: `[{"type":"wq_master","tasks_waiting":1,"tasks_submitted":7,"workers":1}]`,
    task_status: `[{"taskid":7,"state":"WAITING","category":"fit","command":"x","cores":8,` +
      `"memory":-1,"disk":-1,"gpus":-1,"priority":"0"}]`,
    worker_status: `[{"hostname":"node7","address_port":"192.0.2.7:4000","cores_total":4,` +
      `"cores_inuse":0,"memory_total":8192,"memory_inuse":0,"disk_total":1024,"disk_inuse":0,` +
      `"gpus_total":0,"gpus_inuse":0,"total_tasks_running":0}]`,
  });
  assert.equal(
    (await printed("explain", "7", "127.0.0.1", String(other.port))).replaceAll("\n", " "),
    "Task 7 (fit) waits: it needs 8 cores, and the one worker that may take it is too small: " +
      "node7 (192.0.2.7:4000) has 4 cores, 8 GB memory and 1 GB disk. A worker with at least 8 " +
      "cores would help (wqx worker --cores 8). This manager is not one of wqx: features, blocked " +
      "hosts and earlier failures are not known. ",
  );
});
