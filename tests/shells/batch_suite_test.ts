/**
 * Every batch system through the same questions. What one of them cannot be asked is left out by a
 * row of `except`, with the reason.
 */
import assert from "node:assert/strict";
import { BatchError, type JobId, type WorkerJob } from "../../factory/batch/batch_system.ts";
import { failedKeptMax } from "../../factory/batch/leftovers.ts";
import { batchSystemNames } from "../../factory/batch/mod.ts";
import { FakeQueue, type FakeQueueOptions } from "../support/fake_queue.ts";
import { until } from "../support/until.ts";

interface Case extends FakeQueueOptions {
  readonly name: string;
  readonly submit: string;
  readonly list: string;
  readonly remove: string;
  /** Set in its jobs; `null`: they run no script of ours. */
  readonly idVariable: string | null;
  /** Lets a job end with exit code 3; else the script that was handed in ends so. */
  readonly end?: (queue: FakeQueue, id: JobId) => Promise<void>;
  /** By question. */
  readonly except?: Readonly<Record<string, string>>;
}

const script = (
  name: string,
  file: string,
  programs: readonly string[],
  idVariable: string,
): Case => ({
  name,
  file,
  programs,
  idVariable,
  submit: programs[0]!,
  list: programs[1]!,
  remove: programs.at(-1)!,
});

/** Jobs before this one that failed, and whose files are still there. */
const failedBefore = 15;

const unlisted = "no program lists its jobs";
const cases: readonly Case[] = [
  script("slurm", "slurm.sh", ["sbatch", "squeue", "scancel"], "SLURM_JOB_ID"),
  script("uge", "gridengine.sh", ["qsub", "qstat", "qdel"], "JOB_ID"),
  script("pbs", "pbs.sh", ["qsub", "qstat", "qselect", "qdel"], "PBS_JOBID"),
  script("torque", "pbs.sh", ["qsub", "qstat", "qselect", "qdel"], "PBS_JOBID"),
  script("moab", "moab.sh", ["msub", "showq", "mdel"], "PBS_JOBID"),
  script("lsf", "lsf.sh", ["bsub", "bjobs", "bkill"], "LSB_JOBID"),
  {
    ...script("cluster", "cluster.sh", ["csub", "", "cdel"].filter(Boolean), "PBS_JOBID"),
    list: "csub",
    env: {
      BATCH_QUEUE_CLUSTER_NAME: "cluster",
      BATCH_QUEUE_CLUSTER_SUBMIT_COMMAND: "csub",
      BATCH_QUEUE_CLUSTER_SUBMIT_OPTIONS: "-x 1",
      BATCH_QUEUE_CLUSTER_SUBMIT_JOBNAME_VAR: "-name",
      BATCH_QUEUE_CLUSTER_REMOVE_COMMAND: "cdel",
    },
    except: {
      held: unlisted,
      find: unlisted,
      odd: unlisted,
      forgotten: unlisted,
      list: unlisted,
      garbage: "the remove command's word is all there is",
    },
  },
  {
    name: "condor",
    file: "condor.sh",
    programs: ["condor_submit", "condor_q", "condor_rm"],
    submit: "condor_submit",
    list: "condor_q",
    remove: "condor_rm",
    idVariable: null,
    end: async (queue, id) => {
      const text = `005 (0${id}.000.000) 2026-11-22 21:10:00 Job terminated.\n` +
        "\t(1) Normal termination (return value 3)\n...\n";
      await Deno.writeTextFile(`${queue.scratch}/condor.logfile`, text, { append: true });
      await Deno.writeTextFile(`${queue.scratch}/condor.output.${id}`, "my last words\n");
      await queue.forget(id);
    },
  },
  {
    name: "flux",
    file: "flux.sh",
    programs: ["flux"],
    submit: "flux",
    list: "flux",
    remove: "flux",
    idVariable: null,
    end: async (queue, id) => {
      await Deno.writeTextFile(`${queue.scratch}/flux.output.${id}`, "my last words\n");
      await queue.end(id, 3);
    },
    except: { held: "Flux has no such state" },
  },
  {
    name: "kubernetes",
    file: "kubectl.sh",
    programs: ["kubectl"],
    submit: "kubectl",
    list: "kubectl",
    remove: "kubectl",
    idVariable: null,
    end: (queue, id) => queue.end(id, 3),
    except: {
      leftovers: "pods leave nothing in scratch",
      foreign: "kubectl is not asked for a name: the pod has the one that we gave it",
      silent: "kubectl is not asked for a name: the pod has the one that we gave it",
    },
  },
];

Deno.test("every batch system is in the suite or tested by itself", () => {
  // Of `local` and `dryrun` no program can be missing, hang or speak another language.
  const own = ["local", "dryrun"];
  assert.deepEqual([...cases.map(({ name }) => name), ...own].sort(), [...batchSystemNames].sort());
});

