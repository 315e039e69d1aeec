/**
 * What a run is a run of: everything that its result depends on. Two runs with the same identity
 * have the same result, so that one may go on with what is left of the other.
 */
import { createHash } from "node:crypto";
import type { AnalysisSpec } from "./spec.ts";

/** A local file as it was found. */
export interface Stamp {
  readonly bytes: number;
  readonly modifiedMs: number;
}

export interface Identity {
  /** By the words in which people are told of them; values as they are shown. */
  readonly options: Readonly<Record<string, string>>;
  /** SHA-256 by name: the processor and the files that go with it. */
  readonly code: Readonly<Record<string, string>>;
  /** Of each dataset, in order. `null`: not a file of this machine. */
  readonly files: readonly {
    readonly dataset: string;
    readonly source: string;
    readonly stamp: Stamp | null;
  }[];
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** `code`: SHA-256 by name; `stamps`: of the files of the analysis, in their order. */
export function identityOf(
  spec: AnalysisSpec,
  code: Readonly<Record<string, string>>,
  stamps: readonly (Stamp | null)[],
): Identity {
  const { processor, chunkSize, dynamicChunkSize, chunksMax, files, datasets } = spec;
  const trees = new Set(files.map(({ tree }) => tree));
  return {
    options: {
      "tree": [...trees].join(", "),
      "processor": JSON.stringify(processor),
      "chunksize": String(chunkSize),
      "dynamic-chunksize": JSON.stringify(dynamicChunkSize ?? "none"),
      "maxchunks": String(chunksMax ?? "none"),
      "metadata of the datasets": JSON.stringify([...datasets]),
    },
    code,
    files: files.map(({ dataset, source }, i) => ({ dataset, source, stamp: stamps[i] ?? null })),
  };
}

/** Told at most; the rest is counted. */
const differencesMax = 10;

/** In what they differ, a line each; none if the run may go on. Of files, only which there are. */
export function differences(before: Identity, now: Identity): string[] {
  const found: string[] = [];
  for (const [name, was] of Object.entries(before.options)) {
    const is = now.options[name];
    if (is !== was) found.push(`${name} is ${is}, it was ${was}`);
  }
  for (const name of new Set([...Object.keys(before.code), ...Object.keys(now.code)])) {
    if (before.code[name] !== now.code[name]) found.push(`${name} has changed`);
  }
  found.push(...differentFiles(before.files, now.files));
  const more = found.length - differencesMax;
  return more > 0 ? [...found.slice(0, differencesMax), `and ${more} more`] : found;
}

function differentFiles(before: Identity["files"], now: Identity["files"]): string[] {
  const known = new Set(before.map(nameOf));
  const found: string[] = [];
  for (const name of now.map(nameOf)) if (!known.delete(name)) found.push(`${name} is new`);
  for (const gone of known) found.push(`${gone} is not there any more`);
  if (found.length > 0) return found;
  const moved = now.some((file, i) => nameOf(file) !== nameOf(before[i]!));
  return moved ? ["the files stand in another order"] : [];
}

/** A file that is not what it was: what was made of it is not what it would be now. */
export interface ChangedFile {
  readonly place: number;
  /** As people are told. */
  readonly what: string;
}

/** Of two identities with the same files. */
export function changedFiles(before: Identity, now: Identity): ChangedFile[] {
  return now.files.flatMap((file, place): ChangedFile[] => {
    const was = before.files[place]?.stamp ?? null;
    const is = file.stamp;
    const name = nameOf(file);
    if (was?.bytes !== is?.bytes) {
      return [{ place, what: `${name} has ${sizeOf(is)}, it had ${sizeOf(was)}` }];
    }
    if (was?.modifiedMs === is?.modifiedMs) return [];
    return [{ place, what: `${name} was written to in the meantime` }];
  });
}

function nameOf({ dataset, source }: Identity["files"][number]): string {
  return `"${source}" (dataset ${dataset})`;
}

function sizeOf(stamp: Stamp | null): string {
  return stamp === null ? "no size" : `${stamp.bytes} bytes`;
}
