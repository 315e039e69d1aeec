/** A batch system of tests/fakes first on PATH, and a test that moves its jobs on. */
import type { BatchContext, BatchSystem, JobId } from "../../factory/batch/batch_system.ts";
import { openBatchSystem } from "../../factory/batch/mod.ts";
import { TempFolder } from "./temp.ts";
import { until } from "./until.ts";

const fakes = new URL("../fakes", import.meta.url).pathname;

export type FakeState = "pending" | "running" | "held" | "ended" | "odd";
/** `deaf to names`: condor_rm knows no schedd by name. */
export type FakeFault = "fail" | "hang" | "foreign" | "silent" | "deaf to names";

export interface FakeQueueOptions {
  /** Programs that one file of tests/fakes stands for. */
  readonly programs: readonly string[];
  readonly file: string;
  readonly context?: Partial<BatchContext>;
  readonly env?: Readonly<Record<string, string>>;
}

export class FakeQueue implements AsyncDisposable {
  readonly notes: string[] = [];
  readonly system: BatchSystem;
  readonly #started: Deno.ChildProcess[] = [];

  private constructor(
    readonly folder: TempFolder,
    readonly scratch: string,
    name: string,
    options: FakeQueueOptions,
  ) {
    const env = {
      PATH: `${folder.join("bin")}:/usr/bin:/bin`,
      FAKE_QUEUE: folder.join("queue"),
      FAKES: fakes,
      CORES: "64", // of the factory's own surroundings: must not reach workers
      ...options.env,
    };
    this.system = openBatchSystem(name, {
      scratch,
      batchOptions: "",
      requirements: () => null,
      hostsBlocked: () => [],
      autosize: () => false,
      env,
      note: (line) => this.notes.push(line),
      ...options.context,
      extra: { "batch-deadline": "10", ...options.context?.extra },
    });
  }

  static async open(name: string, options: FakeQueueOptions): Promise<FakeQueue> {
    const folder = await TempFolder.create("wqx-fake-");
    for (const sub of ["bin", "queue", "scratch"]) await Deno.mkdir(folder.join(sub));
    for (const program of options.programs) {
      await Deno.symlink(`${fakes}/${options.file}`, folder.join("bin", program));
    }
    return new FakeQueue(folder, folder.join("scratch"), name, options);
  }

  async set(id: JobId, state: FakeState): Promise<void> {
    await this.folder.write(`queue/jobs/${id}/state`, `${state}\n`);
  }

  /** It ended; queues that show such jobs for a while show this code. */
  async end(id: JobId, code: number): Promise<void> {
    await this.folder.write(`queue/jobs/${id}/code`, `${code}\n`);
    await this.set(id, "ended");
  }

  /** The queue knows nothing of it any more. */
  async forget(id: JobId): Promise<void> {
    await Deno.remove(this.folder.join("queue/jobs", id, "state"));
  }

  /** Runs the script that was handed in, as a node would: with the environment that it came with. */
  async startWrapper(id: JobId, idVariable: string): Promise<void> {
    await this.set(id, "running");
    const environment = this.folder.join("queue/jobs", id, "env.sh");
    const wrapper = `./${this.system.name}.wrapper`;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", `. "$0"; ${idVariable}=$1; export ${idVariable}; exec "$2"`]
        .concat(environment, idVariable === "PBS_JOBID" ? `${id}.server` : id, wrapper),
      cwd: this.scratch,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    this.#started.push(child);
    await this.folder.write(`queue/jobs/${id}/pid`, `${child.pid}\n`);
    const started = this.folder.join("scratch", `${this.system.name}.status.${id}`);
    await until(() => Deno.stat(started).then(({ size }) => size > 0, () => false), {
      what: "the wrapper's first line",
    });
  }

  async wrappersEnded(): Promise<void> {
    await Promise.all(this.#started.map((child) => child.status));
  }

  async damage(program: string, fault: FakeFault): Promise<void> {
    await this.folder.write(`queue/mode.${program}`, fault);
  }

  async repair(program: string): Promise<void> {
    await Deno.remove(this.folder.join("queue", `mode.${program}`));
  }

  /** All calls so far, a word an element. */
  async calls(): Promise<string[][]> {
    const calls: string[][] = [];
    for (let n = 0;; n++) {
      const text = await Deno.readTextFile(this.folder.join("queue/calls", `${n}.argv`))
        .catch(() => null);
      if (text === null) return calls;
      calls.push(text.split("\n").slice(0, -1));
    }
  }

  /** What call N was given to read. */
  async input(n: number): Promise<string> {
    return await Deno.readTextFile(this.folder.join("queue/calls", `${n}.stdin`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#started) {
      try {
        Deno.kill(-child.pid, "SIGKILL");
      } catch {
        // Ended.
      }
    }
    await this.wrappersEnded();
    await this.folder[Symbol.asyncDispose]();
  }
}
