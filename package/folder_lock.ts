/**
 * Locks that programs of others see too: `flock` on a file, or on a folder itself, as
 * poncho_package_run takes it. The system drops them with the process.
 */
import { delay } from "../io/clock.ts";

export interface LockOptions {
  /** Many may hold one that is not. */
  readonly exclusive: boolean;
  readonly signal: AbortSignal;
  /** Gives up after so long; otherwise waits for ever. */
  readonly waitMs?: number;
}

/** How often a lock that somebody else has is tried again. */
const retryMs = 30;

/**
 * A lock on the file or folder of this name, which must exist; null if it could not be had in time,
 * or is not there any more. Throws the reason of the signal.
 */
export async function locked(path: string, options: LockOptions): Promise<Disposable | null> {
  const { exclusive, signal, waitMs = Infinity } = options;
  const startedMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const file = open(path);
    if (file === null) return null;
    let isOurs = false;
    try {
      // A lock on what was renamed or removed meanwhile protects nothing.
      isOurs = file.tryLockSync(exclusive) && isStill(path, file);
      if (isOurs) return { [Symbol.dispose]: () => file.close() };
    } finally {
      if (!isOurs) file.close();
    }
    if (performance.now() - startedMs >= waitMs) return null;
    await delay(retryMs, signal);
  }
}

function open(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function isStill(path: string, file: Deno.FsFile): boolean {
  try {
    const now = Deno.statSync(path), held = file.statSync();
    return now.ino === held.ino && now.dev === held.dev;
  } catch {
    return false;
  }
}
