/** The Unix socket of a manager's API, in a folder that nobody else may enter. */
import { dirname } from "node:path";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import { removeIfThere } from "../io/files.ts";

/** Of Linux: 108 with the NUL at the end; bytes. */
const pathBytesMax = 107;

export class ApiSocket implements AsyncDisposable {
  #closed = false;

  private constructor(readonly path: string, private readonly listener: Deno.UnixListener) {}

  /** Throws a UsageError for a path that cannot be used, a RunError if there can be no socket. */
  static async open(path: string): Promise<ApiSocket> {
    const say = (why: string) => new UsageError(`Cannot use the socket ${path}: ${why}`);
    const bytes = new TextEncoder().encode(path).length;
    if (bytes > pathBytesMax) {
      throw say(`its path has ${bytes} bytes, and the system allows ${pathBytesMax}`);
    }
    const folder = dirname(path);
    const why = await whyNotPrivate(folder);
    if (why !== null) throw say(`its folder ${folder} ${why}`);
    if (await isAlive(path)) throw say("another manager listens there");
    try {
      await removeIfThere(path);
      return new ApiSocket(path, Deno.listen({ transport: "unix", path }));
    } catch (error) {
      throw new RunError(`Cannot listen on the socket ${path}: ${messageOf(error)}`);
    }
  }

  /** Whoever connects, until it is closed. */
  async *connections(): AsyncGenerator<Deno.UnixConn> {
    for (;;) {
      try {
        yield await this.listener.accept();
      } catch {
        return; // closed
      }
    }
  }

  /** Leaves nothing behind; the folder goes too if nothing else is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.listener.close();
    await removeIfThere(this.path);
    await Deno.remove(dirname(this.path)).catch(() => {});
  }
}

/** Makes the folder if there is none. */
async function whyNotPrivate(folder: string): Promise<string | null> {
  try {
    const info = await Deno.stat(folder);
    if (!info.isDirectory) return "is no folder";
    if (((info.mode ?? 0) & 0o077) !== 0) return "is open to others: it has to have mode 0700";
    if (info.uid !== null && info.uid !== Deno.uid()) return "belongs to another user";
    return null;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return `cannot be entered: ${messageOf(error)}`;
  }
  try {
    await Deno.mkdir(folder, { mode: 0o700 });
    return null;
  } catch (error) {
    return `cannot be made: ${messageOf(error)}`;
  }
}

async function isAlive(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}
