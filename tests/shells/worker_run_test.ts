import assert from "node:assert/strict";
import { authenticate } from "../../io/handshake.ts";
import { Link } from "../../io/link.ts";
import { selfSignedIdentity } from "../../io/tls_identity.ts";
import { gpuFeatures } from "../../worker/features.ts";
import { runWorker } from "../../worker/run.ts";
import { deadPort, type ScriptedLink, ScriptedManager } from "../support/scripted_manager.ts";
import { needs } from "../support/skip.ts";
import { SmallDisk, smallDiskMissing } from "../support/small_disk.ts";
import { workerOptions } from "../support/worker_options.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const quick = ["--min-backoff", "20ms", "--max-backoff", "50ms", "--disk", "100"];

function serving(bed: TestBed, manager: ScriptedManager, ...options: string[]): Wqx {
  return bed.start(["worker", "127.0.0.1", String(manager.port), ...quick, ...options]);
}

/** The values of an `info` line or the like: what follows the words. */
function after(lines: readonly string[], words: string): string[] {
  return lines.filter((line) => line.startsWith(`${words} `)).map((line) =>
    line.slice(words.length + 1)
  );
}

Deno.test("a worker finds out which protocol its manager speaks, at once, and remembers it", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  // A pause would take ten seconds, and the manager would not be found within one.
  await using worker = bed.start(
    ["worker", manager.address, "--min-backoff", "10s", "--connect-timeout", "5s"],
  );
  const first = await manager.acceptOnly(10);
  assert.deepEqual(first.refused, [11, 9]);
  await worker.says(/closed the connection at the greeting: trying protocol 9/);
  await first.link.greeting();
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);

  await using again = serving(bed, manager);
  const second = await manager.acceptOnly(9);
  assert.deepEqual(second.refused, [11]);
  await second.link.send("release\n");
  await second.link.closed();
  const third = await manager.accept();
  assert.equal(await third.protocol(), 9, "the answer is remembered");
  third.close();
  // Closed without a byte once more: another protocol may be spoken there now.
  assert.deepEqual((await manager.acceptOnly(11)).refused, []);
  again.signal("SIGTERM");
  await again.ended;
  await bed.clean();
});

Deno.test("--protocol N offers no other, and a worker that is refused for good says what to check", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = serving(bed, manager, "--protocol", "10", "--connect-timeout", "300ms");
  const offered: number[] = [];
  const refusing = manager.acceptAll(async (link) => {
    offered.push(await link.protocol());
    link.close();
  });
  assert.equal(await worker.ended, 1);
  assert.match(
    worker.stderr,
    /^Cannot connect to a manager at 127\.0\.0\.1:\d+ \(tried for \d s\): .*: it closes the connection at the greeting; does it speak another protocol than 10, expect TLS \(--ssl\), or no password\?$/m,
  );
  assert.ok(offered.length > 1 && offered.every((n) => n === 10), `${offered}`);
  manager.close();
  await refusing;
  await bed.clean();
});

Deno.test("several managers on the command line are tried in turn", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const list = `127.0.0.1:${deadPort()}; 127.0.0.1:${deadPort()} ;localhost:${manager.port}`;
  const env = { CCTOOLS_IP_MODE: "IPV4" };
  await using worker = bed.start(["worker", list, "--single-shot"], { env });
  const link = await manager.accept();
  await link.greeting();
  await link.send("exit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("an idle worker goes from one manager to the next and ends when none has work", async () => {
  await using bed = await TestBed.create();
  using one = new ScriptedManager();
  using two = new ScriptedManager();
  await using worker = bed.start(
    ["worker", `${one.address};${two.address}`, "--idle-timeout", "100ms", ...quick],
  );
  for (const manager of [one, two]) {
    const link = await manager.accept();
    await link.greeting();
    await link.send("check\n");
    await link.says(/^info idle-disconnecting /);
    await link.closed();
  }
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.match(worker.stderr, /Left .*: no task came for/);
  await bed.clean();
});

Deno.test("a worker that a signal ends tells its manager, and ends with 0", async () => {
  const signals: [Deno.Signal, number][] = [
    ["SIGTERM", 15],
    ["SIGINT", 2],
    ["SIGQUIT", 3],
    ["SIGUSR1", 10],
    ["SIGUSR2", 12],
  ];
  await using bed = await TestBed.create();
  for (const [signal, number] of signals) {
    using manager = new ScriptedManager();
    await using worker = serving(bed, manager);
    const link = await manager.accept();
    await link.greeting();
    worker.signal(signal);
    const [, told] = await link.says(/^info vacating (\d+)$/);
    assert.equal(Number(told), number);
    assert.equal(await worker.ended, 0, worker.stderr);
  }
  await bed.clean();
});

