/** Parts of batch systems by themselves: programs, states, what jobs write of themselves. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BatchError, type JobId } from "../../factory/batch/batch_system.ts";
import { escapedArgument, expandedCodes } from "../../factory/batch/condor_submit.ts";
import { gridEngineStatus } from "../../factory/batch/gridengine.ts";
import {
  JobFiles,
  lastWords,
  parseProgress,
  wrapperScript,
} from "../../factory/batch/job_files.ts";
import { lsfStatus } from "../../factory/batch/lsf.ts";
import { pbsStatus } from "../../factory/batch/pbs.ts";
import { Programs } from "../../factory/batch/program.ts";
import { removeAll } from "../../factory/batch/removal.ts";
import { type Listed, submittedId } from "../../factory/batch/script_queue.ts";
import { slurmStatus } from "../../factory/batch/slurm.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();

function programsIn(folder: TempFolder): Programs {
  const env = { PATH: `${folder.path}:/usr/bin:/bin`, LC_ALL: "de_DE.UTF-8", GONE: undefined };
  return new Programs({ cwd: folder.path, env, deadlineMs: 10_000 });
}

async function fails(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof BatchError, String(error));
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("programs speak English, get what they are given, and read the user's options", async () => {
  await using folder = await TempFolder.create();
  const programs = programsIn(folder);
  const call = {
    words: ["sh", "-c", 'echo "$LC_ALL $GREETING"; printf "<%s>" "$@"; cat', "sh", "a b"],
    options: `-x 'two words' "\${GREETING}"`,
    last: ["it's"],
    env: { GREETING: "hi" },
    stdin: "read me",
  };
  assert.equal(
    await programs.run(call, signal),
    "C hi\n<a b><-x><two words><hi><it's>read me",
  );
  // Who does not read what it is given is no failure.
  const large = "x".repeat(1_000_000);
  assert.equal(await programs.run({ words: ["true"], stdin: large }, signal), "");
});

Deno.test("a program's failure is one sentence, however it fails", async () => {
  await using folder = await TempFolder.create();
  const programs = programsIn(folder);
  const run = (script: string) => programs.run({ words: ["sh", "-c", script] }, signal);
  await fails(run("echo; echo why >&2; exit 7"), /^"sh" failed with exit code 7: why$/);
  await fails(run("echo only here; exit 7"), /exit code 7: only here$/);
  await fails(run("exit 7"), /exit code 7: it printed nothing$/);
  await fails(run("kill -9 $$"), /^"sh" was ended by SIGKILL$/);
  await fails(run("yes"), /^"sh" printed more than \d+ bytes and was killed$/);
  await folder.write("broken", "#!/nonexistent\n");
  await fails(programs.run({ words: ["broken"] }, signal), /may not be executed: chmod \+x/);
  await Deno.chmod(folder.join("broken"), 0o755);
  await fails(programs.run({ words: ["broken"] }, signal), /^Cannot start "broken": /);
  await fails(programs.run({ words: ["true"] }, AbortSignal.abort()), /was not started: stopping$/);
});

Deno.test("ids are found in what each submission prints, and nowhere else", () => {
  const cases: readonly (readonly [string, string | null])[] = [
    ["Submitted batch job 1234\n", "1234"],
    ["sbatch: lua: hello\nSubmitted batch job 12 on cluster x\n", "12"],
    ['Your job 77 ("wqx-abc") has been submitted\n', "77"],
    ["Job <345> is submitted to default queue <normal>.\n", "345"],
    ["12345.server.example.org\n", "12345"],
    ["\n  998\n", "998"],
    ["0\n", null],
    ["", null],
    ["Stapelauftrag 12 übermittelt\n", null],
  ];
  for (const [printed, id] of cases) assert.equal(submittedId(printed), id, printed);
  fc.assert(fc.property(fc.string(), (text) => {
    const id = submittedId(text);
    assert.ok(id === null || /^\d+$/.test(id) && Number(id) > 0);
  }));
});

/** `phase`, then what else tells: host, exit code, whether it is leaving, why. */
function short(listed: Listed): string {
  const more = listed.phase === "running"
    ? listed.host
    : listed.phase === "ended"
    ? listed.exitCode
    : null;
  return `${listed.phase}${more === null ? "" : ` ${more}`}${listed.leaving ? " leaving" : ""}`;
}

