/** What one process uses, from /proc. Reading goes around the event loop: each file is microseconds. */
import {
  parseIo,
  parsePrivateKb,
  parsePssKb,
  parseStatReading,
  parseStatus,
  type ProcessReading,
} from "../core/monitor/proc_text.ts";

/** A reading, with the text by which it is known that nothing has changed since. */
export interface KeptReading {
  readonly statText: string;
  readonly reading: ProcessReading;
}

/**
 * Reads a process; null if it is gone. With the reading before, a process that has not run since
 * costs one small file instead of three.
 */
export function readProcess(pid: number, before: KeptReading | null = null): KeptReading | null {
  const statText = readProc(pid, "stat");
  if (statText === null) return null;
  if (before !== null && before.statText === statText) return before;
  const stat = parseStatReading(statText);
  if (stat === null) return null;
  const same = before?.reading.startTicks === stat.startTicks ? before.reading : null;
  // Another user's files cannot be read: what was known, or nothing, is all there is.
  const status = readProc(pid, "status");
  const io = readProc(pid, "io");
  const reading = {
    ...(status === null ? same ?? noMemory : parseStatus(status)),
    ...(io === null
      ? { readBytes: same?.readBytes ?? 0, writtenBytes: same?.writtenBytes ?? 0 }
      : parseIo(io)),
    ...stat,
  };
  return { statText, reading };
}

const noMemory = { virtualKb: 0, rssKb: 0, anonKb: 0, rssPeakKb: 0, swapKb: 0, contextSwitches: 0 };

/**
 * Proportional share of a process in KiB; null if it cannot be read. The kernel walks all its
 * pages: about 0.6 ms for 100 MB.
 */
export function readPssKb(pid: number): number | null {
  const text = readProc(pid, "smaps_rollup");
  return text === null ? null : parsePssKb(text);
}

/** What only this process has mapped, in KiB; costs as much as {@link readPssKb}. */
export function readPrivateKb(pid: number): number | null {
  const text = readProc(pid, "smaps_rollup");
  return text === null ? null : parsePrivateKb(text);
}

/**
 * Makes a process, and what it will start, the kernel's first choice (1000) when the machine runs
 * out of memory. False where that is not allowed.
 */
export function offerToOomKiller(pid: number, score: number): boolean {
  try {
    Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, String(score));
    return true;
  } catch {
    return false;
  }
}

function readProc(pid: number, file: string): string | null {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch {
    return null;
  }
}