Deno.test("--wall-time is announced, and ends the worker in order", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const startedS = Date.now() / 1000;
  await using worker = serving(bed, manager, "--wall-time", "2s");
  const link = await manager.accept();
  const [endTime] = after(await link.greeting(), "info worker-end-time");
  const inS = Number(endTime) - startedS;
  assert.ok(inS >= 1 && inS < 60, `${endTime} is in ${inS} s`);
  await link.says(/^info wall_time_exhausted 2$/);
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("the greeting says what options and environment declare, options first", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const options = ["-A", "vax", "-O", "VMS", "--feature", "two words", "--feature=odd%"];
  const declared = ["--cores=2.000", "--from-factory", "my factory", "--gpus", "-1"];
  await using worker = bed.start(
    ["worker", manager.address, ...quick, ...options, ...declared],
    { env: { CORES: "7", MEMORY: "512", DISK: "", GPUS: "3" } },
  );
  const link = await manager.accept();
  const lines = await link.greeting();
  await link.says(/^info from-factory my factory$/);
  assert.match(lines[0]!, /^workqueue 11 \S+ VMS vax \d+\.\d+\.\d+$/);
  assert.deepEqual(after(lines, "feature"), ["two%20words", "odd%25"]);
  assert.deepEqual(after(lines, "resource cores"), ["2 2 2"]);
  assert.deepEqual(after(lines, "resource memory"), ["512 512 512"]);
  assert.deepEqual(after(lines, "resource disk"), ["100 100 100"]);
  worker.signal("SIGTERM");
  await worker.ended;
  await bed.clean();
});

/** Runs one task and returns what it printed. */
async function runTask(link: ScriptedLink, command: string): Promise<string> {
  await link.send(`task 1\ncmd ${command.length}\n${command}cores 1\nend\n`);
  await link.says(/^available_results$/);
  await link.send("send_results -1\n");
  const [, status] = await link.says(/^result (\d+) /);
  assert.equal(status, "0");
  const at = link.lines.findIndex((line) => line.startsWith("result "));
  await link.says(/^end$/);
  return link.lines.slice(at + 1, link.lines.lastIndexOf("end")).join("\n");
}

Deno.test("tasks run by the wrapper, without the variables that are options of the worker", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = bed.start(
    ["worker", manager.address, ...quick, "--task-wrapper", "MEMORY=$MEMORY,; WRAPPED=yes; {}"],
    { env: { MEMORY: "512", GPUS: "0" } },
  );
  const link = await manager.accept();
  await link.greeting();
  const printed = await runTask(link, "echo $WRAPPED $CORES $MEMORY ${GPUS-unset}");
  assert.match(printed, /^yes 1 , unset$/m);
  worker.signal("SIGTERM");
  await worker.ended;
  await bed.clean();
});

Deno.test("--single-shot ends the worker with its first link, whatever the protocol", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = serving(bed, manager, "--single-shot");
  const { link, refused } = await manager.acceptOnly(9);
  assert.deepEqual(refused, [11]);
  await link.greeting();
  await link.send("check\n");
  await link.says(/^info tasks_running 0$/);
  link.close();
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("a worker without a password gives up on a manager that wants one, and says so", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = serving(bed, manager, "--connect-timeout", "200ms");
  const accepting = manager.acceptAll((link) => link.send("auth password sha1\n"));
  await worker.says(/Cannot connect .*requires a password: give it with --password FILE/);
  assert.equal(await worker.ended, 1, worker.stderr);
  manager.close();
  await accepting;
  await bed.clean();
});

Deno.test("-d logs to a file, which rotates", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const path = bed.folder.join("worker.log");
  const log = ["-d", "all", "-o", path, "--debug-rotate-max", "300"];
  await using worker = serving(bed, manager, ...log);
  const { link } = await manager.acceptOnly(9);
  await link.greeting();
  await link.send("release\n");
  await (await manager.accept()).greeting();
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  const [now, old] = await Promise.all([path, `${path}.old`].map((one) => Deno.readTextFile(one)));
  for (const text of [now!, old!]) {
    assert.ok(text.length <= 300, text);
    assert.match(
      text,
      /^(\d{4}-\d\d-\d\d [\d:.]{12} wqx worker\[\d+\] (wq|tcp|auth|http): .+\n)+$/,
    );
  }
  await bed.clean();
});

