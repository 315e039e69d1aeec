/** What may stand in a task list: our words, and those of Work Queue where they are others. */
import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { parseTimeMs } from "../core/units.ts";
import {
  amountsKey,
  type AmountsYaml,
  byShape,
  categoryResourcesKey,
  countFrom,
  mapping,
  portKey,
  projectName,
  sizeMb,
  text,
  unit,
  word,
  workersKey,
} from "./schema.ts";

const yesNo = byShape<boolean>("yes or no", {
  "yes or no": z.boolean(),
  // YAML takes them for texts since version 1.2.
  text: word("yes", "no").transform((answer) => answer === "yes"),
});

const flags = mapping({ cache: yesNo.optional(), watch: yesNo.optional() });

/** Where an input comes from or an output goes to; the first that is given. */
export type FileYaml =
  | { readonly kind: "file" | "dir" | "any"; readonly path: string; readonly key: string }
  | { readonly kind: "buffer"; readonly text: string; readonly key: string }
  | { readonly kind: "url"; readonly url: string; readonly key: string }
  | { readonly kind: "empty_dir"; readonly name: string; readonly key: string };

export interface InputYaml {
  readonly from: FileYaml;
  readonly remoteName?: string | undefined;
  readonly cache: boolean;
}

export interface OutputYaml {
  readonly path: string;
  readonly remoteName?: string | undefined;
  readonly when: "success" | "failure" | "always";
  readonly cache: boolean;
  readonly watch: boolean;
}

const input = byShape<InputYaml>("a file or folder, or a mapping with file, dir, buffer or url", {
  text: text.transform((path): InputYaml => ({
    from: { kind: "any", path, key: "" },
    cache: false,
  })),
  mapping: mapping({
    file: text.optional(),
    dir: text.optional(),
    buffer: z.string().optional(),
    url: text.optional(),
    empty_dir: text.optional(),
    local_name: text.optional(),
    remote_name: text.optional(),
    cache: yesNo.optional(),
    flags: mapping({ cache: yesNo.optional() }).optional(),
  }).transform((yaml, context): InputYaml => {
    const found = sources.flatMap(([key, of]) => {
      const value = yaml[key];
      return value === undefined ? [] : [of(value)];
    });
    const [from, second] = found;
    const keys = "file, dir, buffer, url, empty_dir or local_name";
    if (from === undefined) {
      context.addIssue({ code: "custom", message: `there is none of ${keys}` });
      return z.NEVER;
    }
    if (second !== undefined) {
      const message = `there is "${from.key}" as well: an input has one of ${keys}`;
      context.addIssue({ code: "custom", path: [second.key], message });
    }
    const cache = yaml.cache ?? yaml.flags?.cache ?? false;
    return { from, remoteName: yaml.remote_name, cache };
  }),
});

const sources = [
  ["file", (path: string): FileYaml => ({ kind: "file", path, key: "file" })],
  ["dir", (path: string): FileYaml => ({ kind: "dir", path, key: "dir" })],
  ["local_name", (path: string): FileYaml => ({ kind: "any", path, key: "local_name" })],
  ["buffer", (text: string): FileYaml => ({ kind: "buffer", text, key: "buffer" })],
  ["url", (url: string): FileYaml => ({ kind: "url", url, key: "url" })],
  ["empty_dir", (name: string): FileYaml => ({ kind: "empty_dir", name, key: "empty_dir" })],
] as const;

const output = byShape<OutputYaml>("a file or folder, or a mapping with file", {
  text: text.transform((path): OutputYaml => ({
    path,
    when: "success",
    cache: false,
    watch: false,
  })),
  mapping: mapping({
    file: text.optional(),
    dir: text.optional(),
    local_name: text.optional(),
    remote_name: text.optional(),
    when: word("success", "failure", "always").default("success"),
    cache: yesNo.optional(),
    watch: yesNo.optional(),
    flags: flags.optional(),
  }).transform((yaml, context): OutputYaml => {
    const paths = [yaml.file, yaml.dir, yaml.local_name].filter((path) => path !== undefined);
    if (paths.length !== 1) {
      const message = paths.length === 0
        ? "there is no file that receives it"
        : "an output has one of file, dir or local_name";
      context.addIssue({ code: "custom", message });
    }
    return {
      path: paths[0] ?? "",
      remoteName: yaml.remote_name,
      when: yaml.when,
      cache: yaml.cache ?? yaml.flags?.cache ?? false,
      watch: yaml.watch ?? yaml.flags?.watch ?? false,
    };
  }),
});

const variables = z.record(
  z.string(),
  byShape<string>("a text or a number", {
    text: z.string().refine((value) => !value.includes("\0"), { message: "it has a NUL in it" }),
    number: z.number().transform(String),
    "yes or no": z.boolean().transform(String),
  }),
).superRefine((variables, context) => {
  for (const name of Object.keys(variables)) {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) continue;
    const message = "a variable has letters, digits and _ in its name";
    context.addIssue({ code: "custom", path: [name], message });
  }
});

/** A text names the archive of a packed environment; variables are what Work Queue calls so. */
const environment = byShape<EnvironmentYaml>("the name of an archive, or a mapping of variables", {
  text: text.transform((archive) => ({ archive })),
  mapping: variables.transform((variables) => ({ variables })),
});

