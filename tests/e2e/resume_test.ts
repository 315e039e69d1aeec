/** Runs that are killed, and gone on with. */
import assert from "node:assert/strict";
import { sha256 } from "../../core/analysis/identity.ts";
import { seededRng } from "../../core/env.ts";
import { JournalReader } from "../../core/journal/frames.ts";
import { until } from "../support/until.ts";
import { needs } from "../support/skip.ts";
import { SmallDisk, smallDiskMissing } from "../support/small_disk.ts";
import { demo, readJson, TestBed, type Wqx } from "../support/wqx.ts";

/** Four chunks, so that a run is short and has something of everything. */
const small = [`${demo}/analysis.yaml`, "--maxchunks", "2", "--workers", "1"];

const journalIn = (out: string) => `${out}/.parts/journal`;

async function killed(wqx: Wqx): Promise<void> {
  wqx.signal("SIGKILL");
  await wqx.ended;
}

/** Short, to be told where it differs. */
async function resultIn(out: string): Promise<string> {
  const { result, partial } = await readJson(`${out}/result.json`);
  assert.equal(partial, false);
  return sha256(JSON.stringify(result));
}

/** Records of so many kinds are in the journal. */
async function journaled(out: string, type: string, count: number): Promise<void> {
  await until(async () => (await typesIn(out)).filter((one) => one === type).length >= count, {
    what: `${count} times "${type}" in the journal`,
    timeoutMs: 60_000,
  });
}

async function typesIn(out: string): Promise<string[]> {
  const bytes = await Deno.readFile(journalIn(out)).catch(() => new Uint8Array());
  return [...new JournalReader(bytes).rest()].map((record) => (record as { type: string }).type);
}

/** The demo's result, undisturbed. */
async function undisturbed(bed: TestBed): Promise<{ result: string; ms: number }> {
  const startedMs = performance.now();
  const wqx = await bed.run(["manager", ...small, "--output", "whole"]);
  assert.equal(wqx.code, 0, wqx.stderr);
  return {
    result: await resultIn(bed.folder.join("whole")),
    ms: performance.now() - startedMs,
  };
}

Deno.test("a manager killed at 20 random moments of the demo: 20 equal results", async () => {
  await using bed = await TestBed.create();
  const { result, ms } = await undisturbed(bed);
  const rng = seededRng(2026);
  const moments = Array.from({ length: 20 }, () => rng() * ms);
  const one = async (moment: number, i: number) => {
    const out = `out-${i}`;
    await using first = bed.start(["manager", ...small, "--output", out]);
    await Promise.race([first.ended, new Promise((over) => setTimeout(over, moment))]);
    await killed(first);
    const there = await Deno.stat(journalIn(bed.folder.join(out))).catch(() => null);
    const again = there === null ? [...small, "--output", out] : ["--resume", out];
    const isDone = await Deno.stat(bed.folder.join(out, "result.json")).catch(() => null);
    // Killed before it began, or after it ended.
    const args = there === null && isDone !== null ? null : again;
    if (args !== null) {
      const second = await bed.run(["manager", ...args]);
      // Killed before the journal said what it is of.
      if (/There is no unfinished run/.test(second.stderr)) {
        assert.equal((await bed.run(["manager", ...small, "--output", out])).code, 0);
      } else assert.equal(second.code, 0, `killed after ${moment} ms: ${second.stderr}`);
    }
    assert.equal(await resultIn(bed.folder.join(out)), result, `killed after ${moment} ms`);
    await Deno.remove(bed.folder.join(out), { recursive: true });
  };
  const waiting = [...moments.entries()];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await one(next[1], next[0]);
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  // Who is killed while it bundles the processor cannot tidy up.
  for (const { name } of [...Deno.readDirSync(bed.folder.join("tmp"))]) {
    if (name.startsWith("wqx-bundle-")) {
      await Deno.remove(bed.folder.join("tmp", name), { recursive: true });
    }
  }
  await bed.clean();
});

