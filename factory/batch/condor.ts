/**
 * HTCondor. Files travel with the job (no shared folder is needed), the user log in scratch tells
 * how jobs end, and condor_q what is left in the queue.
 */
import { z } from "zod";
import {
  type BatchContext,
  BatchError,
  type BatchSystem,
  type JobId,
  type JobStatus,
  type WorkerJob,
} from "./batch_system.ts";
import { CondorLog } from "./condor_log.ts";
import { condorSubmitText } from "./condor_submit.ts";
import { lastWords, runWorker, sizeVariables } from "./job_files.ts";
import { Leftovers } from "./leftovers.ts";
import { failure, firstLine, noIdFrom, type Programs } from "./program.ts";
import { inPieces, removeAll } from "./removal.ts";
import { programsOf } from "./script_queue.ts";

const queueSchema = z.array(z.object({
  ClusterId: z.number(),
  JobStatus: z.number().optional(),
  HoldReason: z.string().optional(),
  RemoteHost: z.string().optional(),
}));
type Queued = z.infer<typeof queueSchema>[number];

const logName = "condor.logfile";
const outputPrefix = "condor.output.";

export function openCondor(context: BatchContext): BatchSystem {
  return new Condor(context);
}

class Condor implements BatchSystem {
  readonly name = "condor";
  readonly #context: BatchContext;
  readonly #programs: Programs;
  readonly #log = new CondorLog();
  readonly #leftovers: Leftovers;
  #logRead = 0;

  constructor(context: BatchContext) {
    this.#context = context;
    this.#programs = programsOf(context);
    this.#leftovers = new Leftovers(context.scratch, [outputPrefix]);
  }

  async check(signal: AbortSignal): Promise<void> {
    this.#programs.require("condor_submit", "condor_q", "condor_rm");
    await this.find("wqx-0", signal);
  }

  async submit(job: WorkerJob, signal: AbortSignal): Promise<JobId> {
    const { scratch, requirements, hostsBlocked, autosize, batchOptions } = this.#context;
    const text = condorSubmitText(job, {
      requirements: requirements(),
      hostsBlocked: hostsBlocked(),
      autosize: autosize(),
      batchOptions,
    });
    await Deno.writeTextFile(`${scratch}/condor.sh`, condorScript, { mode: 0o755 });
    await Deno.writeTextFile(`${scratch}/condor.submit`, text);
    const printed = await this.#programs.run({ words: ["condor_submit", "condor.submit"] }, signal);
    const id = /job\(s\) submitted to cluster (\d+)/.exec(printed)?.[1];
    if (id !== undefined) {
      this.#leftovers.open([id]);
      return id as JobId;
    }
    throw noIdFrom("condor_submit", firstLine(printed));
  }

