/** Names of tasks and of files in a sandbox: who has which, and which may not be. */
import { UsageError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";

/** Names of tasks, by which others refer to them. */
export class TaskNames {
  readonly #ids = new Map<string, number>();

  /** Gives the name to a task; the id of the one that has it already, or `null`. */
  claim(name: string, id: number): number | null {
    const owner = this.#ids.get(name);
    if (owner !== undefined) return owner;
    this.#ids.set(name, id);
    return null;
  }

  /**
   * The id of the task that `self` comes after, of those up to `lastId`. Throws a UsageError with
   * the end of a sentence.
   */
  resolve(named: string | number, self: number, lastId: number): number {
    const id = typeof named === "number" ? named : this.#ids.get(named);
    if (typeof named === "number" && !(Number.isInteger(named) && named >= 1 && named <= lastId)) {
      throw new UsageError(`there is no task ${named}: tasks are numbered from 1`);
    }
    if (id === undefined || id > lastId) {
      throw new UsageError(
        `there is no task "${named}"${didYouMean(`${named}`, this.#ids.keys())}`,
      );
    }
    if (id === self) throw new UsageError("a task cannot come after itself");
    return id;
  }
}

/**
 * A name in a sandbox without needless parts (`./x//y/` is `x/y`). Throws a UsageError, the end of
 * a sentence, for names that lead out of it.
 */
export function parseSandboxName(written: string): string {
  const parts = written.split("/").filter((part) => part !== "" && part !== ".");
  const why = written.startsWith("/")
    ? "it starts with /"
    : parts.includes("..")
    ? "it leads out of the sandbox"
    : written.includes("\0")
    ? "it has a NUL in it"
    : parts.length === 0
    ? "it is empty"
    : null;
  if (why === null) return parts.join("/");
  throw new UsageError(`"${written}" is not a name in a sandbox: ${why}`);
}

/** Under which name a local file comes into the sandbox if none is given, as in Work Queue. */
export function defaultSandboxName(path: string): string {
  return path.replace(/\/+$/, "").replace(/^.*\//, "");
}
