/**
 * A task list in a file, YAML or JSON lines, checked whole before anything starts: every entry by
 * its schema, then what tasks say of one another and of the file system.
 */
import { basename, dirname, resolve } from "node:path";
import type { CategorySettings } from "../core/allocation/category.ts";
import { UsageError } from "../core/errors.ts";
import { requestOf } from "../core/resources.ts";
import { findCycle } from "../core/tasklist/dependencies.ts";
import type { Line } from "../core/tasklist/lines.ts";
import { TaskNames } from "../core/tasklist/names.ts";
import type { Dependency, ListedTask, ListSpec } from "../core/tasklist/spec.ts";
import { openArchive } from "./environments.ts";
import { type ComplainAt, type ListContext, listedTask } from "./listed_task.ts";
import {
  checkFit,
  nameFrom,
  outputOf,
  type Overrides,
  resourcesOf,
  runSizing,
  workersOf,
} from "./run_options.ts";
import { type CategoryResourcesYaml, check, label } from "./schema.ts";
import { type Path, type Problems, SourceFile } from "./source_file.ts";
import { describeMissing, lookAt, type PathSource } from "./task_files.ts";
import { readEntry } from "./task_line.ts";
import {
  type CategoriesYaml,
  taskListSchema,
  taskSchema,
  type TaskYaml,
} from "./task_list_schema.ts";

/** A list and its tasks, in which nothing is left to doubt. */
export interface TaskList {
  readonly spec: ListSpec;
  readonly tasks: readonly ListedTask[];
}

/** Looked at together; the file system is asked by several threads. */
const lookedAtOnce = 64;

/** Of problems, after which the rest of a list is not looked at. */
const problemsMax = 1000;

/** Notes that something is wrong with an entry, by its place among those that passed the schema. */
type ComplainOf = (index: number) => ComplainAt;

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
  const places: Path[] = [];
  const complainOf: ComplainOf = (index) => (path, text) => {
    const at = [...places[index]!, ...path];
    source.report(problems, source.offsetOf(at), `${label(at)}${text}`);
  };
  const entries = (Array.isArray(raw) ? raw : []).flatMap((value: unknown, i): TaskYaml[] => {
    const at = [...base, i];
    const checked = check(taskSchema, value, source, at, problems);
    if (checked === null) return [];
    places.push(at);
    return [checked];
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
    ...listSizing(yaml.categories, overrides),
  };
  const context = { folder, defaults: yaml.defaults ?? null, overrides };
  const checker = new ListChecker(context, complainOf);
  for (const entry of entries) checker.add(entry);
  const tasks = await checker.finish(spec, problems);
  problems.throwIfAny();
  return { spec, tasks };
}

/**
 * A list of JSON lines, which are read once more to say where something is wrong. Of a line only its
 * task is kept: a list may have a million.
 */
export async function jsonTaskList(
  lines: () => AsyncIterable<readonly Line[]>,
  path: string,
  overrides: Overrides,
  problems: Problems,
): Promise<TaskList> {
  const shown = path;
  const complaints = new Map<number, (readonly [Path, string])[]>();
  /** Of the entries. */
  const lineNumbers: number[] = [];
  const complainOf: ComplainOf = (index) => (at, text) => {
    const number = lineNumbers[index]!;
    const known = complaints.get(number);
    if (known === undefined) complaints.set(number, [[at, text]]);
    else known.push([at, text]);
  };
  const context = { folder: resolve(dirname(path)), defaults: null, overrides };
  const checker = new ListChecker(context, complainOf);
  for await (const some of lines()) {
    for (const line of some) {
      const read = readEntry(line, shown, problems);
      if (read.kind === "blank") continue;
      if (problems.count > problemsMax) problems.throwIfAny();
      if (read.kind === "refused") continue;
      lineNumbers.push(line.number);
      checker.add(read.yaml);
    }
  }
  problems.throwIfAny();
  if (lineNumbers.length === 0) problems.addBare(`${shown}: there are no tasks`);
  const spec = await bareSpec(nameFrom(path), overrides, problems);
  const tasks = await checker.finish(spec, problems);
  if (complaints.size > 0) await report(lines, complaints, shown, problems);
  problems.throwIfAny();
  return { spec, tasks };
}

