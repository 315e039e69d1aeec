/** The folder of a journal of a client's tasks, which one manager at a time may have. */
import { messageOf, UsageError } from "../core/errors.ts";
import { describeEnd } from "../core/journal/frames.ts";
import { delay } from "../io/clock.ts";
import { removeIfThere } from "../io/files.ts";
import { readStat } from "../io/procfs.ts";
import { type Journaled, readJournal } from "./journal.ts";

/** Queues that a program may have at once. */
const queuesMax = 64;
/** For the manager of a client that died to be gone; ms. */
const patienceMs = 30_000;
const lookEveryMs = 50;

export class ApiFolder implements AsyncDisposable {
  private constructor(
    readonly path: string,
    /** The process that owns this manager, told apart from others that had its pid. */
    readonly client: string,
    private readonly lock: Deno.FsFile,
  ) {}

  /** Throws a UsageError if it cannot be used. */
  static async take(path: string): Promise<ApiFolder> {
    const client = `${Deno.ppid}-${readStat(Deno.ppid)?.startTicks ?? 0}`;
    try {
      for (let n = 1; n <= queuesMax; n++) {
        const own = `${path}/queue-${n}`;
        await Deno.mkdir(`${own}/results`, { recursive: true, mode: 0o700 });
        const lock = await lockOf(`${own}/manager`, client);
        if (lock !== null) return new ApiFolder(own, client, lock);
      }
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`Cannot keep a journal in ${path}: ${messageOf(error)}`);
    }
    throw new UsageError(
      `Cannot keep a journal in ${path}: ${queuesMax} queues use it; name another folder`,
    );
  }

  get journalPath(): string {
    return `${this.path}/journal`;
  }

  /** Of a result, by its place among the outputs. */
  resultPath(id: string, part: number | "printed"): string {
    return `${this.path}/results/${id}.${part}`;
  }

  /** `null`: there is none. Throws a UsageError for one that this wqx cannot read. */
  async journaled(): Promise<Journaled | null> {
    try {
      const journaled = await readJournal(this.journalPath);
      if (journaled.end.kind !== "foreign") return journaled;
      const why = describeEnd(this.journalPath, journaled.end);
      throw new UsageError(`${why}; remove ${this.path}, or name another folder`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** All of a result that had so many outputs. */
  async remove(id: string, outputs: number): Promise<void> {
    await removeIfThere(this.resultPath(id, "printed"));
    for (let i = 0; i < outputs; i++) await removeIfThere(this.resultPath(id, i));
  }

  /** What belongs to no result: a manager died before it wrote that down. */
  async removeOthers(ids: ReadonlySet<string>): Promise<void> {
    for await (const { name } of Deno.readDir(`${this.path}/results`)) {
      const isKept = ids.has(name.split(".")[0]!);
      if (!isKept) await removeIfThere(`${this.path}/results/${name}`);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.lock.close();
    return Promise.resolve();
  }
}

/** `null`: it is that of another queue. The kernel gives a lock back when its process is gone. */
async function lockOf(path: string, client: string): Promise<Deno.FsFile | null> {
  const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += lookEveryMs) {
    if (await file.tryLock(true)) {
      await file.truncate();
      await file.write(new TextEncoder().encode(client));
      return file;
    }
    const holder = await Deno.readTextFile(path);
    if (holder === client || isAlive(holder)) break;
    await delay(lookEveryMs);
  }
  file.close();
  return null;
}

/** Whether the process that owned a manager is there: else the manager is about to end. */
function isAlive(client: string): boolean {
  const [pid, startTicks] = client.split("-").map(Number);
  const stat = readStat(pid!);
  return stat !== null && stat.startTicks === startTicks && stat.state !== "Z";
}
