/**
 * Sandboxes: a folder for an attempt, and a file for what its command prints. They are emptied and
 * used again, because to make and remove them costs more than to start a small task: 0.7 ms on a
 * local ext4, and milliseconds on a shared file system.
 */
import { removeIfThere } from "../io/files.ts";

/** Sandboxes kept for later attempts. */
const idleMax = 64;
/** A file that became larger is removed, since to truncate it would hold everything up; bytes. */
const printedBytesMax = 1024 ** 2;

export class Sandbox {
  /** The attempt's TMPDIR. */
  readonly temporary: string;
  /** Of the folders as they were made; null before. */
  #mode: number | null = null;

  readonly folder: string;
  readonly printedPath: string;

  /** `path`: of the folder for all sandboxes, absolute. Nothing is there yet. */
  constructor(path: string, readonly number: number) {
    this.folder = `${path}/t.${number}`;
    this.printedPath = `${path}/out.${number}`;
    this.temporary = `${this.folder}/.tmp`;
  }

  /** Makes the folders, unless they are there from an earlier attempt. Throws the system's error. */
  make(): void {
    if (this.#mode !== null) return;
    Deno.mkdirSync(this.folder);
    Deno.mkdirSync(this.temporary);
    this.#mode = Deno.lstatSync(this.folder).mode;
  }

  /** What it has in the folder of all sandboxes. */
  get names(): string[] {
    return [`t.${this.number}`, `out.${this.number}`];
  }

  /** Removes what is in it; false if it cannot be used again. */
  async empty(): Promise<boolean> {
    try {
      for (const folder of [this.folder, this.temporary]) {
        const { isDirectory, mode } = Deno.lstatSync(folder);
        // A task that changed the folders themselves shall not have done it to the next.
        if (!isDirectory || mode !== this.#mode) return false;
        for (const { name } of Deno.readDirSync(folder)) {
          const path = `${folder}/${name}`;
          if (path !== this.temporary) await Deno.remove(path, { recursive: true });
        }
      }
      const printed = Deno.lstatSync(this.printedPath);
      return printed.isFile && printed.nlink === 1 && printed.size <= printedBytesMax;
    } catch {
      return false;
    }
  }

  async remove(): Promise<void> {
    await removeIfThere(this.folder);
    await removeIfThere(this.printedPath);
  }
}

export class Sandboxes {
  #idle: Sandbox[] = [];
  #count = 0;

  /** `path`: the folder for `t.N` and `out.N`. */
  constructor(private readonly path: string) {}

  take(): Sandbox {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    return new Sandbox(this.path, ++this.#count);
  }

  /** Removes what the attempt left there, of which nothing may run any more. */
  async giveBack(sandbox: Sandbox): Promise<void> {
    if (this.#idle.length < idleMax && await sandbox.empty()) this.#idle.push(sandbox);
    else await sandbox.remove();
  }

  /** Those given back so far are being removed by someone else. */
  forget(): void {
    this.#idle = [];
  }
}
