/**
 * A client of a manager of its own (docs/api.md): starts `wqx manager --api`, gives it tasks, and gets
 * results as they come. The manager ends with its client, however that ends.
 */
import { apiVersion, type Frame, FrameDecoder, frameStart, kind } from "../core/api/frames.ts";
import type { ResultRow } from "../core/api/result.ts";
import { concat } from "../core/bytes.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { within } from "./clock.ts";
import { removeIfThere } from "./files.ts";

/** A file that goes in, by the table of docs/api.md; local paths are absolute. */
export type ClientInput =
  | { readonly path: string; readonly name: string; readonly cache?: boolean }
  | { readonly bytes: Uint8Array; readonly name: string; readonly cache?: boolean }
  /** `%%` is the file that the worker is to make. */
  | { readonly command: string; readonly name: string; readonly cache?: boolean }
  | { readonly url: string; readonly name: string; readonly cache?: boolean }
  /** Bytes from `first` to `last`, both included. */
  | {
    readonly pieceOf: string;
    readonly first: number;
    readonly last: number;
    readonly name: string;
    readonly cache?: boolean;
  }
  | { readonly emptyDirectory: true; readonly name: string };

export interface ClientOutput {
  readonly path: string;
  readonly name: string;
  readonly when?: "always" | "failure" | "success";
  readonly cache?: boolean;
  readonly watch?: boolean;
}

/** `options` are those of docs/api.md, in its units. */
export interface ClientTask {
  readonly command: string;
  readonly category?: string;
  readonly inputs?: readonly ClientInput[];
  readonly outputs?: readonly ClientOutput[];
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface TaskResult {
  readonly id: number;
  /** Work Queue's result code; 0 for a command that ran, whatever its exit code. */
  readonly code: number;
  readonly exitCode: number;
  readonly printed: Uint8Array | null;
  /** All that is told of it, by position. */
  readonly row: ResultRow;
}

/** As of the last frame that had them. */
export interface ClientCounts {
  readonly taken: number;
  readonly waiting: number;
  readonly running: number;
  readonly retrieving: number;
  readonly workers: number;
  readonly hungryBelow: number;
}

export interface ClientOptions {
  /** Command line that starts wqx. */
  readonly wqx: readonly string[];
  /** More options of `wqx manager`: `["--port", "9123"]`. */
  readonly args?: readonly string[];
}

/** Submits gather until there are so many, or the turn ends. */
const batchTasksMax = 500;

/** Of stderr, for the sentence about a manager that broke; characters. */
const saidMax = 4000;

/** For the end of stderr to come, after that of the socket; ms. */
const lastWordsMs = 1000;

const flags = { cache: 1, watch: 16, failure: 32, success: 64 } as const;

export class ManagerClient implements AsyncDisposable {
  #nextTask = 1;
  #nextRequest = 1;
  #batch: unknown[] = [];
  #buffers: Uint8Array[] = [];
  #writing: Promise<void> = Promise.resolve();
  #flushing = false;
  #failure: RunError | null = null;
  #closing = false;
  #counts: ClientCounts = countsOf([0, 0, 0, 0, 0, 10]);
  readonly #answers = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #results: TaskResult[] = [];
  #news = Promise.withResolvers<void>();
  readonly #reading: Promise<void>;

  private constructor(
    private readonly child: ManagerProcess,
    private readonly conn: Deno.UnixConn,
    /** Where workers connect. */
    readonly port: number,
  ) {
    this.#reading = this.#read();
  }

  /** Throws a RunError with the manager's own sentence if it cannot start. */
  static async start(options: ClientOptions): Promise<ManagerClient> {
    const child = await ManagerProcess.start(options);
    try {
      const conn = await Deno.connect({ transport: "unix", path: child.socket });
      const client = new ManagerClient(child, conn, child.port);
      client.#send(frameStart(kind.hello, [apiVersion, `wqx ${Deno.version.deno}`]));
      return client;
    } catch (error) {
      await child.end();
      throw new RunError(`Cannot reach the manager: ${messageOf(error)}`);
    }
  }

