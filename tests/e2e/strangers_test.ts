/** Who knocks at a manager's or a worker's link and means no good: dropped, and nobody else harmed. */
import assert from "node:assert/strict";
import { peakMb } from "../support/memory.ts";
import { ScriptedManager } from "../support/scripted_manager.ts";
import { needs } from "../support/skip.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A manager of 40 short tasks, which waits for workers of others; and its port. */
async function managing(bed: TestBed): Promise<{ manager: Wqx; port: number }> {
  await bed.folder.write("tasks.jsonl", '{"command":"true"}\n'.repeat(40));
  const manager = bed.start(["manager", "tasks.jsonl", "--workers", "none"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return { manager, port: Number(port) };
}

/** A worker of this machine does all tasks; then the manager ends well. */
async function worksAllTheSame(bed: TestBed, manager: Wqx, port: number): Promise<void> {
  await using worker = bed.start(["worker", "127.0.0.1", String(port), "--single-shot"]);
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.match(manager.stderr, /Tasks: 40 succeeded\n/);
  await worker.ended;
}

/** It closes, whatever it says before. */
async function closes(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(100);
  while (await conn.read(buffer).catch(() => null) !== null);
}

Deno.test("nonsense in place of a greeting closes the connection, and harms nobody", async () => {
  await using bed = await TestBed.create();
  const { manager, port } = await managing(bed);
  await using _ = manager;
  const bad = [
    "HELO x\r\n",
    "workqueue 8 old Linux x86_64 7.1.5\n",
    "workqueue 11 evil Linux x86_64 8.0.0\nresult 0 0 5 1 1\nhello",
    "x".repeat(5000),
    "\0\xff\n",
  ];
  for (const bytes of bad) {
    using stranger = await Deno.connect({ port });
    await stranger.write(new TextEncoder().encode(bytes));
    await closes(stranger);
  }
  using half = await Deno.connect({ port });
  await half.write(new TextEncoder().encode("workqueue 11 half Li"));
  await worksAllTheSame(bed, manager, port);
  await bed.clean();
});

const silentCount = 5000;

Deno.test({
  ...needs(
    await openFilesMax() > 2 * silentCount,
    `the limit of open files (ulimit -n) is not over ${2 * silentCount}`,
    "5,000 connections that say nothing delay neither tasks nor status answers",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    const { manager, port } = await managing(bed);
    await using _ = manager;
    const silent: Deno.Conn[] = [];
    try {
      while (silent.length < silentCount) {
        const some = Array.from({ length: 100 }, () => Deno.connect({ port }));
        silent.push(...await Promise.all(some));
      }
      using asking = await Deno.connect({ port });
      await asking.write(new TextEncoder().encode("queue_status\n"));
      const answer = new Uint8Array(64 * 1024);
      assert.match(text(answer.subarray(0, await asking.read(answer) ?? 0)), /^\[\{/);
      await worksAllTheSame(bed, manager, port);
      await Promise.all(silent.map(closes));
    } finally {
      for (const conn of silent) conn.close();
    }
    await bed.clean();
  },
});

async function openFilesMax(): Promise<number> {
  const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", "ulimit -n"] }).output();
  const limit = text(stdout).trim();
  return limit === "unlimited" ? Infinity : Number(limit);
}

/** What a flood may cost: the program itself, some buffers, nothing that grows with the flood. */
const floodedMbMax = 300;

/** Far more than the buffers of a connection; bytes. */
const floodBytes = 32 * 1024 ** 2;

/** Says the line over and over and reads nothing, until all is said or the peer had enough. */
async function flood(conn: Deno.Conn, line: string): Promise<void> {
  const lines = new TextEncoder().encode(line.repeat(Math.ceil(1024 ** 2 / line.length)));
  try {
    for (let sent = 0; sent < floodBytes;) sent += await conn.write(lines);
  } catch {
    // It closed, which is well.
  }
}

const greeting = [
  "workqueue 11 flood Linux x86_64 8.0.0",
  ...["workers", "disk", "memory", "gpus", "cores"].map((name) => `resource ${name} 0 0 0`),
  "resource tag 0",
  "info worker-end-time 0",
  "",
].join("\n");

for (const line of ["available_results\n", "info x y\n", "name\n"]) {
  Deno.test(`a worker that floods its manager with "${line.trim()}" is borne or dropped`, async () => {
    await using bed = await TestBed.create();
    const { manager, port } = await managing(bed);
    await using _ = manager;
    using conn = await Deno.connect({ port });
    await conn.write(new TextEncoder().encode(greeting));
    await flood(conn, line);
    const peak = peakMb(manager.pid);
    await worksAllTheSame(bed, manager, port);
    assert.ok(peak < floodedMbMax, `the manager took ${peak} MB`);
    await bed.clean();
  });
}

for (const line of ["check\n", "send_results -1\n", "get nothing\n", "unlink nothing\n"]) {
  Deno.test(`a manager that floods a worker with "${line.trim()}" is borne or left`, async () => {
    await using bed = await TestBed.create();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    await using worker = bed.start(["worker", "127.0.0.1", String(port), "--disk", "100"]);
    using conn = await listener.accept();
    await flood(conn, line);
    const peak = peakMb(worker.pid);
    worker.signal("SIGTERM");
    assert.equal(await worker.ended, 0, worker.stderr);
    assert.ok(peak < floodedMbMax, `the worker took ${peak} MB`);
    await bed.clean();
  });
}

Deno.test("an input larger than the worker's disk fails its task, and is not kept", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  await using worker = bed.start(["worker", manager.address, "--disk", "1", "--single-shot"]);
  const link = await manager.accept();
  await link.greeting();
  const megabytes = 3;
  await link.send(`put big ${megabytes * 1024 ** 2} 0644\n${"x".repeat(megabytes * 1024 ** 2)}`);
  await link.send("task 1\ncmd 4\ntrueinfile big big 0\ncores 1\nend\n");
  await link.says(/^available_results$/);
  await link.send("send_results -1\n");
  await link.says(/^result 1 /);
  await link.says(/^big: it is 3 MB, and this worker has 1 MB of disk/);
  await link.send("exit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});
