/** Files that are sent in pieces, as real programs do it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { seededRng } from "../../core/env.ts";
import { PieceLister } from "../../core/pieces.ts";
import { Recorder } from "../support/recorder.ts";
import { ScriptedLink, ScriptedManager } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Bytes as in an archive: nothing in them is there twice. */
function archiveLike(seed: number, size: number): Uint8Array<ArrayBuffer> {
  const rng = seededRng(seed);
  const words = new Uint32Array(size / 4).map(() => rng() * 2 ** 32);
  return new Uint8Array(words.buffer);
}

const before = archiveLike(1, 60e6);
/** With 1 MB in the middle, and a few bytes that move all behind them. */
const after = new Uint8Array(before.length + 8);
after.set(before.subarray(0, 30e6));
after.set(archiveLike(2, 1e6 + 8), 30e6);
after.set(before.subarray(31e6), 31e6 + 8);

const sentMax = 2.5e6;

/** Of the link, bytes a ms: as 1 Gbit/s. On a faster one files are sent whole. */
const rate = 120_000;

/** A manager of task lists, and the words that go through a recorder before it. */
async function startManager(bed: TestBed, name: string): Promise<[Wqx, Recorder]> {
  const args = ["manager", "-", "--workers", "none", "--output", name];
  const manager = bed.start(args, { stdin: "piped" });
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return [manager, Recorder.before(Number(port), rate)];
}

/** A line that has the SHA-256 of a file printed. */
const hashing = (file: string) =>
  JSON.stringify({
    command: "sha256sum < data",
    retries: 0,
    inputs: [{ file, remote_name: "data", cache: true }],
  }) + "\n";

const inputLine = /^(?:put|wqx-take|wqx-pieces|wqx-fill) /;
const wordsOf = (lines: readonly string[]) =>
  lines.filter((line) => inputLine.test(line)).map((line) => line.split(" ")[0]);

async function withBoth(bed: TestBed): Promise<void> {
  await Deno.writeFile(bed.folder.join("before.dat"), before);
  await Deno.writeFile(bed.folder.join("after.dat"), after);
}

Deno.test("of a changed file the next manager sends what has changed", async () => {
  await using bed = await TestBed.create();
  await withBoth(bed);
  const [first, toFirst] = await startManager(bed, "first");
  await using _first = first;
  await using _toFirst = toFirst;
  const [second, toSecond] = await startManager(bed, "second");
  await using _second = second;
  await using _toSecond = toSecond;
  const managers = `127.0.0.1:${toFirst.port};127.0.0.1:${toSecond.port}`;
  const backoff = ["--min-backoff", "20ms", "--max-backoff", "50ms"];
  await using worker = bed.start(["worker", managers, ...backoff]);

  await first.write(hashing(bed.folder.join("before.dat")));
  await first.says(new RegExp(`"output":"${hashOf(before)}`));
  first.signal("SIGKILL");
  await first.ended;
  await toFirst[Symbol.asyncDispose]();
  await until(() => toSecond.lines("W").some((line) => line.startsWith("info wqx-holds")), {
    what: "word of the file that is kept",
  });
  await second.write(hashing(bed.folder.join("after.dat")));
  await second.closeInput();
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
  assert.match(second.stdout, new RegExp(`"output":"${hashOf(after)} `));
  assert.deepEqual(wordsOf(toSecond.lines("M")), ["wqx-pieces", "wqx-fill"]);
  assert.ok(toSecond.bytes("M") < sentMax, `${toSecond.bytes("M")} bytes were sent`);
});

