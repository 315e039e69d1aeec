/** Flux: inputs travel as an archive that each job unpacks into a folder of its own. */
import { z } from "zod";
import {
  type BatchContext,
  BatchError,
  type BatchSystem,
  type JobId,
  type JobStatus,
  type WorkerJob,
} from "./batch_system.ts";
import { commandWithEnvironment, endedWords, lastWords, sizeVariables } from "./job_files.ts";
import { Leftovers } from "./leftovers.ts";
import { failure, firstLine, noIdFrom, type Programs } from "./program.ts";
import { inPieces, removeAll } from "./removal.ts";
import { programsOf } from "./script_queue.ts";

const jobSchema = z.object({
  id: z.string(),
  state: z.string(),
  result: z.string().optional(),
  returncode: z.union([z.number(), z.string()]).optional(),
  nodelist: z.string().optional(),
  t_run: z.number().optional(),
  exception: z.object({ note: z.string().optional() }).optional(),
});
type FluxJob = z.infer<typeof jobSchema>;
const jobsSchema = z.object({ jobs: z.array(jobSchema) });

const outputPrefix = "flux.output.";

export function openFlux(context: BatchContext): BatchSystem {
  return new Flux(context);
}

class Flux implements BatchSystem {
  readonly name = "flux";
  readonly #context: BatchContext;
  readonly #programs: Programs;
  /** Names of the inputs that the archive has. */
  #archived: string | null = null;
  #toldIgnored = false;
  readonly #leftovers: Leftovers;

  constructor(context: BatchContext) {
    this.#context = context;
    this.#programs = programsOf(context);
    this.#leftovers = new Leftovers(context.scratch, [outputPrefix]);
  }

  async check(signal: AbortSignal): Promise<void> {
    await this.#programs.run({ words: ["flux", "uptime"] }, signal);
  }

