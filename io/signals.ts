/** Being told to stop, by a signal or by the death of whoever started us. */

/** How often the parent is looked at. */
const parentPollMs = 500;

export interface StopSignal extends Disposable {
  readonly signal: AbortSignal;
}

/** Fires at the first SIGINT or SIGTERM, and with `withParent` when the parent process is gone. */
export function stopSignal({ withParent }: { withParent: boolean }): StopSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  const parent = Deno.ppid;
  const polling = withParent
    ? setInterval(() => {
      if (Deno.ppid !== parent) stop();
    }, parentPollMs)
    : undefined;
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      Deno.removeSignalListener("SIGINT", stop);
      Deno.removeSignalListener("SIGTERM", stop);
      clearInterval(polling);
    },
  };
}

export interface Interrupts extends Disposable {
  /** Fires at the first Ctrl-C or SIGTERM. */
  readonly stop: AbortSignal;
  /** Fires at the second. */
  readonly abort: AbortSignal;
}

/**
 * A Ctrl-C reaches every process of the terminal, and parents such as `deno task` and npx pass
 * theirs on as well: what comes so soon after the first is the same press.
 */
const samePressMs = 300;

export function interrupts(): Interrupts {
  const stop = new AbortController();
  const abort = new AbortController();
  let stoppedMs = 0;
  const interrupted = () => {
    const nowMs = performance.now();
    if (!stop.signal.aborted) {
      stoppedMs = nowMs;
      stop.abort();
    } else if (nowMs - stoppedMs > samePressMs) {
      abort.abort();
    }
  };
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  return {
    stop: stop.signal,
    abort: abort.signal,
    [Symbol.dispose]() {
      Deno.removeSignalListener("SIGINT", interrupted);
      Deno.removeSignalListener("SIGTERM", interrupted);
    },
  };
}
