/** Submit files, held against HTCondor's own parser, and its user log. */
import assert from "node:assert/strict";
import { BatchError, type WorkerJob } from "../../factory/batch/batch_system.ts";
import { CondorLog } from "../../factory/batch/condor_log.ts";
import { type CondorSettings, condorSubmitText } from "../../factory/batch/condor_submit.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";

const job: WorkerJob = {
  command: "./work_queue_worker -M 'a|b \"c\"' -t 300" +
    " --cores=$$([TARGET.Cpus]) --disk=$$([TARGET.Disk/1024])",
  inputs: ["work_queue_worker", "pwfile"],
  env: { MONEY: "$(HOME) it's" },
  request: { cores: 4, memoryMb: 2000, diskMb: 3000, gpus: 1, wallTimeS: 3600 },
  name: "wqx-abc",
};
const plain: CondorSettings = {
  requirements: null,
  hostsBlocked: [],
  autosize: false,
  batchOptions: "",
};

/** Each line of the file, as HTCondor's parser understands it. */
const readSubmit = `
import json, sys, htcondor2
submit = htcondor2.Submit(sys.stdin.read())
keys = sys.argv[1:]
print(json.dumps({key: submit.get(key) for key in keys} | {
  "expanded arguments": submit.expand("arguments"), "queue": submit.getQArgs()}))
`;

const python = findPython(["htcondor2"]);

async function parsed(text: string, ...keys: string[]): Promise<Record<string, string>> {
  assert.ok("path" in python);
  const child = new Deno.Command(python.path, {
    args: ["-c", readSubmit, ...keys],
    env: { CONDOR_CONFIG: "ONLY_ENV" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  ...needs("path" in python, "missing" in python ? python.missing : "", "HTCondor takes our files"),
  fn: async () => {
    const text = condorSubmitText(job, {
      requirements: '(MachineGroup == "disc")',
      hostsBlocked: ["node7", "node8"],
      autosize: true,
      batchOptions: '+ProjectName = \\"mine\\"\\nrank = Memory',
    });
    const keys = ["universe", "executable", "requirements", "request_cpus", "request_memory"]
      .concat("request_disk", "request_gpus", "rank", "transfer_input_files", "getenv", "log");
    const fields = await parsed(text, ...keys, "My.ProjectName", "batch_name");
    assert.deepEqual(fields, {
      universe: "vanilla",
      executable: "condor.sh",
      requirements: '((MachineGroup == "disc")) && ((machine != "node7") && (machine != "node8"))',
      request_cpus: "ifThenElse(4 > TotalSlotCpus, 4, TotalSlotCpus)",
      request_memory: "ifThenElse(2000 > TotalSlotMemory, 2000, TotalSlotMemory)",
      request_disk: "ifThenElse(3072000 > TotalSlotDisk, 3072000, TotalSlotDisk)",
      request_gpus: "ifThenElse(1 > TotalSlotGpus, 1, TotalSlotGpus)",
      rank: "Memory",
      transfer_input_files: "work_queue_worker, pwfile",
      getenv: "true",
      log: "condor.logfile",
      "My.ProjectName": '"mine"',
      batch_name: "wqx-abc",
      // As the job's one argument: quotes doubled, dollars kept, placeholders left to the match.
      "expanded arguments":
        `"'export MONEY=''$(HOME) it''\\''''s''; ./work_queue_worker -M ''a|b ""c""'' -t 300` +
        ` --cores=$$([TARGET.Cpus]) --disk=$$([TARGET.Disk/1024])'"`,
      queue: "",
    });
  },
});

Deno.test("requirements are joined only where there are any", () => {
  const line = (settings: Partial<CondorSettings>) =>
    condorSubmitText(job, { ...plain, ...settings }).match(/^requirements = .*$/m)?.[0];
  assert.equal(line({}), undefined);
  assert.equal(line({ requirements: "(U)" }), "requirements = ((U))");
  assert.equal(line({ hostsBlocked: ["h1"] }), 'requirements = ((machine != "h1"))');
  assert.equal(
    line({ requirements: "U", hostsBlocked: ['h"1'] }),
    'requirements = (U) && ((machine != "h1"))',
  );
});

Deno.test("what cannot stand in a submit file is refused with what would do", () => {
  const refuses = (bad: Partial<WorkerJob>, message: RegExp) =>
    assert.throws(() => condorSubmitText({ ...job, ...bad }, plain), (error) => {
      assert.ok(error instanceof BatchError);
      assert.match(error.message, message);
      return true;
    });
  refuses({ command: "one\ntwo" }, /several lines: put it into a script/);
  refuses({ inputs: ["a,b"] }, /cannot transfer "a,b": rename the file/);
});

const log = `000 (041.000.000) 11/22 21:00:00 Job submitted from host: <10.0.0.1:9618?alias=s7&x>
...
000 (042.000.000) 2026-11-22 21:00:00 Job submitted from host: <10.0.0.1:9618?alias=s8>
...
001 (041.000.000) 11/22 21:00:05 Job executing on host: <10.0.0.9:9618?addrs=1&alias=node9&noUDP>
...
012 (042.000.000) 2026-11-22 21:00:09 Job was held.
	The job's disk was full
	Code 3 Subcode 0
...
006 (041.000.000) 11/22 21:01:00 Image size of job updated: 10
	9  -  MemoryUsage of job (MB)
...
004 (041.000.000) 11/22 21:02:00 Job was evicted.
	(0) CPU times
...
013 (042.000.000) 2026-11-22 21:03:00 Job was released.
...
009 (042.000.000) 2026-11-22 21:04:00 Job was aborted.
	via condor_rm (by user u)
...
001 (041.000.000) 11/22 21:05:00 Job executing on host: <10.0.0.9:9618>
...
005 (041.000.000) 11/22 21:06:00 Job terminated.
	(0) Abnormal termination (signal 9)
...
`;

Deno.test("the user log tells every turn of a job, with dates of either form", () => {
  const course: string[] = [];
  const reader = new CondorLog();
  for (const event of log.split(/(?<=^\.\.\.\n)/m)) {
    reader.feed(event);
    const words = ["41", "42"].map((id) => {
      const status = reader.status(id);
      if (status === null) return "-";
      const more = status.phase === "running" ? status.host : status.why;
      return more === null ? status.phase : `${status.phase} (${more})`;
    });
    course.push(words.join(", "));
  }
  assert.deepEqual(course, [
    "pending, -",
    "pending, pending",
    "running (node9), pending",
    "running (node9), held (The job's disk was full)",
    "running (node9), held (The job's disk was full)",
    "pending (evicted from its machine), held (The job's disk was full)",
    "pending (evicted from its machine), pending",
    "pending (evicted from its machine), ended (removed from the queue (via condor_rm (by user u)))",
    "running (10.0.0.9), ended (removed from the queue (via condor_rm (by user u)))",
    "ended (its worker was ended by signal 9), ended (removed from the queue (via condor_rm (by user u)))",
  ]);
  assert.deepEqual([reader.schedd("41"), reader.schedd("42")], ["s7", "s8"]);
});

Deno.test("a log that is read in any pieces tells the same", () => {
  const whole = new CondorLog();
  whole.feed(log);
  for (const size of [1, 7, 100]) {
    const pieces = new CondorLog();
    for (let at = 0; at < log.length; at += size) pieces.feed(log.slice(at, at + size));
    for (const id of ["41", "42"]) assert.deepEqual(pieces.status(id), whole.status(id));
  }
});
