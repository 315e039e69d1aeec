/** The real program in tests: started as users start it, heard, and gone afterwards. */
import { TempFolder } from "./temp.ts";
import { until } from "./until.ts";

const repository = new URL("../..", import.meta.url).pathname;

/** How the program is started; the single file, once built, is started by its own path. */
export const wqxFromSource: readonly string[] = [
  Deno.execPath(),
  "run",
  "-A",
  `${repository}main.ts`,
];

export interface WqxOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly command?: readonly string[];
  /** `piped`: the test writes to it, with `write` and `closeInput`. */
  readonly stdin?: "piped";
}

/** One running wqx. `await using` ends it, however the test ends. */
export class Wqx implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null;
  readonly #heard: Promise<unknown>;
  readonly #ended: Promise<number>;
  #running = true;

  constructor(args: readonly string[], options: WqxOptions = {}) {
    const [program, ...first] = options.command ?? wqxFromSource;
    this.#child = new Deno.Command(program!, {
      args: [...first, ...args],
      cwd: options.cwd ?? Deno.cwd(),
      env: { NO_COLOR: "1", ...options.env },
      stdin: options.stdin ?? "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#input = options.stdin === "piped" ? this.#child.stdin.getWriter() : null;
    const hear = async (
      from: ReadableStream<Uint8Array<ArrayBuffer>>,
      into: "stdout" | "stderr",
    ) => {
      for await (const text of from.pipeThrough(new TextDecoderStream())) this[into] += text;
    };
    this.#heard = Promise.all([
      hear(this.#child.stdout, "stdout"),
      hear(this.#child.stderr, "stderr"),
    ]);
    this.#ended = this.#child.status.then(async ({ code, signal }) => {
      await this.#heard;
      this.#running = false;
      return signal === null ? code : -1;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Exit code, -1 if a signal ended it. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Without effect on a program that has ended, which is known a moment later. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Resolves when the program has taken it. */
  async write(text: string): Promise<void> {
    await this.#input?.write(new TextEncoder().encode(text));
  }

  async closeInput(): Promise<void> {
    await this.#input?.close().catch(() => {}); // it has ended already
  }

  /** Waits until it has said so, on either stream. */
  async says(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpExecArray> {
    return await until(() => {
      const found = pattern.exec(this.stderr) ?? pattern.exec(this.stdout);
      if (found === null && !this.#running) {
        throw new Error(`It ended without saying ${pattern}:\n${this.stderr}${this.stdout}`);
      }
      return found;
    }, { what: `${pattern}; so far: ${this.stderr}${this.stdout}`, timeoutMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running) this.signal("SIGKILL");
    await this.#ended;
    await this.closeInput();
  }
}

let ownState: string | null = null;

/** Where managers of tests keep their key: one for all, as it takes a while to make. */
export function testState(): string {
  const given = Deno.env.get("XDG_STATE_HOME") ?? ownState;
  if (given !== null) return given;
  const made = ownState = Deno.makeTempDirSync({ prefix: "wqx-state-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(made, { recursive: true }));
  return made;
}

/** A folder in which the program puts its scratch files too, so that leftovers are seen. */
export class TestBed implements AsyncDisposable {
  private constructor(readonly folder: TempFolder) {}

  static async create(): Promise<TestBed> {
    const folder = await TempFolder.create("wqx-e2e-");
    await Deno.mkdir(folder.join("tmp"));
    return new TestBed(folder);
  }

  start(args: readonly string[], options: WqxOptions = {}): Wqx {
    const env = {
      TMPDIR: this.folder.join("tmp"),
      WQX_CACHE: this.folder.join("cache"),
      XDG_STATE_HOME: testState(),
      ...options.env,
    };
    return new Wqx(args, { cwd: this.folder.path, ...options, env });
  }

  async run(args: readonly string[], options: WqxOptions = {}): Promise<Wqx & { code: number }> {
    await using wqx = this.start(args, options);
    return Object.assign(wqx, { code: await wqx.ended });
  }

  /** Waits until no process works under the folder and no workspace is left in it. */
  async clean(): Promise<void> {
    await until(() => this.#leftovers().length === 0, {
      what: `the end of ${this.#leftovers().join(", ")}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }

  #leftovers(): string[] {
    const scratch = this.folder.join("tmp");
    const found = [...Deno.readDirSync(scratch)].map(({ name }) => `${scratch}/${name}`);
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
      try {
        const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
        if (environment.includes(scratch)) {
          const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
          if (command !== "") found.push(`process ${name}: ${command}`);
        }
      } catch {
        // Ended while we looked, or a thread of the kernel.
      }
    }
    return found;
  }
}

export const demo = `${repository}examples/dimuon`;

// deno-lint-ignore no-explicit-any -- result files are looked into, not modelled
export async function readJson(path: string): Promise<any> {
  return JSON.parse(await Deno.readTextFile(path));
}
