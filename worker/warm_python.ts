/**
 * One warm Python (warm_python.py): a process that has imported what its tasks import, and forks
 * the processes of tasks, which become children of this worker.
 */
import { isRecord } from "../core/is_record.ts";
import type { Redirection } from "../core/worker/python_command.ts";
import { within } from "../io/clock.ts";
import source from "./warm_python.py" with { type: "text" };

/** For it to fork, while it may be importing; what takes longer than this hangs. */
const answerMsMax = 20_000;
/** Between the end of a process and what it said just before. */
const ownMemoryMsMax = 100;
/** For what it wrote before it ended to be read. */
const lastWordsMs = 50;
/** An answer is a line of a hundred bytes. */
const answerCharsMax = 100_000;

export interface ForkRequest {
  /** The script and its arguments. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Receives stdout and stderr, as far as they are not redirected. */
  readonly outputPath: string;
  readonly redirections: readonly Redirection[];
  readonly unbuffered: boolean;
}

/** A process that waits for SIGUSR1 to begin. */
export interface Forked {
  readonly pid: number;
  /** Memory that it shares with the one it was forked from, until it writes to it. */
  readonly sharedKb: number;
  /** Once it has ended: what it had of its own then; `null` where it could not say. */
  readonly ownMemory: () => Promise<OwnMemory | null>;
}

export interface OwnMemory {
  readonly privateKb: number;
  readonly rssKb: number;
}

export interface WarmPythonOptions {
  /** The interpreter, an absolute path. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  /** Packages that are not to be imported ahead. */
  readonly avoid: readonly string[];
  /** Where the script may be written, by which a new Python is recognised as ours. */
  readonly folder: string;
}

export class WarmPython implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #pending = new Map<number, PromiseWithResolvers<Forked | null>>();
  readonly #owned = new Map<number, PromiseWithResolvers<OwnMemory | null>>();
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #ended: Promise<unknown>;
  #count = 0;
  #over = false;

  /** Throws what Deno throws if there is no such program. */
  constructor(options: WarmPythonOptions, private readonly onThreads: (name: string) => void) {
    const path = `${options.folder}/.warm_python.py`;
    Deno.writeTextFileSync(path, source, { mode: 0o600 });
    this.#child = new Deno.Command(options.program, {
      args: [path, JSON.stringify(options.avoid)],
      clearEnv: true,
      env: { ...options.env },
      cwd: options.folder,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      // A session of its own, by which what it forks is known until it has one too.
      detached: true,
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const reading = this.#read();
    this.#ended = this.#child.status.then(async () => {
      this.#over = true;
      // What it forked holds the other end as well, so that what it said last has no end.
      await within(lastWordsMs, reading);
      this.#end();
      await this.#reader.cancel();
      await reading;
      await this.#writer.abort().catch(() => {});
    });
  }

  /** Also of its session. */
  get pid(): number {
    return this.#child.pid;
  }

  /** It has ended, or does not answer. */
  get over(): boolean {
    return this.#over;
  }

  /** `null` if there can be no process this way. */
  async fork(request: ForkRequest): Promise<Forked | null> {
    if (this.#over) return null;
    const id = ++this.#count;
    const answer = Promise.withResolvers<Forked | null>();
    this.#pending.set(id, answer);
    const { outputPath: output, redirections, ...rest } = request;
    const files = redirections.map((one) => [
      one.fd,
      one.kind,
      one.kind === "&" ? one.other : one.path,
    ]);
    const line = JSON.stringify({ id, output, files, ...rest });
    // If it has ended, nobody answers, which is noticed by its end.
    this.#writer.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
    if (!await within(answerMsMax, answer.promise)) this.#kill();
    return await answer.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#ended;
  }

  async #read(): Promise<void> {
    let rest = "";
    try {
      while (rest.length <= answerCharsMax) {
        const { value, done } = await this.#reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop()!;
        for (const line of lines) this.#answer(line);
      }
    } catch (error) {
      // Somebody else has written into the pipe: this one is of no use any more.
      if (!(error instanceof SyntaxError)) throw error;
    }
    this.#kill();
  }

  #answer(line: string): void {
    const message: unknown = JSON.parse(line);
    if (!isRecord(message)) return;
    const { id, pid, baseKb, ended, privateKb, rssKb, threads } = message;
    if (typeof threads === "string") this.onThreads(threads);
    if (typeof ended === "number" && typeof privateKb === "number" && typeof rssKb === "number") {
      this.#owned.get(ended)?.resolve({ privateKb, rssKb });
    }
    if (typeof id !== "number" || typeof pid !== "number" || typeof baseKb !== "number") return;
    const answer = this.#pending.get(id);
    this.#pending.delete(id);
    if (pid === 0) return answer?.resolve(null);
    const own = Promise.withResolvers<OwnMemory | null>();
    this.#owned.set(pid, own);
    const ownMemory = async () => {
      if (!await within(ownMemoryMsMax, own.promise)) own.resolve(null);
      this.#owned.delete(pid);
      return await own.promise;
    };
    answer?.resolve({ pid, sharedKb: baseKb, ownMemory });
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  #end(): void {
    for (const { resolve } of this.#pending.values()) resolve(null);
    this.#pending.clear();
    for (const { resolve } of this.#owned.values()) resolve(null);
  }
}
