/**
 * Files that jobs leave in the scratch folder, named by their ids. They would pile up: those of a
 * job that ended well go at once, and of the others the last few stay for people who look.
 */
import type { JobId, JobStatus } from "./batch_system.ts";

/**
 * Jobs that failed whose files are kept. A factory says itself what a job printed last; who wants to
 * see more looks at the latest, and ten show whether they fail alike.
 */
export const failedKeptMax = 10;

export class Leftovers {
  /** Jobs that may write still, or be asked about. */
  readonly #open = new Set<string>();
  /** Some job has failed since the last sweep. */
  #isDue = false;

  /** `prefixes`: what names of the files begin with, the job's id following. */
  constructor(
    private readonly scratch: string,
    private readonly prefixes: readonly string[],
  ) {}

  /** Files of these stay. */
  open(ids: Iterable<string>): void {
    for (const id of ids) this.#open.add(id);
  }

  /** The job has ended, and all that is asked about it is known; `well`: nobody will look at it. */
  async over(id: string, well: boolean): Promise<void> {
    this.#open.delete(id);
    if (well) await this.#remove(this.prefixes.map((prefix) => prefix + id));
    else this.#isDue = true;
  }

  /** What was asked about jobs, which are open unless they have ended. */
  async heard(found: ReadonlyMap<JobId, JobStatus>): Promise<void> {
    for (const [id, status] of found) {
      if (status.phase === "ended") await this.over(id, status.exitCode === 0);
      else this.#open.add(id);
    }
    await this.sweep();
  }

  /** Removes what is too old, of earlier factories in this folder too; to be called now and then. */
  async sweep(): Promise<void> {
    if (!this.#isDue) return;
    this.#isDue = false;
    const entries = await Array.fromAsync(Deno.readDir(this.scratch)).catch(() => []);
    const names = entries.map(({ name }) => name);
    const ofJobs = [...Map.groupBy(names, (name) => this.#idOf(name))]
      .filter(([id]) => id !== null && !this.#open.has(id))
      .map(([, files]) => ({ files, writtenMs: Math.max(...files.map((one) => this.#time(one))) }));
    ofJobs.sort((a, b) => b.writtenMs - a.writtenMs);
    for (const { files } of ofJobs.slice(failedKeptMax)) await this.#remove(files);
  }

  /** `null`: it is no file of a job. */
  #idOf(name: string): string | null {
    const prefix = this.prefixes.find((one) => name.startsWith(one));
    // What follows the id is a half-made copy that a killed job left.
    return prefix === undefined ? null : name.slice(prefix.length).split(".")[0]!;
  }

  #time(name: string): number {
    try {
      return Deno.statSync(`${this.scratch}/${name}`).mtime?.getTime() ?? 0;
    } catch {
      return 0; // gone meanwhile
    }
  }

  async #remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await Deno.remove(`${this.scratch}/${name}`).catch(() => {}); // there may be none
    }
  }
}