const signal = new AbortController().signal;

const job: WorkerJob = {
  command: 'echo "cores=$CORES name=$NAME"; echo my last words >&2; ' +
    "until [ -e go ]; do sleep 0.02; done; exit 3",
  inputs: ["work_queue_worker", "pwfile"],
  env: { NAME: 'it\'s a "name"' },
  request: { cores: 2, memoryMb: 1000, diskMb: 2000, gpus: null, wallTimeS: null },
  name: "wqx-abc",
};

function check(
  question: string,
  sentence: string,
  ask: (queue: FakeQueue, one: Case) => Promise<void>,
): void {
  for (const one of cases) {
    if (one.except?.[question] !== undefined) continue;
    Deno.test(`${one.name}: ${sentence}`, async () => {
      // Only where it is to pass is it worth a hurry.
      const hurry = question === "hang" ? { context: { extra: { "batch-deadline": "0.5" } } } : {};
      await using queue = await FakeQueue.open(one.name, { ...one, ...hurry });
      await ask(queue, one);
    });
  }
}

async function phaseOf(queue: FakeQueue, id: JobId): Promise<string> {
  return (await queue.system.status([id], signal)).get(id)!.phase;
}

check("course", "a job waits, runs, and ends with its exit code and its last words", async (
  queue,
  one,
) => {
  const { system } = queue;
  await system.check(signal);
  const id = await system.submit(job, signal);
  const second = await system.submit(job, signal);
  assert.notEqual(id, second);
  assert.equal(await phaseOf(queue, id), "pending");
  if (one.idVariable === null) await queue.set(id, "running");
  else await queue.startWrapper(id, one.idVariable);
  const both = await system.status([id, second], signal);
  assert.equal(both.get(second)!.phase, "pending");
  const running = both.get(id)!;
  assert.equal(running.phase, "running");
  if (one.end === undefined) {
    await queue.folder.write("scratch/go", "");
    await queue.wrappersEnded();
    if (one.except?.list === undefined) await queue.forget(id);
  } else await one.end(queue, id);
  const ended = (await system.status([id], signal)).get(id)!;
  assert.ok(ended.phase === "ended", ended.phase);
  assert.equal(ended.exitCode, 3);
  assert.match(ended.why, /exit code 3.*last words/);
  // Asked again, it is still over.
  assert.deepEqual((await system.status([id], signal)).get(id), ended);
  if (one.idVariable !== null) {
    const output = await Deno.readTextFile(`${queue.scratch}/${one.name}.output.${id}`);
    assert.equal(output, `cores= name=it's a "name"\nmy last words\n`);
  }
});

check(
  "leftovers",
  "files of the last few failed jobs are kept, and those of jobs that are not over",
  async (
    queue,
    one,
  ) => {
    const output = (id: string) => `${queue.scratch}/${one.name}.output.${id}`;
    for (let i = 0; i < failedBefore; i++) {
      const path = output(`${9000 + i}`);
      await Deno.writeTextFile(path, "of an earlier factory\n");
      await Deno.utime(path, 1000 + i, 1000 + i);
    }
    const id = await queue.system.submit(job, signal);
    const waits = await queue.system.submit(job, signal);
    await Deno.writeTextFile(output(waits), "not over\n");
    await Deno.utime(output(waits), 1, 1);
    if (one.end === undefined) {
      await queue.startWrapper(id, one.idVariable!);
      await queue.folder.write("scratch/go", "");
      await queue.wrappersEnded();
      if (one.except?.list === undefined) await queue.forget(id);
    } else await one.end(queue, id);
    assert.equal(await phaseOf(queue, id), "ended");
    const left = [...Deno.readDirSync(queue.scratch)].flatMap(({ name }) =>
      /\.output\.(\d+)$/.exec(name)?.[1] ?? []
    );
    const latest = Array.from(
      { length: failedKeptMax - 1 },
      (_, i) => `${9000 + failedBefore - 1 - i}`,
    );
    assert.deepEqual(left.toSorted(), [id, waits, ...latest].toSorted());
  },
);

check("held", "a job that is kept back is held, and why is said", async (queue) => {
  const id = await queue.system.submit(job, signal);
  await queue.set(id, "held");
  const status = (await queue.system.status([id], signal)).get(id)!;
  assert.ok(status.phase === "held" && status.why !== "", JSON.stringify(status));
});

check("odd", "a state that nobody knows is pending, and named", async (queue) => {
  const id = await queue.system.submit(job, signal);
  await queue.set(id, "odd");
  const status = (await queue.system.status([id], signal)).get(id)!;
  assert.ok(status.phase === "pending" && /not known/.test(status.why ?? ""));
});

