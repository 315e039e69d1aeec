import assert from "node:assert/strict";
import { command } from "../../cmd/factory.ts";
import { registry } from "../../cmd/commands.ts";
import { programNamed } from "../../cmd/names.ts";
import { matchesGolden } from "../support/golden.ts";
import { FakeManager } from "../support/fake_manager.ts";
import { recordingTerminal } from "../support/terminal.ts";
import { TempFolder } from "../support/temp.ts";
import { FakeCatalog } from "../support/fake_catalog.ts";
import { managerFields } from "../support/factory.ts";

const asWorkQueue = programNamed("work_queue_factory", registry)!;

Deno.test("a wrong command line gets one sentence before anything is started", async (t) => {
  await using folder = await TempFolder.create();
  const bad = await folder.write("bad.jx", '{"manager-name": "a", "min-workers": -3}');
  const file = await folder.write("file", "");
  const good = ["-T", "local", "-M", "ana", "-S", folder.join("scratch")];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["-M", "ana"], /^Say where workers are to run: -T local, -T slurm/],
    [["-T", "slrm", "-M", "ana"], /"slrm": did you mean "slurm"\?$/],
    [["-T", "amazon", "-M", "ana"], /^--batch-type: wqx has no batch system "amazon": /],
    [["-T", "local"], /^Say whom to serve: -M with a project name, or HOST PORT$/],
    [["-T", "local", "-M", "a(b"], /^--manager-name: "a\(b" is not a regular expression: /],
    [["-T", "local", "-F", "a[b", "-M", "a"], /^--foremen-name: "a\[b" is not a regular expr/],
    [["-T", "local", "localhost", "99999"], /"99999" is not a port/],
    [[...good, "-w", "-3"], /^--min-workers: "-3" is too small: it must be 0 or more$/],
    [[...good, "-W", "0"], /^--max-workers: "0" is too small: it must be 1 or more$/],
    [[...good, "-w", "9", "-W", "4"], /^At least 9 workers \(--min-workers\) are more than at/],
    [[...good, "--env", "=x"], /^--env: "=x" is no variable: write NAME=VALUE$/],
    [[...good, "--memory", "4GBB"], /^--memory: "4GBB" is not a size: did you mean "4GB"\?$/],
    [[...good, "--cores", "-3"], /^--cores: "-3" is too small/],
    [[...good, "--tasks-per-worker", "many"], /^--tasks-per-worker: "many" is not a number$/],
    [[...good, "--interval", "1ms"], /^--interval: "1ms" is too short: it must be 100ms or more$/],
    [[...good, "--run-factory-as-manager"], /^--run-factory-as-manager belongs to -T wq/],
    [[...good, "--amazon-config", "x"], /^--amazon-config belongs to -T amazon/],
    [[...good, "-P", folder.join("none")], /none/],
    [
      [...good, "--worker-binary", folder.join("none")],
      /^--worker-binary .*: there is no such file$/,
    ],
    [[...good, "--worker-binary", file], /^--worker-binary .*: it may not be executed: chmod/],
    [[...good, "--wrapper-input", folder.join("none")], /^Cannot copy .*none for the workers: /],
    [["-T", "local", "-M", "a", "-S", file], /^Cannot use the scratch folder .*--scratch-dir$/],
    [["-T", "local", "-C", folder.join("none.jx")], /^Cannot read the configuration .*none\.jx: /],
    [["-T", "local", "-C", bad], /bad\.jx.*min-workers/],
    [
      ["-T", "condor", "-M", "a", "-S", "/afs/wqx-test"],
      Deno.uid() === 0 ? /^HTCondor cannot use the scratch folder .* in AFS: / : /\/afs/,
    ],
  ];
  for (const [argv, message] of cases) {
    await t.step(argv.join(" "), async () => {
      const failure = { name: "UsageError", message };
      await assert.rejects(command.run([...argv], recordingTerminal()), failure);
      await assert.rejects(asWorkQueue.run(argv, recordingTerminal()), failure);
    });
  }
  await Deno.remove("/afs/wqx-test", { recursive: true }).catch(() => {});
});