interface EnvironmentYaml {
  readonly archive?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

const oneOrMore = <T>(expected: string, shapes: Parameters<typeof byShape<T>>[1]) =>
  byShape<readonly T[]>(`${expected}, or a list of these`, {
    ...shapes.text && { text: shapes.text.transform((one) => [one]) },
    ...shapes.number && { number: shapes.number.transform((one) => [one]) },
    ...shapes.mapping && { mapping: shapes.mapping.transform((one) => [one]) },
    list: z.array(byShape<T>(expected, shapes)),
  });

const taskName = text.max(200).refine((name) => !/\p{Cc}/u.test(name), {
  message: "a name has no control characters",
});

const wallTime = unit((time) => {
  const ms = parseTimeMs(time);
  if (ms === 0) throw new UsageError("it must be more than 0");
  return ms;
}, "a time such as 90s, 5m or 2h");

/** Seconds since the epoch, or ISO 8601: without a time zone that of this machine. */
export function parseEndTimeMs(written: string): number {
  if (/^\d+(\.\d+)?$/.test(written)) {
    const seconds = Number(written);
    if (seconds < 1e11) return seconds * 1000;
    throw new UsageError(`"${written}" is not in seconds since 1970: divide µs by 1000000`);
  }
  const iso = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/.test(written);
  const ms = iso ? Date.parse(written) : NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new UsageError(`"${written}" is not a time: write 2026-11-22T18:00:00Z, or seconds`);
}

const category = text.max(100).regex(/^\S+$/, { message: "a category is a single word" });

/** Keys that a task has of its own or from `defaults`. */
const commonKeys = {
  env: variables.optional(),
  environment: environment.optional(),
  resources: amountsKey.optional(),
  cores: countFrom(1).optional(),
  memory: sizeMb.optional(),
  disk: sizeMb.optional(),
  gpus: countFrom(0).optional(),
  category: category.optional(),
  priority: z.number().optional(),
  retries: countFrom(0).optional(),
  features: oneOrMore<string>("a text", { text }).optional(),
  wall_time: wallTime.optional(),
  end_time: unit(parseEndTimeMs, "a time such as 2026-11-22T18:00:00Z").optional(),
};

const common = mapping(commonKeys);
type Common = z.output<typeof common>;

export interface CommonYaml {
  readonly env: Readonly<Record<string, string>>;
  /** The archive of a packed environment. */
  readonly environment?: string | undefined;
  readonly resources: AmountsYaml;
  readonly category?: string | undefined;
  readonly priority?: number | undefined;
  readonly retries?: number | undefined;
  readonly features?: readonly string[] | undefined;
  readonly wall_time?: number | undefined;
  readonly end_time?: number | undefined;
}

/** Work Queue's words come to the same. */
function commonOf(yaml: Common): CommonYaml {
  const { cores, memory, disk, gpus } = yaml;
  return {
    ...yaml,
    env: { ...yaml.environment?.variables, ...yaml.env },
    environment: yaml.environment?.archive,
    resources: {
      cores: yaml.resources?.cores ?? cores,
      memory: yaml.resources?.memory ?? memory,
      disk: yaml.resources?.disk ?? disk,
      gpus: yaml.resources?.gpus ?? gpus,
    },
  };
}

export interface TaskYaml extends CommonYaml {
  readonly name?: string | undefined;
  readonly tag?: string | undefined;
  readonly command: string;
  readonly inputs: readonly InputYaml[];
  readonly outputs: readonly OutputYaml[];
  readonly after: readonly (string | number)[];
}

const inputs = oneOrMore<InputYaml>("a file or folder, a mapping", {
  text: input,
  mapping: input,
});
const outputs = oneOrMore<OutputYaml>("a file or folder, a mapping", {
  text: output,
  mapping: output,
});

export const taskSchema = byShape<TaskYaml>("a mapping with a command", {
  mapping: mapping({
    name: taskName.optional(),
    tag: byShape<string>("a text", { text: z.string(), number: z.number().transform(String) })
      .optional(),
    command: text.optional(),
    command_line: text.optional(),
    inputs: inputs.optional(),
    input_files: inputs.optional(),
    outputs: outputs.optional(),
    output_files: outputs.optional(),
    after: oneOrMore<string | number>("the name or number of a task", {
      text,
      number: z.number(),
    }).default([]),
    ...commonKeys,
  }).transform((yaml, context): TaskYaml => {
    const command = yaml.command ?? yaml.command_line;
    if (command === undefined) {
      context.addIssue({ code: "custom", message: "there is no command" });
    } else if (command.includes("\0")) {
      context.addIssue({ code: "custom", path: ["command"], message: "it has a NUL in it" });
    }
    for (const [ours, theirs] of synonyms) {
      if (yaml[ours] === undefined || yaml[theirs] === undefined) continue;
      if (theirs === "environment" && yaml[theirs]?.archive !== undefined) continue;
      const message = `"${ours}" is given as well, which means the same`;
      context.addIssue({ code: "custom", path: [theirs], message });
    }
    return {
      ...commonOf(yaml),
      name: yaml.name,
      tag: yaml.tag,
      command: command ?? "",
      inputs: yaml.inputs ?? yaml.input_files ?? [],
      outputs: yaml.outputs ?? yaml.output_files ?? [],
      after: yaml.after,
    };
  }),
});

const synonyms = [
  ["command", "command_line"],
  ["inputs", "input_files"],
  ["outputs", "output_files"],
  ["env", "environment"],
] as const;

const fastAbort = z.number().refine((factor) => factor > 1, { message: "it must be more than 1" });

export const taskListSchema = mapping({
  name: projectName.optional(),
  tasks: byShape<readonly unknown[]>("a list of tasks", { list: z.array(z.unknown()) }),
  defaults: common.transform(commonOf).optional(),
  categories: z.record(
    category,
    mapping({ fast_abort: fastAbort.optional(), resources: categoryResourcesKey.optional() }),
  ).optional(),
  workers: workersKey.optional(),
  port: portKey.default({ low: 0, high: 0 }),
  output: text.optional(),
});

export type CategoriesYaml = z.output<typeof taskListSchema>["categories"];
export type TaskListYaml = z.output<typeof taskListSchema>;
