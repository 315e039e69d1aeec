/**
 * A factory's own folder: what jobs need lies here, batch systems keep their files here, and what
 * was handed in is written down, so that a factory that was killed can go on when it is started
 * again. Two factories of the same words get a folder each, by a lock that ends with its process.
 */
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import type { JobId } from "../core/factory/job.ts";

/** More factories of the same words on one machine are a mistake. */
const foldersMax = 100;

export interface ScratchPlace {
  /** As `--scratch-dir` has it. */
  readonly base: string;
  /** The same for a factory that is started again by the same words. */
  readonly identity: readonly string[];
}

interface State {
  readonly id: string;
  readonly jobs: readonly JobId[];
}

export class Scratch implements Disposable {
  private constructor(
    /** Absolute. */
    readonly path: string,
    readonly id: string,
    /** What the factory before us in this folder handed in. */
    readonly jobsBefore: readonly JobId[],
    private readonly lock: Deno.FsFile,
  ) {}

  /** Makes the folder and what leads to it. Throws a UsageError where that cannot be written. */
  static open(place: ScratchPlace): Scratch {
    const base = resolve(place.base);
    try {
      for (let n = 1; n <= foldersMax; n++) {
        const path = folderOf(base, place.identity, n);
        Deno.mkdirSync(path, { recursive: true });
        const lock = locked(join(path, "lock"));
        if (lock === null) continue;
        const state = readState(path);
        const scratch = new Scratch(
          path,
          state?.id ?? crypto.randomUUID(),
          state?.jobs ?? [],
          lock,
        );
        scratch.keep(scratch.jobsBefore);
        return scratch;
      }
    } catch (error) {
      throw new UsageError(
        `Cannot use the scratch folder ${base}: ${messageOf(error)}; ` +
          `name one that you may write to by --scratch-dir`,
      );
    }
    throw new UsageError(
      `${foldersMax} factories like this one run from ${base} already; name another --scratch-dir`,
    );
  }

  /** What a factory of these words has left or has now; `id` is `null` where none ever ran. */
  static peek(place: ScratchPlace): { path: string; id: string | null; jobs: readonly JobId[] } {
    const path = folderOf(resolve(place.base), place.identity, 1);
    const state = readState(path);
    return { path, id: state?.id ?? null, jobs: state?.jobs ?? [] };
  }

  /** Of our jobs in the queue; other factories' differ. */
  get jobName(): string {
    return jobNameOf(this.path);
  }

  /** Writes down which jobs are ours. */
  keep(jobs: readonly JobId[]): void {
    const state: State = { id: this.id, jobs };
    this.#put("factory.json", new TextEncoder().encode(JSON.stringify(state) + "\n"), 0o644);
  }

  /** Returns the name in the folder. Throws the system's error. */
  write(name: string, bytes: Uint8Array, mode: number): string {
    this.#put(name, bytes, mode);
    return name;
  }

  /** A copy under its own or another name; throws a UsageError where it cannot be read. */
  copy(source: string, name = basename(source)): string {
    try {
      const temporary = join(this.path, `.${name}.${Deno.pid}`);
      Deno.copyFileSync(source, temporary);
      Deno.renameSync(temporary, join(this.path, name));
      return name;
    } catch (error) {
      throw new UsageError(`Cannot copy ${source} for the workers: ${messageOf(error)}`);
    }
  }

  /** Once no worker is left that would read it. */
  removePassword(): void {
    try {
      Deno.removeSync(join(this.path, passwordName));
    } catch {
      // There was none.
    }
  }

  [Symbol.dispose](): void {
    this.lock.close();
  }

  /** In one step: workers of an earlier run may be reading, or running, what is there. */
  #put(name: string, bytes: Uint8Array, mode: number): void {
    const temporary = join(this.path, `.${name}.${Deno.pid}`);
    Deno.writeFileSync(temporary, bytes, { mode });
    Deno.chmodSync(temporary, mode);
    Deno.renameSync(temporary, join(this.path, name));
  }
}

/** Of the copy of the password file. */
export const passwordName = "pwfile";

/** Queues show ten letters or so of it. */
export function jobNameOf(path: string): string {
  return `wqx-${hashOf(path).slice(0, 8)}`;
}

function folderOf(base: string, identity: readonly string[], n: number): string {
  const label = identity.slice(0, 2).join("-").replace(/[^\w.-]+/g, "_").slice(0, 40);
  const name = `${label}-${hashOf(identity.join("\n")).slice(0, 6)}`;
  return join(base, n === 1 ? name : `${name}-${n}`);
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The open file, which holds the lock until it is closed; `null`: another process has it. */
function locked(path: string): Deno.FsFile | null {
  const file = Deno.openSync(path, { read: true, write: true, create: true });
  if (file.tryLockSync(true)) return file;
  file.close();
  return null;
}

/** `null` where there is none, or none that can be read: then the batch system is asked anyway. */
function readState(folder: string): State | null {
  try {
    const { id, jobs } = JSON.parse(Deno.readTextFileSync(join(folder, "factory.json")));
    if (typeof id !== "string" || !Array.isArray(jobs)) return null;
    return { id, jobs: jobs.filter((job): job is JobId => typeof job === "string") };
  } catch {
    return null;
  }
}
