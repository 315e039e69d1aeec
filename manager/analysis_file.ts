/** An analysis file and the command line → an analysis in which nothing is left to doubt. */
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import type {
  AnalysisSpec,
  EnvironmentFile,
  LocalWorkers,
  ResourceRequest,
} from "../core/analysis/spec.ts";
import {
  analysisSchema,
  type AnalysisYaml,
  datasetsSchema,
  processorSchema,
  type ProcessorYaml,
} from "./analysis_schema.ts";
import { openArchive } from "./environments.ts";
import { readFileset } from "./fileset.ts";
import {
  checkFit,
  type Complain,
  nameFrom,
  outputOf,
  type Overrides,
  resourcesOf,
  runSizing,
  workersOf,
} from "./run_options.ts";
import { check, label } from "./schema.ts";
import {
  nearestFile,
  type Path,
  type Problems,
  resolveFrom,
  type SourceFile,
} from "./source_file.ts";
import { proxyFor } from "./x509_proxy.ts";

/**
 * Checks an analysis file that was read. Throws a UsageError that lists all that is wrong, each
 * with file, line and column, or with the option that is to blame.
 */
export async function analysisOf(
  source: SourceFile,
  path: string,
  overrides: Overrides,
  problems: Problems,
): Promise<AnalysisSpec> {
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
  const name = yaml.name ?? nameFrom(path);
  const resources = resourcesOf(yaml.resources, overrides);
  const workers = workersOf(yaml.workers, overrides);
  checkFit(resources, workers, overrides, complain, problems);
  const dynamic = yaml["dynamic-chunksize"];
  const chunksMax = overrides.chunksMax ?? yaml.maxchunks ?? null;
  if (dynamic !== undefined) checkTargets(dynamic, { chunksMax, resources, workers }, complain);
  const x509Proxy = await proxyFor(files, {
    key: yaml["x509-proxy"],
    option: overrides.x509Proxy,
    folder,
    complain: (key, text) => key ? complain(["x509-proxy"], text) : problems.addBare(text),
  });
  const environment = await environmentOf(yaml.environment, folder, complain);
  const spec: AnalysisSpec = {
    name,
    files,
    datasets,
    processor: await processorOf(yaml.processor, folder, complain),
    chunkSize: overrides.chunkSize ?? yaml.chunksize,
    ...(dynamic !== undefined && { dynamicChunkSize: dynamic }),
    chunksMax,
    resources,
    sizing: runSizing(yaml.resources, overrides),
    workers,
    port: overrides.port ?? yaml.port,
    output: await outputOf(name, yaml.output, overrides, folder, complain, problems),
    retries: overrides.retries ?? yaml.retries,
    skipBadFiles: overrides.skipBadFiles || yaml["skip-bad-files"],
    ...environment !== null ? { environment } : {},
    ...x509Proxy !== null ? { x509Proxy } : {},
  };
  problems.throwIfAny();
  return spec;
}

async function environmentOf(
  written: string | undefined,
  folder: string,
  complain: Complain,
): Promise<EnvironmentFile | null> {
  if (written === undefined) return null;
  const file = { path: resolveFrom(folder, written), written };
  const opened = await openArchive(file);
  if (typeof opened === "string") complain(["environment"], opened);
  return file;
}

/** Targets that tasks cannot come up to, because of what else is asked for. */
function checkTargets(
  { memoryMb }: NonNullable<AnalysisYaml["dynamic-chunksize"]>,
  { chunksMax, resources, workers }: {
    readonly chunksMax: number | null;
    readonly resources: ResourceRequest;
    readonly workers: LocalWorkers | null;
  },
  complain: Complain,
): void {
  const key = "dynamic-chunksize";
  if (chunksMax !== null) {
    complain([key], "maxchunks cannot be had with it, as the number of chunks is not known before");
  }
  const limits = [
    [resources.memoryMb, "a task is given (resources.memory)"],
    [workers?.memoryMb, "a worker has (workers.memory)"],
  ] as const;
  for (const [limitMb, whose] of limits) {
    if (memoryMb === null || limitMb === undefined || memoryMb <= limitMb) continue;
    const text = `a target of ${memoryMb} MB is more than the ${limitMb} MB that ${whose}`;
    return complain([key, "memory"], text);
  }
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
  const path = yaml.kind === "coffea" ? resolveFrom(folder, yaml.path) : null;
  const names = [...inputs, ...path === null ? [] : [path]].map((one) => basename(one));
  for (const [i, one] of inputs.entries()) {
    const at = ["processor", "inputs", i];
    const first = names.indexOf(basename(one));
    if (first < i || names.indexOf(basename(one), inputs.length) >= 0) {
      complain(at, `two inputs are called "${basename(one)}": a task has one folder`);
    }
    await checkFile(yaml.inputs[i] ?? one, one, at, complain);
  }
  if (yaml.kind === "command") return { kind: "command", command: yaml.command, inputs };
  if (yaml.name === "") {
    complain(["processor"], `name what is in "${yaml.path}", as in ${yaml.path}:MyProcessor`);
  } else if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(yaml.name)) {
    complain(["processor"], `"${yaml.name}" is not a name in Python`);
  }
  await checkFile(yaml.path, path!, ["processor"], complain);
  return { ...yaml, path: path!, inputs };
}

async function checkModule(name: string, path: string, complain: Complain): Promise<void> {
  const at = ["processor"];
  if (/\.py$/i.test(name)) {
    return complain(
      at,
      `a processor of coffea is named with its file, as in ${name}:MyProcessor; ` +
        `any other program is a command: {command: "python3 ${basename(name)}", ` +
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