  get pid(): number {
    return this.child.pid;
  }

  get counts(): ClientCounts {
    return this.#counts;
  }

  /** Whether more tasks are wanted, without a question. */
  get hungry(): boolean {
    const { waiting, taken, hungryBelow } = this.#counts;
    return waiting + (this.#nextTask - 1 - taken) < hungryBelow;
  }

  /** Its id; no round trip. */
  submit(
    { command, category = "default", inputs = [], outputs = [], options }: ClientTask,
  ): number {
    const id = this.#nextTask++;
    const task: unknown[] = [id, command, category];
    if (inputs.length > 0 || outputs.length > 0 || options !== undefined) {
      task.push(inputs.map((input) => this.#input(input)), outputs.map(outputFields));
      if (options !== undefined) task.push(options);
    }
    this.#batch.push(task);
    if (this.#batch.length >= batchTasksMax) this.#flush();
    else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this.#flush();
      });
    }
    return id;
  }

  /** Tasks as they end, for as long as somebody asks; throws when the manager is lost. */
  async *results(): AsyncGenerator<TaskResult> {
    for (;;) {
      const result = this.#results.shift();
      if (result !== undefined) {
        yield result;
        continue;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#closing) return;
      await this.#news.promise;
    }
  }

  /** A request of docs/api.md; throws a RunError with the sentence of a refusal. */
  async ask(method: string, ...given: readonly unknown[]): Promise<unknown> {
    return await this.#ask([method, ...given], new Uint8Array(0));
  }

  async stats(): Promise<Readonly<Record<string, number>>> {
    return await this.ask("stats") as Record<string, number>;
  }

  /** Those of the ids that were canceled; the others had ended. */
  async cancel(ids: readonly number[]): Promise<readonly number[]> {
    return await this.ask("cancel", ids) as number[];
  }

  /** For workers that come later; `null`: none is needed. */
  async setPassword(password: Uint8Array | null): Promise<void> {
    await this.#ask(["password"], password ?? new Uint8Array(0));
  }

  /** Ends the manager; its port is free afterwards, and workers look for another one. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing && this.#failure === null) {
      await this.ask("close", false).catch(() => {}); // it may be gone already
    }
    this.#closing = true;
    await this.child.end();
    await this.#reading;
  }

  #ask(value: readonly unknown[], raw: Uint8Array): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#flush();
    const request = this.#nextRequest++;
    const answer = Promise.withResolvers<unknown>();
    this.#answers.set(request, answer);
    const start = frameStart(kind.request, value, { request, rawBytes: raw.length });
    this.#send(concat([start, raw]));
    return answer.promise;
  }

  #input(input: ClientInput): unknown[] {
    const cached = "cache" in input && input.cache ? flags.cache : 0;
    if ("path" in input) return [1, input.path, input.name, cached];
    if ("command" in input) return [3, input.command, input.name, cached];
    if ("url" in input) return [6, input.url, input.name, cached];
    if ("emptyDirectory" in input) return [5, "", input.name];
    if ("pieceOf" in input) {
      return [4, input.pieceOf, input.name, cached, input.first, input.last];
    }
    this.#buffers.push(input.bytes);
    return [2, input.bytes.length, input.name, cached];
  }

  #flush(): void {
    if (this.#batch.length === 0) return;
    const raw = concat(this.#buffers);
    const start = frameStart(kind.submit, this.#batch, { rawBytes: raw.length });
    this.#batch = [];
    this.#buffers = [];
    this.#send(raw.length === 0 ? start : concat([start, raw]));
  }

  #send(bytes: Uint8Array): void {
    this.#writing = this.#writing.then(async () => {
      for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
    }).catch(() => {}); // the reader says what has become of the manager
  }

  async #read(): Promise<void> {
    const decoder = new FrameDecoder();
    const buffer = new Uint8Array(256 * 1024);
    let why = "";
    try {
      for (;;) {
        const count = await this.conn.read(buffer);
        if (count === null) break;
        decoder.feed(buffer.slice(0, count));
        for (let frame = decoder.next(); frame !== null; frame = decoder.next()) this.#take(frame);
      }
    } catch (error) {
      why = messageOf(error);
    }
    this.conn.close();
    await within(lastWordsMs, this.child.heard);
    this.#failure ??= new RunError(
      `The manager is gone${why === "" ? "" : ` (${why})`}, and with it what it had not returned` +
        this.child.lastWords,
    );
    for (const answer of this.#answers.values()) answer.reject(this.#failure);
    this.#answers.clear();
    this.#wake();
  }

  #take({ kind: which, request, value, raw }: Frame): void {
    switch (which) {
      case kind.results: {
        const [counts, rows] = value as [number[], ResultRow[]];
        this.#counts = countsOf(counts);
        let at = 0;
        for (const row of rows) {
          const [id, code, exitCode, size] = row;
          const printed = size < 0 ? null : raw.subarray(at, at + size);
          at += Math.max(0, size);
          this.#results.push({ id, code, exitCode, printed, row });
        }
        return this.#wake();
      }
      case kind.counts:
        this.#counts = countsOf(value as number[]);
        return;
      case kind.reply:
        this.#answers.get(request)?.resolve(value);
        this.#answers.delete(request);
        return;
      case kind.refused:
        this.#answers.get(request)?.reject(new RunError(String(value)));
        this.#answers.delete(request);
        return;
      case kind.failed:
        this.#failure = new RunError(String(value));
    }
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers<void>();
  }
}

function countsOf(counts: readonly number[]): ClientCounts {
  const [taken, waiting, running, retrieving, workers, hungryBelow] = counts as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { taken, waiting, running, retrieving, workers, hungryBelow };
}

function outputFields({ path, name, when = "always", cache, watch }: ClientOutput): unknown[] {
  const condition = when === "always" ? 0 : flags[when];
  return [path, name, condition | (cache ? flags.cache : 0) | (watch ? flags.watch : 0)];
}

/** The manager's process: its stdin is held open, its end closes it. */
class ManagerProcess {
  readonly pid: number;
  /** All that it says on stderr. */
  readonly heard: Promise<void>;
  #said = "";

  private constructor(
    private readonly child: Deno.ChildProcess,
    private readonly folder: string,
    readonly socket: string,
    readonly port: number,
    said: ReadableStream<Uint8Array<ArrayBuffer>>,
  ) {
    this.pid = child.pid;
    this.heard = (async () => {
      for await (const text of said.pipeThrough(new TextDecoderStream())) {
        this.#said = (this.#said + text).slice(-saidMax);
      }
    })();
  }

  static async start({ wqx, args = [] }: ClientOptions): Promise<ManagerProcess> {
    const folder = await Deno.makeTempDir({ prefix: "wqx-api-" });
    const socket = `${folder}/api`;
    const [program, ...first] = wqx;
    const child = new Deno.Command(program!, {
      args: [...first, "manager", "--api", socket, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const line = await firstLine(child.stdout);
    if (line === "") {
      const [said] = await Promise.all([new Response(child.stderr).text(), child.status]);
      await child.stdin.close().catch(() => {});
      await removeIfThere(folder);
      throw new RunError(said.trim() || "The manager ended before it began");
    }
    const { port } = JSON.parse(line) as { readonly port: number };
    return new ManagerProcess(child, folder, socket, port, child.stderr);
  }

  /** For the end of a sentence. */
  get lastWords(): string {
    const words = this.#said.trim();
    return words === "" ? "" : `; it said: ${words}`;
  }

  async end(): Promise<void> {
    await this.child.stdin.close().catch(() => {}); // it has ended already
    await this.child.status;
    await this.heard;
    await removeIfThere(this.folder);
  }
}

/** Empty if the stream ends before its first line does. */
async function firstLine(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) return "";
    text += value;
  }
  await reader.cancel();
  return text.slice(0, text.indexOf("\n"));
}