  async status(
    ids: readonly JobId[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<JobId, JobStatus>> {
    const open = ids.filter((id) => this.#log.status(id)?.phase !== "ended");
    const queued = new Map<string, JobStatus>();
    for (const some of inPieces(open)) {
      for (const job of await this.#queue([...some], signal)) {
        const status = queuedStatus(job);
        if (status !== null) queued.set(String(job.ClusterId), status);
      }
    }
    // After the queue: what has left it meanwhile has its end in the log.
    await this.#readLog();
    const found = new Map<JobId, JobStatus>();
    for (const id of ids) found.set(id, await this.#judge(id, queued.get(id)));
    await this.#leftovers.heard(found);
    return found;
  }

  async remove(ids: readonly JobId[], signal: AbortSignal): Promise<void> {
    await this.#readLog();
    const open = ids.filter((id) => this.#log.status(id)?.phase !== "ended");
    const remove = async (some: readonly JobId[]) => {
      let complaint: string | null = null;
      for (const [schedd, clusters] of Map.groupBy(some, (id) => this.#log.schedd(id))) {
        const rm = (where: readonly string[]) =>
          this.#programs.ask({ words: ["condor_rm", ...where, ...clusters] }, signal);
        let answer = await rm(schedd === null ? [] : ["-name", schedd]);
        // The name is its own; a collector that does not know it must not keep jobs in the queue.
        if (answer.exitCode !== 0 && schedd !== null) answer = await rm([]);
        if (answer.exitCode !== 0) complaint = failure("condor_rm", answer).message;
      }
      return complaint;
    };
    const left = async (some: readonly JobId[]) => {
      const there = await this.#queue([...some], signal);
      const kept = new Set(
        there.filter((job) => queuedStatus(job)?.phase !== "ended").map((job) =>
          String(job.ClusterId)
        ),
      );
      return some.filter((id) => kept.has(id));
    };
    await removeAll(open, { remove, left }, signal);
  }

  async find(name: string, signal: AbortSignal): Promise<readonly JobId[]> {
    const queued = await this.#queue(["-constraint", `JobBatchName == "${name}"`], signal);
    return queued.filter((job) => queuedStatus(job)?.phase !== "ended").map((job) =>
      String(job.ClusterId) as JobId
    );
  }

  async #queue(which: readonly string[], signal: AbortSignal): Promise<Queued[]> {
    const attributes = "ClusterId,JobStatus,HoldReason,RemoteHost";
    const words = ["condor_q", "-json", "-attributes", attributes, ...which];
    const printed = (await this.#programs.run({ words }, signal)).trim();
    if (printed === "") return []; // so it says that there are none
    try {
      return queueSchema.parse(JSON.parse(printed));
    } catch {
      throw new BatchError(`"condor_q" printed what is no list of jobs: "${firstLine(printed)}"`);
    }
  }

  async #readLog(): Promise<void> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(`${this.#context.scratch}/${logName}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return; // until a first job is in
      throw error;
    }
    using log = file;
    await log.seek(this.#logRead, Deno.SeekMode.Start);
    const decoder = new TextDecoder();
    const piece = new Uint8Array(256 * 1024);
    for (let n = await log.read(piece); n !== null; n = await log.read(piece)) {
      this.#logRead += n;
      this.#log.feed(decoder.decode(piece.subarray(0, n), { stream: true }));
    }
  }

  /** The log's word for what has ended, the queue's for all else. */
  async #judge(id: JobId, queued: JobStatus | undefined): Promise<JobStatus> {
    const logged = this.#log.status(id);
    if (logged?.phase === "ended") {
      if (logged.exitCode === 0) return logged;
      const output = `${this.#context.scratch}/${outputPrefix}${id}`;
      const printed = await Deno.readTextFile(output).catch(() => "");
      return { ...logged, why: logged.why + lastWords(printed) };
    }
    if (queued === undefined) {
      return { phase: "ended", exitCode: null, why: "removed from the queue" };
    }
    return queued.phase === "running" && queued.host === null && logged?.phase === "running"
      ? logged
      : queued;
  }
}

/** Numbers of JobStatus: HTCondor manual, job ClassAd attributes. */
function queuedStatus({ JobStatus: status, HoldReason, RemoteHost }: Queued): JobStatus | null {
  const host = RemoteHost?.replace(/^.*@/, "") ?? null;
  switch (status) {
    case 1:
      return { phase: "pending", why: null };
    case 2:
    case 6: // transferring output
      return { phase: "running", host, sinceEpochS: null };
    case 3:
      return { phase: "ended", exitCode: null, why: "removed from the queue" };
    case 4:
      return { phase: "ended", exitCode: null, why: "it completed" };
    case 5:
      return { phase: "held", why: HoldReason ?? "held" };
    case 7:
      return { phase: "held", why: "suspended" };
    default:
      return { phase: "pending", why: `in a state that is not known: ${status}` };
  }
}

/** Evaluates its argument; a worker hears of its removal, and prints no more than can be kept. */
const condorScript = `#!/bin/sh
unset ${sizeVariables.join(" ")}
${runWorker('/bin/sh -c "$1" > .worker-output 2>&1')}tail -c 65536 .worker-output
rm -f .worker-output
exit "$code"
`;
