/**
 * A task list in a file, YAML or JSON lines, checked whole before anything starts: every entry by
 * its schema, then what tasks say of one another and of the file system.
 */
import { basename, dirname, resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { findCycle } from "../core/tasklist/dependencies.ts";
import type { Line } from "../core/tasklist/lines.ts";
import { TaskNames } from "../core/tasklist/names.ts";
import type { Dependency, ListedTask, ListSpec } from "../core/tasklist/spec.ts";
import { type ComplainAt, type ListContext, listedTask } from "./listed_task.ts";
import { checkFit, nameFrom, outputOf, type Overrides, workersOf } from "./run_options.ts";
import { check, label } from "./schema.ts";
import { type Path, type Problems, SourceFile } from "./source_file.ts";
import { describeMissing, lookAt, type PathSource } from "./task_files.ts";
import { readEntry } from "./task_line.ts";
import { taskListSchema, taskSchema, type TaskYaml } from "./task_list_schema.ts";

/** A list and its tasks, in which nothing is left to doubt. */
export interface TaskList {
  readonly spec: ListSpec;
  readonly tasks: readonly ListedTask[];
}

/** Looked at together; the file system is asked by several threads. */
const lookedAtOnce = 64;

/** Of problems, after which the rest of a list is not looked at. */
const problemsMax = 1000;

/** An entry that has passed its schema, and where it stands. */
interface Entry {
  readonly yaml: TaskYaml;
  readonly complain: ComplainAt;
}

/** A list in YAML or JSON; throws a UsageError with all that is wrong. */
export async function yamlTaskList(
  source: SourceFile,
  path: string,
  overrides: Overrides,
  problems: Problems,
): Promise<TaskList> {
  const folder = resolve(dirname(path));
  const bare = Array.isArray(source.data);
  const yaml = check(
    taskListSchema,
    bare ? { tasks: source.data } : source.data,
    source,
    [],
    problems,
  );
  const raw = bare ? source.data : (source.data as { tasks?: unknown } | null)?.tasks;
  const base: Path = bare ? [] : ["tasks"];
  const entries = (Array.isArray(raw) ? raw : []).flatMap((value: unknown, i): Entry[] => {
    const at = [...base, i];
    const checked = check(taskSchema, value, source, at, problems);
    if (checked === null) return [];
    const complain: ComplainAt = (path, text) =>
      source.report(
        problems,
        source.offsetOf([...at, ...path]),
        `${label([...at, ...path])}${text}`,
      );
    return [{ yaml: checked, complain }];
  });
  problems.throwIfAny();
  if (yaml === null) throw new Error("The list was refused without a reason");
  const name = yaml.name ?? nameFrom(path);
  const complain = (at: Path, text: string) =>
    source.report(problems, source.offsetOf(at), `${label(at)}${text}`);
  if (entries.length === 0) complain(base, "there are no tasks");
  const spec: ListSpec = {
    name,
    workers: workersOf(yaml.workers, overrides),
    port: overrides.port ?? yaml.port,
    output: await outputOf(name, yaml.output, overrides, folder, complain, problems),
    stragglerFactors: new Map(
      Object.entries(yaml.categories ?? {}).flatMap(([category, { fast_abort }]) =>
        fast_abort === undefined ? [] : [[category, fast_abort]]
      ),
    ),
  };
  const context = { folder, defaults: yaml.defaults ?? null, overrides };
  const tasks = await checkedTasks(entries, spec, context, problems);
  problems.throwIfAny();
  return { spec, tasks };
}

/** A list of JSON lines, which are read once more to say where something is wrong. */
export async function jsonTaskList(
  lines: () => AsyncIterable<readonly Line[]>,
  path: string,
  overrides: Overrides,
  problems: Problems,
): Promise<TaskList> {
  const shown = path;
  const complaints = new Map<number, (readonly [Path, string])[]>();
  const entries: Entry[] = [];
  for await (const some of lines()) {
    for (const line of some) {
      const read = readEntry(line, shown, problems);
      if (read.kind === "blank") continue;
      if (problems.count > problemsMax) problems.throwIfAny();
      if (read.kind === "refused") continue;
      const { number } = line;
      const complain: ComplainAt = (at, text) => {
        const known = complaints.get(number);
        if (known === undefined) complaints.set(number, [[at, text]]);
        else known.push([at, text]);
      };
      entries.push({ yaml: read.yaml, complain });
    }
  }
  problems.throwIfAny();
  if (entries.length === 0) problems.addBare(`${shown}: there are no tasks`);
  const spec = await bareSpec(nameFrom(path), overrides, problems);
  const context = { folder: resolve(dirname(path)), defaults: null, overrides };
  const tasks = await checkedTasks(entries, spec, context, problems);
  if (complaints.size > 0) await report(lines, complaints, shown, problems);
  problems.throwIfAny();
  return { spec, tasks };
}

/** What holds of a list that has no room for it. */
export async function bareSpec(
  name: string,
  overrides: Overrides,
  problems: Problems,
): Promise<ListSpec> {
  return {
    name,
    workers: workersOf(undefined, overrides),
    port: overrides.port ?? { low: 0, high: 0 },
    output: await outputOf(name, undefined, overrides, "", () => {}, problems),
    stragglerFactors: new Map(),
  };
}

async function report(
  lines: () => AsyncIterable<readonly Line[]>,
  complaints: ReadonlyMap<number, readonly (readonly [Path, string])[]>,
  shown: string,
  problems: Problems,
): Promise<void> {
  for await (const some of lines()) {
    for (const line of some) {
      const told = complaints.get(line.number) ?? [];
      const source = told.length === 0 || line.kind !== "text"
        ? null
        : SourceFile.parse(line.text, shown, problems, line.number);
      for (const [at, text] of source === null ? [] : told) {
        source?.report(problems, source.offsetOf(at), `${label(at)}${text}`);
      }
    }
  }
}

/** What entries say of one another, of their files and of the workers. */
async function checkedTasks(
  entries: readonly Entry[],
  spec: ListSpec,
  context: ListContext,
  problems: Problems,
): Promise<ListedTask[]> {
  const names = new TaskNames();
  entries.forEach(({ yaml: { name }, complain }, i) => {
    const owner = name === undefined ? null : names.claim(name, i + 1);
    if (owner !== null) complain(["name"], `task ${owner} is called "${name}", too`);
  });
  const tasks = entries.map(({ yaml, complain }, i) => {
    const after = dependenciesOf(yaml, i + 1, entries.length, names, complain);
    return listedTask(yaml, i + 1, after, context, complain);
  });
  const cycle = findCycle(tasks.map(({ after }) => after.map(({ id }) => id - 1)));
  if (cycle !== null) {
    const circle = [...cycle, cycle[0]!].map((i) => tasks[i]!.name ?? `task ${i + 1}`);
    entries[cycle[0]!]!.complain(["after"], `these tasks wait for one another: ${inWords(circle)}`);
  }
  tasks.forEach(({ request }, i) =>
    checkFit(request, spec.workers, context.overrides, entries[i]!.complain, problems)
  );
  await checkFiles(tasks, entries);
  return tasks;
}

/** Names in the list a circle may have; more do not help. */
const circleShownMax = 8;

function inWords(circle: readonly string[]): string {
  if (circle.length <= circleShownMax) return circle.join(" after ");
  return [...circle.slice(0, circleShownMax - 1), "…", circle.at(-1)].join(" after ");
}

function dependenciesOf(
  { after }: TaskYaml,
  id: number,
  lastId: number,
  names: TaskNames,
  complain: ComplainAt,
): Dependency[] {
  return after.flatMap((named, i): Dependency[] => {
    try {
      return [{ named, id: names.resolve(named, id, lastId) }];
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      complain(["after", i], error.message);
      return [];
    }
  });
}

/** Inputs that can be read now or will be written before, and outputs that go to one place each. */
async function checkFiles(tasks: readonly ListedTask[], entries: readonly Entry[]): Promise<void> {
  const writers = new Map<string, number>();
  tasks.forEach(({ id, outputs }) =>
    outputs.forEach(({ path }, i) => {
      const other = writers.get(path);
      if (other === undefined) writers.set(path, id);
      else if (other !== id) {
        const text = `task ${other} writes "${basename(path)}" to the same place`;
        entries[id - 1]!.complain(["outputs", i], text);
      }
    })
  );
  const looking = tasks.flatMap((task) =>
    task.inputs.flatMap(({ source }, i) => source.kind === "path" ? [{ task, source, i }] : [])
  );
  const known = new Map<string, ReturnType<typeof lookAt>>();
  const look = (source: PathSource) => {
    const key = `${source.as} ${source.path}`;
    const looked = known.get(key) ?? lookAt(source);
    known.set(key, looked);
    return looked;
  };
  for (let start = 0; start < looking.length; start += lookedAtOnce) {
    await Promise.all(
      looking.slice(start, start + lookedAtOnce).map(async ({ task, source, i }) => {
        const looked = await look(source);
        const complain = (text: string) => entries[task.id - 1]!.complain(["inputs", i], text);
        if (looked.kind === "unusable") complain(looked.why);
        if (looked.kind !== "missing") return;
        const writer = writerOf(source.path, writers);
        if (writer === null) complain(await describeMissing(source));
        else if (!comesAfter(task, writer, tasks)) {
          const by = tasks[writer - 1]!.name ?? writer;
          complain(`"${source.written}" is written by task ${by}: say after: [${by}]`);
        }
      }),
    );
  }
}

/** The task that writes a path, or a folder that it is in. */
function writerOf(path: string, writers: ReadonlyMap<string, number>): number | null {
  for (let at = path;; at = dirname(at)) {
    const writer = writers.get(at);
    if (writer !== undefined) return writer;
    if (at === dirname(at)) return null;
  }
}

/** Whether a task comes after another one, directly or by way of others. */
function comesAfter(task: ListedTask, other: number, tasks: readonly ListedTask[]): boolean {
  const seen = new Set<number>([task.id]);
  for (const at of seen) {
    for (const { id } of tasks[at - 1]?.after ?? []) {
      if (id === other) return true;
      seen.add(id);
    }
  }
  return false;
}
