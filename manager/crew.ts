/** What every kind of run has: a manager that listens, its local workers, and those who watch. */
import type { LocalWorkers as Wanted } from "../core/analysis/spec.ts";
import type { TaskId } from "../core/ids.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import type { OwnerView } from "../core/status/snapshot.ts";
import { type Address, catalogsDefault, parseCatalogs, showAddress } from "../core/addresses.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { quoted } from "../core/shell_words.ts";
import { Advertiser, type Advertising } from "./advertise.ts";
import type { Serving } from "./serving.ts";
import { joinTokenOf, plainTextNote } from "./joining.ts";
import { diskFullNote } from "./listener.ts";
import { LocalWorkers } from "./local_workers.ts";
import { monitorProgram } from "./own_program.ts";
import { Manager, type ManagerOptions } from "./server.ts";

/** How often the view is told of the state. */
const viewEveryMs = 100;

/** Who watches a run; `P` is the state that it is told of. */
export interface RunView<P> {
  update(progress: P): void;
  note(line: string): void;
  finish(progress: P): void;
}

/** What the command line gives to a run of any kind. */
export interface RunOptions<P> {
  readonly view: RunView<P>;
  /** Command line that starts this same wqx. */
  readonly wqx: readonly string[];
  readonly version: string;
  readonly serving: Serving;
  /** Address to listen on; all interfaces by default. */
  readonly hostname?: string;
  /** The first Ctrl-C. */
  readonly stop: AbortSignal;
  /** The second. */
  readonly abort: AbortSignal;
}

/** What a run does when something happens. */
export interface RunHooks<P> {
  attemptEnded(id: TaskId, attempt: Attempt, again: boolean): void;
  returned(task: Task, end: TaskEnd): void;
  stop(): void;
  abort(): void;
  /** There is room for more tasks. */
  workerJoined?(): void;
  progress(): P;
  /** What is told, besides what the manager knows, to those who ask how the tasks do. */
  view?(): OwnerView;
  /** Workers that leave then are no news. */
  over(): boolean;
}

export interface WorkerSeen {
  readonly id: string;
  readonly host: string;
}

type FromRun = "hostname" | "version" | "serving" | "foreignMonitor";

export interface CrewOptions extends Omit<ManagerOptions, FromRun> {
  /** `null`: wait for workers from elsewhere. */
  readonly workers: Wanted | null;
  /** Send the monitor to workers that are not of wqx. */
  readonly monitorForeign: boolean;
}

export class Crew<P> implements AsyncDisposable {
  readonly manager: Manager;
  readonly #local: LocalWorkers | null;
  readonly #advertiser: Advertiser | null;
  readonly #seen = new Map<string, string>();

  private constructor(
    { workers, monitorForeign, ...options }: CrewOptions,
    private readonly run: RunOptions<P>,
    private readonly hooks: RunHooks<P>,
  ) {
    const { view, hostname, version, serving } = run;
    const { advertising, portFile } = serving;
    const own = {
      version,
      serving,
      ...(monitorForeign && { foreignMonitor: monitorProgram(run.wqx) }),
      ...(hostname !== undefined && { hostname }),
      ...(advertising !== null && { name: advertising.project }),
    };
    this.manager = Manager.listen({ ...options, ...own }, {
      attemptEnded: (id, attempt, again) => hooks.attemptEnded(id, attempt, again),
      returned: (task, end) => hooks.returned(task, end),
      workerJoined: (worker) => this.#joined(worker),
      workerLeft: (worker, why) => this.#left(worker, why),
      refused: (address, why) => view.note(`The connection from ${address} was refused: ${why}`),
      tooLarge: (why) => view.note(upperFirst(why)),
      plainText: (worker) => view.note(plainTextNote(worker)),
      view: () => hooks.view?.(),
      stalled: (why) => view.note(why),
      diskFull: (why) => view.note(diskFullNote(why)),
      hostBlocked: (host, why) => view.note(`Host ${host} gets no tasks for a while: ${why}`),
    });
    const { port } = this.manager;
    try {
      if (portFile !== null) writePort(portFile, port);
    } catch (error) {
      void this.manager[Symbol.asyncDispose]();
      throw error;
    }
    const note = (line: string) => view.note(line);
    note(greeting(port, workers, advertising, joinTokenOf(serving, hostname, port)));
    this.#advertiser = advertising === null
      ? null
      : Advertiser.start({ ...advertising, manager: this.manager, note });
    this.#local = workers === null
      ? null
      : new LocalWorkers({ wanted: workers, port, wqx: run.wqx, serving, note });
  }