Deno.test("an environment for workers that is not there is refused", async () => {
  await using folder = await TempFolder.create();
  const missing = folder.join("env.tar.gz");
  const argv = ["-T", "local", "-M", "a", "-S", folder.path, "--python-package", missing];
  await assert.rejects(command.run(argv, recordingTerminal()), {
    name: "UsageError",
    message: /^Cannot run workers in the environment .*env\.tar\.gz: No such file/,
  });
});

Deno.test("with a token workers get it, unless they are of others; a host besides is too much", async () => {
  await using folder = await TempFolder.create();
  using manager = new FakeManager();
  const token = `127.0.0.1:${manager.port}/47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU`;
  const argv = ["-T", "local", "-w", "0", "-S", folder.join("scratch"), "--join", token];
  const terminal = recordingTerminal();
  assert.equal(await command.run([...argv, "--dry-run"], terminal), 0);
  assert.match(terminal.out(), new RegExp(`by: \\./work_queue_worker --join '${token}' -t 300`));
  for (
    const [more, message] of [
      [["host", "9123"], /^Give either --join or host, not both/],
      [["--worker-binary", "/w"], /^Cannot give --join to the workers of \/w: only those of wqx/],
    ] as const
  ) {
    await assert.rejects(
      command.run([...argv, ...more], recordingTerminal()),
      (error: Error) => error.name === "UsageError" && message.test(error.message),
    );
  }
});

Deno.test("--dry-run prints plan, reason and the worker's command, and submits nothing", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [managerFields({ tasks_waiting: 9, tasks_on_workers: 4 })];
  const argv = [
    ...["-T", "local", "-M", "a(na1|b)", "--catalog", catalog.text, "--cores", "4"],
    ...["-w", "0", "-S", folder.join("scratch"), "--dry-run"],
  ];
  const terminal = recordingTerminal();
  assert.equal(await command.run(argv, terminal), 0);
  const size = `-t 300 --cores=4.000`;
  assert.equal(
    terminal.out(),
    `Plan: submit 4, remove 0
Why:  9 tasks waiting and 4 running at 1 manager want 4 workers; none of ours is there, ` +
      `0 workers are connected: submit 4
A worker would be started by: ./work_queue_worker -M 'a(na1|b)' -C '${catalog.text}' ${size}
`,
  );
  const json = recordingTerminal();
  assert.equal(await command.run([...argv, "--json"], json), 0);
  const { submit, needed, managers, type } = JSON.parse(json.out());
  assert.deepEqual({ submit, needed, managers, type }, {
    submit: 4,
    needed: 4,
    managers: 1,
    type: "plan",
  });
  assert.equal(catalog.updates.length, 0);
  assert.throws(() => Deno.statSync(folder.join("scratch", "factory.json")));
});

Deno.test("as work_queue_factory a cycle is printed as Work Queue does", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [
    managerFields({ tasks_waiting: 9, tasks_running: 1, tasks_complete: 3, workers: 2 }),
  ];
  const config = await folder.write("f.jx", '{"manager-name": "ana.*", "cores": 1 + 3}');
  const argv = [
    ...["-T", "local", "-C", config, "--catalog", catalog.text, "-w", "0"],
    ...["-S", folder.join("scratch"), "--dry-run"],
  ];
  const terminal = recordingTerminal();
  const columns = Deno.env.get("COLUMNS");
  Deno.env.set("COLUMNS", "80");
  try {
    assert.equal(await asWorkQueue.run(argv, terminal), 0);
  } finally {
    if (columns === undefined) Deno.env.delete("COLUMNS");
    else Deno.env.set("COLUMNS", columns);
  }
  const shown = terminal.out()
    .replace(/^A worker would.*\n/m, "")
    .replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d/m, "YYYY/MM/DD HH:MM:SS")
    .replace(config, "f.jx");
  await matchesGolden("factory/cycle.txt", shown);
});