check("forgotten", "a job that left the queue without an end was removed", async (queue) => {
  const id = await queue.system.submit(job, signal);
  await queue.forget(id);
  const status = (await queue.system.status([id], signal)).get(id)!;
  assert.ok(status.phase === "ended" && status.exitCode === null, JSON.stringify(status));
  assert.match(status.why, /^removed from the queue/);
});

check("remove", "removing empties the queue, and what is gone already is no error", async (
  queue,
  one,
) => {
  const { system } = queue;
  const command = "trap 'echo > left; exit 0' TERM; echo > ready; while :; do sleep 0.02; done";
  const ids = [
    await system.submit({ ...job, command }, signal),
    await system.submit(job, signal),
  ];
  const made = (name: string) => Deno.stat(`${queue.scratch}/${name}`).catch(() => null);
  if (one.idVariable !== null) {
    await queue.startWrapper(ids[0]!, one.idVariable);
    await until(() => made("ready"), { what: "the worker" });
  }
  await system.remove(ids, signal);
  for (const status of (await system.status(ids, signal)).values()) {
    assert.equal(status.phase, "ended");
  }
  await queue.wrappersEnded();
  if (one.idVariable !== null) assert.ok(await made("left"), "the worker was told to leave");
  await system.remove(ids, signal);
  await system.remove([], signal);
});

check("find", "jobs of a factory are found by their name, while they are not over", async (
  queue,
) => {
  const { system } = queue;
  const first = await system.submit(job, signal);
  const other = await system.submit({ ...job, name: "wqx-other" }, signal);
  const last = await system.submit(job, signal);
  await queue.forget(first);
  assert.deepEqual(await system.find("wqx-abc", signal), [last]);
  assert.deepEqual(await system.find("wqx-other", signal), [other]);
  assert.deepEqual(await system.find("wqx-nobody", signal), []);
});

async function fails(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof BatchError, String(error));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  });
}

for (const one of cases) {
  Deno.test(`${one.name}: a program that is missing is named`, async () => {
    const env = { ...one.env, PATH: "/nonexistent" };
    await using queue = await FakeQueue.open(one.name, { ...one, env });
    const sentence = new RegExp(`Cannot find "${one.submit}": no program`);
    await fails(queue.system.check(signal), sentence);
    await fails(queue.system.submit(job, signal), sentence);
  });
}

check("fail", "a program that fails is quoted", async (queue, one) => {
  await queue.damage(one.submit, "fail");
  const words = /failed with exit code 1: .*closed for maintenance/;
  await fails(queue.system.submit(job, signal), words);
  assert.deepEqual(
    (await queue.calls()).at(-1)![0],
    one.submit,
    "nothing else was called after it",
  );
});

check("list", "a queue that does not answer is no reason to think that jobs are over", async (
  queue,
  one,
) => {
  const id = await queue.system.submit(job, signal);
  await queue.damage(one.list, "fail");
  await fails(queue.system.status([id], signal), /closed for maintenance/);
  await queue.repair(one.list);
  assert.equal(await phaseOf(queue, id), "pending");
});

check("hang", "a program that hangs is killed and named", async (queue, one) => {
  await queue.damage(one.submit, "hang");
  await fails(queue.system.submit(job, signal), /did not answer within 0.5 s and was killed/);
  await noneLeft(queue);
});

check("stop", "a program that hangs is killed when the factory stops", async (queue, one) => {
  await queue.damage(one.submit, "hang");
  const stop = new AbortController();
  const submission = queue.system.submit(job, stop.signal);
  const failed = fails(submission, /was stopped before it answered|did not answer/);
  await until(async () => (await queue.calls()).length > 0, { what: "the call" });
  stop.abort();
  await failed;
  await noneLeft(queue);
});

check("foreign", "an answer without an id is quoted", async (queue, one) => {
  await queue.damage(one.submit, "foreign");
  await fails(queue.system.submit(job, signal), /did not tell.*"Auftrag wurde angenommen"/);
});

check("silent", "no answer at all is said to be none", async (queue, one) => {
  await queue.damage(one.submit, "silent");
  await fails(queue.system.submit(job, signal), /did not tell.*printed nothing/);
});

check("garbage", "ids that are none of its own are over, and harm nobody", async (queue) => {
  const id = await queue.system.submit(job, signal);
  const foreign = "99999" as JobId;
  const status = await queue.system.status([foreign, id], signal);
  assert.equal(status.get(id)!.phase, "pending");
  await queue.system.remove([foreign], signal);
  assert.equal(await phaseOf(queue, id), "pending");
});

/** No process of the fakes runs on. */
async function noneLeft(queue: FakeQueue): Promise<void> {
  const mine = () =>
    [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).some(({ name }) => {
      try {
        return Deno.readTextFileSync(`/proc/${name}/environ`).includes(queue.folder.path);
      } catch {
        return false;
      }
    });
  await until(() => !mine(), { what: "the end of what was killed" });
}
