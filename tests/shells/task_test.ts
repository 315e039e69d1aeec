import assert from "node:assert/strict";
import { encode } from "../../core/accumulator.ts";
import { outcomeLostExitCode } from "../../core/analysis/job.ts";
import { needs } from "../support/skip.ts";
import {
  addProcessor,
  chunkJob,
  failTask,
  resultOf,
  rootFile,
  runTask,
} from "../support/task_sandbox.ts";
import { TempFolder } from "../support/temp.ts";

const preprocessJob = {
  kind: "preprocess",
  dataset: "simulation",
  file: "data/dimuon_b.root",
  open: rootFile,
  tree: "Events",
} as const;

const countMuons = `
export default {
  columns: ["nMuon"],
  process(events) {
    let muons = 0;
    for (const n of events.flat("nMuon")) muons += n;
    const { dataset, file, start, stop, era } = events.metadata;
    return { muons, chunks: [[dataset, file, start, stop, era].join(" ")] };
  },
};`;

async function names(folder: TempFolder): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder.path));
  return entries.map((entry) => entry.name).sort();
}

Deno.test("preprocessing tells events and uuid of a file, and leaves nothing else", async () => {
  await using folder = await TempFolder.create();
  const { code, outcome } = await runTask(folder.path, preprocessJob);
  assert.equal(code, 0);
  const { uuid } = await chunkJob();
  assert.deepEqual(outcome, { ok: true, kind: "preprocess", entries: 40_000, uuid });
  assert.deepEqual(await names(folder), ["job.json", "outcome.json"]);
});

Deno.test("processing two chunks and accumulating gives what one chunk gives", async () => {
  await using folder = await TempFolder.create();
  await folder.write("processor.js", countMuons);
  const metadata = { era: "2012B" };
  const whole = await resultOf(folder.path, await chunkJob({ start: 0, stop: 5000, metadata }));
  const parts = ["part-0.acc", "part-1.acc"];
  for (const [i, part] of parts.entries()) {
    const range = { start: [0, 1800][i]!, stop: [1800, 5000][i]! };
    await resultOf(folder.path, await chunkJob({ ...range, metadata }));
    await Deno.rename(folder.join("result.acc"), folder.join(part));
  }
  const sum = await resultOf(folder.path, { kind: "accumulate", parts });
  const { muons } = whole as { muons: number };
  assert.ok(muons > 9000, `about two muons an event, not ${muons}`);
  assert.deepEqual(sum, {
    muons,
    chunks: [
      "simulation dimuon_b.root 0 1800 2012B",
      "simulation dimuon_b.root 1800 5000 2012B",
    ],
  });
});

Deno.test("processing reads the columns asked for and no others", async () => {
  await using folder = await TempFolder.create();
  await folder.write(
    "processor.js",
    `export default {
       columns: ["nMu*", "MET_pt"],
       process: (events) => ({ columns: new Set(events.names) }),
     };`,
  );
  const { outcome } = await runTask(folder.path, await chunkJob({ start: 0, stop: 40_000 }));
  const { size } = await Deno.stat(rootFile);
  assert.ok(outcome?.ok && outcome.kind === "process" && outcome.events === 40_000);
  const { bytesRead } = outcome;
  assert.ok(bytesRead > 10_000 && bytesRead < size / 4, `read ${bytesRead} of ${size} bytes`);
  assert.deepEqual(
    await resultOf(folder.path, await chunkJob()),
    { columns: new Set(["nMuon", "MET_pt"]) },
  );
  assert.deepEqual(
    await names(folder),
    ["job.json", "outcome.json", "processor.js", "result.acc"],
  );
});

Deno.test("accumulating keeps the order of the parts", async () => {
  await using folder = await TempFolder.create();
  const parts = ["c", "a", "b"];
  for (const part of parts) await Deno.writeFile(folder.join(part), encode([part]));
  assert.deepEqual(await resultOf(folder.path, { kind: "accumulate", parts }), parts);
});

