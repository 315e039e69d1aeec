/** What the tasks of an analysis are for, and the task that each becomes. */
import { baseName, bufferInput, fileInput, shared, wqxInput } from "../cache_names.ts";
import type { Source, TaskInput, TaskOutput, TaskSpec } from "../scheduler/tasks.ts";
import type { Range } from "./chunks.ts";
import {
  type CoffeaJob,
  type CoffeaProcessor,
  coffeaResultFileName,
  coffeaRunnerFileName,
  type Job,
  jobFileName,
  outcomeFileName,
  processorFileName,
  resultFileName,
  x509ProxyFileName,
} from "./job.ts";
import {
  type AnalysisSpec,
  type CoffeaSpec,
  type InputFile,
  isXrootdUrl,
  type ResourceRequest,
} from "./spec.ts";
import type { TreeNode } from "./tree.ts";

export type Category = "preprocessing" | "processing" | "accumulating";
export const categories: readonly Category[] = ["preprocessing", "processing", "accumulating"];

/** A partial result in the run folder. */
export interface Part {
  readonly path: string;
  readonly events: number;
}

export type Item =
  | {
    readonly kind: "preprocess";
    readonly file: InputFile;
    /** More than tasks of its category are given. */
    readonly request?: ResourceRequest;
  }
  | {
    readonly kind: "process";
    readonly leaf: number;
    /** Of a leaf that was split: which piece, of which piece …; empty for a whole one. */
    readonly piece: readonly number[];
    readonly file: InputFile;
    readonly uuid: string;
    readonly range: Range;
  }
  | {
    readonly kind: "accumulate";
    readonly node: TreeNode;
    readonly parts: readonly Part[];
    readonly final: boolean;
    /** What is merged to its result after it, by tasks that take less at once. */
    readonly rest?: { readonly parts: readonly Part[]; readonly final: boolean };
    /** Tasks of the same node before this one. */
    readonly step?: number;
    readonly request?: ResourceRequest;
  };

export const categoryOf: Record<Item["kind"], Category> = {
  preprocess: "preprocessing",
  process: "processing",
  accumulate: "accumulating",
};

/** Later stages first: merging early keeps few partial results, processing ends what is begun. */
const priorityOf: Record<Item["kind"], number> = { preprocess: 0, process: 0, accumulate: 1 };

/** What turning items into tasks needs besides the items. */
export interface TaskContext {
  readonly spec: AnalysisSpec;
  /** The bundled module, or `null` for a command processor. */
  readonly processor: { readonly code: Uint8Array; readonly postprocess: boolean } | null;
  /** For a processor of coffea: the program that runs its jobs. */
  readonly coffeaRunner?: Uint8Array;
  /** The user's x509 proxy, for tasks that open files of XRootD. */
  readonly x509Proxy?: Uint8Array;
  /** Folder of partial results and outcomes; absolute. */
  readonly partsFolder: string;
  /** wqx itself, for workers that are not of wqx; named `wqx` in the sandbox. */
  readonly wqx: Source;
  /** Runs the job of its sandbox, on any worker. */
  readonly taskCommand: string;
}

/** One word that names the item in files and reports: `pre-3`, `p-17`, `p-17-0`, `accum-1-0`. */
export function itemId(item: Item, serial: number): string {
  switch (item.kind) {
    case "preprocess":
      return `pre-${serial}`;
    case "process":
      return ["p", item.leaf, ...item.piece].join("-");
    case "accumulate":
      return ["accum", item.node.level, item.node.index, item.step ?? []].flat().join("-");
  }
}

/** As people are told of it. */
export function describeItem(item: Item): string {
  switch (item.kind) {
    case "preprocess":
      return `preprocessing "${item.file.file}" (dataset ${item.file.dataset})`;
    case "process":
      return `processing events [${item.range.start}, ${item.range.stop}) of ` +
        `"${item.file.file}" (dataset ${item.file.dataset})`;
    case "accumulate":
      return `accumulating ${item.parts.length} partial results`;
  }
}

/** What is declared holds for categories as a whole (sizing.ts). */
const undeclared: ResourceRequest = {};

export function taskOf(item: Item, id: string, context: TaskContext): TaskSpec {
  const { spec, partsFolder } = context;
  const outcome = { ...output(id, outcomeFileName, partsFolder), when: "always" } as const;
  const result = { ...output(id, resultFileName, partsFolder), when: "success" } as const;
  const told = spec.processor.kind === "coffea" && item.kind === "accumulate" && item.final
    ? [{ ...output(id, coffeaResultFileName, partsFolder), when: "success" } as const]
    : [];
  return {
    command: context.taskCommand,
    category: categoryOf[item.kind],
    priority: priorityOf[item.kind],
    request: item.kind === "process" ? undeclared : item.request ?? undeclared,
    inputs: inputsOf(item, id, context),
    outputs: item.kind === "preprocess" ? [outcome] : [result, ...told, outcome],
    env: proxyOf(item, context) === null ? [] : [`X509_USER_PROXY=${x509ProxyFileName}`],
    retriesMax: spec.retries,
  };
}

