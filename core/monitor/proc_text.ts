/** The texts of /proc/PID files that tell what a process uses (proc(5)). */

/** One look at one process. */
export interface ProcessReading {
  readonly pid: number;
  /** Clock ticks from boot to its start: with the pid, the name of a process for ever. */
  readonly startTicks: number;
  readonly parent: number;
  readonly session: number;
  /** Ended, and nobody has waited for it yet. */
  readonly zombie: boolean;
  readonly cpuMs: number;
  /** Of the children that it has waited for, and of theirs. */
  readonly waitedCpuMs: number;
  readonly virtualKb: number;
  readonly rssKb: number;
  /** The part of `rssKb` that belongs to no file and to no shared memory. */
  readonly anonKb: number;
  /** Largest `rssKb` since the program was started. */
  readonly rssPeakKb: number;
  readonly swapKb: number;
  /** Of its first thread. */
  readonly contextSwitches: number;
  /** With what the children it waited for have moved. */
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/** The part of a reading that /proc/PID/stat has. */
export type StatReading = Pick<
  ProcessReading,
  "pid" | "startTicks" | "parent" | "session" | "zombie" | "cpuMs" | "waitedCpuMs"
>;

/** USER_HZ is 100 on every architecture that Deno runs on. */
const tickMs = 10;

/** Null if it is no such text. The name may hold blanks and parentheses, so the last one counts. */
export function parseStatReading(text: string): StatReading | null {
  const close = text.lastIndexOf(") ");
  if (close < 0) return null;
  const fields = text.slice(close + 2).split(" ");
  const number = (index: number) => Number(fields[index]);
  const reading = {
    pid: Number.parseInt(text, 10),
    zombie: fields[0] === "Z" || fields[0] === "X",
    parent: number(1),
    session: number(3),
    cpuMs: (number(11) + number(12)) * tickMs,
    waitedCpuMs: (number(13) + number(14)) * tickMs,
    startTicks: number(19),
  };
  return Number.isNaN(reading.pid + reading.startTicks) ? null : reading;
}

/** What /proc/PID/status adds; a zombie, which has no memory any more, reads as zeros. */
export function parseStatus(
  text: string,
): Pick<
  ProcessReading,
  "virtualKb" | "rssKb" | "anonKb" | "rssPeakKb" | "swapKb" | "contextSwitches"
> {
  return {
    virtualKb: numberAfter(text, "\nVmSize:"),
    rssKb: numberAfter(text, "\nVmRSS:"),
    anonKb: numberAfter(text, "\nRssAnon:"),
    rssPeakKb: numberAfter(text, "\nVmHWM:"),
    swapKb: numberAfter(text, "\nVmSwap:"),
    contextSwitches: numberAfter(text, "\nvoluntary_ctxt_switches:") +
      numberAfter(text, "\nnonvoluntary_ctxt_switches:"),
  };
}

/** What /proc/PID/io adds: bytes that calls moved, whether or not a disk had to. */
export function parseIo(text: string): Pick<ProcessReading, "readBytes" | "writtenBytes"> {
  return { readBytes: numberAfter(text, "rchar:"), writtenBytes: numberAfter(text, "wchar:") };
}

/** Proportional share, KiB, in /proc/PID/smaps_rollup: shared pages divided by who maps them. */
export function parsePssKb(text: string): number {
  return numberAfter(text, "\nPss:");
}

/** `/proc/PID/smaps_rollup`: KiB that nobody else has mapped. */
export function parsePrivateKb(text: string): number {
  return numberAfter(text, "\nPrivate_Clean:") + numberAfter(text, "\nPrivate_Dirty:");
}

/** The number that follows a label; 0 without the label. */
export function numberAfter(text: string, label: string): number {
  const at = text.indexOf(label);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + label.length, at + label.length + 32), 10);
}