Deno.test("the last accumulation runs postprocess once, on everything merged", async () => {
  await using folder = await TempFolder.create();
  const parts = ["a", "b", "c"];
  for (const part of parts) await Deno.writeFile(folder.join(part), encode({ passed: 2, all: 5 }));
  await folder.write(
    "processor.js",
    `export default {
       columns: [],
       process: () => ({}),
       postprocess: async (sum) => ({ ...sum, efficiency: sum.passed / sum.all }),
     };`,
  );
  const job = { kind: "accumulate", parts } as const;
  assert.deepEqual(await resultOf(folder.path, job), { passed: 6, all: 15 });
  const last = { ...job, postprocess: { module: "processor.js" } };
  assert.deepEqual(await resultOf(folder.path, last), { passed: 6, all: 15, efficiency: 0.4 });

  await folder.write(
    "processor.js",
    `export default {
       columns: [],
       process: () => ({}),
       postprocess(sum) { sum.passed = 0 },
     };`,
  );
  assert.deepEqual(await resultOf(folder.path, last), { passed: 0, all: 15 });
  await folder.write("processor.js", "export default { columns: [], process: () => ({}) };");
  assert.deepEqual(await resultOf(folder.path, last), { passed: 6, all: 15 });
});

Deno.test("postprocess that throws fails with the user's own stack", async () => {
  await using folder = await TempFolder.create();
  await Deno.writeFile(folder.join("a"), encode({ all: 0 }));
  const path = await addProcessor(
    folder,
    `export default {
  columns: [],
  process: () => ({}),
  postprocess(sum: { all: number }) {
    throw new RangeError(\`nothing in \${sum.all} events\`);
  },
};`,
  );
  const postprocess = { module: "processor.js" };
  const fault = await failTask(folder.path, { kind: "accumulate", parts: ["a"], postprocess });
  assert.equal(fault.whose, "processor");
  assert.equal(fault.message, "Failed in postprocess(): nothing in 0 events");
  assert.ok(fault.stack?.includes(`${path}:5:11`), fault.stack);
});

Deno.test("a truncated file is the data's fault, named as the analysis names it", async () => {
  await using folder = await TempFolder.create();
  const bytes = await Deno.readFile(rootFile);
  await Deno.writeFile(folder.join("input-0.root"), bytes.subarray(0, bytes.length / 2));
  const fault = await failTask(folder.path, { ...preprocessJob, open: "input-0.root" });
  assert.equal(fault.whose, "data");
  assert.equal(fault.fault, "truncated");
  assert.match(fault.message, /"data\/dimuon_b\.root"/);
  assert.doesNotMatch(fault.message, /input-0/);
  assert.equal(fault.stack, undefined);
});

Deno.test("a file that is another one than was preprocessed is not processed", async () => {
  await using folder = await TempFolder.create();
  await folder.write("processor.js", countMuons);
  const { uuid } = await chunkJob();
  const changed = await chunkJob({ uuid: "00000000-0000-0000-0000-000000000000" });
  assert.deepEqual(await failTask(folder.path, changed), {
    whose: "data",
    message: "dimuon_b.root changed while the analysis ran: it was preprocessed with uuid " +
      `00000000-0000-0000-0000-000000000000, now it has ${uuid} and 40000 events; ` +
      "run the analysis again",
  });
  const shrunk = await failTask(folder.path, await chunkJob({ start: 39_000, stop: 41_000 }));
  assert.match(shrunk.message, /^dimuon_b\.root changed while the analysis ran/);
});

Deno.test("a column that is not in the tree is named, with the nearest one that is", async () => {
  await using folder = await TempFolder.create();
  await folder.write(
    "processor.js",
    `export default { columns: ["nMuon", "Muon_ptt"], process: () => 0 };`,
  );
  assert.deepEqual(await failTask(folder.path, await chunkJob()), {
    whose: "data",
    fault: "no-branch",
    message: 'Tree "Events" of dimuon_b.root has no column "Muon_ptt", ' +
      'which the processor asks for: did you mean "Muon_pt"?',
  });
});

