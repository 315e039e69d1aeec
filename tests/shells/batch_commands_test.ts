/** What each batch system is handed, word by word; the answers of tests/golden/batch were read. */
import assert from "node:assert/strict";
import type { BatchContext, WorkerJob } from "../../factory/batch/batch_system.ts";
import { batchSystemName, openBatchSystem } from "../../factory/batch/mod.ts";
import { UsageError } from "../../core/errors.ts";
import { FakeQueue, type FakeQueueOptions } from "../support/fake_queue.ts";
import { matchesGolden } from "../support/golden.ts";
import { TempFolder } from "../support/temp.ts";

const signal = new AbortController().signal;

const bare: WorkerJob = {
  command: "./work_queue_worker -M 'a|b' -t 300 --single-shot",
  inputs: ["work_queue_worker"],
  env: {},
  request: { cores: null, memoryMb: null, diskMb: null, gpus: null, wallTimeS: null },
  name: "wqx-abc",
};
const sized: WorkerJob = {
  ...bare,
  request: { cores: 2, memoryMb: 1000, diskMb: 2000, gpus: null, wallTimeS: null },
};
const full: WorkerJob = {
  ...bare,
  inputs: ["work_queue_worker", "pwfile"],
  env: { GREETING: 'say "hi"' },
  request: { cores: 2, memoryMb: 1000, diskMb: 2000, gpus: 1, wallTimeS: 5400 },
};
const batchOptions = "-p debug --comment 'two words'";

const queues: readonly (FakeQueueOptions & { readonly name: string })[] = [
  { name: "slurm", file: "slurm.sh", programs: ["sbatch"] },
  { name: "uge", file: "gridengine.sh", programs: ["qsub"] },
  { name: "pbs", file: "pbs.sh", programs: ["qsub"] },
  { name: "torque", file: "pbs.sh", programs: ["qsub"] },
  { name: "moab", file: "moab.sh", programs: ["msub"] },
  { name: "lsf", file: "lsf.sh", programs: ["bsub"] },
  {
    name: "cluster",
    file: "cluster.sh",
    programs: ["csub"],
    env: {
      BATCH_QUEUE_CLUSTER_NAME: "mycluster",
      BATCH_QUEUE_CLUSTER_SUBMIT_COMMAND: "csub",
      BATCH_QUEUE_CLUSTER_SUBMIT_OPTIONS: "-x 1",
      BATCH_QUEUE_CLUSTER_SUBMIT_JOBNAME_VAR: "-name",
      BATCH_QUEUE_CLUSTER_REMOVE_COMMAND: "cdel",
    },
  },
  { name: "flux", file: "flux.sh", programs: ["flux"] },
  { name: "kubernetes", file: "kubectl.sh", programs: ["kubectl"] },
  { name: "condor", file: "condor.sh", programs: ["condor_submit"] },
];

/** A command line a line; a word with a blank or a quote is shown as JSON. */
function shown(calls: readonly (readonly string[])[], scratch: string): string {
  return calls.map((words) =>
    words.map((word) => {
      const place = word.replaceAll(scratch, "SCRATCH");
      return /^[\w./:=,@%+{}$-]+$/.test(place) ? place : JSON.stringify(place);
    }).join(" ")
  ).join("\n");
}

for (const options of queues) {
  Deno.test(`${options.name}: submissions are those of cctools, where these work`, async () => {
    const parts: string[] = [];
    for (
      const [title, job, given] of [
        ["nothing said", bare, ""],
        ["--cores 2 --memory 1000 --disk 2000", sized, ""],
        ["gpus, wall time, batch options", full, options.name === "condor" ? "" : batchOptions],
      ] as const
    ) {
      const context = { batchOptions: given };
      await using queue = await FakeQueue.open(options.name, { ...options, context });
      await queue.system.submit(job, signal);
      const notes = queue.notes.map((line) => `# ${line}\n`).join("");
      const input = await queue.input(0);
      const stdin = input.replaceAll(/wqx-abc-[0-9a-f]{8}/g, "wqx-abc-XXXXXXXX").trimEnd();
      parts.push(
        `# ${title}\n${shown(await queue.calls(), queue.scratch)}\n${notes}` +
          (stdin === "" ? "" : `${stdin}\n`),
      );
    }
    await matchesGolden(`batch/${options.name}.txt`, parts.join("\n"));
  });
}

