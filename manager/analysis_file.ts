/** An analysis file and the command line → an analysis in which nothing is left to doubt. */
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import type { AnalysisSpec, LocalWorkers, ResourceRequest } from "../core/analysis/spec.ts";
import type { PortRange } from "../core/units.ts";
import {
  analysisSchema,
  type AnalysisYaml,
  check,
  datasetsSchema,
  label,
  processorSchema,
  type ProcessorYaml,
} from "./analysis_schema.ts";
import { readFileset } from "./fileset.ts";
import { nearestFile, type Path, Problems, resolveFrom, SourceFile } from "./source_file.ts";

/** What the command line says; it wins over the file. */
export interface Overrides {
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
}

/** Long lists of files belong in list files or filesets, which may be longer. */
const analysisBytesMax = 4 * 1024 ** 2;

/**
 * Reads and checks an analysis file. Throws a UsageError that lists all that is wrong, each with
 * file, line and column, or with the option that is to blame.
 */
export async function loadAnalysis(path: string, overrides: Overrides): Promise<AnalysisSpec> {
  const problems = new Problems();
  const source = await SourceFile.read(path, path, "the analysis", analysisBytesMax, problems);
  if (source === null) return refused(problems);
  const folder = resolve(dirname(path));
  const complain: Complain = (at, text) =>
    source.report(problems, source.offsetOf(at), `${label(at)}${text}`);
  const yaml = check(analysisSchema, source.data, source, [], problems);
  const context = { source, folder, problems };
  if (yaml === null) {
    // What is sound is looked at all the same, so that all that is wrong is told at once.
    const { datasets, processor } = soundParts(source.data);
    if (datasets) await readFileset(datasets, { ...context, tree: "", send: "auto" });
    if (processor) await processorOf(processor, folder, complain);
    return refused(problems);
  }
  const { files, datasets } = await readFileset(yaml.datasets, {
    ...context,
    tree: yaml.tree,
    send: yaml["send-files"],
  });
  const name = yaml.name ?? basename(path).replace(/\.[^.]*$/, "");
  const resources = resourcesOf(yaml, overrides);
  const workers = workersOf(yaml, overrides);
  checkFit(resources, workers, overrides, complain, problems);
  const spec: AnalysisSpec = {
    name,
    files,
    datasets,
    processor: await processorOf(yaml.processor, folder, complain),
    chunkSize: overrides.chunkSize ?? yaml.chunksize,
    chunksMax: overrides.chunksMax ?? yaml.maxchunks ?? null,
    resources,
    workers,
    port: overrides.port ?? yaml.port,
    output: await outputOf(name, yaml, overrides, folder, complain, problems),
    retries: overrides.retries ?? yaml.retries,
    skipBadFiles: overrides.skipBadFiles || yaml["skip-bad-files"],
  };
  problems.throwIfAny();
  return spec;
}

function refused(problems: Problems): never {
  problems.throwIfAny();
  throw new Error("The analysis was refused without a reason");
}

/** Of an analysis that breaks its schema, the parts that do not. */
function soundParts(data: unknown) {
  const parts = z.object({ datasets: z.unknown(), processor: z.unknown() }).safeParse(data).data;
  return {
    datasets: datasetsSchema.safeParse(parts?.datasets).data,
    processor: processorSchema.safeParse(parts?.processor).data,
  };
}

type Complain = (at: Path, text: string) => void;

function resourcesOf({ resources }: AnalysisYaml, overrides: Overrides): ResourceRequest {
  return definedOnly({
    cores: overrides.cores ?? resources?.cores,
    memoryMb: overrides.memoryMb ?? resources?.memory,
    diskMb: overrides.diskMb ?? resources?.disk,
    gpus: overrides.gpus ?? resources?.gpus,
  });
}

/** One worker with the whole machine, unless something else is said. */
function workersOf({ workers }: AnalysisYaml, overrides: Overrides): LocalWorkers | null {
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

function definedOnly<T extends Record<string, unknown>>(record: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}

/** A task that is larger than every worker would wait for ever. */
function checkFit(
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

async function processorOf(
  yaml: ProcessorYaml,
  folder: string,
  complain: Complain,
): Promise<AnalysisSpec["processor"]> {
  if (yaml.kind === "module") {
    const path = resolveFrom(folder, yaml.path);
    await checkModule(yaml.path, path, complain);
    return { kind: "module", path };
  }
  const inputs = yaml.inputs.map((name) => resolveFrom(folder, name));
  for (const [i, path] of inputs.entries()) {
    const at = ["processor", "inputs", i];
    const first = inputs.findIndex((other) => basename(other) === basename(path));
    if (first < i) complain(at, `two inputs are called "${basename(path)}": a task has one folder`);
    await checkFile(yaml.inputs[i] ?? path, path, at, complain);
  }
  return { kind: "command", command: yaml.command, inputs };
}

async function checkModule(name: string, path: string, complain: Complain): Promise<void> {
  const at = ["processor"];
  if (/\.py$/i.test(name)) {
    return complain(
      at,
      `a Python processor runs as a command for now: {command: "python3 ${basename(name)}", ` +
        `inputs: [${name}]}`,
    );
  }
  if (!/\.(ts|mts|js|mjs)$/i.test(name)) {
    return complain(
      at,
      `"${name}" is not a module: it ends in .ts, .mts, .js or .mjs; ` +
        "for any other program write {command: …, inputs: [files]}",
    );
  }
  await checkFile(name, path, at, complain);
}

async function checkFile(name: string, path: string, at: Path, complain: Complain): Promise<void> {
  const info = await Deno.stat(path).catch(() => null);
  if (info?.isDirectory) complain(at, `"${name}" is a folder: name a file`);
  else if (info === null) {
    complain(at, `there is no file "${name}"${await nearestFile(path, name)}`);
  }
}

/** Absolute; by default next to where the command is run. */
async function outputOf(
  name: string,
  yaml: AnalysisYaml,
  overrides: Overrides,
  folder: string,
  complain: Complain,
  problems: Problems,
): Promise<string> {
  const given = overrides.output ??
    (yaml.output === undefined ? `${name}-output` : resolveFrom(folder, yaml.output));
  const output = resolve(given);
  const info = await Deno.stat(output).catch(() => null);
  if (info !== null && !info.isDirectory) {
    const text = `"${given}" is a file: name a folder, which is made if it is not there`;
    if (overrides.output !== undefined) problems.addBare(`--output: ${text}`);
    else complain(["output"], text);
  }
  return output;
}
