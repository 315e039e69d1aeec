/** What may stand in an analysis file. */
import { z } from "zod";
import type { CoffeaSpec, DynamicChunkSize } from "../core/analysis/spec.ts";
import { parseTimeMs } from "../core/units.ts";
import {
  byShape,
  countFrom,
  mapping,
  portKey,
  projectName,
  resourcesKey,
  sizeMb,
  text,
  unit,
  word,
  workersKey,
} from "./schema.ts";

const metadata = z.record(z.string(), z.unknown());

/** A tree by name, or an entry of a fileset that coffea has preprocessed. */
const fileTree = byShape<FileTree>("the name of a tree", {
  text: text.transform((tree) => ({ tree })),
  nothing: z.null().transform(() => ({})),
  mapping: z.looseObject({
    object_path: text.nullish(),
    steps: z.array(z.tuple([z.number(), z.number()])).nullish(),
    num_entries: z.number().nullish(),
  }).transform(({ object_path, steps, num_entries }): FileTree => ({
    ...object_path ? { tree: object_path } : {},
    ...steps ? { steps } : {},
    ...num_entries ? { entries: num_entries } : {},
  })),
});

export interface FileTree {
  readonly tree?: string;
  /** Event ranges, if coffea has cut the file already. */
  readonly steps?: readonly (readonly [number, number])[];
  readonly entries?: number;
}

const someFiles = byShape<FilesYaml>("a file, a list of files, or a mapping of files to trees", {
  text: text.transform((one) => ({ kind: "one" as const, name: one })),
  list: z.array(text).transform((names) => ({ kind: "list" as const, names })),
  mapping: z.record(z.string(), fileTree).transform((trees) => ({ kind: "trees" as const, trees })),
});

/** The three ways to name files. */
export type FilesYaml =
  | { readonly kind: "one"; readonly name: string }
  | { readonly kind: "list"; readonly names: readonly string[] }
  | { readonly kind: "trees"; readonly trees: Readonly<Record<string, FileTree>> };

const datasetKeys = {
  files: someFiles.optional(),
  list: text.optional(),
  tree: text.optional(),
  metadata: metadata.nullish(),
  // Written by coffea: `treename` is our `tree`; the rest does not matter here.
  treename: text.nullish(),
  form: z.unknown().optional(),
  format: z.unknown().optional(),
  compressed_form: z.unknown().optional(),
  did: z.unknown().optional(),
};

const dataset = byShape<DatasetYaml>("a file, a list of files, or a mapping with files", {
  text: someFiles.transform((files) => ({ files })),
  list: someFiles.transform((files) => ({ files })),
  mapping: z.unknown().transform((value, context): DatasetYaml => {
    // coffea also takes {file: tree} without `files:` around it.
    const bare = Object.keys(value ?? {}).every((key) => /[./]/.test(key));
    const schema: z.ZodType<DatasetYaml> = bare
      ? someFiles.transform((files) => ({ files }))
      : mapping(datasetKeys).transform(({ files, list, tree, treename, metadata }) => ({
        ...files ? { files } : {},
        ...list ? { list } : {},
        ...tree ?? treename ? { tree: tree ?? treename ?? "" } : {},
        ...metadata ? { metadata } : {},
      }));
    const checked = schema.safeParse(value, { reportInput: true });
    if (checked.success) return checked.data;
    for (const issue of checked.error.issues) context.addIssue({ ...issue });
    return z.NEVER;
  }),
});