Deno.test("what has no effect is said once; what cannot be had is refused before anything is done", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const withoutEffect = [
    "-w",
    "65536",
    "--fast-abort=3",
    "-a",
    "-p",
    "x",
  ];
  await using worker = serving(bed, manager, ...withoutEffect);
  await (await manager.accept()).greeting();
  worker.signal("SIGTERM");
  await worker.ended;
  assert.deepEqual(worker.stderr.split("\n").filter((line) => line.includes("no effect")), [
    "--tcp-window-size has no effect here: the system finds the size by itself",
    "--advertise has no effect here: only foremen advertise",
    "-p has no effect here: unused in cctools too",
    "--fast-abort has no effect here: it is for foremen, which wqx has not",
  ]);
  await bed.clean();
});

Deno.test("a wrong command line of a worker gets one sentence, and exit code 2", async () => {
  await using bed = await TestBed.create();
  const cases: [string[], RegExp][] = [
    [
      [],
      /^Say whom to serve: --join TOKEN, HOST PORT, "HOST:PORT;HOST:PORT", or -M with a project/,
    ],
    [["node1"], /^Cannot tell which manager to serve: "node1" is no manager: write HOST:PORT/],
    [["node1", "many"], /^"many" is not a port: write 9123/],
    [["node1:1", "-M", "ana"], /^Give either -M "ana" or the manager "node1:1", not both$/],
    [["-M", "("], /^--manager-name: "\(" is not a regular expression: /],
    [["-M", "x", "-C", "a b"], /^--catalog: "a b" is no catalog: write HOST or HOST:PORT$/],
    [["a:1", "--protocol", "8"], /^--protocol: "8" is no protocol that wqx speaks: it can be 9/],
    [["a:1", "-i", "5", "-b", "2"], /^The longest pause \(--max-backoff, 2 s\) is shorter than/],
    [["a:1", "-i", "0"], /^--min-backoff: "0" is no pause: it is more than 0 and 1d at most$/],
    [["a:1", "--foreman"], /^Cannot take --foreman: wqx has no foremen; connect all workers/],
    [["a:1", "-f", "me"], /^Cannot take --foreman-name: wqx has no foremen, see --foreman$/],
    [["a:1", "--connection-mode", "by_host"], /no way to connect: did you mean "by_hostname"\?$/],
    [["a:1", "--volatility", "2"], /^--volatility: "2" is not a probability: it is 0 to 1$/],
    [["a:1", "-A", "two words"], /^--arch: "two words" is not one word of plain letters$/],
    [["a:1", "-P", "missing"], /^Cannot read the password from missing: .*No such file/],
    [["a:1", "-d", "all", "-o", "no/log"], /^Cannot write the log to no\/log: .*No such file/],
    [["a:1", "--debug-rotate-max", "x"], /^--debug-rotate-max: "x" is no number of bytes: write/],
    [["a:1", "--cores", "x"], /^--cores: "x" is not a whole number$/],
    [
      ["a:1", "-s", "nowhere"],
      /^Cannot make a workspace in nowhere: .*choose another folder with -s/,
    ],
  ];
  const results = await Promise.all(cases.map(([args]) => bed.run(["worker", ...args])));
  for (const [i, { code, stderr, stdout }] of results.entries()) {
    const [args, pattern] = cases[i]!;
    assert.match(stderr.trim(), pattern, args.join(" "));
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
  }
  const environment = await bed.run(["worker", "a:1"], { env: { CCTOOLS_IP_MODE: "IPV5" } });
  assert.match(environment.stderr, /CCTOOLS_IP_MODE: "IPV5" is none of AUTO, IPV4 and IPV6/);
  const port = await bed.run(["worker", "-M", "x"], { env: { CATALOG_PORT: "0" } });
  assert.match(port.stderr, /^environment CATALOG_PORT: "0" is not a port to connect to/);
  const cores = await bed.run(["worker", "a:1"], { env: { CORES: "many" } });
  assert.match(cores.stderr, /^environment CORES: "many" is not a whole number/);
  await bed.clean();
});

