/** Being told to stop, by a signal or by the death of whoever started us. */
import { constants } from "node:os";

/** How often the parent is looked at. */
const parentPollMs = 500;

export interface StopSignal extends Disposable {
  readonly signal: AbortSignal;
}

/** A signal of which the system has a number. */
export type NumberedSignal = Deno.Signal & keyof typeof constants.signals;

export interface StopOptions {
  readonly signals: readonly NumberedSignal[];
  /** Fires also when the process that started this one is gone. */
  readonly withParent: boolean;
  /** The reason that `signal` has when a signal of the system came, by name and number. */
  readonly reason: (name: NumberedSignal, number: number) => unknown;
}

/** Fires at the first of these signals. */
export function stopSignal({ signals, withParent, reason }: StopOptions): StopSignal {
  const controller = new AbortController();
  const listeners = signals.map((name) => {
    const stop = () => controller.abort(reason(name, constants.signals[name]));
    Deno.addSignalListener(name, stop);
    return () => Deno.removeSignalListener(name, stop);
  });
  const parent = Deno.ppid;
  const polling = withParent
    ? setInterval(() => {
      if (Deno.ppid !== parent) controller.abort();
    }, parentPollMs)
    : undefined;
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const remove of listeners) remove();
      clearInterval(polling);
    },
  };
}

/** Takes no notice of a signal that would end the process. */
export function ignoring(name: Deno.Signal): Disposable {
  const nothing = () => {};
  Deno.addSignalListener(name, nothing);
  return { [Symbol.dispose]: () => Deno.removeSignalListener(name, nothing) };
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