Deno.test("the script of a job is the one that was read", async () => {
  await using queue = await FakeQueue.open("slurm", queues[0]!);
  await queue.system.submit(bare, signal);
  const text = await Deno.readTextFile(`${queue.scratch}/slurm.wrapper`);
  await matchesGolden("batch/slurm.wrapper", text.replaceAll(queue.scratch, "SCRATCH"));
});

function contextIn(scratch: string, more: Partial<BatchContext> = {}): BatchContext {
  return {
    scratch,
    batchOptions: "",
    requirements: () => null,
    hostsBlocked: () => [],
    autosize: () => false,
    extra: {},
    env: { PATH: "/usr/bin:/bin" },
    note: () => {},
    ...more,
  };
}

Deno.test("dryrun tells what would run, and its jobs are over", async () => {
  await using folder = await TempFolder.create();
  const notes: string[] = [];
  const system = openBatchSystem("dryrun", contextIn(folder.path, { note: (l) => notes.push(l) }));
  await system.check(signal);
  const id = await system.submit({ ...full, env: { A: "it's" } }, signal);
  const line = String.raw`env A='it'\''s' sh -c ` +
    String.raw`'./work_queue_worker -M '\''a|b'\'' -t 300 --single-shot'`;
  assert.deepEqual(notes, [`Would run: ${line}`]);
  assert.equal(await Deno.readTextFile(folder.join("dryrun.log")), `${line}\n`);
  const status = (await system.status([id], signal)).get(id)!;
  assert.ok(status.phase === "ended" && status.exitCode === 0);
  assert.deepEqual(await system.find("wqx-abc", signal), []);
});

Deno.test("names of batch systems: those of cctools, older ones, and near misses", () => {
  for (
    const [given, name] of [
      ["sge", "uge"],
      ["SLURM", "slurm"],
      ["htcondor", "condor"],
      ["k8s", "kubernetes"],
      ["dryrun", "dryrun"],
    ] as const
  ) assert.equal(batchSystemName(given), name);
  const refuses = (name: string, message: RegExp) =>
    assert.throws(() => batchSystemName(name), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  refuses("slrum", /^Unknown batch system "slrum": did you mean "slurm"\?$/);
  refuses("constructor", /^Unknown batch system "constructor"/);
  refuses("mesos-or-so", /it may be local, slurm/);
});

Deno.test("cluster names the variables that are missing, and refuses a name with a slash", () => {
  const prefix = "BATCH_QUEUE_CLUSTER_";
  const open = (env: Record<string, string>) =>
    openBatchSystem("cluster", contextIn("/nonexistent", { env }));
  assert.throws(() => open({ [`${prefix}NAME`]: "mine" }), (error) => {
    assert.ok(error instanceof UsageError);
    assert.ok(!error.message.includes(`${prefix}NAME`), error.message);
    assert.match(
      error.message,
      /SUBMIT_COMMAND, .*SUBMIT_OPTIONS, .*JOBNAME_VAR, .*REMOVE_COMMAND/,
    );
    return true;
  });
  const names = [
    "NAME",
    "SUBMIT_COMMAND",
    "SUBMIT_OPTIONS",
    "SUBMIT_JOBNAME_VAR",
    "REMOVE_COMMAND",
  ];
  const env = Object.fromEntries(names.map((name) => [prefix + name, "../x"]));
  assert.throws(() => open(env), /NAME is "\.\.\/x": files are named after it/);
});

Deno.test("condor_rm names the schedd of the log, and does without if that does not help", async () => {
  await using queue = await FakeQueue.open("condor", {
    file: "condor.sh",
    programs: ["condor_submit", "condor_q", "condor_rm"],
  });
  const id = await queue.system.submit(bare, signal);
  await queue.system.remove([id], signal);
  const removals = async () =>
    (await queue.calls()).filter(([program]) => program === "condor_rm").map((words) =>
      words.slice(1).join(" ")
    );
  assert.deepEqual(await removals(), [`-name schedd7 ${id}`]);
  const other = await queue.system.submit(bare, signal);
  await queue.damage("condor_rm", "deaf to names");
  await queue.system.remove([other], signal);
  assert.deepEqual((await removals()).slice(1), [`-name schedd7 ${other}`, other]);
  assert.equal((await queue.system.status([other], signal)).get(other)!.phase, "ended");
});