Deno.test("states of each queue mean what its manual says", () => {
  const pbs = (fields: Record<string, string>) => pbsStatus(new Map(Object.entries(fields)));
  const cases: readonly (readonly [Listed, string])[] = [
    [slurmStatus("PENDING", "Resources", ""), "pending"],
    [slurmStatus("PENDING", "JobHeldAdmin", ""), "held"],
    [slurmStatus("PENDING", "launch failed requeued held", ""), "held"],
    [slurmStatus("REQUEUED", "None", ""), "pending"],
    [slurmStatus("SUSPENDED", "None", "n1"), "held"],
    [slurmStatus("CONFIGURING", "None", "n1"), "running n1"],
    [slurmStatus("COMPLETING", "None", "n1"), "running n1 leaving"],
    [slurmStatus("COMPLETED", "None", "n1"), "ended 0"],
    [slurmStatus("CANCELLED", "None", ""), "ended"],
    [slurmStatus("OUT_OF_MEMORY", "OutOfMemory", "n1"), "ended"],
    [slurmStatus("TIMEOUT", "TimeLimit", "n1"), "ended"],
    [gridEngineStatus("qw", null), "pending"],
    [gridEngineStatus("hqw", null), "held"],
    [gridEngineStatus("Eqw", null), "held"],
    [gridEngineStatus("t", "n1"), "running n1"],
    [gridEngineStatus("Rr", "n1"), "running n1"],
    [gridEngineStatus("Rq", null), "pending"],
    [gridEngineStatus("dr", "n1"), "running n1 leaving"],
    [gridEngineStatus("dqw", null), "pending leaving"],
    [gridEngineStatus("S", "n1"), "held"],
    [pbs({ job_state: "Q" }), "pending"],
    [pbs({ job_state: "W" }), "pending"],
    [pbs({ job_state: "H" }), "held"],
    [pbs({ job_state: "S" }), "held"],
    [pbs({ job_state: "R", exec_host: "n1/0*4+n2/1" }), "running n1"],
    [pbs({ job_state: "E", exec_host: "n1/0" }), "running n1 leaving"],
    [pbs({ job_state: "F", exit_status: "3" }), "ended 3"],
    [pbs({ job_state: "C", exit_status: "271" }), "ended"],
    [pbs({ job_state: "C", exit_status: "-11" }), "ended"],
    [lsfStatus("PEND", "-", "-", "waiting"), "pending"],
    [lsfStatus("PSUSP", "-", "-", ""), "held"],
    [lsfStatus("SSUSP", "-", "n1", ""), "held"],
    [lsfStatus("RUN", "-", "4*n1:2*n2", ""), "running n1"],
    [lsfStatus("ZOMBI", "-", "n1", ""), "running n1 leaving"],
    [lsfStatus("DONE", "-", "n1", ""), "ended 0"],
    [lsfStatus("EXIT", "5", "n1", ""), "ended 5"],
    [lsfStatus("EXIT", "-", "-", ""), "ended"],
  ];
  for (const [listed, expected] of cases) {
    assert.equal(short(listed), expected, JSON.stringify(listed));
  }
});