  async submit(job: WorkerJob, signal: AbortSignal): Promise<JobId> {
    const { request, name } = job;
    if (!this.#toldIgnored && ((request.memoryMb ?? 0) > 0 || (request.diskMb ?? 0) > 0)) {
      this.#context.note("Flux is not asked for memory and disk, which it does not share out");
      this.#toldIgnored = true;
    }
    await this.#archive(job.inputs, signal);
    const limit = request.wallTimeS === null
      ? []
      : [`--time-limit=${Math.ceil(request.wallTimeS)}s`];
    const words = [
      "flux",
      "submit",
      ...job.inputs.length > 0 ? ["-o", "stage-in"] : [],
      "--nodes=1",
      `--cores=${Math.max(1, Math.ceil(request.cores ?? 1))}`,
      `--gpus-per-node=${request.gpus ?? 0}`,
      ...limit,
      `--job-name=${name}`,
      `--output=${this.#outputPath("{{id.dec}}")}`,
    ];
    const command = `cd "$FLUX_JOB_TMPDIR" && unset ${sizeVariables.join(" ")} && ` +
      commandWithEnvironment(job);
    const printed = await this.#programs.run({
      words,
      options: this.#context.batchOptions,
      last: ["sh", "-c", command],
    }, signal);
    const id = firstLine(printed);
    if (id === null || !/^[fƒ]?[\w.]+$/.test(id)) throw noIdFrom("flux submit", id);
    const decimal = await this.#programs.run(
      { words: ["flux", "job", "id", "--to=dec", id] },
      signal,
    );
    if (!/^\d+$/.test(decimal.trim())) throw noIdFrom("flux submit", firstLine(decimal));
    this.#leftovers.open([decimal.trim()]);
    return decimal.trim() as JobId;
  }

  async status(
    ids: readonly JobId[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<JobId, JobStatus>> {
    const known = new Map<string, FluxJob>();
    for (const some of inPieces(ids)) {
      for (const job of await this.#jobs([...some], signal)) known.set(job.id, job);
    }
    const found = new Map<JobId, JobStatus>();
    for (const id of ids) found.set(id, await this.#judge(id, known.get(id)));
    await this.#leftovers.heard(found);
    return found;
  }

  async remove(ids: readonly JobId[], signal: AbortSignal): Promise<void> {
    const remove = async (some: readonly JobId[]) => {
      const answer = await this.#programs.ask({ words: ["flux", "cancel", ...some] }, signal);
      return answer.exitCode === 0 ? null : failure("flux", answer).message;
    };
    const left = async (some: readonly JobId[]) => {
      const open = (await this.#jobs([...some], signal)).filter(({ state }) => !isLeaving(state));
      const kept = new Set(open.map(({ id }) => id));
      return some.filter((id) => kept.has(id));
    };
    await removeAll(await left(ids), { remove, left }, signal);
  }

  async find(name: string, signal: AbortSignal): Promise<readonly JobId[]> {
    const jobs = await this.#jobs([`--name=${name}`], signal);
    return jobs.filter(({ state }) => state !== "INACTIVE").map(({ id }) => id as JobId);
  }

  /** One archive serves all jobs, and is made anew when the inputs are others. */
  async #archive(inputs: readonly string[], signal: AbortSignal): Promise<void> {
    const names = inputs.join("\0");
    if (names === this.#archived || inputs.length === 0) return;
    await this.#programs.run({ words: ["flux", "archive", "remove", "-f"] }, signal);
    for (const name of inputs) {
      const into = ["--append", "-C", this.#context.scratch, name];
      await this.#programs.run({ words: ["flux", "archive", "create", ...into] }, signal);
    }
    this.#archived = names;
  }

  async #jobs(which: readonly string[], signal: AbortSignal): Promise<FluxJob[]> {
    if (which.length === 0) return [];
    const answer = await this.#programs.ask(
      { words: ["flux", "jobs", "--json", ...which] },
      signal,
    );
    const unknown = /not found|No such job|unknown job/i.test(answer.stderr);
    if (answer.exitCode !== 0 && !unknown) throw failure("flux", answer);
    if (answer.stdout.trim() === "") return [];
    try {
      // Ids have 64 bits, more than a number of JSON keeps here.
      const parsed: unknown = JSON.parse(answer.stdout.replace(/("id":\s*)(\d+)/g, '$1"$2"'));
      const one = jobSchema.safeParse(parsed);
      return one.success ? [one.data] : jobsSchema.parse(parsed).jobs;
    } catch {
      const line = firstLine(answer.stdout);
      throw new BatchError(`"flux jobs" printed what is no list of jobs: "${line}"`);
    }
  }

  async #judge(id: JobId, job: FluxJob | undefined): Promise<JobStatus> {
    if (job === undefined) {
      return { phase: "ended", exitCode: null, why: "removed from the queue" };
    }
    switch (job.state) {
      case "RUN":
      case "CLEANUP":
        return {
          phase: "running",
          host: job.nodelist ?? null,
          sinceEpochS: job.t_run === undefined ? null : Math.floor(job.t_run),
        };
      case "INACTIVE":
        return await this.#ended(id, job);
      case "DEPEND":
      case "PRIORITY":
      case "SCHED":
      case "NEW":
        return { phase: "pending", why: job.state === "SCHED" ? null : job.state };
      default:
        return { phase: "pending", why: `in a state that is not known: ${job.state}` };
    }
  }

  async #ended(id: JobId, { result, returncode, exception }: FluxJob): Promise<JobStatus> {
    const code = Number(returncode === "" || returncode === undefined ? NaN : returncode);
    // Below 0 it is a signal's number; a job that did not start has none.
    const exitCode = Number.isInteger(code) && code >= 0 && code <= 128 ? code : null;
    const canceled = result === "CANCELED";
    const words = canceled
      ? `removed from the queue (${exception?.note || "canceled"})`
      : exitCode !== null
      ? endedWords(exitCode)
      : `Flux says ${result ?? "nothing of how it ended"}`;
    const printed = await Deno.readTextFile(this.#outputPath(id)).catch(() => "");
    return {
      phase: "ended",
      exitCode: canceled ? null : exitCode,
      why: words + (exitCode === 0 && !canceled ? "" : lastWords(printed)),
    };
  }

  #outputPath(id: string): string {
    return `${this.#context.scratch}/${outputPrefix}${id}`;
  }
}

function isLeaving(state: string): boolean {
  return state === "INACTIVE" || state === "CLEANUP";
}
