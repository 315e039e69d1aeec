/** What files and the command line say about any kind of run. */
import { basename, resolve } from "node:path";
import type { Mode } from "../core/allocation/mod.ts";
import { type Sizing, sizingOf } from "../core/allocation/sizing.ts";
import type { LocalWorkers, ResourceRequest } from "../core/analysis/spec.ts";
import type { MonitorMode } from "../core/monitor/mode.ts";
import type { PortRange } from "../core/units.ts";
import type { AmountsYaml, ResourcesYaml, WorkersYaml } from "./schema.ts";
import { type Path, type Problems, resolveFrom } from "./source_file.ts";

/** What the command line says; it wins over the file. */
export interface Overrides {
  readonly resourceMode?: Mode | undefined;
  readonly monitor?: MonitorMode | undefined;
  readonly chunkSize?: number | undefined;
  readonly chunksMax?: number | undefined;
  readonly port?: PortRange | undefined;
  /** Relative to where the command is run. */
  readonly output?: string | undefined;
  readonly workers?: number | "none" | undefined;
  /** Of one task. */
  readonly cores?: number | undefined;
  readonly memoryMb?: number | undefined;
  readonly diskMb?: number | undefined;
  readonly gpus?: number | undefined;
  readonly retries?: number | undefined;
  /** Only ever switched on: a switch that is not given says nothing. */
  readonly skipBadFiles?: boolean | undefined;
  /** A file, relative to where the command is run, or `none`. */
  readonly x509Proxy?: string | undefined;
}

/** The name of a run that has none: that of its file. */
export function nameFrom(path: string): string {
  return basename(path).replace(/\.[^.]*$/, "");
}

export type Complain = (at: Path, text: string) => void;

export function resourcesOf(
  resources: AmountsYaml | undefined,
  overrides: Overrides,
): ResourceRequest {
  return definedOnly({
    cores: overrides.cores ?? resources?.cores,
    memoryMb: overrides.memoryMb ?? resources?.memory,
    diskMb: overrides.diskMb ?? resources?.disk,
    gpus: overrides.gpus ?? resources?.gpus,
  });
}

export function runSizing(
  resources: ResourcesYaml | undefined,
  { resourceMode, monitor }: Overrides,
): Sizing {
  return sizingOf(resourceMode ?? resources?.mode, monitor ?? resources?.monitor);
}

/** One worker with the whole machine, unless something else is said. */
export function workersOf(
  workers: WorkersYaml | undefined,
  overrides: Overrides,
): LocalWorkers | null {
  if ((overrides.workers ?? workers) === "none") return null;
  const described = workers === undefined || workers === "none" ? { max: 1 } : workers;
  return {
    count: typeof overrides.workers === "number" ? overrides.workers : described.max,
    ...definedOnly({
      cores: described.cores,
      memoryMb: described.memory,
      diskMb: described.disk,
    }),
  };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

export function definedOnly<T extends Record<string, unknown>>(record: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}

/** A task that is larger than every worker would wait for ever. */
export function checkFit(
  task: ResourceRequest,
  workers: LocalWorkers | null,
  overrides: Overrides,
  complain: Complain,
  problems: Problems,
): void {
  const rows = [
    ["cores", "cores", ""],
    ["memory", "memoryMb", " MB"],
    ["disk", "diskMb", " MB"],
  ] as const;
  for (const [key, field, unit] of rows) {
    const wanted = task[field];
    const offered = workers?.[field];
    if (wanted === undefined || offered === undefined || wanted <= offered) continue;
    const text = `a task with ${wanted}${unit} fits on no worker, which has ${offered}${unit} ` +
      `(workers.${key})`;
    if (overrides[field] !== undefined) problems.addBare(`--${key}: ${text}`);
    else complain(["resources", key], text);
  }
}

/** Absolute; by default next to where the command is run. */
export async function outputOf(
  name: string,
  output: string | undefined,
  overrides: Overrides,
  folder: string,
  complain: Complain,
  problems: Problems,
): Promise<string> {
  const given = overrides.output ??
    (output === undefined ? `${name}-output` : resolveFrom(folder, output));
  const path = resolve(given);
  const info = await Deno.stat(path).catch(() => null);
  if (info !== null && !info.isDirectory) {
    const text = `"${given}" is a file: name a folder, which is made if it is not there`;
    if (overrides.output !== undefined) problems.addBare(`--output: ${text}`);
    else complain(["output"], text);
  }
  return path;
}
