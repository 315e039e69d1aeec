/**
 * What a member of an environment's archive may be. An archive comes from elsewhere, so it must not
 * reach out of the folder that it is unpacked into, neither by its names nor by links, nor bring
 * devices, nor fill the disk. Everything that it has brought so far is known here; whether a link
 * leads outside by way of one that came later is decided at the end.
 */
import { RunError } from "../errors.ts";
import { formatSizeMb } from "../units.ts";
import type { TarMember } from "./tar_reader.ts";

/** What to do for one member. Paths are relative, without `.`, `..` and doubled slashes. */
export type SafeMember =
  /** `replaces`: a member of that name was there before. */
  | {
    readonly kind: "file";
    readonly path: string;
    readonly mode: number;
    readonly replaces: boolean;
  }
  | { readonly kind: "folder"; readonly path: string; readonly mode: number }
  | {
    readonly kind: "link";
    readonly path: string;
    readonly target: string;
    readonly replaces: boolean;
  }
  | {
    readonly kind: "hard-link";
    readonly path: string;
    /** An earlier file of the archive, relative like `path`. */
    readonly target: string;
    readonly replaces: boolean;
  };

export interface TreeLimits {
  /** Bytes of all files together, and why no more, as the end of a sentence. */
  readonly bytesMax: number;
  readonly why: string;
  /** Members of any kind. */
  readonly membersMax: number;
}

/** More than any environment has (a large one has 200,000); a worker's disk has inodes for it. */
const membersMaxUsual = 2_000_000;
/** Uncompressed, an environment is two to ten times as large; zeros are a thousand times. */
const ratioMax = 100;
/** What also a tiny archive may become: a script for every file of a large one. */
const bytesMaxLeast = 256 * 1024 ** 2;

/**
 * How much an archive of `archiveBytes` may become. `bytesMax`: what somebody allows who knows it,
 * in place of the usual; `freeBytes`: on the disk.
 */
export function limitsOf(
  archiveBytes: number,
  freeBytes: number,
  bytesMax: number | undefined,
): TreeLimits {
  const usual = Math.max(bytesMaxLeast, ratioMax * archiveBytes);
  const allowed = bytesMax ?? usual;
  const why = freeBytes < allowed
    ? "and no more is free on the disk"
    : bytesMax === undefined
    ? `more than ${ratioMax} times its own size, as no environment has`
    : "and no more is allowed";
  return { bytesMax: Math.min(allowed, freeBytes), why, membersMax: membersMaxUsual };
}

/** Of the system: PATH_MAX and NAME_MAX. */
const pathBytesMax = 4096, nameBytesMax = 255;
/** Links followed one after the other before the system gives up (MAXSYMLINKS). */
const linksFollowedMax = 40;
/** A folder needs a block of the disk, whatever is in it; also what keeps empty members few. */
const memberBytes = 512;

type Entry = "file" | "folder" | { readonly target: string };

/** The tree that an archive makes, member by member. Errors are RunErrors, each a sentence's end. */
export class SafeTree {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #members = 0;

  constructor(private readonly limits: TreeLimits) {}

  /** Sizes of the files that were let in. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the archive has brought a file of this name, links left out. */
  isFile(path: string): boolean {
    return this.#entries.get(path) === "file";
  }

  /** What to do with the next member; null if nothing is to be done, as for the root itself. Throws what is wrong with it. */
  admit(member: TarMember): SafeMember | null {
    this.#count(member);
    const path = relative(member.path);
    if (path === "") return null;
    this.#enter(path);
    const before = this.#entries.get(path);
    switch (member.kind) {
      case "folder":
        if (before !== undefined && before !== "folder") throw twice(path);
        this.#entries.set(path, "folder");
        return { kind: "folder", path, mode: member.mode & 0o777 | 0o700 };
      case "file":
        if (before === "folder") throw twice(path);
        this.#entries.set(path, "file");
        return { kind: "file", path, mode: member.mode & 0o777, replaces: before !== undefined };
      case "link": {
        if (before === "folder") throw twice(path);
        this.#entries.set(path, { target: member.target });
        this.#follow(path);
        return { kind: "link", path, target: member.target, replaces: before !== undefined };
      }
      case "hard-link": {
        const target = relative(member.target);
        if (this.#entries.get(target) !== "file") {
          throw new RunError(
            `${shown(path)} is a hard link to ${
              shown(member.target)
            }, which is no file that came before it`,
          );
        }
        if (before === "folder") throw twice(path);
        if (path === target) return null;
        this.#entries.set(path, "file");
        return { kind: "hard-link", path, target, replaces: before !== undefined };
      }
      case "other":
        throw new RunError(
          `${shown(path)} is ${otherKinds[member.typeFlag] ?? "of an unknown kind"}, ` +
            "and an environment has files, folders and links only",
        );
    }
  }