Deno.test({
  ...needs(
    smallDiskMissing === null,
    smallDiskMissing ?? "",
    "a worker that finds no room for its workspace leaves nothing of it",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    // Room for the disk's own folder, and two more of the many that a workspace has.
    await using disk = await SmallDisk.mount(bed.folder.join("disk"), "nr_inodes=3");
    const { code, stderr } = await bed.run(["worker", "a:1", "-s", disk.path]);
    assert.equal(code, 2);
    assert.match(stderr, /^Cannot make a workspace in .*disk: No space left on device/);
    assert.deepEqual([...Deno.readDirSync(disk.path)], []);
    await bed.clean();
  },
});

Deno.test("the models of the gpus are features, each once", async () => {
  await using bed = await TestBed.create();
  for (const [card, model] of [["0", "Tesla V100"], ["1", "A100 80GB"], ["2", "Tesla V100"]]) {
    const text = `Model: \t\t ${model} \nIRQ:   \t\t 52\n`;
    await bed.folder.write(`gpus/0000:0${card}:00.0/information`, text);
  }
  assert.deepEqual(await gpuFeatures(bed.folder.join("gpus")), ["A100 80GB", "Tesla V100"]);
  assert.deepEqual(await gpuFeatures(bed.folder.join("none")), []);
});

Deno.test("a volatile worker leaves by itself and comes back", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const stop = new AbortController();
  const options = workerOptions(manager, bed, { volatileAfterMs: () => 50 });
  const ended = runWorker(options, stop.signal);
  for (let i = 0; i < 3; i++) {
    const link = await manager.accept();
    await link.says(/^info wqx-volatile 1$/);
    await link.closed();
  }
  stop.abort();
  await ended;
  await bed.clean();
});

/** A connection of a worker as a manager of ours takes it: TLS, password, then lines. */
async function acceptSecurely(
  listener: Deno.TcpListener,
  password: string,
): Promise<{ link: Link; greeting: string }> {
  const link = new Link(await listener.accept());
  const patience = { deadlineMs: 10_000 };
  await link.startTls({ role: "server", identity: await selfSignedIdentity() }, patience);
  const bytes = new TextEncoder().encode(password);
  const ahead = await authenticate(link, bytes, { role: "manager", ...patience });
  let greeting = "";
  for await (const piece of link.received(ahead)) {
    greeting += new TextDecoder().decode(piece);
    if (greeting.includes("\n")) break;
  }
  return { link, greeting };
}

Deno.test("--ssl and --password come before the greeting, for each protocol that is tried", async () => {
  await using bed = await TestBed.create();
  const file = await bed.folder.write("secret", "pass word\n");
  await Deno.chmod(file, 0o600);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const words = ["worker", `127.0.0.1:${listener.addr.port}`, "--ssl", "-P", file, ...quick];
  await using worker = bed.start(words);
  const first = await acceptSecurely(listener, "pass word\n");
  assert.match(first.greeting, /^workqueue 11 /);
  first.link.close();
  const second = await acceptSecurely(listener, "pass word\n");
  assert.match(second.greeting, /^workqueue 9 /);
  await second.link.write(new TextEncoder().encode("exit\n"));
  assert.equal(await worker.ended, 0, worker.stderr);
  second.link.close();
  await bed.clean();
});

Deno.test("a manager with another password, or without TLS, is given up with the reason", async () => {
  await using bed = await TestBed.create();
  const file = await bed.folder.write("secret", "pass word");
  await Deno.chmod(file, 0o600);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  const impatient = ["--connect-timeout", "1ms", ...quick];
  await using wrong = bed.start(["worker", address, "--ssl", "-P", file, ...impatient]);
  await assert.rejects(acceptSecurely(listener, "another"), /wrong password/);
  await wrong.says(/Cannot connect to a manager at .*: .*password/);
  assert.equal(await wrong.ended, 1);

  await using plain = bed.start(["worker", address, "--ssl", ...impatient]);
  (await listener.accept()).close();
  await plain.says(/Cannot connect to a manager at .*: the TLS handshake with it failed: /);
  assert.equal(await plain.ended, 1);

  // SIGTERM does not wait for a manager that is busy elsewhere.
  await using patient = bed.start(["worker", address, "-P", file]);
  using _busy = await listener.accept();
  patient.signal("SIGTERM");
  assert.equal(await patient.ended, 0, patient.stderr);
  await bed.clean();
});
