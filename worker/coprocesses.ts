/**
 * Coprocesses: programs that run beside the worker and call functions for tasks (Work Queue's
 * RemoteTask, Parsl). One says its name and port on stdout, then serves one connection after the
 * other: `FUNCTION SANDBOX LENGTH`, the input; back come a length and the text of the result.
 */
import { concat } from "../core/bytes.ts";
import { RunError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { quoted } from "../core/shell_words.ts";
import { delay, within } from "../io/clock.ts";
import type { Spawner, TaskProcess } from "./process.ts";

/** For a coprocess to say its name: it may have to import much before that. */
const startMsMax = 60_000;
/** How often a new one's first words are looked for. */
const startLookMs = 20;
/** For one call, as in Work Queue. */
const callMsMax = 3_600_000;
/** Of a result, which a manager would have to hold in memory. */
const answerBytesMax = 1024 ** 3;
/** Digits of a length, and its line end. */
const lengthBytesMax = 20;
/** Starts in a row that fail, after which none is tried any more. */
const failuresMax = 3;

export interface CoprocessOptions {
  /** Run by a shell in the workspace. */
  readonly command: string;
  /** How many of them. */
  readonly count: number;
  /** Holds the sandboxes `t.N`, which coprocesses know by their number. */
  readonly workspace: string;
  readonly env: Readonly<Record<string, string>>;
  readonly spawner: Spawner;
  readonly debug: (line: string) => void;
}

export interface FunctionCall {
  readonly name: string;
  /** N of the sandbox `t.N`. */
  readonly sandbox: number;
  readonly input: Uint8Array<ArrayBuffer>;
}

/** `why`: no answer came. */
export type Answer = { readonly output: Uint8Array } | { readonly why: string };

interface Instance {
  readonly process: TaskProcess;
  readonly name: string;
  readonly port: number;
  ended: boolean;
}

export class Coprocesses implements AsyncDisposable {
  readonly #idle: Instance[] = [];
  readonly #all = new Set<Instance>();
  readonly #waiting: PromiseWithResolvers<Instance | null>[] = [];
  readonly #starting = new Set<Promise<void>>();
  #count = 0;
  #failures = 0;
  #name = "";
  #closed = false;

  private constructor(private readonly options: CoprocessOptions) {}

  /** Throws a RunError if one of them does not say its name. */
  static async start(options: CoprocessOptions): Promise<Coprocesses> {
    const coprocesses = new Coprocesses(options);
    const starting = Array.from({ length: options.count }, () => coprocesses.#add());
    for (const one of starting) coprocesses.#starting.add(one);
    try {
      await Promise.all(starting);
    } catch (error) {
      await coprocesses[Symbol.asyncDispose]();
      throw error;
    }
    for (const one of starting) coprocesses.#starting.delete(one);
    return coprocesses;
  }

  /** What the worker offers, and tasks that call functions ask for. */
  get feature(): string {
    return `wq_worker_coprocess:${this.#name}`;
  }

  /** Waits for one that is free. Aborting ends the coprocess that the call has reached. */
  async call(call: FunctionCall, signal: AbortSignal): Promise<Answer> {
    const instance = await this.#take(signal);
    if (instance === null) {
      return { why: signal.aborted ? "it was called off" : "no coprocess is left to call it" };
    }
    const kill = () => instance.process.kill();
    signal.addEventListener("abort", kill, { once: true });
    const gone = instance.process.exited.then((): Answer => ({ why: "its coprocess ended" }));
    const answering = Promise.race([ask(instance.port, call), gone]);
    const late: Answer = { why: `its coprocess did not answer within ${callMsMax / 1000} s` };
    const answer = await within(callMsMax, answering) ? await answering : late;
    signal.removeEventListener("abort", kill);
    // One that gave no answer is ending, or of no use to the next one.
    if ("why" in answer) kill();
    else this.#give(instance);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.resolve(null);
    for (const { process } of this.#all) process.kill();
    await Promise.all([...this.#all].map(({ process }) => process.exited));
    await Promise.allSettled(this.#starting);
  }

  async #take(signal: AbortSignal): Promise<Instance | null> {
    const idle = this.#idle.shift();
    if (idle !== undefined || this.#closed || signal.aborted) return idle ?? null;
    if (this.#all.size === 0 && this.#starting.size === 0) return null;
    const waiting = Promise.withResolvers<Instance | null>();
    this.#waiting.push(waiting);
    const leave = () => {
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      waiting.resolve(null);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await waiting.promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #give(instance: Instance): void {
    if (instance.ended || this.#closed) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#idle.push(instance);
    else waiting.resolve(instance);
  }

  /** Starts one, and another in its place whenever it ends. */
  async #add(): Promise<void> {
    const instance = await this.#open();
    if (this.#closed) {
      instance.process.kill();
      await instance.process.exited;
      return;
    }
    this.#failures = 0;
    this.#name = instance.name;
    this.#all.add(instance);
    this.#give(instance);
    void instance.process.exited.then(() => this.#replace(instance));
  }

  #replace(instance: Instance): void {
    instance.ended = true;
    this.#all.delete(instance);
    const at = this.#idle.indexOf(instance);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#closed) return;
    this.options.debug(`coprocess ${instance.process.pid} ended; starting another`);
    const starting = this.#add().catch((error: Error) => {
      this.options.debug(error.message);
      if (++this.#failures < failuresMax) return this.#replace(instance);
      if (this.#all.size > 0) return;
      for (const waiting of this.#waiting.splice(0)) waiting.resolve(null);
    }).finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
  }

  async #open(): Promise<Instance> {
    const { command, workspace, env, spawner } = this.options;
    const number = ++this.#count;
    const outputPath = `${workspace}/.coprocess.${number}`;
    const errorPath = `${outputPath}.err`;
    const process = await spawner.spawn({
      command: `{ ${command}\n} 2>${quoted(errorPath)}`,
      cwd: workspace,
      env,
      outputPath,
    });
    let ended = false;
    const end = () => ended = true;
    process.exited.then(end, end);
    const giveUpMs = performance.now() + startMsMax;
    for (;;) {
      const said = readText(outputPath);
      const hello = said === null ? null : parseHello(said);
      if (hello !== null) return { process, ...hello, ended: false };
      const late = performance.now() > giveUpMs;
      if (!ended && !late && !this.#closed) {
        await delay(startLookMs);
        continue;
      }
      process.kill();
      await process.exited.catch(() => {});
      const why = late ? `said nothing within ${startMsMax / 1000} s` : "ended without saying it";
      const last = (readText(errorPath) ?? "").trim().split("\n").at(-1);
      throw new RunError(
        `Coprocess ${JSON.stringify(command)} was to print its length, name and port as JSON, ` +
          `and ${why}${last ? `; the last it said is: ${last}` : ""}`,
      );
    }
  }
}

/** `null` as long as it is not whole. */
export function parseHello(text: string): { name: string; port: number } | null {
  const [head, length] = /^(\d{1,9})\n/.exec(text) ?? [];
  if (head === undefined) return null;
  const body = new TextEncoder().encode(text.slice(head.length)).subarray(0, Number(length));
  if (body.length < Number(length)) return null;
  try {
    const hello: unknown = JSON.parse(new TextDecoder().decode(body));
    if (!isRecord(hello)) return null;
    const { name, port } = hello;
    const usable = typeof name === "string" && /^[^\s]+$/.test(name) &&
      typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536;
    return usable ? { name, port } : null;
  } catch {
    return null;
  }
}

async function ask(port: number, { name, sandbox, input }: FunctionCall): Promise<Answer> {
  try {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const writer = conn.writable.getWriter();
    await writer.write(new TextEncoder().encode(`${name} ${sandbox} ${input.length}\n`));
    await writer.write(input);
    writer.releaseLock();
    const output = await readAnswer(conn);
    return output === null ? { why: "its coprocess gave no answer" } : { output };
  } catch (error) {
    return {
      why: `its coprocess cannot be asked: ${error instanceof Error ? error.message : error}`,
    };
  }
}

/** A length in a line, and so many bytes; null for anything else, and for less. */
export async function readAnswer(conn: Pick<Deno.TcpConn, "read">): Promise<Uint8Array | null> {
  let head: Uint8Array = new Uint8Array(0);
  let output: Uint8Array | null = null, at = 0;
  for (const buffer = new Uint8Array(1 << 16);;) {
    const size = await conn.read(buffer);
    if (size === null) return null;
    let bytes = buffer.subarray(0, size);
    if (output === null) {
      const text = concat([head, bytes.subarray(0, lengthBytesMax)]);
      const end = text.indexOf(10);
      if (end < 0) {
        if (text.length >= lengthBytesMax) return null;
        head = text;
        continue;
      }
      const length = Number(new TextDecoder().decode(text.subarray(0, end)));
      if (!(Number.isInteger(length) && length >= 0 && length <= answerBytesMax)) return null;
      output = new Uint8Array(length);
      bytes = bytes.subarray(end + 1 - head.length);
    }
    const fit = bytes.subarray(0, output.length - at);
    output.set(fit, at);
    at += fit.length;
    if (at === output.length) return output;
  }
}

function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return null;
  }
}
