/**
 * Control groups: a folder a task, in which the kernel counts its memory and CPU time and holds it
 * to a limit. Only where this process has been given a group to divide: where its own group
 * belongs to its user, who is not root, or where WQX_CGROUP names one. That root can write
 * everywhere proves nothing: groups that a batch system or a container runtime has made are theirs.
 */
import { existsSync } from "node:fs";
import { messageOf } from "../core/errors.ts";
import { numberAfter } from "../core/monitor/proc_text.ts";
import type { GroupReading } from "../core/monitor/tree.ts";

export type CgroupVersion = "cgroup v1" | "cgroup v2";

/** Names a group that wqx may divide, as a folder; `off` uses none. */
export const cgroupVariable = "WQX_CGROUP";

/** The group of one task. */
export interface TaskCgroup {
  readonly version: CgroupVersion;
  /** Whether the kernel holds the task to its memory. */
  readonly limitsMemory: boolean;
  /** Moves a process into it; what it starts from then on is in it too. False if it is gone. */
  add(pid: number): boolean;
  read(): GroupReading | null;
  /** Whether the kernel has killed something in it for its memory. */
  oomKilled(): boolean;
  /** SIGKILL to all that is in it; false where the kernel cannot (cgroup v1). */
  kill(): boolean;
  /** To be called when nothing of the task is left. */
  remove(): void;
}

/** Where groups can be made. Disposing of it removes what was made around them. */
export interface Cgroups extends Disposable {
  readonly version: CgroupVersion;
  /** Throws if the group cannot be made. Without `memoryMb` it only counts. */
  make(name: string, memoryMb?: number): TaskCgroup;
}

export interface CgroupOptions {
  /** Value of {@link cgroupVariable}. */
  readonly given?: string | undefined;
  readonly uid?: number | null;
  /** Folder in which to find `self/cgroup` and `self/mounts`. */
  readonly proc?: string;
}

/** The groups of this process, or the reason why there are none to use. */
export function openCgroups(options: CgroupOptions = {}): Cgroups | { readonly why: string } {
  const { given = Deno.env.get(cgroupVariable), uid = Deno.uid(), proc = "/proc" } = options;
  if (given === "off") return { why: `${cgroupVariable}=off` };
  try {
    const place = given ? placeGiven(given) : ownPlace(proc, uid);
    return "why" in place ? place : open(place);
  } catch (error) {
    return { why: messageOf(error) };
  }
}

/** A folder in which to make groups. */
interface Place {
  readonly version: CgroupVersion;
  readonly folder: string;
  /** Whether this process is in it itself. */
  readonly own: boolean;
}

/** Above the limit that the sampler enforces, which knows how much and of what; for bursts only. */
const memoryHeadroom = 1.05, memoryHeadroomMb = 16;

const mb = 1024 ** 2;

function placeGiven(folder: string): Place {
  const version = existsSync(`${folder}/cgroup.controllers`) ? "cgroup v2" : "cgroup v1";
  if (version === "cgroup v1" && !existsSync(`${folder}/memory.limit_in_bytes`)) {
    throw new Error(`${cgroupVariable}: ${folder} is no group that counts memory`);
  }
  return { version, folder, own: false };
}

function ownPlace(proc: string, uid: number | null): Place | { readonly why: string } {
  const groups = Deno.readTextFileSync(`${proc}/self/cgroup`).split("\n").map((line) =>
    line.split(":")
  );
  const mounts = Deno.readTextFileSync(`${proc}/self/mounts`).split("\n").map((line) =>
    line.split(" ")
  );
  const memory = groups.find(([, controllers]) => controllers?.split(",").includes("memory"));
  const mount = mounts.find(([, , type, options]) =>
    memory ? type === "cgroup" && options?.split(",").includes("memory") : type === "cgroup2"
  )?.[1];
  const group = memory ?? groups.find(([id, controllers]) => id === "0" && controllers === "");
  if (mount === undefined || group === undefined) return { why: "no cgroups that count memory" };
  const folder = `${mount}${group.slice(2).join(":")}`.replace(/\/+$/, "");
  const { uid: owner } = Deno.statSync(folder);
  if (uid === 0 || uid === null || owner !== uid) {
    return { why: `the group ${folder} is not this user's to divide` };
  }
  return { version: memory ? "cgroup v1" : "cgroup v2", folder, own: true };
}