  /** Throws a RunError if no port can be listened on. */
  static start<P>(options: CrewOptions, run: RunOptions<P>, hooks: RunHooks<P>): Crew<P> {
    return new Crew(options, run, hooks);
  }

  /** In the order in which they came. */
  get workersSeen(): WorkerSeen[] {
    return [...this.#seen].map(([id, host]) => ({ id, host }));
  }

  /** Cores of all workers that are here. */
  get cores(): number {
    let cores = 0;
    for (const worker of this.manager.workers) cores += worker.total.cores;
    return cores;
  }

  /**
   * Waits for the end of the run, showing its state and passing interrupts on. Rejects when the
   * run does, or with a RunError when local workers cannot live.
   */
  async until(finished: Promise<void>): Promise<void> {
    const { view, stop, abort } = this.run;
    const stopped = () => this.hooks.stop();
    const aborted = () => this.hooks.abort();
    stop.addEventListener("abort", stopped);
    abort.addEventListener("abort", aborted);
    // Interrupted before there was anybody to be told.
    if (stop.aborted) stopped();
    if (abort.aborted) aborted();
    const showing = setInterval(() => view.update(this.hooks.progress()), viewEveryMs);
    try {
      await Promise.race([finished, ...(this.#local === null ? [] : [this.#local.failed])]);
    } finally {
      clearInterval(showing);
      stop.removeEventListener("abort", stopped);
      abort.removeEventListener("abort", aborted);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // First: nobody should come any more.
    const farewell = this.#advertiser?.[Symbol.asyncDispose]();
    await this.#local?.[Symbol.asyncDispose]();
    await this.manager[Symbol.asyncDispose]();
    await farewell;
  }

  #joined({ id, greeting, address, total }: WorkerState): void {
    this.#seen.set(id, greeting?.hostname ?? address);
    this.run.view.note(`Worker ${id} joined from ${address} with ${total.cores} cores`);
    this.hooks.workerJoined?.();
  }

  #left({ id, greeting, address }: WorkerState, why: string): void {
    const who = greeting === null ? `The connection from ${address}` : `Worker ${id}`;
    if (!this.hooks.over()) this.run.view.note(`${who} was lost: ${why}`);
  }
}

function greeting(
  port: number,
  workers: Wanted | null,
  found: Advertising | null,
  token: string | null,
): string {
  const listening = `Listening on port ${port}${found === null ? "" : ` as "${found.project}"`}`;
  if (workers !== null) {
    return `${listening}, with ${workers.count} local ${
      workers.count === 1 ? "worker" : "workers"
    }`;
  }
  const ways = [
    ...(found === null ? [] : [byName(found)]),
    ...(token === null ? [] : [`--join ${token}`]),
  ];
  const [first = `HOST ${port}`, ...others] = ways;
  return `${listening}. Start a worker: wqx worker ${[first, ...others].join(", or wqx worker ")}`;
}

/** The catalog is left out where workers take the same one without being told. */
function byName({ project, catalogs }: Advertising): string {
  const shown = (list: readonly Address[]) => list.map(showAddress).join(",");
  const name = `-M ${/^[\w.-]+$/.test(project) ? project : quoted(project)}`;
  const usual = shown(parseCatalogs(catalogsDefault));
  return shown(catalogs) === usual ? name : `${name} -C ${shown(catalogs)}`;
}

/** Whole or not at all: whoever waits for the file reads it at once. */
function writePort(path: string, port: number): void {
  try {
    Deno.writeTextFileSync(`${path}.partial`, `${port}\n`);
    Deno.renameSync(`${path}.partial`, path);
  } catch (error) {
    throw new RunError(`Cannot write the port to ${path}: ${messageOf(error)}`);
  }
}

/** As a sentence begins. */
export function upperFirst(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
