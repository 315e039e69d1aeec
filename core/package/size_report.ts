/** Where the bytes of an environment are, and what could be left out of it. */

import { compileFilters, passes } from "./fnmatch.ts";

/** A file of a prefix: path from its root, bytes, and the package that brought it. */
export interface SizedFile {
  readonly path: string;
  readonly bytes: number;
  /** `null`: of no package. */
  readonly owner: string | null;
}

export interface PackageSize {
  readonly name: string;
  readonly bytes: number;
  readonly files: number;
}

/** Something that most tasks do without, and the patterns for `--exclude`. */
export interface Saving {
  readonly what: string;
  readonly patterns: readonly string[];
  readonly bytes: number;
  readonly files: number;
}

export interface SizeReport {
  readonly bytes: number;
  readonly files: number;
  /** The largest first. */
  readonly packages: readonly PackageSize[];
  /** Those that save something, the largest first. */
  readonly savings: readonly Saving[];
}

/** What is looked for: patterns as `--exclude` takes them, where `*` stands for `/` too. */
const candidates: readonly { readonly what: string; readonly patterns: readonly string[] }[] = [
  { what: "tests", patterns: ["*/tests/*", "*/test/*"] },
  { what: "byte code", patterns: ["*.pyc"] },
  { what: "static libraries", patterns: ["*.a"] },
  { what: "headers", patterns: ["include/*", "*/include/*.h", "*/include/*.hpp"] },
  { what: "documentation", patterns: ["share/doc/*", "share/man/*", "share/info/*", "man/*"] },
  { what: "type stubs", patterns: ["*.pyi"] },
  { what: "C sources", patterns: ["*.c", "*.pyx", "*.pxd"] },
];

/** Sums up the files of a prefix. */
export function sizeReport(files: readonly SizedFile[]): SizeReport {
  const packages = [...Map.groupBy(files, ({ owner }) => owner ?? "(no package)")]
    .map(([name, owned]) => ({ name, ...sumOf(owned) }));
  const savings = candidates.map(({ what, patterns }) => {
    const filters = compileFilters(patterns.map((pattern) => ({ kind: "exclude", pattern })));
    return { what, patterns, ...sumOf(files.filter(({ path }) => !passes(path, filters))) };
  });
  return {
    ...sumOf(files),
    packages: packages.sort(largestFirst),
    savings: savings.filter(({ bytes }) => bytes > 0).sort(largestFirst),
  };
}

function sumOf(files: readonly SizedFile[]): { readonly bytes: number; readonly files: number } {
  return { bytes: files.reduce((sum, { bytes }) => sum + bytes, 0), files: files.length };
}

function largestFirst(a: { readonly bytes: number }, b: { readonly bytes: number }): number {
  return b.bytes - a.bytes;
}
