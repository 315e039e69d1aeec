/** Workers that a manager starts on its own machine, keeps alive, and stops. */
import type { LocalWorkers as Wanted } from "../core/analysis/spec.ts";
import { RunError } from "../core/errors.ts";
import type { Serving } from "./serving.ts";
import { delay, within } from "../io/clock.ts";

/** For a worker to kill its tasks and remove its folders, before it is killed itself. */
const stopMsMax = 5000;
/** A worker that ends younger than this did not do so for its tasks, unless it was killed. */
const infancyMs = 3000;
/** Early deaths in a row after which starting more of them would not help. */
const earlyDeathsMax = 3;
/** As many, where they were killed: more than one task may kill (`lossesMax`). */
const earlyKillsMax = 25;
/** Above these are the exit codes of the killed. */
const signalCodeMin = 128;
/** Pause before a dead worker is replaced. */
const replaceAfterMs = 200;
/** Kept of what a worker says, to show if it dies; characters. */
const saidMax = 4000;

export interface LocalWorkersOptions {
  readonly wanted: Wanted;
  readonly port: number;
  /** Command line that starts this same wqx. */
  readonly wqx: readonly string[];
  readonly serving: Serving;
  readonly note: (line: string) => void;
}

export class LocalWorkers implements AsyncDisposable {
  readonly #children = new Set<Deno.ChildProcess>();
  readonly #keeping: Promise<void>[] = [];
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<never>();

  constructor(private readonly options: LocalWorkersOptions) {
    this.#failed.promise.catch(() => {}); // who cares for it will hear of it
    for (let i = 0; i < options.wanted.count; i++) this.#keeping.push(this.#keep());
  }

  /** Rejects with a RunError when workers die as soon as they start. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Returns when all are gone, with their tasks and folders. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    for (const child of this.#children) signalTo(child, "SIGTERM");
    if (!await within(stopMsMax, Promise.all(this.#keeping))) {
      for (const child of this.#children) signalTo(child, "SIGKILL");
      await Promise.all(this.#keeping);
    }
  }

  /** One worker after the other in one place, until told to stop. */
  async #keep(): Promise<void> {
    const { signal } = this.#stopping;
    for (let [ends, kills] = [0, 0]; !signal.aborted;) {
      const bornMs = performance.now();
      const { said, code } = await this.#live();
      if (signal.aborted) return;
      if (performance.now() - bornMs >= infancyMs) ends = kills = 0;
      else if (code > signalCodeMin) kills++;
      else ends++;
      if (ends >= earlyDeathsMax || kills >= earlyKillsMax) {
        this.#failed.reject(
          new RunError(`Local workers end as soon as they start (exit code ${code}):\n${said}`),
        );
        return;
      }
      this.options.note("A local worker died; starting another");
      await delay(replaceAfterMs, signal);
    }
  }

  async #live(): Promise<{ said: string; code: number }> {
    const [program, ...args] = [...this.options.wqx, ...this.#arguments()];
    const child = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      // Ctrl-C in the terminal is for the manager, which needs its workers to merge what is there.
      detached: true,
    }).spawn();
    this.#children.add(child);
    let said = "";
    const listening = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        said = (said + text).slice(-saidMax);
      }
    })();
    const { code } = await child.status;
    await listening;
    this.#children.delete(child);
    return { said: said.trim(), code };
  }

  #arguments(): string[] {
    const { wanted, port, serving } = this.options;
    const share = (all: number) => Math.max(1, Math.floor(all / wanted.count));
    const memoryMb = Deno.systemMemoryInfo().total / 1024 ** 2;
    const options: Record<string, number | string | undefined> = {
      "--cores": wanted.cores ?? share(navigator.hardwareConcurrency),
      "--memory": wanted.memoryMb ?? share(memoryMb),
      "--disk": wanted.diskMb,
      "--password": serving.password?.path,
    };
    return [
      "worker",
      "127.0.0.1",
      String(port),
      "--single-shot",
      "--parent-death",
      // What goes over loopback, who could read it could read our memory too.
      ...(serving.tls?.required ? ["--ssl"] : []),
      // The manager decides when they end.
      "--timeout",
      "30d",
      ...Object.entries(options).flatMap(([name, value]) =>
        value === undefined ? [] : [name, String(value)]
      ),
    ];
  }
}

function signalTo(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // Gone already.
  }
}