/** What a category does not say of itself is as for all others. */
function listSizing(
  categories: CategoriesYaml,
  overrides: Overrides,
): Pick<ListSpec, "allocations" | "monitor" | "monitorForeign"> {
  const { mode, ...monitoring } = runSizing(undefined, overrides);
  const settings = (resources: CategoryResourcesYaml | undefined): CategorySettings => {
    const own = resources?.mode ?? mode;
    const declared = resourcesOf(resources, {});
    return {
      mode: own,
      max: own === "fixed" ? requestOf(declared) : declared,
      chance: Math.random,
    };
  };
  const named = Object.entries(categories ?? {}).flatMap(([name, { resources }]) =>
    resources === undefined ? [] : [[name, settings(resources)] as const]
  );
  return { ...monitoring, allocations: new Map([["default", settings(undefined)], ...named]) };
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
    ...listSizing(undefined, overrides),
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
class ListChecker {
  readonly #tasks: ListedTask[] = [];
  readonly #names = new TaskNames();
  /** What tasks come after, by index, where it is anything: it may be listed behind them. */
  readonly #after = new Map<number, TaskYaml["after"]>();

  constructor(private readonly context: ListContext, private readonly complainOf: ComplainOf) {}

  /** The next entry; it has passed its schema. */
  add(yaml: TaskYaml): void {
    const index = this.#tasks.length;
    const complain = this.complainOf(index);
    const owner = yaml.name === undefined ? null : this.#names.claim(yaml.name, index + 1);
    if (owner !== null) complain(["name"], `task ${owner} is called "${yaml.name}", too`);
    if (yaml.after.length > 0) this.#after.set(index, yaml.after);
    this.#tasks.push(listedTask(yaml, index + 1, [], this.context, complain));
  }

  /** All tasks, once no more come. */
  async finish(spec: ListSpec, problems: Problems): Promise<ListedTask[]> {
    const tasks = this.#tasks;
    for (const [index, named] of this.#after) {
      tasks[index] = { ...tasks[index]!, after: this.#dependencies(index, named) };
    }
    if (this.#after.size > 0) this.#checkOrder();
    const { overrides } = this.context;
    tasks.forEach(({ request }, i) =>
      checkFit(request, spec.workers, overrides, this.complainOf(i), problems)
    );
    await checkFiles(tasks, this.complainOf);
    await checkEnvironments(tasks, this.complainOf);
    return tasks;
  }

  #dependencies(index: number, named: TaskYaml["after"]): Dependency[] {
    return named.flatMap((one, i): Dependency[] => {
      try {
        return [{ named: one, id: this.#names.resolve(one, index + 1, this.#tasks.length) }];
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        this.complainOf(index)(["after", i], error.message);
        return [];
      }
    });
  }

  #checkOrder(): void {
    const tasks = this.#tasks;
    const cycle = findCycle(tasks.map(({ after }) => after.map(({ id }) => id - 1)));
    if (cycle === null) return;
    const circle = [...cycle, cycle[0]!].map((i) => tasks[i]!.name ?? `task ${i + 1}`);
    this.complainOf(cycle[0]!)(["after"], `these tasks wait for one another: ${inWords(circle)}`);
  }
}

/** Names in the list a circle may have; more do not help. */
const circleShownMax = 8;

function inWords(circle: readonly string[]): string {
  if (circle.length <= circleShownMax) return circle.join(" after ");
  return [...circle.slice(0, circleShownMax - 1), "…", circle.at(-1)].join(" after ");
}

/** Archives of environments: each is told of at the first task that names it. */
async function checkEnvironments(
  tasks: readonly ListedTask[],
  complainOf: ComplainOf,
): Promise<void> {
  const seen = new Set<string>();
  for (const { id, environment } of tasks) {
    if (environment === undefined || seen.has(environment.path)) continue;
    seen.add(environment.path);
    const opened = await openArchive(environment);
    if (typeof opened === "string") complainOf(id - 1)(["environment"], opened);
  }
}

/** Inputs that can be read now or will be written before, and outputs that go to one place each. */
async function checkFiles(tasks: readonly ListedTask[], complainOf: ComplainOf): Promise<void> {
  const writers = new Map<string, number>();
  tasks.forEach(({ id, outputs }) =>
    outputs.forEach(({ path }, i) => {
      const other = writers.get(path);
      if (other === undefined) writers.set(path, id);
      else if (other !== id) {
        const text = `task ${other} writes "${basename(path)}" to the same place`;
        complainOf(id - 1)(["outputs", i], text);
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
        const complain = (text: string) => complainOf(task.id - 1)(["inputs", i], text);
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