function open(place: Place): Cgroups {
  if (place.version === "cgroup v1") {
    return {
      version: place.version,
      make: (name, memoryMb) => new Group(place, name, memoryMb),
      [Symbol.dispose]() {},
    };
  }
  const leaf = `${place.folder}/wqx-${Deno.pid}`;
  let moved = false;
  const give = () => Deno.writeTextFileSync(`${place.folder}/cgroup.subtree_control`, "+memory");
  const has = Deno.readTextFileSync(`${place.folder}/cgroup.controllers`).includes("memory");
  try {
    if (has) give();
  } catch (error) {
    if (!place.own) throw error;
    // A group with processes of its own cannot hand controllers down: step aside.
    Deno.mkdirSync(leaf);
    try {
      Deno.writeTextFileSync(`${leaf}/cgroup.procs`, String(Deno.pid));
      moved = true;
      give();
    } catch (failure) {
      back();
      throw failure;
    }
  }
  function back() {
    if (moved) Deno.writeTextFileSync(`${place.folder}/cgroup.procs`, String(Deno.pid));
    Deno.removeSync(leaf);
  }
  return {
    version: place.version,
    make: (name, memoryMb) => new Group(place, name, has ? memoryMb : undefined),
    [Symbol.dispose]() {
      if (moved) back();
    },
  };
}

class Group implements TaskCgroup {
  readonly version: CgroupVersion;
  readonly limitsMemory: boolean;
  readonly #folder: string;

  constructor({ version, folder }: Place, name: string, memoryMb: number | undefined) {
    this.version = version;
    this.#folder = `${folder}/${name}`;
    Deno.mkdirSync(this.#folder);
    this.limitsMemory = memoryMb !== undefined && this.#limit(memoryMb);
  }

  add(pid: number): boolean {
    return this.#write("cgroup.procs", String(pid));
  }

  read(): GroupReading | null {
    const stat = this.#text("memory.stat");
    if (stat === null) return null;
    const cpuUs = numberAfter(this.#text("cpu.stat") ?? "", "usage_usec ");
    // Anonymous memory and what is mapped of files, which is what PSS counts: no cache.
    const bytes = this.version === "cgroup v2"
      ? numberAfter(stat, "anon ") + numberAfter(stat, "\nfile_mapped ")
      : numberAfter(stat, "\ntotal_rss ") + numberAfter(stat, "\ntotal_mapped_file ");
    return { cpuMs: cpuUs / 1000, memoryKb: bytes / 1024 };
  }

  oomKilled(): boolean {
    const file = this.version === "cgroup v2" ? "memory.events" : "memory.oom_control";
    return numberAfter(this.#text(file) ?? "", "\noom_kill ") > 0;
  }

  kill(): boolean {
    return this.version === "cgroup v2" && this.#write("cgroup.kill", "1");
  }

  remove(): void {
    try {
      Deno.removeSync(this.#folder);
    } catch {
      // A process that hangs in the kernel keeps it; it goes with the group around it.
    }
  }

  #limit(memoryMb: number): boolean {
    const bytes = Math.ceil((memoryMb * memoryHeadroom + memoryHeadroomMb) * mb);
    const file = this.version === "cgroup v2" ? "memory.max" : "memory.limit_in_bytes";
    // All of the task or nothing: half of one cannot give a result.
    if (this.version === "cgroup v2") this.#write("memory.oom.group", "1");
    return this.#write(file, String(bytes));
  }

  #text(file: string): string | null {
    try {
      return Deno.readTextFileSync(`${this.#folder}/${file}`);
    } catch {
      return null;
    }
  }

  #write(file: string, text: string): boolean {
    try {
      Deno.writeTextFileSync(`${this.#folder}/${file}`, text, { create: false });
      return true;
    } catch {
      return false;
    }
  }
}
