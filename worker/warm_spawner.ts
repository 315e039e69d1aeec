/**
 * Starts `python script args` by forking a Python that has imported what such tasks import: two
 * seconds of imports become ten milliseconds. Each task still has a process, session, limits and
 * output of its own. Everything else is started as before, and so is whatever cannot be forked.
 */
import { messageOf } from "../core/errors.ts";
import { pythonCommand } from "../core/worker/python_command.ts";
import { findProgram } from "../io/programs.ts";
import type { Exit, Foster, Spawner, SpawnRequest, TaskProcess } from "./process.ts";
import { markVariable } from "./orphans.ts";
import { type Forked, WarmPython } from "./warm_python.ts";

/** Interpreters and environments at a time; each holds what it has imported, 50 to 500 MB. */
const templatesMax = 4;
/** Deaths of one, without a process forked in between, after which it is not tried again. */
const failuresMax = 2;

/** Different for each task, and not looked at by what a module does when it is imported. */
const ofTheTask = new Set([
  ..."TMPDIR TEMP TMP WORKER_TMPDIR CORES MEMORY DISK GPUS PWD OLDPWD SHLVL _".split(" "),
  ..."WQX_MONITOR X509_USER_PROXY".split(" "),
]);

/** All that is kept for one interpreter in one environment. */
interface Template {
  readonly key: string;
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  /** Packages that start threads when they are imported. */
  readonly avoid: Set<string>;
  running: { readonly python: WarmPython; readonly release: () => void } | null;
  failures: number;
}

export interface WarmSpawnerOptions {
  /** The workspace of the worker. */
  readonly folder: string;
  readonly debug: (line: string) => void;
}

export class WarmSpawner implements Spawner {
  /** The one that was used last is last. */
  readonly #templates = new Map<string, Template>();
  readonly #closing = new Set<Promise<void>>();

  private constructor(
    private readonly plain: Spawner,
    readonly foster: Foster,
    private readonly options: WarmSpawnerOptions,
  ) {}

  /** The spawner itself where forked processes cannot become its children. */
  static over(plain: Spawner, options: WarmSpawnerOptions): Spawner {
    return plain.foster === null ? plain : new WarmSpawner(plain, plain.foster, options);
  }

  get unmeasured(): string | null {
    return this.plain.unmeasured;
  }

  async spawn(request: SpawnRequest): Promise<TaskProcess> {
    return await this.#fork(request) ?? await this.plain.spawn(request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const template of this.#templates.values()) this.#close(template);
    await Promise.all(this.#closing);
    await this.plain[Symbol.asyncDispose]();
  }

  async #fork(request: SpawnRequest): Promise<TaskProcess | null> {
    const command = pythonCommand(request.command, request.env);
    if (command === null) return null;
    const env = { ...request.env, ...command.env };
    const found = findProgram(command.program, env.PATH ?? "");
    if ("why" in found || !found.path.startsWith("/")) return null;
    const template = this.#templateFor(found.path, env);
    const { argv, redirections, unbuffered } = command;
    const { cwd, outputPath } = request;
    // A shell tells where it is.
    const { env: marked, mark } = this.foster.marked({ ...env, PWD: cwd });
    const startedMs = performance.now();
    const forking = { argv, cwd, env: marked, outputPath, redirections, unbuffered };
    // Once more, by a new one, if it has ended to leave out a module.
    for (let i = 0; i < 2 && template.failures < failuresMax; i++) {
      const forked = await this.#open(template)?.fork(forking) ?? null;
      if (forked === null) continue;
      template.failures = 0;
      const { pid, sharedKb } = forked;
      const process = this.foster.adopt(request, { pid, mark, startedMs, sharedKb });
      Deno.kill(pid, "SIGUSR1");
      const exited = process.exited.then(async (exit) => {
        const alone = exit.killed || command.replacesShell;
        return await withOwnMemory(alone ? exit : asShellSaysIt(exit, outputPath), forked);
      });
      return { ...process, exited, marks: marked[markVariable]! };
    }
    return null;
  }

  #templateFor(program: string, env: Readonly<Record<string, string>>): Template {
    const lasting = Object.entries(env).filter(([name]) => !ofTheTask.has(name)).sort();
    const key = JSON.stringify([program, lasting]);
    const template: Template = this.#templates.get(key) ?? {
      key,
      program,
      env: Object.fromEntries(lasting),
      avoid: new Set(),
      running: null,
      failures: 0,
    };
    this.#templates.delete(key);
    this.#templates.set(key, template);
    for (const oldest of this.#templates.values()) {
      if (this.#templates.size <= templatesMax) break;
      this.#templates.delete(oldest.key);
      this.#close(oldest);
    }
    return template;
  }

  #open(template: Template): WarmPython | null {
    if (template.running !== null && !template.running.python.over) return template.running.python;
    if (template.running !== null) this.#close(template);
    // Meanwhile others may have taken its place.
    if (this.#templates.get(template.key) !== template) return null;
    const { program, avoid } = template;
    template.failures++;
    try {
      const { env, mark } = this.foster.marked(template.env);
      const python = new WarmPython(
        { program, env, avoid: [...avoid], folder: this.options.folder },
        (name) => {
          this.options.debug(`warm ${program}: "${name}" starts threads, and is left to tasks`);
          avoid.add(name);
          template.failures = 0;
        },
      );
      template.running = { python, release: this.foster.shelter(python.pid, mark) };
      this.options.debug(`warm ${program}: process ${python.pid}`);
      return python;
    } catch (error) {
      this.options.debug(`${program} cannot be kept warm: ${messageOf(error)}`);
      return null;
    }
  }

  #close(template: Template): void {
    const { running } = template;
    if (running === null) return;
    template.running = null;
    const closing = running.python[Symbol.asyncDispose]()
      .then(running.release)
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

/** A shell that waits for a command which a signal ends says so, and ends with a number of its own. */
function asShellSaysIt(exit: Exit, outputPath: string): Exit {
  if (exit.signal === null) return exit;
  const name = signalNames[exit.signal];
  if (name !== undefined) Deno.writeTextFileSync(outputPath, `${name}\n`, { append: true });
  return { ...exit, exitCode: 128 + exit.signal, signal: null };
}

/** As the C library calls them. */
const signalNames: Readonly<Record<number, string>> = {
  1: "Hangup",
  3: "Quit",
  4: "Illegal instruction",
  6: "Aborted",
  7: "Bus error",
  8: "Floating point exception",
  9: "Killed",
  10: "User defined signal 1",
  11: "Segmentation fault",
  12: "User defined signal 2",
  14: "Alarm clock",
  15: "Terminated",
};

/** Without the pages that it never wrote to, which belong to all. */
async function withOwnMemory(exit: Exit, { ownMemory, sharedKb }: Forked): Promise<Exit> {
  // A signal leaves no time to say anything.
  const own = exit.signal === null ? await ownMemory() : null;
  if (exit.measured === null) return exit;
  const peakKb = exit.measured.memoryPeakMb * 1024;
  const ownKb = own === null
    ? Math.max(0, peakKb - sharedKb)
    : own.privateKb + Math.max(0, peakKb - own.rssKb);
  return { ...exit, measured: { ...exit.measured, memoryPeakMb: ownKb / 1024 } };
}
