/** What may stand in an analysis file, and the sentences for what may not. */
import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { parseCount, parsePorts, parseSizeMb } from "../core/units.ts";
import type { Path, Problems, SourceFile } from "./source_file.ts";

type Shape = "text" | "number" | "list" | "mapping" | "nothing" | "yes or no" | "other";

function shapeOf(value: unknown): Shape {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "string":
      return "text";
    case "number":
      return "number";
    case "boolean":
      return "yes or no";
    case "object":
      return "mapping";
    default:
      return "other";
  }
}

/** A value as a message shows it. */
function shown(value: unknown): string {
  const shape = shapeOf(value);
  if (shape === "nothing") return "nothing";
  return shape === "list" || shape === "mapping" ? `a ${shape}` : `"${value}"`;
}

/** One schema for each shape that a value may have: then only its problems are told. */
function byShape<T>(expected: string, shapes: Partial<Record<Shape, z.ZodType<T>>>): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    const schema = shapes[shapeOf(value)];
    if (schema === undefined) {
      context.addIssue({ code: "custom", message: wrongType(value, expected) });
      return z.NEVER;
    }
    const checked = schema.safeParse(value, { reportInput: true });
    if (checked.success) return checked.data;
    for (const issue of checked.error.issues) context.addIssue({ ...issue });
    return z.NEVER;
  });
}

function wrongType(value: unknown, expected: string): string {
  return value === undefined
    ? `this is missing: it is ${expected}`
    : `${shown(value)} is not ${expected}`;
}

/** A mapping with these keys and no others. */
function mapping<S extends z.ZodRawShape>(shape: S): z.ZodType<z.output<z.ZodObject<S>>> {
  const known = Object.keys(shape);
  const unknownKey = z.any().refine(() => false, { params: { known } });
  return z.object(shape).catchall(unknownKey).transform((value) =>
    value as z.output<z.ZodObject<S>>
  );
}

/** A number or a text that a parser of `core/units.ts` understands. */
function unit<T>(parse: (text: string) => T, expected: string): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    if (typeof value !== "string" && typeof value !== "number") {
      context.addIssue({ code: "custom", message: wrongType(value, expected) });
      return z.NEVER;
    }
    try {
      return parse(String(value));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });
}

const text = z.string().min(1);
const countFrom = (min: number) => unit((text) => parseCount(text, { min }), "a whole number");
const sizeMb = unit(parseSizeMb, "a size such as 16GB");
const metadata = z.record(z.string(), z.unknown());
const word = <const W extends readonly [string, ...string[]]>(...words: W) => z.enum(words);

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

export const processorSchema = byShape<ProcessorYaml>(
  "the name of a module, or a mapping with a command",
  {
    text: text.transform((path) => ({ kind: "module" as const, path })),
    mapping: mapping({ command: text, inputs: z.array(text).default([]) })
      .transform(({ command, inputs }) => ({ kind: "command" as const, command, inputs })),
  },
);

export type ProcessorYaml =
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "command"; readonly command: string; readonly inputs: readonly string[] };

const resources = mapping({
  cores: countFrom(1).optional(),
  memory: sizeMb.optional(),
  disk: sizeMb.optional(),
  gpus: countFrom(0).optional(),
});

const workers = byShape<WorkersYaml>('a number, "none", or a mapping with max', {
  text: unit(parseWorkers, "a number").transform(asWorkers),
  number: countFrom(1).transform(asWorkers),
  mapping: mapping({
    max: countFrom(1).default(1),
    cores: countFrom(1).optional(),
    memory: sizeMb.optional(),
    disk: sizeMb.optional(),
  }),
});

export type WorkersYaml = "none" | {
  readonly max: number;
  readonly cores?: number | undefined;
  readonly memory?: number | undefined;
  readonly disk?: number | undefined;
};

/** `none`, or how many workers the manager starts itself. */
export function parseWorkers(text: string): number | "none" {
  if (text.trim().toLowerCase() === "none") return "none";
  if (!/^[-+\d]/.test(text.trim())) {
    throw new UsageError(`"${text}" is not a number of workers${didYouMean(text, ["none"])}`);
  }
  return parseCount(text, { min: 1 });
}

function asWorkers(count: number | "none"): WorkersYaml {
  return count === "none" ? "none" : { max: count };
}

/** A name becomes part of file names and of what workers are told. */
const name = text.max(100).refine(
  (name) => !/[/\p{Cc}]/u.test(name) && name !== "." && name !== "..",
  { message: 'a name has no "/" and no control characters' },
);

export const analysisSchema = byShape("a mapping with datasets and processor", {
  mapping: mapping({
    name: name.optional(),
    datasets: datasetsSchema,
    tree: text.default("Events"),
    processor: processorSchema,
    chunksize: countFrom(1).default(100_000),
    maxchunks: countFrom(1).nullish(),
    resources: resources.optional(),
    workers: workers.optional(),
    port: unit(parsePorts, "a port such as 9123 or 9000:9100").default({ low: 0, high: 0 }),
    output: text.optional(),
    retries: countFrom(0).default(5),
    "skip-bad-files": z.boolean().default(false),
    "send-files": word("auto", "always", "never").default("auto"),
  }),
});

export type AnalysisYaml = z.output<typeof analysisSchema>;

/** Checks what stands at `base` of a file; `null` if there are problems, which are then noted. */
export function check<T>(
  schema: z.ZodType<T>,
  value: unknown,
  source: SourceFile,
  base: Path,
  problems: Problems,
): T | null {
  const checked = schema.safeParse(value, { reportInput: true });
  if (checked.success) return checked.data;
  for (const issue of checked.error.issues) {
    const path = [...base, ...issue.path];
    const known: unknown = issue.code === "custom" ? issue.params?.known : undefined;
    const key = String(path.at(-1));
    const said = Array.isArray(known)
      ? `unknown key "${key}"${didYouMean(key, known) || `: the keys are ${known.join(", ")}`}`
      : `${label(path)}${sentence(issue)}`;
    source.report(problems, source.offsetOf(path, Array.isArray(known) ? "key" : "value"), said);
  }
  return null;
}

/** `resources.memory: `, `datasets.DY.files[2]: `. */
export function label(path: Path): string {
  const parts = path.map((key, i) =>
    typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`
  );
  return parts.length === 0 ? "" : `${parts.join("")}: `;
}

function sentence(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return wrongType(issue.input, typeWords[issue.expected] ?? issue.expected);
    case "invalid_value": {
      const words = issue.values.map(String);
      const hint = typeof issue.input === "string" ? didYouMean(issue.input, words) : "";
      return `${shown(issue.input)} is not one of ${words.join(", ")}${hint}`;
    }
    case "too_small":
      return issue.origin === "string" ? "this is empty" : `it must be ${issue.minimum} or more`;
    case "too_big":
      return `it can have ${issue.maximum} characters at most`;
    default:
      return issue.message;
  }
}

const typeWords: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};