  /** To be called after the last member. Throws if a link leads out by way of another. */
  finish(): void {
    for (const [path, entry] of this.#entries) {
      if (typeof entry === "object") this.#follow(path);
    }
  }

  #count({ path, size }: TarMember): void {
    this.#members++;
    this.#bytes += size;
    if (this.#members > this.limits.membersMax) {
      throw new RunError(`it has more than ${this.limits.membersMax} members`);
    }
    const { bytesMax, why } = this.limits;
    if (this.#bytes + this.#members * memberBytes > bytesMax) {
      throw new RunError(
        `with ${shown(path)} it has more than ${
          formatSizeMb(bytesMax / 1024 ** 2)
        } unpacked, ${why}`,
      );
    }
  }

  /** The folders above a path come into being with it; none of them may be a link or a file. */
  #enter(path: string): void {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const folder = path.slice(0, at);
      const entry = this.#entries.get(folder);
      if (entry === "folder") return; // and so are those above
      if (entry !== undefined) {
        const what = entry === "file" ? "a file" : "a link";
        throw new RunError(`${shown(path)} lies beneath ${shown(folder)}, which is ${what}`);
      }
      this.#entries.set(folder, "folder");
    }
  }

  /** Walks a link as the system would, also through links on its way. */
  #follow(link: string): void {
    const first = this.#entries.get(link);
    if (typeof first !== "object") return;
    if (first.target === "" || first.target.includes("\0")) {
      throw new RunError(`the link ${shown(link)} has no target`);
    }
    const at = link.split("/").slice(0, -1);
    const todo = first.target.split("/").reverse();
    if (first.target.startsWith("/")) throw leadsOut(link, first.target);
    for (let followed = 1; todo.length > 0;) {
      const name = todo.pop()!;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (at.pop() === undefined) throw leadsOut(link, first.target);
        continue;
      }
      const entry = this.#entries.get([...at, name].join("/"));
      if (typeof entry !== "object") {
        at.push(name);
        continue;
      }
      // A circle leads nowhere, so not outside either; the system refuses to follow it.
      if (++followed > linksFollowedMax) return;
      if (entry.target.startsWith("/")) throw leadsOut(link, first.target);
      todo.push(...entry.target.split("/").reverse());
    }
  }
}

const otherKinds: Readonly<Record<string, string>> = {
  "3": "a character device",
  "4": "a block device",
  "6": "a named pipe",
  "S": "a file with holes (sparse)",
};

/** A name of the archive as a path below its root. Throws if it is none. */
function relative(name: string): string {
  if (name.includes("\0") || name.includes("\uFFFD")) {
    throw new RunError(`the name ${shown(name)} is not UTF-8 text`);
  }
  if (name.startsWith("/")) {
    throw new RunError(
      `${shown(name)} is an absolute path, outside of the folder of the environment`,
    );
  }
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) {
    throw new RunError(
      `${shown(name)} has "..", and could lie outside of the folder of the environment`,
    );
  }
  const tooLong = name.length > pathBytesMax || parts.some((part) => part.length > nameBytesMax);
  if (tooLong) throw new RunError(`the name ${shown(name)} is longer than file systems take`);
  return parts.join("/");
}

function leadsOut(link: string, target: string): RunError {
  return new RunError(
    `the link ${shown(link)} leads to ${shown(target)}, outside of the folder of the environment`,
  );
}

function twice(path: string): RunError {
  return new RunError(`${shown(path)} comes twice, once as a folder and once not`);
}

function shown(name: string): string {
  const longest = 200;
  return JSON.stringify(name.length > longest ? `${name.slice(0, longest)}…` : name);
}