Deno.test("a partial result that is cut off, changed or missing is named", async (t) => {
  await using folder = await TempFolder.create();
  const bytes = encode({ mass: Float64Array.from({ length: 100 }, (_, i) => i) });
  await Deno.writeFile(folder.join("good.acc"), bytes);
  await Deno.writeFile(folder.join("short.acc"), bytes.subarray(0, bytes.length - 1));
  await Deno.writeFile(folder.join("changed.acc"), bytes.with(bytes.length - 3, 77));
  for (
    const [part, how] of [
      ["short.acc", /it has \d+ bytes, but was written with \d+/],
      ["changed.acc", /are not those that were written/],
      ["missing.acc", /No such file/],
    ] as const
  ) {
    await t.step(part, async () => {
      const job = { kind: "accumulate", parts: ["good.acc", part] } as const;
      const { whose, message } = await failTask(folder.path, job);
      assert.equal(whose, "internal");
      assert.ok(message.startsWith(`Cannot read the partial result ${part}: `), message);
      assert.match(message, how);
    });
  }
});

Deno.test("partial results of different shapes are the processor's fault", async () => {
  await using folder = await TempFolder.create();
  await Deno.writeFile(folder.join("a.acc"), encode({ cuts: { all: 1 } }));
  await Deno.writeFile(folder.join("b.acc"), encode({ cuts: { all: new Set(["x"]) } }));
  const fault = await failTask(folder.path, { kind: "accumulate", parts: ["a.acc", "b.acc"] });
  assert.equal(fault.whose, "processor");
  assert.match(fault.message, /^Cannot merge the partial result b\.acc .*cuts\.all/);
});

Deno.test("a job that this wqx cannot read or does not know is refused in a sentence", async () => {
  await using folder = await TempFolder.create();
  const broken = await failTask(folder.path, '{"kind": "proc');
  assert.equal(broken.whose, "internal");
  assert.match(broken.message, /^Cannot read job\.json: /);
  const unknown = await failTask(folder.path, '{"kind": "calibrate"}');
  assert.equal(
    unknown.message,
    'Unknown kind of task "calibrate": manager and worker are not of the same version of wqx',
  );
});

/** Puts a file system of 64 KiB over the folder, until disposed of. */
async function smallDisk(path: string): Promise<AsyncDisposable> {
  await run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path);
  return { [Symbol.asyncDispose]: () => run("umount", path) };
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

function canMount(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const folder = Deno.makeTempDirSync();
  const succeeds = (program: string, ...args: string[]) =>
    new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  try {
    return succeeds("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder) &&
      succeeds("umount", folder);
  } finally {
    Deno.removeSync(folder);
  }
}

const mountable = canMount();
const whyNot = "a small disk is mounted, which takes root";

Deno.test({
  ...needs(mountable, whyNot, "a full disk is told in outcome.json, and no half result is left"),
  async fn() {
    await using folder = await TempFolder.create();
    await using _disk = await smallDisk(folder.path);
    await folder.write(
      "processor.js",
      `export default {
         columns: [],
         process: (events) => Float64Array.from({ length: 20_000 }, () => events.length / 7),
       };`,
    );
    const { whose, message } = await failTask(folder.path, await chunkJob());
    assert.equal(whose, "sandbox");
    assert.match(
      message,
      /^No space left in the sandbox: cannot write result\.acc \(16\d+ bytes\)/,
    );
    assert.deepEqual(
      await names(folder),
      ["job.json", "outcome.json", "processor.js"],
    );
  },
});

Deno.test({
  ...needs(
    mountable,
    whyNot,
    "a disk without room for outcome.json ends in an exit code of its own",
  ),
  async fn() {
    await using folder = await TempFolder.create();
    await using _disk = await smallDisk(folder.path);
    await folder.write(
      "processor.js",
      `export default {
         columns: [],
         process() {
           const junk = Deno.openSync("junk", { create: true, write: true });
           try { for (;;) junk.writeSync(new Uint8Array(4096)); } catch { return 1; }
         },
       };`,
    );
    const { code, stderr, outcome } = await runTask(folder.path, await chunkJob());
    assert.equal(outcome, null);
    assert.equal(code, outcomeLostExitCode);
    assert.match(stderr, /No space left in the sandbox: cannot write outcome\.json/);
  },
});