Deno.test("a torn journal, a damaged one and a lost partial result change nothing", async (t) => {
  await using bed = await TestBed.create();
  const { result } = await undisturbed(bed);
  const out = bed.folder.join("out");
  const parts = `${out}/.parts`;
  const partsIn = () =>
    [...Deno.readDirSync(parts)].map(({ name }) => name)
      .filter((name) => name.endsWith(".acc"));
  const goesOn = async (spoil: () => Promise<void>, says: RegExp) => {
    await using first = bed.start(["manager", ...small, "--output", "out"]);
    await journaled(out, "ended", 4);
    await killed(first);
    await spoil();
    const second = await bed.run(["manager", "--resume", "out"]);
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, says);
    assert.equal(await resultIn(out), result);
  };
  await t.step("torn", async () => {
    await goesOn(async () => {
      await using file = await Deno.open(journalIn(out), { write: true });
      await file.truncate((await file.stat()).size - 7);
    }, /The last record of .*journal was not written whole/);
  });
  await t.step("damaged", async () => {
    await goesOn(async () => {
      const bytes = await Deno.readFile(journalIn(out));
      const reader = new JournalReader(bytes);
      for (let i = 0; i < 6; i++) reader.next();
      bytes[reader.offset + 20]! ^= 1;
      await Deno.writeFile(journalIn(out), bytes);
    }, /journal is damaged at byte \d+: what is before is used/);
  });
  await t.step("lost", async () => {
    await goesOn(
      () => Deno.remove(`${parts}/${partsIn()[0]}`),
      /The partial result p-\d\.result\.acc is missing or damaged: what made it runs again/,
    );
  });
  await t.step("altered", async () => {
    await goesOn(async () => {
      const path = `${parts}/${partsIn()[0]}`;
      const bytes = await Deno.readFile(path);
      bytes[bytes.length - 1]! ^= 1;
      await Deno.writeFile(path, bytes);
    }, /is missing or damaged: what made it runs again/);
  });
  await bed.clean();
});

