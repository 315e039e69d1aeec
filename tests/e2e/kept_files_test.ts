/** What a worker keeps of one manager's files for the next, as real programs do it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Recorder } from "../support/recorder.ts";
import { ScriptedLink, ScriptedManager } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const bytes = new Uint8Array(20 * 1024 ** 2).map((_, i) => (i * 2654435761) >>> 13);
const sha256 = createHash("sha256").update(bytes).digest("hex");

/** A manager of task lists, and the words that go through a recorder before it. */
async function startManager(bed: TestBed, name: string): Promise<[Wqx, Recorder]> {
  const args = ["manager", "-", "--workers", "none", "--output", name];
  const manager = bed.start(args, { stdin: "piped" });
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return [manager, Recorder.before(Number(port))];
}

/** A line that has the SHA-256 of a file printed. */
const hashing = (file: string) =>
  JSON.stringify({
    command: "sha256sum < data",
    retries: 0,
    inputs: [{ file, remote_name: "data", cache: true }],
  }) + "\n";

/** Serves a first manager, which dies, and then a second one that has the same file. */
async function serveTwo(
  between: (kept: string) => Promise<void>,
): Promise<{ said: readonly string[]; heard: readonly string[]; result: string }> {
  await using bed = await TestBed.create();
  for (const name of ["one.dat", "two.dat"]) await Deno.writeFile(bed.folder.join(name), bytes);
  const [first, toFirst] = await startManager(bed, "first");
  await using _first = first;
  await using _toFirst = toFirst;
  const [second, toSecond] = await startManager(bed, "second");
  await using _second = second;
  await using _toSecond = toSecond;
  const managers = `127.0.0.1:${toFirst.port};127.0.0.1:${toSecond.port}`;
  const backoff = ["--min-backoff", "20ms", "--max-backoff", "50ms"];
  await using worker = bed.start(["worker", managers, ...backoff]);

  await first.write(hashing(bed.folder.join("one.dat")));
  await first.says(new RegExp(`"output":"${sha256}`));
  assert.equal(toFirst.lines("M").filter((line) => line.startsWith("put ")).length, 1);
  first.signal("SIGKILL");
  await first.ended;
  await toFirst[Symbol.asyncDispose]();

  await until(() => toSecond.lines("W").includes(`info wqx-holds ${bytes.length} ${sha256}`), {
    what: "word of the file that is kept",
  });
  const workspace = [...Deno.readDirSync(bed.folder.join("tmp"))]
    .find(({ name }) => name.startsWith("worker-"))!.name;
  await between(bed.folder.join("tmp", workspace, "kept", sha256));
  await second.write(hashing(bed.folder.join("two.dat")));
  await second.closeInput();
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
  return { said: toSecond.lines("M"), heard: toSecond.lines("W"), result: second.stdout };
}

const inputLine = /^(?:put|wqx-take) /;

Deno.test("a file that one manager sent is not sent again by the next, under whatever name", async () => {
  const { said, heard, result } = await serveTwo(() => Promise.resolve());
  const [take, ...more] = said.filter((line) => inputLine.test(line));
  assert.match(take!, new RegExp(`^wqx-take ${sha256} \\S+two\\.dat 0644$`));
  assert.deepEqual(more, []);
  assert.ok(heard.some((line) => line.startsWith("cache-update ")), "it says that it has it");
  assert.match(result, new RegExp(`"output":"${sha256} `));
});

Deno.test("a kept file that was changed is noticed, and sent anew at no cost to the task", async () => {
  const { said, heard, result } = await serveTwo(async (kept) => {
    using file = await Deno.open(kept, { write: true });
    await file.seek(bytes.length / 2, Deno.SeekMode.Start);
    await file.write(Uint8Array.of(bytes[bytes.length / 2]! ^ 1));
  });
  const words = said.filter((line) => inputLine.test(line)).map((line) => line.split(" ")[0]);
  assert.deepEqual(words, ["wqx-take", "put"]);
  assert.ok(heard.some((line) => line.startsWith("cache-invalid ")), "it says that it is no good");
  assert.match(result, new RegExp(`"output":"${sha256} `));
  assert.match(result, /"state":"success"/);
});

Deno.test("a worker told to take what it does not have says so, and one told nonsense leaves", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const backoff = ["--min-backoff", "20ms", "--max-backoff", "50ms"];
  await using worker = bed.start(["worker", manager.address, ...backoff]);
  const link = await manager.accept();
  await link.greeting();
  await link.send(`wqx-take ${sha256} data 0644\n`);
  for (const id of [1, 2]) {
    await link.send(`task ${id}\ncmd 4\ntrueinfile data data 1\nend\n`);
    // Behind a body, which ends without a line end, it is no line of its own.
    await until(() => link.lines.filter((line) => /available_results$/.test(line)).length === id, {
      what: "word of a result",
    });
    await link.send("send_results -1\n");
    await link.says(new RegExp(`^result 1 1 \\d+ 0 ${id}$`));
  }
  await link.says(/cannot get [0-9a-f]{64}: this worker does not have it any more/);
  const complaints = link.lines.filter((line) => line.includes("cache-invalid data "));
  assert.equal(complaints.length, 1, "it is said once");
  await link.send("put data 3 0644\nabctask 3\ncmd 8\ncat datainfile data data 1\nend\n");
  await link.says(/info tasks_running 1$/);

  link.close();
  for (const nonsense of ["../../etc/passwd data 0644", `${sha256} ../x 0644`, sha256]) {
    const next = await manager.accept();
    await next.greeting();
    await next.send(`wqx-take ${nonsense}\n`);
    await next.closed();
  }
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("claims that are not so cost a manager nothing but a hash", async () => {
  await using bed = await TestBed.create();
  await Deno.writeFile(bed.folder.join("one.dat"), bytes);
  const [manager, recorder] = await startManager(bed, "out");
  await using _manager = manager;
  await using _recorder = recorder;
  await manager.write(hashing(bed.folder.join("one.dat")));
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: recorder.port });
  using link = new ScriptedLink(conn);
  await link.send("workqueue 11 node8 Linux x86_64 0.1.0\ninfo wqx 0.1.0\n");
  for (let i = 0; i < 1000; i++) {
    await link.send(`info wqx-holds ${bytes.length} ${String(i).padStart(64, "0")}\n`);
  }
  await link.send(`info wqx-holds ${bytes.length} ${"0".repeat(64)} ../..\ninfo wqx-holds NaN 1\n`);
  const offers = ["cores 2", "memory 500", "disk 1000", "gpus 0"];
  await link.send(offers.map((line) => `resource ${line} 0 0\n`).join(""));
  await link.send("resource tag 0\ninfo worker-end-time 0\n");
  await link.says(/sha256sum < data/);
  const inputs = recorder.lines("M").filter((line) => inputLine.test(line));
  assert.match(inputs.join(), /^put \S+ 20971520 0644$/);
});
