/**
 * Schemas of what users write, and the sentences for what may not stand there; with the keys that
 * every kind of run has.
 */
import { z } from "zod";
import { parseMode } from "../core/allocation/mod.ts";
import { UsageError } from "../core/errors.ts";
import { monitorModes } from "../core/monitor/mode.ts";
import { didYouMean } from "../core/suggest.ts";
import { parseCount, parsePorts, parseSizeMb } from "../core/units.ts";
import type { Path, Problems, SourceFile } from "./source_file.ts";

export type Shape = "text" | "number" | "list" | "mapping" | "nothing" | "yes or no" | "other";

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
export function byShape<T>(
  expected: string,
  shapes: Partial<Record<Shape, z.ZodType<T>>>,
): z.ZodType<T> {
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

export function wrongType(value: unknown, expected: string): string {
  return value === undefined
    ? `this is missing: it is ${expected}`
    : `${shown(value)} is not ${expected}`;
}

/** A mapping with these keys and no others. */
export function mapping<S extends z.ZodRawShape>(shape: S): z.ZodType<z.output<z.ZodObject<S>>> {
  const known = Object.keys(shape);
  const unknownKey = z.any().refine(() => false, { params: { known } });
  return z.object(shape).catchall(unknownKey).transform((value) =>
    value as z.output<z.ZodObject<S>>
  );
}

/** A number or a text that a parser of `core/units.ts` understands. */
export function unit<T>(parse: (text: string) => T, expected: string): z.ZodType<T> {
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

export const text = z.string().min(1);
export const sizeMb = unit(parseSizeMb, "a size such as 16GB");

export function countFrom(min: number): z.ZodType<number> {
  return unit((text) => parseCount(text, { min }), "a whole number");
}

export function word<const W extends readonly [string, ...string[]]>(
  ...words: W
): z.ZodType<W[number]> {
  return z.enum(words);
}

const amountKeys = {
  cores: countFrom(1).optional(),
  memory: sizeMb.optional(),
  disk: sizeMb.optional(),
  gpus: countFrom(0).optional(),
};

/** Of one task. */
export const amountsKey = mapping(amountKeys);

const modeKey = unit(parseMode, "an allocation mode");

/** Of the tasks of a category. */
export const categoryResourcesKey = mapping({ ...amountKeys, mode: modeKey.optional() });

/** Of all tasks of a run, and how they are kept to it. */
export const resourcesKey = mapping({
  ...amountKeys,
  mode: modeKey.optional(),
  monitor: word(...monitorModes).optional(),
});

export type CategoryResourcesYaml = z.output<typeof categoryResourcesKey>;
export type AmountsYaml = z.output<typeof amountsKey>;
export type ResourcesYaml = z.output<typeof resourcesKey>;

export const workersKey = byShape<WorkersYaml>('a number, "none", or a mapping with max', {
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
export const projectName = text.max(100).refine(
  (name) => !/[/\p{Cc}]/u.test(name) && name !== "." && name !== "..",
  { message: 'a name has no "/" and no control characters' },
);

export const portKey = unit(parsePorts, "a port such as 9123 or 9000:9100");

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
