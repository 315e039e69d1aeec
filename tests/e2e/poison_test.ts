/** Tasks that would take their worker along. */
import assert from "node:assert/strict";
import { TestBed } from "../support/wqx.ts";

Deno.test("tasks that kill their group, or take all memory, fail alone, with every attempt told", async () => {
  await using bed = await TestBed.create();
  const poison = [
    { command: "kill -9 0", name: "group" },
    { command: "(sleep 60 &); kill -9 $$", name: "orphan" },
    {
      command: "head -c 3000000000 /dev/zero | tail -n 1 > /dev/null",
      name: "memory",
      resources: { memory: "100MB" },
    },
  ];
  const good = Array.from({ length: 6 }, (_, i) => ({ command: `sleep 0.1; echo ${i}` }));
  const lines = [...poison, ...good].map((one) => JSON.stringify({ retries: 2, ...one }));
  await bed.folder.write("t.jsonl", lines.join("\n") + "\n");
  await using manager = bed.start([
    "manager",
    "t.jsonl",
    "--workers",
    "none",
    "--output",
    bed.folder.join("out"),
  ], { cwd: bed.folder.path });
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using worker = bed.start([
    ...["worker", "127.0.0.1", port!, "--cores", "2", "--memory", "1000", "--disk", "500"],
    "--single-shot",
  ]);
  assert.equal(await manager.ended, 1, manager.stderr);
  assert.equal(await worker.ended, 0, "it was there to the end");
  const results = (await Deno.readTextFile(bed.folder.join("out/results.jsonl"))).trim()
    .split("\n").map((line) => JSON.parse(line));
  const byName = new Map(results.map((one) => [one.name, one]));
  const states = results.map(({ state }) => state).toSorted();
  assert.deepEqual(states, [...Array(3).fill("failure"), ...Array(6).fill("success")]);
  for (const name of ["group", "orphan"]) {
    const { tries, attempts } = byName.get(name);
    assert.equal(attempts, 3, name);
    assert.equal(tries.length, 3);
    for (const { cause, host, at } of tries) {
      assert.match(cause, /SIGKILL/);
      assert.ok(host !== "" && Date.parse(at) > 0);
    }
  }
  assert.match(byName.get("memory").why, /memory/);
  const report = JSON.parse(await Deno.readTextFile(bed.folder.join("out/report.json")));
  assert.deepEqual(report.failures.map(({ count }: { count: number }) => count), [2, 1]);
  assert.equal(report.failures[0].hosts.length, 1);
  await bed.clean();
});

Deno.test("a task that kills its workers is given up after three, and all others end", async () => {
  await using bed = await TestBed.create();
  const poison = { name: "poison", command: "sleep 0.2; kill -9 $PPID; sleep 5" };
  const good = Array.from({ length: 60 }, (_, i) => ({ command: `sleep 0.3; echo ${i}` }));
  const lines = [poison, ...good].map((one) => JSON.stringify(one));
  await bed.folder.write("t.jsonl", lines.join("\n") + "\n");
  await using manager = bed.start([
    ...["manager", "t.jsonl", "--workers", "2", "--port", "0"],
    ...["--output", bed.folder.join("out")],
  ], { cwd: bed.folder.path });
  assert.equal(await manager.ended, 1, manager.stderr);
  const results = (await Deno.readTextFile(bed.folder.join("out/results.jsonl"))).trim()
    .split("\n").map((line) => JSON.parse(line));
  assert.equal(results.length, 61);
  const failed = results.filter(({ state }) => state !== "success");
  assert.deepEqual(failed.map(({ name }) => name), ["poison"]);
  const [{ why, attempts, tries }] = failed;
  assert.ok(attempts >= 3 && attempts <= 5, `${attempts} attempts: ${why}`);
  assert.equal(new Set(tries.map(({ worker }: { worker: string }) => worker)).size, attempts);
  assert.match(why, /^its worker went away \d times in a row, on \S+, at last because /);
  assert.match(why, / \d+ of \d+ attempts of other tasks were lost: it seems to take its worker/);
  assert.match(manager.stderr, /A local worker died; starting another/);
  await bed.clean();
});

Deno.test("a task that kills the only worker, with nothing to compare it with, fails in the end", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("t.jsonl", JSON.stringify({ command: "kill -9 $PPID; sleep 5" }) + "\n");
  await using manager = bed.start([
    ...["manager", "t.jsonl", "--workers", "1", "--port", "0"],
    ...["--output", bed.folder.join("out")],
  ], { cwd: bed.folder.path });
  assert.equal(await manager.ended, 1, manager.stderr);
  assert.doesNotMatch(manager.stderr, /Local workers end as soon as they start/);
  const result = JSON.parse(await Deno.readTextFile(bed.folder.join("out/results.jsonl")));
  assert.match(
    result.why,
    /^its worker went away 10 times in a row, .* no other task ran meanwhile/,
  );
  await bed.clean();
});