export function outcomePath(id: string, partsFolder: string): string {
  return `${partsFolder}/${id}.${outcomeFileName}`;
}

export function resultPath(id: string, partsFolder: string): string {
  return `${partsFolder}/${id}.${resultFileName}`;
}

/** Where the JSON of coffea's final result lies, which is at `path`. */
export function coffeaResultPath(path: string): string {
  return path.slice(0, path.length - resultFileName.length) + coffeaResultFileName;
}

function output(id: string, name: string, partsFolder: string): Omit<TaskOutput, "when"> {
  return {
    sandboxName: name,
    cacheName: `out-${id}-${name}`,
    path: `${partsFolder}/${id}.${name}`,
  };
}

function inputsOf(item: Item, id: string, context: TaskContext): TaskInput[] {
  const { spec, processor } = context;
  const inputs: TaskInput[] = [jobInput(jobOf(item, context), id)];
  if (spec.processor.kind !== "coffea") inputs.push(wqxInput(context.wqx));
  if (item.kind !== "accumulate" && item.file.send) inputs.push(dataInput(item.file));
  const proxy = proxyOf(item, context);
  if (proxy !== null) {
    inputs.push(bufferInput(proxy, { sandboxName: x509ProxyFileName, owner: shared }, 0o600));
  }
  if (item.kind === "accumulate") {
    item.parts.forEach((part, i) =>
      inputs.push(fileInput(part.path, { sandboxName: partName(i), owner: id }))
    );
  }
  if (processor !== null && (item.kind === "process" || isPostprocessed(item, context))) {
    inputs.push(bufferInput(processor.code, { sandboxName: processorFileName, owner: shared }));
  }
  if (item.kind === "process" && spec.processor.kind === "command") {
    for (const path of spec.processor.inputs) {
      inputs.push(fileInput(path, { sandboxName: baseName(path), owner: shared }));
    }
  }
  if (spec.processor.kind === "coffea") {
    inputs.push(
      bufferInput(context.coffeaRunner!, { sandboxName: coffeaRunnerFileName, owner: shared }),
    );
    // Accumulators may be of classes that the module has.
    const { path, inputs: others } = spec.processor;
    for (const one of item.kind === "preprocess" ? [] : [path, ...others]) {
      inputs.push(fileInput(one, { sandboxName: baseName(one), owner: shared }));
    }
  }
  return inputs;
}

function proxyOf(item: Item, { x509Proxy }: TaskContext): Uint8Array | null {
  if (item.kind === "accumulate" || !isXrootdUrl(item.file.source)) return null;
  return x509Proxy ?? null;
}

function isPostprocessed(item: Item, { processor }: TaskContext): boolean {
  return item.kind === "accumulate" && item.final && processor !== null && processor.postprocess;
}

function jobOf(item: Item, context: TaskContext): Job | CoffeaJob {
  const { spec } = context;
  const coffea = spec.processor.kind === "coffea" ? coffeaOf(spec.processor) : null;
  const module = { module: processorFileName };
  switch (item.kind) {
    case "preprocess": {
      const { dataset, file, tree } = item.file;
      return { kind: "preprocess", dataset, file, open: openName(item.file), tree };
    }
    case "process": {
      const { dataset, file, tree } = item.file;
      return {
        kind: "process",
        dataset,
        file,
        open: openName(item.file),
        tree,
        uuid: item.uuid,
        ...item.range,
        metadata: spec.datasets.get(dataset) ?? {},
        ...coffea !== null ? { coffea } : {
          processor: spec.processor.kind === "command"
            ? { command: spec.processor.command }
            : module,
        },
      };
    }
    case "accumulate": {
      const parts = item.parts.map((_, i) => partName(i));
      if (coffea !== null && item.final) {
        return { kind: "accumulate", parts, postprocess: { coffea } };
      }
      return isPostprocessed(item, context)
        ? { kind: "accumulate", parts, postprocess: module }
        : { kind: "accumulate", parts };
    }
  }
}

function coffeaOf({ path, name, schema }: CoffeaSpec): CoffeaProcessor {
  return { file: baseName(path), name, schema };
}

const partName = (i: number) => `part-${i}.acc`;
const openName = (file: InputFile) => file.send ? `data/${baseName(file.source)}` : file.source;

function jobInput(job: Job | CoffeaJob, id: string): TaskInput {
  const bytes = new TextEncoder().encode(JSON.stringify(job));
  return bufferInput(bytes, { sandboxName: jobFileName, owner: id });
}

function dataInput(file: InputFile): TaskInput {
  return fileInput(file.source, { sandboxName: openName(file), owner: shared });
}
