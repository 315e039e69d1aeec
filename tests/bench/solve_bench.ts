/**
 * How long does it take to solve for three packages and a Python in a channel of 100,000 records,
 * and how much memory, by the form of its repodata? Each in a process of its own.
 */
import { fileURLToPath } from "node:url";
import { seededRng } from "../../core/env.ts";
import {
  record,
  type RepodataKind,
  type TestRecord,
  writeFolder,
} from "../support/repodata_channel.ts";
import { TempFolder } from "../support/temp.ts";
import { type BenchRow, median } from "./row.ts";

const recordCount = 100_000;
const runs = 3;
const pythons = [8, 9, 10, 11, 12, 13];

/** What `solve_once.ts` prints. */
export interface SolveOnce {
  readonly ms: number;
  /** Of the whole process, its start and all its threads included. */
  readonly cpuMs: number;
  readonly peakMb: number;
  readonly packageCount: number;
}

/** Compiled for each Python, for none, or for all at once, as public channels have it. */
function records(): readonly TestRecord[] {
  const rng = seededRng(8);
  const below = (count: number) => Math.floor(rng() * count);
  const more = {
    md5: "0123456789abcdef".repeat(2),
    sha256: "0123456789abcdef".repeat(4),
    license: "BSD-3-Clause",
    size: 1_234_567,
  };
  const found = pythons.map((minor) => record("python", `3.${minor}.4`, ["lib-0"], more));
  const glibc = "__glibc >=2.17,<3.0.a0";
  for (let i = 0; found.length < recordCount; i++) {
    const needs = (version: number) =>
      Array.from({ length: Math.min(i, below(5)) }, () => {
        // The older a package, the more use it.
        const other = Math.floor(rng() ** 3 * i);
        const name = ["lib", "pkg", "pure"][other % 3];
        return `${name}-${other} >=1.${Math.max(0, version - 6)},<2`;
      });
    for (let version = 0; version < 12; version++) {
      const timestamp = 1_600_000_000_000 + found.length * 1e6;
      const own = { ...more, timestamp };
      if (i % 3 === 0) {
        found.push(record(`lib-${i}`, `1.${version}`, [glibc, ...libs(needs(version))], own));
      }
      if (i % 3 === 2) {
        found.push(record(`pure-${i}`, `1.${version}`, ["python >=3.8", ...needs(version)], own));
      }
      for (const minor of i % 3 === 1 ? pythons : []) {
        const python = `python >=3.${minor},<3.${minor + 1}.0a0`;
        const depends = [glibc, python, `python_abi 3.${minor}.* *_cp3${minor}`, ...needs(version)];
        const build = `py3${minor}h1_0`;
        found.push(record(`pkg-${i}`, `1.${version}`, depends, { ...own, build }));
      }
    }
  }
  const abis = pythons.map((minor) =>
    record("python_abi", `3.${minor}`, [`python 3.${minor}.*`], { build: `1_cp3${minor}` })
  );
  return [...found, ...abis];
}

/** Libraries need libraries only. */
function libs(needs: readonly string[]): readonly string[] {
  return needs.filter((text) => text.startsWith("lib-"));
}

export async function solveBench(): Promise<BenchRow[]> {
  await using folder = await TempFolder.create("wqx-bench-");
  const channel = records();
  const rows: BenchRow[] = [];
  const kinds: readonly RepodataKind[] = ["plain", "zst", "shards"];
  for (const kind of kinds) {
    await writeFolder(folder.join(kind, "linux-64"), channel, kind);
    await writeFolder(folder.join(kind, "noarch"), [], kind);
    const found: SolveOnce[] = [];
    for (let run = 0; run < runs; run++) {
      const script = fileURLToPath(new URL("./solve_once.ts", import.meta.url));
      const specs = ["python=3.11", "pkg-1501", "pkg-1201", "pure-602"];
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          script,
          folder.join(kind),
          folder.join("cache"),
          ...specs,
        ],
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
      found.push(JSON.parse(new TextDecoder().decode(stdout)));
    }
    const ms = median(found.map(({ ms }) => ms));
    const first = rows[0];
    const name = `solve, ${channel.length} records, ${kind}`;
    rows.push({
      name: `${name} (${found[0]!.packageCount} packages)`,
      value: ms,
      unit: "ms",
      ...first && { ratio: { to: "plain", value: ms / first.value } },
    });
    const cpuMs = median(found.map(({ cpuMs }) => cpuMs));
    rows.push({ name: `${name}: CPU time`, value: cpuMs, unit: "ms" });
    const peak = Math.max(...found.map(({ peakMb }) => peakMb));
    rows.push({ name: `${name}: most memory`, value: peak, unit: "MB" });
  }
  return rows;
}