Deno.test("a status file is read as far as it is written", () => {
  const none = { startEpochS: null, host: null, aliveEpochS: null, exitCode: null };
  assert.deepEqual(parseProgress(""), none);
  assert.deepEqual(parseProgress("start 17"), none, "half a line");
  const started = { startEpochS: 1700000000, host: "n1", aliveEpochS: 1700000000, exitCode: null };
  assert.deepEqual(parseProgress("start 1700000000 n1\n"), started);
  assert.deepEqual(parseProgress("start 1700000000 n1\nalive 1700000030\nsto"), {
    ...started,
    aliveEpochS: 1700000030,
  });
  assert.deepEqual(parseProgress("start 1700000000 n1\nalive x\nstop 3 1700000031\n"), {
    ...started,
    exitCode: 3,
  });
});

Deno.test("last words are three lines at most, and fit into a sentence", () => {
  assert.equal(lastWords(""), "");
  assert.equal(lastWords("\n\n"), "");
  assert.equal(lastWords("a\nb\n\nc\nd\n"), "; it last printed: b / c / d");
  const long = lastWords(`${"x".repeat(5000)}end\n`);
  assert.ok(long.length < 450 && long.endsWith("xend"), long);
});

Deno.test("the output of a worker that prints on and on does not grow on and on", async () => {
  await using folder = await TempFolder.create("wqx-wrap-");
  const script = wrapperScript(folder.path, "slurm", "SLURM_JOB_ID").replace(
    "sleep 30",
    "sleep 0.1",
  );
  await folder.write("wrapper", script);
  const go = folder.join("go");
  const block = `head -c 1048577 /dev/zero | tr '\\0' x`;
  const child = new Deno.Command("/bin/sh", {
    args: [folder.join("wrapper")],
    env: {
      SLURM_JOB_ID: "7",
      BATCH_JOB_COMMAND: `${block}; until [ -e ${go} ]; do sleep 0.05; done; echo; echo the end`,
    },
    stdin: "null",
  }).spawn();
  const path = new JobFiles(folder.path, "slurm").outputPath("7");
  await until(async () => (await Deno.stat(path).catch(() => null))?.size === 65536, {
    what: "the output to be cut",
  });
  await Deno.writeTextFile(go, "");
  assert.equal((await child.status).code, 0);
  const files = new JobFiles(folder.path, "slurm");
  assert.match(await files.lastWords("7"), /x \/ the end$/);
  assert.equal((await files.progress("7"))!.exitCode, 0);
  await files.leftovers.over("7", true);
  assert.equal(await files.progress("7"), null);
});

Deno.test("what a removal leaves is removed again, and named if it stays", async () => {
  const ids = ["1", "2", "3"] as JobId[];
  let left: readonly JobId[] = ids;
  const calls: string[] = [];
  const stubborn = {
    remove(some: readonly JobId[]) {
      calls.push(some.join(" "));
      left = left.filter((id) => id !== some[0]); // loses one at a time
      return Promise.resolve("busy");
    },
    left: (some: readonly JobId[]) => Promise.resolve(some.filter((id) => left.includes(id))),
  };
  await removeAll(ids, stubborn, signal);
  assert.deepEqual(calls, ["1 2 3", "2 3", "3"]);
  const deaf = {
    remove: () => Promise.resolve("denied by the operator"),
    left: (some: readonly JobId[]) => Promise.resolve(some.slice(0, 1)),
  };
  // A stopped factory does not wait between its tries.
  await fails(
    removeAll(ids, deaf, AbortSignal.abort()),
    /^Removed 5 times, but still there: 1; denied by the operator$/,
  );
});

Deno.test("a command is one argument to HTCondor, whatever is in it", () => {
  assert.equal(escapedArgument(`a 'b' "c"`), `'a ''b'' ""c""'`);
  assert.equal(escapedArgument("$HOME $(x) $$"), "'$(DOLLAR)HOME $(DOLLAR)(x) $(DOLLAR)$(DOLLAR)'");
  assert.equal(escapedArgument("--cores=$$([TARGET.Cpus])"), "'--cores=$$([TARGET.Cpus])'");
  assert.equal(expandedCodes('a = 1\\nb = \\"x\\"\\tc\\\\'), 'a = 1\nb = "x"\tc\\');
});