Deno.test("the same command goes on, what has changed is named, and --fresh begins anew", async () => {
  await using bed = await TestBed.create();
  await Deno.mkdir(bed.folder.join("dimuon"));
  for (const name of ["analysis.yaml", "processor.ts"]) {
    await Deno.copyFile(`${demo}/${name}`, bed.folder.join("dimuon", name));
  }
  await Deno.mkdir(bed.folder.join("dimuon/data"));
  for (const name of ["dimuon_a.root", "dimuon_b.root"]) {
    await Deno.copyFile(`${demo}/data/${name}`, bed.folder.join("dimuon/data", name));
  }
  const args = ["manager", "dimuon/analysis.yaml", "--maxchunks", "2", "--output", "out"];
  const out = bed.folder.join("out");
  await using first = bed.start(args);
  await journaled(out, "ended", 4);
  first.signal("SIGSTOP"); // it is there, and does not come to its end
  const busy = await bed.run(args);
  assert.equal(busy.code, 2);
  assert.match(busy.stderr, /the run of process \d+ is using it/);
  await killed(first);

  const other = await bed.run([...args, "--chunksize", "5000"]);
  assert.equal(other.code, 2);
  assert.match(other.stderr, /Cannot go on with the run in .*out: it is not the same analysis/);
  assert.match(other.stderr, /^ {2}chunksize is 5000, it was 10000$/m);
  assert.match(other.stderr, /begin anew with --fresh/);

  const processor = await Deno.readTextFile(bed.folder.join("dimuon/processor.ts"));
  await bed.folder.write("dimuon/processor.ts", processor.replaceAll("120", "121"));
  const changed = await bed.run(["manager", "--resume", "out"]);
  assert.equal(changed.code, 2);
  assert.match(changed.stderr, /^ {2}The processor ".*processor\.ts" has changed$/m);
  await bed.folder.write("dimuon/processor.ts", processor);

  // A file that was written to is read again, as a whole.
  await Deno.utime(bed.folder.join("dimuon/data/dimuon_a.root"), 1e9, 1e9);
  const same = await bed.run(args);
  assert.equal(same.code, 0, same.stderr);
  assert.match(same.stderr, /Going on with the run of 20\d\d-.* in .*out: /);
  assert.match(same.stderr, /dimuon_a\.root" .* was written to in the meantime: all that was made/);
  const result = await resultIn(out);
  assert.equal(result, (await undisturbed(bed)).result);

  await using third = bed.start([...args, "--workers", "1"]);
  await journaled(out, "ended", 4);
  await killed(third);
  const fresh = await bed.run([...args, "--fresh"]);
  assert.equal(fresh.code, 0, fresh.stderr);
  assert.doesNotMatch(fresh.stderr, /Going on/);
  assert.equal(await resultIn(out), result);
  const nothing = await bed.run(["manager", "--resume", "out"]);
  assert.deepEqual([nothing.code, nothing.stderr], [2, `There is no unfinished run in ${out}\n`]);
  await bed.clean();
});

Deno.test("what a run has so far can be merged beside it, and says what is missing", async () => {
  await using bed = await TestBed.create();
  const { result } = await undisturbed(bed);
  const out = bed.folder.join("out");
  await using first = bed.start(["manager", ...small, "--output", "out"]);
  await journaled(out, "ended", 4);
  const during = await bed.run(["manager", "--accumulate-now", "out"]);
  await killed(first);
  // It may have come to its end meanwhile.
  if (!/There is no unfinished run|just come to its end/.test(during.stderr)) {
    assert.equal(during.code, 0, during.stderr);
  }
  const dead = await Deno.stat(journalIn(out)).catch(() => null);
  if (dead !== null) {
    const after = await bed.run(["manager", "--accumulate-now", "out"]);
    assert.equal(after.code, 0, after.stderr);
    const soFar = await readJson(`${out}/so-far/result.json`);
    const missing = (soFar.missing ?? []) as { events: number }[];
    const missed = missing.reduce((sum, { events }) => sum + events, 0);
    assert.equal(soFar.events.processed + missed, soFar.events.total);
    assert.equal(soFar.partial, missed > 0);
    assert.equal((await bed.run(["manager", "--resume", "out"])).code, 0);
  }
  assert.equal(await resultIn(out), result);
  await bed.clean();
});

Deno.test("Ctrl-C leaves a partial result, and what is missing can be run later", async () => {
  await using bed = await TestBed.create();
  const { result } = await undisturbed(bed);
  const out = bed.folder.join("out");
  await using first = bed.start(["manager", ...small, "--output", "out"]);
  await journaled(out, "ended", 4);
  first.signal("SIGINT");
  assert.equal(await first.ended, 130, first.stderr);
  const partial = await readJson(`${out}/result.json`);
  assert.equal(partial.partial, true);
  const missed = partial.missing.reduce(
    (sum: number, one: { events: number }) => sum + one.events,
    0,
  );
  assert.equal(partial.events.processed + missed, partial.events.total);
  assert.match(first.stderr, /To run what is missing: wqx manager --only-missing .*out$/m);
  const later = await bed.run(["manager", "--only-missing", "out"]);
  assert.equal(later.code, 0, later.stderr);
  assert.equal(await resultIn(out), result);
  assert.equal((await readJson(`${out}/report.json`)).sessions.length, 2);
  await bed.clean();
});

Deno.test("a file that could not be read is taken up later, in its place", async () => {
  await using bed = await TestBed.create();
  await Deno.mkdir(bed.folder.join("dimuon/data"), { recursive: true });
  for (const name of ["analysis.yaml", "processor.ts", "data/dimuon_b.root"]) {
    await Deno.copyFile(`${demo}/${name}`, bed.folder.join("dimuon", name));
  }
  await bed.folder.write("dimuon/data/dimuon_a.root", "no ROOT file yet");
  const args = ["manager", "dimuon/analysis.yaml", "--maxchunks", "2", "--skip-bad-files"];
  const first = await bed.run([...args, "--output", "out"]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /Left out: ".*dimuon_a\.root"/);
  const out = bed.folder.join("out");
  const report = await readJson(`${out}/report.json`);
  assert.equal(report.failures.length, 1);
  const [group] = report.failures;
  assert.equal(group.items[0].dataset, "collisions");
  assert.ok(group.items[0].attempts.length > 0);
  for (const attempt of group.items[0].attempts) {
    assert.ok(attempt.host !== "" && attempt.cause !== "" && attempt.at.startsWith("20"));
  }
  assert.deepEqual(report.missing.map(({ ranges }: { ranges: unknown }) => ranges), [null]);
  await Deno.copyFile(`${demo}/data/dimuon_a.root`, bed.folder.join("dimuon/data/dimuon_a.root"));
  const later = await bed.run(["manager", "--only-missing", "out"]);
  assert.equal(later.code, 0, later.stderr);
  assert.equal(await resultIn(out), (await undisturbed(bed)).result);
  await bed.clean();
});

/** Each task leaves a line; every seventh fails. */
function listOf(count: number, effects: string): string {
  return Array.from({ length: count }, (_, i) => {
    const command = `echo ${i + 1} >> ${effects}; sleep 0.05; test ${i % 7} -ne 3`;
    const after = i % 5 === 4 ? { after: [i] } : {};
    return JSON.stringify({ command, name: `t${i + 1}`, ...after });
  }).join("\n") + "\n";
}

async function linesIn(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.split("\n").slice(0, -1);
}

Deno.test("a list killed and gone on with has each result once, and repeats none", async () => {
  await using bed = await TestBed.create();
  const effects = bed.folder.join("effects");
  const out = bed.folder.join("out");
  await bed.folder.write("tasks.jsonl", listOf(60, effects));
  const args = ["manager", "tasks.jsonl", "--output", "out"];
  /** How often tasks had run when their result was certain. */
  const finished = new Map<number, number>();
  const timesRun = async () => {
    const times = new Map<number, number>();
    for (const line of await linesIn(effects)) {
      times.set(Number(line), (times.get(Number(line)) ?? 0) + 1);
    }
    return times;
  };
  for (const count of [5, 20]) {
    await using run = bed.start(count === 5 ? args : ["manager", "--resume", "out"]);
    await until(async () => (await linesIn(`${out}/results.jsonl`)).length >= count, {
      what: `${count} results`,
      timeoutMs: 60_000,
    });
    await killed(run);
    const bytes = await Deno.readFile(journalIn(out));
    let certain = 0;
    for (const record of new JournalReader(bytes).rest()) {
      certain += (record as { prints?: unknown[] }).prints?.length ?? 0;
    }
    const times = await timesRun();
    for (const line of (await linesIn(`${out}/results.jsonl`)).slice(0, certain)) {
      const { id } = JSON.parse(line);
      if (!finished.has(id)) finished.set(id, times.get(id) ?? 0);
    }
    if (count === 20) {
      await using file = await Deno.open(`${out}/results.jsonl`, { append: true });
      await file.write(new TextEncoder().encode('{"id": 5, "torn'));
    }
  }
  assert.ok(finished.size >= 5);
  const last = await bed.run(args);
  assert.equal(last.code, 1, last.stderr); // some tasks fail, as they should
  assert.match(last.stderr, /Going on with the run of .*: \d+ tasks are finished/);
  const results = (await linesIn(`${out}/results.jsonl`)).map((line) => JSON.parse(line));
  assert.deepEqual(
    results.map(({ id }) => id).sort((a, b) => a - b),
    [...Array(60).keys()].map((i) => i + 1),
  );
  assert.equal(last.stdout.split("\n").length - 1, 60);
  const times = await timesRun();
  for (const [id, before] of finished) assert.equal(times.get(id) ?? 0, before, `task ${id}`);
  const failed = results.filter(({ state }) => state === "failure").length;

  // What failed, and what comes after it, is taken up again when asked for.
  await Deno.remove(effects);
  const missing = await bed.run(["manager", "--only-missing", "out"]);
  assert.equal(missing.code, 1);
  const again = (await linesIn(effects)).map(Number);
  assert.equal(new Set(again).size, again.length);
  assert.equal(again.length, failed);
  assert.equal((await linesIn(`${out}/results.jsonl`)).length, 60);

  await bed.folder.write("tasks.jsonl", listOf(60, effects).replaceAll("sleep 0.05", "sleep 0"));
  const other = await bed.run(["manager", "--only-missing", "out"]);
  assert.equal(other.code, 2, other.stderr);
  assert.match(other.stderr, /task "t1" \(1\), ".*", is not the one that was finished/);
  await bed.clean();
});

Deno.test("an interrupted list goes on with what was canceled", async () => {
  await using bed = await TestBed.create();
  const effects = bed.folder.join("effects");
  await bed.folder.write("tasks.jsonl", listOf(40, effects).replaceAll("; test", "; true"));
  const out = bed.folder.join("out");
  await using first = bed.start(["manager", "tasks.jsonl", "--output", "out"]);
  await until(async () => (await linesIn(`${out}/results.jsonl`)).length >= 3, {
    what: "results",
    timeoutMs: 60_000,
  });
  first.signal("SIGINT");
  assert.equal(await first.ended, 130, first.stderr);
  const states = (await linesIn(`${out}/results.jsonl`)).map((line) => JSON.parse(line).state);
  assert.equal(states.length, 40);
  assert.ok(states.includes("canceled"));
  const second = await bed.run(["manager", "--resume", "out"]);
  assert.equal(second.code, 0, second.stderr);
  const after = (await linesIn(`${out}/results.jsonl`)).map((line) => JSON.parse(line));
  assert.deepEqual(after.map(({ state }) => state), Array(40).fill("success"));
  assert.equal(new Set(after.map(({ id }) => id)).size, 40);
  assert.equal((await linesIn(effects)).length, 40);
  await bed.clean();
});

const isRoot = Deno.uid() === 0;

Deno.test({
  ...needs(isRoot, "only root may mount a small disk", "a full disk pauses a run, and no more"),
  fn: async () => {
    await using bed = await TestBed.create();
    const disk = bed.folder.join("disk");
    await Deno.mkdir(disk);
    const mount = async (program: string, ...args: string[]) =>
      (await new Deno.Command(program, { args, stderr: "null" }).output()).success;
    if (!await mount("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk)) {
      Deno.stdout.writeSync(new TextEncoder().encode("skipped: a full disk: cannot mount\n"));
      return;
    }
    try {
      const line = `printf %01000d 7`;
      const tasks = Array.from({ length: 400 }, () => JSON.stringify({ command: line }));
      await bed.folder.write("tasks.jsonl", tasks.join("\n") + "\n");
      await using run = bed.start(["manager", "tasks.jsonl", "--output", `${disk}/out`]);
      await run.says(
        /Cannot write (results )?to .*disk\/out.*Nothing new is started until it can/,
        60_000,
      );
      assert.ok(await mount("mount", "-o", "remount,size=8m", disk));
      assert.equal(await run.ended, 0, run.stderr);
      assert.match(run.stderr, /can be written again: the run goes on/);
      const ids = (await linesIn(`${disk}/out/results.jsonl`)).map((one) => JSON.parse(one).id);
      assert.equal(ids.length, 400);
      assert.equal(new Set(ids).size, 400);
    } finally {
      await mount("umount", "-l", disk);
    }
    await bed.clean();
  },
});

Deno.test({
  ...needs(
    smallDiskMissing === null,
    smallDiskMissing ?? "",
    "a full disk makes outputs wait, and no task fails for it",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    const { result } = await undisturbed(bed);
    await using disk = await SmallDisk.mount(bed.folder.join("disk"), "size=16k");
    const args = ["manager", ...small, "--retries", "0", "--output", `${disk.path}/out`];
    await using run = bed.start(args);
    await run.says(/Cannot store outputs: No space left on device/, 60_000);
    await disk.resize("8m");
    assert.equal(await run.ended, 0, run.stderr);
    assert.match(run.stderr, /Outputs can be stored again: the run goes on/);
    assert.equal(await resultIn(`${disk.path}/out`), result);
    await bed.clean();
  },
});

Deno.test("a run is named once, and options that make no sense with it are refused", async () => {
  await using bed = await TestBed.create();
  const refused = async (args: readonly string[], says: RegExp) => {
    const wqx = await bed.run(["manager", ...args]);
    assert.equal(wqx.code, 2, wqx.stderr);
    assert.match(wqx.stderr, says);
  };
  await refused(["--resume", "out", "--only-missing", "out"], /--resume and --only-missing: the/);
  await refused(["a.yaml", "--resume", "out"], /Cannot take --resume and a\.yaml: the first says/);
  await refused(["--resume", "out", "--fresh"], /Cannot take --resume and --fresh/);
  await refused(["--resume", "out"], /There is no unfinished run in .*out/);
  await refused(["--accumulate-now", "out"], /There is no unfinished run in .*out/);
  await refused(["a.yaml", "--fsync", "often"], /"often" is no way to bring results to disk/);
  await bed.folder.write("old/.parts/journal", "something else altogether");
  await refused(["--resume", "old"], /journal cannot be read: it does not start with "wqx-jrnl"/);
});