export interface DatasetYaml {
  readonly files?: FilesYaml;
  /** A text file with a file a line. */
  readonly list?: string;
  readonly tree?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Datasets by name, as in an analysis and as the whole of a coffea fileset. */
export const filesetSchema = byShape<Readonly<Record<string, DatasetYaml>>>(
  "a mapping of datasets to their files",
  { mapping: z.record(z.string(), dataset) },
);

export const datasetsSchema = byShape<string | Readonly<Record<string, DatasetYaml>>>(
  "a mapping of datasets to their files, or the name of a coffea fileset",
  { text, mapping: filesetSchema },
);

/** A processor of coffea: `FILE.py:NAME`. A drive letter or URL is none. */
const coffeaName = /^(.+\.py):([^:/\\]*)$/i;

const coffeaKeys = mapping({
  module: text.refine((name) => coffeaName.test(name), {
    message: "a processor of coffea is FILE.py:NAME, as in my_module.py:MyProcessor",
  }),
  python: text.default("python3"),
  schema: text.optional(),
  inputs: z.array(text).default([]),
}).transform(({ module, python, schema = null, inputs }) => ({
  ...coffeaOf(module)!,
  python,
  schema,
  inputs,
}));

function coffeaOf(name: string): { kind: "coffea"; path: string; name: string } | null {
  const [, path, inner] = coffeaName.exec(name) ?? [];
  return path === undefined || inner === undefined ? null : { kind: "coffea", path, name: inner };
}

const commandKeys = mapping({ command: text, inputs: z.array(text).default([]) })
  .transform(({ command, inputs }) => ({ kind: "command" as const, command, inputs }));

export const processorSchema = byShape<ProcessorYaml>(
  "the name of a module, or a mapping with a command or a module",
  {
    text: text.transform((path): ProcessorYaml => {
      const coffea = coffeaOf(path);
      return coffea === null
        ? { kind: "module", path }
        : { ...coffea, python: "python3", schema: null, inputs: [] };
    }),
    mapping: z.unknown().transform((value, context): ProcessorYaml => {
      const schema = Object.hasOwn(value ?? {}, "module") ? coffeaKeys : commandKeys;
      const checked = schema.safeParse(value, { reportInput: true });
      if (checked.success) return checked.data;
      for (const issue of checked.error.issues) context.addIssue({ ...issue });
      return z.NEVER;
    }),
  },
);

export type ProcessorYaml =
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "command"; readonly command: string; readonly inputs: readonly string[] }
  | CoffeaSpec;

const moreThanNone = { message: "it must be more than 0" };

/** What the tasks of chunks should take; the size of chunks follows. */
const dynamicChunkSize = byShape<DynamicChunkSize>("a mapping with memory or wall_time", {
  mapping: mapping({
    memory: sizeMb.refine((mb) => mb > 0, moreThanNone).optional(),
    wall_time: unit(parseTimeMs, "a time such as 60s").refine((ms) => ms > 0, moreThanNone)
      .optional(),
    model: word("robust", "coffea").default("robust"),
  }).refine(
    ({ memory, wall_time }) => memory !== undefined || wall_time !== undefined,
    { message: "there is no target: give memory, wall_time, or both" },
  ).transform(({ memory = null, wall_time = null, model }) => ({
    memoryMb: memory,
    wallMs: wall_time,
    model,
  })),
});

export const analysisSchema = byShape("a mapping with datasets and processor", {
  mapping: mapping({
    name: projectName.optional(),
    datasets: datasetsSchema,
    tree: text.default("Events"),
    processor: processorSchema,
    chunksize: countFrom(1).default(100_000),
    "dynamic-chunksize": dynamicChunkSize.optional(),
    maxchunks: countFrom(1).nullish(),
    resources: resourcesKey.optional(),
    workers: workersKey.optional(),
    port: portKey.default({ low: 0, high: 0 }),
    output: text.optional(),
    environment: text.optional(),
    retries: countFrom(0).default(5),
    "skip-bad-files": z.boolean().default(false),
    "send-files": word("auto", "always", "never").default("auto"),
    "x509-proxy": byShape<string | false>("the name of a file, or false", {
      text,
      "yes or no": z.boolean().refine((sent) => !sent, {
        message: "true is not the name of a file: false sends none, and without the key a proxy " +
          "is looked for",
      }).transform(() => false as const),
    }).optional(),
  }),
});

export type AnalysisYaml = z.output<typeof analysisSchema>;