Deno.test("of a file that is replaced while a manager runs it sends what has changed", async () => {
  await using bed = await TestBed.create();
  await withBoth(bed);
  const [manager, recorder] = await startManager(bed, "out");
  await using _manager = manager;
  await using _recorder = recorder;
  await using worker = bed.start(["worker", `127.0.0.1:${recorder.port}`, "--cores", "1"]);
  await manager.write(hashing(bed.folder.join("before.dat")));
  await manager.says(new RegExp(`"output":"${hashOf(before)}`));
  const whole = recorder.bytes("M");
  await manager.write(hashing(bed.folder.join("after.dat")));
  await manager.says(new RegExp(`"output":"${hashOf(after)}`));
  assert.deepEqual(wordsOf(recorder.lines("M")), ["put", "wqx-pieces", "wqx-fill"]);
  assert.ok(recorder.bytes("M") - whole < sentMax);

  await manager.closeInput();
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

const small = before.subarray(0, 3e6);
const lister = new PieceLister();
lister.feed(small);
const { sha256, pieces } = lister.finish();
const offer = (name: string, hash = sha256) =>
  `wqx-pieces ${hash} ${name} 0644 ${small.length} ${pieces.count}\n`;
const catTask = (id: number, name: string) =>
  `task ${id}\ncmd 16\nsha256sum < datainfile ${name} data 1\nend\n`;

Deno.test("a worker that is sent the wrong bytes for a file says so, stays, and takes it whole", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = bed.start(["worker", manager.address]);
  const link = await manager.accept();
  await link.greeting();
  const bits = Math.ceil(pieces.count / 8);
  const wrongs: [string, Uint8Array, RegExp][] = [
    ["wrong", small.toReversed(), /what came of it has another hash/],
    ["short", small.subarray(1), /did not send what this worker lacked/],
    ["empty", new Uint8Array(0), /did not send what this worker lacked/],
    ["long", before.subarray(0, small.length + 1), /sent more than this worker lacked/],
  ];
  for (const [i, [name, bytes, why]] of wrongs.entries()) {
    const id = i + 1;
    await link.send(offer(name));
    await link.send(pieces.entries);
    await link.send(catTask(id, name));
    await link.says(new RegExp(`^(.*[^ -~])?wqx-lacks ${name} ${bits}$`));
    await link.send(`wqx-fill ${name} ${bytes.length}\n`);
    await link.send(bytes);
    await link.says(new RegExp(`cache-invalid ${name} \\d+$`));
    await until(() => link.lines.some((line) => why.test(line)), { what: String(why) });
    await until(() => link.lines.filter((line) => /available_results$/.test(line)).length === id, {
      what: "word of a result",
    });
    await link.send("send_results -1\n");
    await link.says(new RegExp(`^result 1 1 \\d+ 0 ${id}$`));
  }
  await link.send(`unlink wrong\nput wrong 3 0644\nabc${catTask(9, "wrong")}`);
  await until(() => link.lines.filter((line) => /available_results$/.test(line)).length === 5, {
    what: "word of a result",
  });
  await link.send("send_results -1\n");
  await link.says(new RegExp(`^result 0 0 \\d+ \\d+ 9$`));
  await link.says(new RegExp(hashOf(new TextEncoder().encode("abc"))));
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("a worker that answers an offer with nonsense is dropped, and its task runs elsewhere", async () => {
  await using bed = await TestBed.create();
  await Deno.writeFile(bed.folder.join("small.dat"), small);
  const [manager, recorder] = await startManager(bed, "out");
  await using _manager = manager;
  await using _recorder = recorder;
  await manager.write(hashing(bed.folder.join("small.dat")));
  const answers = ["wqx-lacks file 1\n", "wqx-lacks NAME 999\n", "wqx-lacks NAME -1\n"];
  for (const [i, answer] of answers.entries()) {
    using link = new ScriptedLink(
      await Deno.connect({ hostname: "127.0.0.1", port: recorder.port }),
    );
    await link.send(
      "workqueue 11 node8 Linux x86_64 0.1.0\ninfo wqx 0.1.0\ninfo wqx-pieces 1\n" +
        `info wqx-holds ${small.length - 1} ${"0".repeat(64)}\n`,
    );
    const offers = ["cores 1", "memory 500", "disk 1000", "gpus 0"];
    await link.send(offers.map((line) => `resource ${line} 0 0\n`).join(""));
    await link.send("resource tag 0\ninfo worker-end-time 0\n");
    const offered = () => recorder.lines("M").filter((line) => line.startsWith("wqx-pieces "));
    await until(() => offered().length === i + 1, { what: "an offer" });
    await link.send(answer.replace("NAME", offered()[0]!.split(" ")[2]!));
    await link.closed();
  }
  await using worker = bed.start(["worker", `127.0.0.1:${recorder.port}`]);
  await manager.closeInput();
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.match(manager.stdout, new RegExp(`"output":"${sha256} `));
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});
