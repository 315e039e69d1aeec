/**
 * An environment in layers, each on top of the one before: conda packages, distributions of pip,
 * projects of this machine. A layer's key tells all that it depends on, so that what was made once
 * can be taken again; a change makes anew what lies above it and nothing below.
 */
import { createHash } from "node:crypto";
import type { LockedDistribution, LockedLocal } from "./lock.ts";
import type { PackageRecord } from "./record.ts";

/** A file or link of a prefix, as far as a change of it shows. */
export interface FileState {
  /** Size, inode, times: differs when the file was written or replaced. */
  readonly stamp: string;
}

/** What one step did to a prefix; paths from its root. */
export interface LayerChange {
  /** New or written again, sorted. */
  readonly written: readonly string[];
  /** There before and gone now, sorted. */
  readonly removed: readonly string[];
}

/** Compares a prefix before and after. */
export function changeBetween(
  before: ReadonlyMap<string, FileState>,
  after: ReadonlyMap<string, FileState>,
): LayerChange {
  const written = [...after].filter(([path, { stamp }]) => before.get(path)?.stamp !== stamp);
  const removed = [...before.keys()].filter((path) => !after.has(path));
  return { written: written.map(([path]) => path).sort(), removed: removed.sort() };
}

/** Keys of the layers; the length of the build prefix is part of what is written into files. */
export interface LayerKeys {
  readonly conda: string;
  readonly pip: string;
  readonly locals: string;
}

export function layerKeys(
  conda: readonly PackageRecord[],
  pip: readonly LockedDistribution[],
  locals: readonly LockedLocal[],
  prefixLength: number,
  installer: "pip" | "uv" = "pip",
): LayerKeys {
  const condaKey = keyOf(
    "conda",
    String(prefixLength),
    ...conda.map((record) => record.sha256 ?? record.md5 ?? record.url),
  );
  const pipKey = keyOf(
    condaKey,
    installer,
    ...pip.map(({ name, version, url, sha256 }) => [name, version, url ?? "", ...sha256].join(" "))
      .sort(),
  );
  return {
    conda: condaKey,
    pip: pipKey,
    locals: keyOf(pipKey, ...locals.map(({ path, sha256 }) => `${path} ${sha256}`)),
  };
}

/** 40 hex digits of all the parts and their order. */
export function keyOf(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:${part}`);
  return hash.digest("hex").slice(0, 40);
}
