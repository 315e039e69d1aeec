/** What is watched: all managers of a catalog, or one; a look asks for what the screen shows. */
import { type FoundManager, isManager } from "../core/catalog/selection.ts";
import { messageOf, RunError } from "../core/errors.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { integerOf, type JxObject, objectsOf, stringOf } from "../core/jx/value.ts";
import type { TextPattern } from "../core/posix_regex.ts";
import type { Inside, LiveData, LiveModel } from "../core/status/live.ts";
import { panes } from "../core/status/live_columns.ts";
import type { Subject } from "../core/status/questions.ts";
import { type Asking, byProject } from "./status_asking.ts";

/** Of longer queues, tasks are asked for only while they are looked at. */
const tasksAskedMax = 2000;

export interface WatchedWhat {
  /** As people write where it is. */
  readonly source: string;
  /** Asked directly; `null`: the catalog's. */
  readonly manager: FoundManager | null;
  readonly pattern: TextPattern | null;
  readonly where: JxExpr | null;
}

export class Watched {
  #last: LiveData;

  constructor(private readonly asking: Asking, private readonly what: WatchedWhat) {
    const { source } = what;
    this.#last = {
      source,
      epochMs: Date.now(),
      managers: [],
      factories: [],
      trouble: null,
      inside: null,
    };
  }

  /** One manager is asked directly, and nothing is above it. */
  get single(): boolean {
    return this.what.manager !== null;
  }

  /** There may be one manager that is meant: it need not be chosen. */
  get named(): boolean {
    return this.what.pattern !== null;
  }

  get last(): LiveData {
    return this.#last;
  }

  /**
   * What there is now; where nothing is heard, what was heard last, and why. Of a manager that is
   * looked into, more; with `everything`, of each that is asked directly.
   */
  async look(model: LiveModel | null, everything = false): Promise<LiveData> {
    const records = await this.#records().catch((error) => this.#troubled(error));
    const base: LiveData = typeof records === "string"
      ? { ...this.#last, epochMs: Date.now(), trouble: records }
      : {
        source: this.what.source,
        epochMs: Date.now(),
        managers: records.filter(isManager),
        factories: records.filter((record) => !isManager(record)),
        trouble: null,
        inside: null,
      };
    const opened = model?.opened ?? (everything || this.single ? keyOfOnly(base) : null);
    const record = base.managers.find((one) => panes.managers.keyOf(one) === opened);
    this.#last = opened === null || record === undefined
      ? base
      : await this.#lookInto(base, record, model?.pane === "tasks");
    return this.#last;
  }

  /** A paragraph, or why there is none. */
  async explain(subject: Subject, opened: string | null): Promise<string> {
    const record = this.#last.managers.find((one) => panes.managers.keyOf(one) === opened);
    const manager = record === undefined ? null : this.#contact(record);
    if (manager === null) return "This manager is not there any more.";
    try {
      return await this.asking.explain(manager, subject);
    } catch (error) {
      return this.#troubled(error);
    }
  }

  async #records(): Promise<readonly JxObject[]> {
    const { manager, pattern, where } = this.what;
    if (manager !== null) {
      const [record] = await this.asking.ask(manager, "queue_status");
      return record === undefined ? [] : [this.#placed(record, manager)];
    }
    const records = await this.asking.everybody(where);
    const shown = pattern === null
      ? records
      : records.filter((record) =>
        !isManager(record) || pattern.test(stringOf(record, "project") ?? "")
      );
    return byProject(shown);
  }

  /** Direct answers do not say where they are from. */
  #placed(record: JxObject, { addresses: [address] }: FoundManager): JxObject {
    return new Map([...record, ["name", address?.host ?? ""]]);
  }

  async #lookInto(base: LiveData, record: JxObject, wantsTasks: boolean): Promise<LiveData> {
    const key = panes.managers.keyOf(record);
    const before = this.#last.inside?.key === key ? this.#last.inside : null;
    const manager = this.#contact(record);
    try {
      if (manager === null) throw new RunError("its record says no place to connect to");
      const fresh = this.single ? record : await this.#refreshed(record, manager);
      const workers = await this.asking.ask(manager, "worker_status");
      const open = integerOf(fresh, "tasks_waiting") + integerOf(fresh, "tasks_on_workers");
      const tasks = wantsTasks || open <= tasksAskedMax
        ? await this.asking.ask(manager, "task_status")
        : before?.tasks ?? [];
      const inside: Inside = {
        key,
        categories: objectsOf(fresh, "categories"),
        workers,
        tasks,
        trouble: null,
      };
      const managers = base.managers.map((one) => one === record ? fresh : one);
      return { ...base, managers, inside };
    } catch (error) {
      const trouble = this.#troubled(error);
      const inside = { ...before ?? { key, categories: [], workers: [], tasks: [] }, trouble };
      return { ...base, inside };
    }
  }

  /** What the catalog was told a minute ago, with what the manager says now. */
  async #refreshed(record: JxObject, manager: FoundManager): Promise<JxObject> {
    const [answer] = await this.asking.ask(manager, "queue_status");
    const now = [...answer ?? []].filter(([key]) => key !== "project" && key !== "port");
    return new Map([...record, ...now]);
  }

  #contact(record: JxObject): FoundManager | null {
    return this.what.manager ?? this.asking.of(record);
  }

  /** Trouble of others is a line on the screen; ours stops the program. */
  #troubled(error: unknown): string {
    if (error instanceof RunError) return messageOf(error);
    throw error;
  }
}

function keyOfOnly({ managers }: LiveData): string | null {
  const [only, second] = managers;
  return only === undefined || second !== undefined ? null : panes.managers.keyOf(only);
}
