/** What Linux tells of processes under /proc. A process that is gone reads as null or as nothing. */

/** The fields of /proc/PID/stat that tell who a process belongs to (proc(5)). */
export interface ProcessStat {
  readonly pid: number;
  /** One letter; `Z` is a zombie, `X` is dead. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTicks: number;
}

/** Ticks a second in /proc: USER_HZ, which is 100 on every architecture that Deno runs on. */
export const ticksPerSecond = 100;

/** Parses /proc/PID/stat. The name may hold spaces and parentheses, so the last one counts. */
export function parseStat(text: string): ProcessStat | null {
  const open = text.indexOf(" ("), close = text.lastIndexOf(") ");
  if (open < 0 || close < open) return null;
  const fields = text.slice(close + 2).split(" ");
  const number = (index: number) => Number(fields[index]);
  const stat = {
    pid: Number(text.slice(0, open)),
    state: fields[0] ?? "",
    parent: number(1),
    group: number(2),
    session: number(3),
    startTicks: number(19),
  };
  return Number.isNaN(stat.pid + stat.startTicks) ? null : stat;
}

export function readStat(pid: number): ProcessStat | null {
  const text = readProc(`/proc/${pid}/stat`);
  return text === null ? null : parseStat(text);
}

/** The environment that a process was started with; null if it may not be read. */
export function readEnvironment(pid: number): string[] | null {
  return readProc(`/proc/${pid}/environ`)?.split("\0") ?? null;
}

/** Seconds since boot, on the clock of `startTicks`; null where there is no /proc. */
export function readUptime(): number | null {
  const text = readProc("/proc/uptime");
  return text === null ? null : Number(text.split(" ")[0]);
}

/**
 * Children of a process that its main thread started or, of a subreaper, adopted. One small file
 * where the kernel has it (CONFIG_PROC_CHILDREN), else a walk over all processes.
 */
export function childrenOf(pid: number): number[] {
  hasChildrenFiles ??= readProc(childrenFile(Deno.pid)) !== null;
  if (!hasChildrenFiles) {
    return listProcesses().filter((other) => readStat(other)?.parent === pid);
  }
  const words = readProc(childrenFile(pid))?.split(" ") ?? [];
  return words.filter((word) => word !== "").map(Number);
}

let hasChildrenFiles: boolean | undefined;

function childrenFile(pid: number): string {
  return `/proc/${pid}/task/${pid}/children`;
}

/** All that descend from a process, itself left out; those that start meanwhile may be missing. */
export function descendantsOf(pid: number): number[] {
  const children = childrenOf(pid);
  return [...children, ...children.flatMap(descendantsOf)];
}

/** The processes that this one holds a pidfd of, as Deno does of its own children. */
export function watchedByPidfd(): number[] {
  return listFolder("/proc/self/fd").flatMap((fd) => {
    try {
      if (!Deno.readLinkSync(`/proc/self/fd/${fd}`).endsWith("[pidfd]")) return [];
    } catch {
      return []; // Closed meanwhile.
    }
    const pid = Number(/^Pid:\s*(\d+)$/m.exec(readProc(`/proc/self/fdinfo/${fd}`) ?? "")?.[1]);
    return pid > 0 ? [pid] : [];
  });
}

/** Every process that can be seen. */
export function listProcesses(): number[] {
  return listFolder("/proc").map(Number).filter((pid) => pid > 0);
}

function listFolder(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name);
  } catch {
    return [];
  }
}

function readProc(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // Gone meanwhile (ENOENT, ESRCH), another user's (EACCES), or no /proc at all.
    return null;
  }
}
