/** Manager → worker: lines to messages and back. */
import { concat } from "../bytes.ts";
import { PeerProtocolError, unreachable } from "../errors.ts";
import { entryBytes } from "../pieces.ts";
import type { Grammar, Parsed } from "./decoder.ts";
import { Fields } from "./fields.ts";
import { isSha256 } from "./held.ts";
import {
  blockBytesMax,
  type CachePlace,
  type Dialect,
  fileFlag,
  lineBytesMax,
  newestDialect,
  type Order,
  type TaskBlock,
  type TaskFile,
  type ToWorker,
} from "./messages.ts";
import { checkCacheName, checkSandboxName, decodeName, encodeName } from "./names.ts";
import { checkedPieces, pieceCountMax } from "./pieces.ts";

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

type Block = {
  -readonly [K in keyof TaskBlock]: TaskBlock[K] extends readonly (infer T)[] ? T[] : TaskBlock[K];
};

/**
 * Of a block's text, and of a body within it; characters, of up to three bytes. Together with a line
 * they fit into the 16 KiB of a TLS record.
 */
const textLengthMax = 2048;
const shortBodyLengthMax = 2048;

/** Longest link target or URL that is accepted as a body; PATH_MAX of Linux. */
const targetBytesMax = 4096;

/** Whose bytes are awaited: of the open block, or of a message that they complete. */
type Awaiting =
  | { readonly what: "command" | "coprocess" | "env" }
  | { readonly what: "message"; readonly complete: (bytes: Uint8Array) => ToWorker };

export class ToWorkerGrammar implements Grammar<ToWorker> {
  #block: Block | null = null;
  #blockBytes = 0;
  /** The directory that is being received: its cached name, and the path within it. */
  #directory: { readonly cacheName: string; readonly inside: string[] } | null = null;
  #awaiting: Awaiting | null = null;

  line(text: string): Parsed<ToWorker> {
    if (this.#block !== null) return this.#inBlock(this.#block, text);
    const fields = new Fields(text);
    return this.#directory === null ? this.#command(fields) : this.#inDirectory(fields);
  }

  blob(bytes: Uint8Array): ToWorker | null {
    const awaiting = this.#awaiting!;
    this.#awaiting = null;
    if (awaiting.what === "message") return awaiting.complete(bytes);
    const text = fromUtf8.decode(bytes);
    if (awaiting.what !== "env") this.#block![awaiting.what] = text;
    else this.#block!.env.push(text);
    return null;
  }

  #command(fields: Fields): Parsed<ToWorker> {
    switch (fields.keyword) {
      case "put":
        return this.#put(fields, {
          cacheName: checkCacheName(decodeName(fields.word(0))),
          inside: "",
        });
      case "dir": {
        const cacheName = checkCacheName(decodeName(fields.word(0)));
        this.#directory = { cacheName, inside: [] };
        return message({ type: "dir", cacheName, inside: "" });
      }
      case "puturl":
      case "putcmd":
        return message({
          type: "fetch",
          from: fields.keyword === "puturl" ? "url" : "command",
          source: decodeName(fields.word(0)),
          cacheName: checkCacheName(decodeName(fields.word(1))),
          mode: fields.octal(3),
        });
      case "url": {
        const cacheName = checkCacheName(fields.word(0));
        const mode = fields.octal(2);
        // Real managers end the text with NUL or not at all.
        return this.#awaitMessage(fields.bytes(1, targetBytesMax), (bytes) => ({
          type: "fetch",
          from: "url",
          source: withoutNul(bytes),
          cacheName,
          mode,
        }));
      }
      case "thirdget":
      case "thirdput":
        return this.#third(fields);
      case "wqx-take": {
        const source = sha256In(fields);
        const cacheName = checkCacheName(decodeName(fields.word(1)));
        return message({ type: "fetch", from: "kept", source, cacheName, mode: fields.octal(2) });
      }
      case "wqx-pieces":
        return this.#offer(fields);
      case "wqx-fill": {
        const cacheName = checkCacheName(decodeName(fields.word(0)));
        const length = fields.bytes(1);
        const fill = { type: "fill", cacheName, length } as const;
        return { kind: "message", message: fill, payloadBytes: length };
      }
      case "wqx-run":
        return message({ type: "run", run: fields.word(0) });
      case "wqx-drop":
        return message({ type: "drop", key: fields.word(0) });
      case "task":
        this.#block = emptyBlock(fields.integer(0));
        this.#blockBytes = 0;
        return { kind: "part" };
      case "send_results":
        return message({ type: "send_results" });
      case "get":
        return message({ type: "get", ...namedObject(fields) });
      case "kill":
        return message({ type: "kill", taskId: fields.integer(0) });
      case "unlink":
        return message({ type: "unlink", ...namedObject(fields) });
      case "invalidate-file":
        return message({ type: "invalidate-file", cacheName: fields.word(0) });
      case "tlq":
        return message({ type: "tlq", url: fields.word(0) });
      case "check":
      case "release":
      case "exit":
      case "auth":
        return message({ type: fields.keyword });
      default:
        throw fields.bad("not a message of a manager");
    }
  }

  #inDirectory(fields: Fields): Parsed<ToWorker> {
    const { cacheName, inside } = this.#directory!;
    const place = () => {
      const name = checkCacheName(decodeName(fields.word(0)));
      return { cacheName, inside: [...inside, name].join("/") };
    };
    switch (fields.keyword) {
      case "put":
        return this.#put(fields, place());
      case "symlink": {
        const where = place();
        return this.#awaitMessage(fields.bytes(1, targetBytesMax), (bytes) => ({
          type: "symlink",
          ...where,
          target: withoutNul(bytes),
        }));
      }
      case "dir": {
        const where = place();
        this.#directory = { cacheName, inside: where.inside.split("/") };
        return message({ type: "dir", ...where });
      }
      case "end": {
        const closed = inside.join("/");
        this.#directory = inside.length === 0 ? null : { cacheName, inside: inside.slice(0, -1) };
        return message({ type: "dir_end", cacheName, inside: closed });
      }
      default:
        throw fields.bad("not a line within a directory");
    }
  }

  #put(fields: Fields, place: CachePlace): Parsed<ToWorker> {
    const length = fields.bytes(1);
    const put = { type: "put", ...place, length, mode: fields.octal(2) } as const;
    return { kind: "message", message: put, payloadBytes: length };
  }

  #offer(fields: Fields): Parsed<ToWorker> {
    const sha256 = sha256In(fields);
    const cacheName = checkCacheName(decodeName(fields.word(1)));
    const mode = fields.octal(2);
    const bytes = fields.bytes(3);
    const count = fields.bytes(4, pieceCountMax);
    return this.#awaitMessage(count * entryBytes, (entries) => {
      // What was fed may be used again.
      const pieces = checkedPieces(entries.slice(), bytes, cacheName);
      return { type: "offer", cacheName, mode, sha256, bytes, pieces };
    });
  }

  #third(fields: Fields): Parsed<ToWorker> {
    const way = fields.integer(0);
    if (way < 1 || way > 3) throw fields.bad("field 1 is no way of transfer: 1, 2 or 3");
    const what = way === 1 ? "command" : "path";
    const cacheName = checkCacheName(decodeName(fields.word(1)));
    const text = fields.rest(2);
    return fields.keyword === "thirdget"
      ? message({ type: "fetch", from: what, source: text, cacheName, mode: 0o777 })
      : message({ type: "thirdput", to: what, target: text, cacheName });
  }

  #inBlock(block: Block, text: string): Parsed<ToWorker> {
    this.#count(utf8Length(text));
    const fields = new Fields(text);
    switch (fields.keyword) {
      case "": // the line end after the bytes of `env`, which its length does not count
        return { kind: "nothing" };
      case "cmd":
        return this.#blob({ what: "command" }, fields.bytes(0, blockBytesMax));
      case "coprocess":
        return this.#blob({ what: "coprocess" }, fields.bytes(0, blockBytesMax));
      case "env":
        return this.#blob({ what: "env" }, fields.bytes(0, blockBytesMax));
      case "wqx-kept":
        block.kept = true;
        block.key = fields.word(0);
        return { kind: "part" };
      case "wqx-key":
        block.key = fields.word(0);
        return { kind: "part" };
      case "category":
        block.category = fields.rest(0);
        return { kind: "part" };
      case "cores":
        block.cores = fields.number(0);
        return { kind: "part" };
      case "gpus":
        block.gpus = fields.integer(0);
        return { kind: "part" };
      case "memory":
        block.memoryMb = fields.integer(0);
        return { kind: "part" };
      case "disk":
        block.diskMb = fields.integer(0);
        return { kind: "part" };
      case "end_time": // seconds; managers before 7.3.0 send microseconds
        block.endTimeMs = fields.timeMs(0, (t) => t > 1e12 ? t / 1000 : t * 1000);
        return { kind: "part" };
      case "wall_time": // seconds have a decimal point, microseconds have none
        block.wallTimeMs = fields.timeMs(0, (t, whole) => whole ? t / 1000 : t * 1000);
        return { kind: "part" };
      case "infile":
        block.inputs.push(taskFile(fields));
        return { kind: "part" };
      case "dir":
        block.directories.push(checkSandboxName(fields.rest(0)));
        return { kind: "part" };
      case "outfile":
        block.outputs.push(taskFile(fields));
        return { kind: "part" };
      case "end":
        this.#block = null;
        return message(block);
      default:
        throw fields.bad("not a line of a task block");
    }
  }

  #awaitMessage(blobBytes: number, complete: (bytes: Uint8Array) => ToWorker): Parsed<ToWorker> {
    this.#awaiting = { what: "message", complete };
    return { kind: "part", blobBytes };
  }

  #blob(awaiting: Awaiting, blobBytes: number): Parsed<ToWorker> {
    this.#awaiting = awaiting;
    this.#count(blobBytes);
    return { kind: "part", blobBytes };
  }

  #count(bytes: number): void {
    this.#blockBytes += bytes;
    if (this.#blockBytes > blockBytesMax) {
      throw new PeerProtocolError(`Cannot accept a task block of more than ${blockBytesMax} bytes`);
    }
  }
}

function message(m: ToWorker): Parsed<ToWorker> {
  return { kind: "message", message: m };
}

function sha256In(fields: Fields): string {
  const sha256 = fields.word(0);
  if (!isSha256(sha256)) throw fields.bad("field 1 is no SHA-256 in hexadecimal");
  return sha256;
}

function withoutNul(bytes: Uint8Array): string {
  return fromUtf8.decode(bytes).replace(/\0+$/, "");
}

function emptyBlock(taskId: number): Block {
  return {
    type: "task",
    taskId,
    command: "",
    category: "default",
    cores: 0,
    gpus: 0,
    memoryMb: 0,
    diskMb: 0,
    endTimeMs: null,
    wallTimeMs: null,
    env: [],
    inputs: [],
    directories: [],
    outputs: [],
  };
}

function namedObject(fields: Fields): { cacheName: string; written?: string } {
  const written = checkCacheName(fields.word(0));
  const cacheName = checkCacheName(decodeName(written));
  return cacheName === written ? { cacheName } : { cacheName, written };
}

function taskFile(fields: Fields): TaskFile {
  return {
    cacheName: checkCacheName(fields.word(0)),
    sandboxName: checkSandboxName(decodeName(fields.word(1))),
    flags: fields.integer(2),
  };
}

/**
 * The bytes of a message, without its payload, as a worker of this dialect reads it. Throws
 * RangeError if a line would be too long.
 */
export function encodeToWorker(m: ToWorker, dialect: Dialect = newestDialect): Uint8Array {
  if (m.type === "offer") return concat([utf8.encode(textToWorker(m)), m.pieces.entries]);
  if (m.type !== "task") return utf8.encode(textToWorker(m, dialect));
  const pieces = blockPieces(m, dialect);
  return concat(pieces.map((piece) => typeof piece === "string" ? utf8.encode(piece) : piece));
}

/** The same for all but task blocks, as text; of an offer without its list. */
export function textToWorker(m: Order, dialect: Dialect = newestDialect): string {
  switch (m.type) {
    case "put":
      return line(`put ${encodeName(lastName(m))} ${m.length} 0${m.mode.toString(8)}`);
    case "dir":
      return line(`dir ${encodeName(lastName(m))}`);
    case "symlink": // real workers take the bytes as they are: they need the NUL
      return line(`symlink ${encodeName(lastName(m))} ${utf8Length(m.target) + 1}`) +
        `${m.target}\0`;
    case "dir_end":
      return line("end");
    case "fetch":
      return fetchText(m, dialect);
    case "thirdput":
      return line(
        `thirdput ${m.to === "command" ? 1 : 2} ${encodeName(m.cacheName)} ${m.target}`,
      );
    case "offer": {
      const { sha256, cacheName, bytes, pieces } = m;
      const mode = m.mode.toString(8);
      const name = encodeName(cacheName);
      return line(`wqx-pieces ${sha256} ${name} 0${mode} ${bytes} ${pieces.count}`);
    }
    case "fill":
      return line(`wqx-fill ${encodeName(m.cacheName)} ${m.length}`);
    case "send_results":
      return line("send_results -1");
    case "get":
      return line(`get ${m.written ?? m.cacheName} 1`);
    case "kill":
      return line(`kill ${m.taskId}`);
    case "unlink":
      return line(`unlink ${m.written ?? m.cacheName}`);
    case "invalidate-file":
      return line(`invalidate-file ${m.cacheName}`);
    case "tlq":
      return line(`tlq ${m.url}`);
    case "run":
      return line(`wqx-run ${m.run}`);
    case "drop":
      return line(`wqx-drop ${m.key}`);
    case "check":
    case "release":
    case "exit":
      return line(m.type);
    case "auth":
      return line("auth password sha1");
    default:
      return unreachable(m);
  }
}

function fetchText(m: Extract<ToWorker, { type: "fetch" }>, { protocol }: Dialect): string {
  const mode = m.mode.toString(8);
  if (m.from === "kept") return line(`wqx-take ${m.source} ${encodeName(m.cacheName)} 0${mode}`);
  if (protocol >= 11 && m.from !== "path") {
    const verb = m.from === "url" ? "puturl" : "putcmd";
    return line(`${verb} ${encodeName(m.source)} ${encodeName(m.cacheName)} 0 ${mode}`);
  }
  if (m.from === "url") {
    const length = utf8Length(m.source) + 1;
    return line(`url ${m.cacheName} ${length} 0${mode} ${fileFlag.cache}`) + `${m.source}\0`;
  }
  return line(`thirdget ${m.from === "command" ? 1 : 2} ${encodeName(m.cacheName)} ${m.source}`);
}

function lastName({ cacheName, inside }: CachePlace): string {
  return inside === "" ? cacheName : inside.slice(inside.lastIndexOf("/") + 1);
}

/**
 * A task block in pieces: text, none of it longer than what a TLS record holds, and bytes for long
 * commands and variables. So no body ends in the middle of a record in which something follows.
 */
export function blockPieces(task: TaskBlock, dialect: Dialect): readonly (string | Uint8Array)[] {
  const block = new BlockWriter();
  block.line(`task ${task.taskId}`);
  block.body("cmd", task.command, "");
  if (task.coprocess !== undefined && dialect.protocol >= 10) {
    block.body("coprocess", task.coprocess, "");
  }
  if (task.key !== undefined) block.line(`${task.kept ? "wqx-kept" : "wqx-key"} ${task.key}`);
  block.line(`category ${task.category}`);
  block.line(`cores ${task.cores.toFixed(3)}`);
  block.line(`gpus ${task.gpus}`);
  block.line(`memory ${task.memoryMb}`);
  block.line(`disk ${task.diskMb}`);
  if (task.endTimeMs !== null) {
    const scale = dialect.endTimeInSeconds ? 1 / 1000 : 1000;
    block.line(`end_time ${Math.ceil(task.endTimeMs * scale)}`);
  }
  if (task.wallTimeMs !== null) {
    // Every real worker reads microseconds, whatever its manager sends.
    block.line(`wall_time ${Math.ceil(task.wallTimeMs * 1000)}`);
  }
  for (const variable of task.env) block.body("env", variable, "\n");
  for (const file of task.inputs) block.line(`infile ${fileFields(file)}`);
  for (const name of task.directories) block.line(`dir ${name}`);
  for (const file of task.outputs) block.line(`outfile ${fileFields(file)}`);
  block.line("end");
  return block.end();
}

class BlockWriter {
  readonly #pieces: (string | Uint8Array)[] = [];
  #text = "";

  line(text: string): void {
    if (this.#text.length > textLengthMax) this.#cut();
    this.#text += line(text);
  }

  /** A line with the length of `value`, which follows it; `after` is not counted. */
  body(keyword: string, value: string, after: string): void {
    const isShort = value.length <= shortBodyLengthMax;
    const bytes = isShort ? null : utf8.encode(value);
    this.line(`${keyword} ${bytes?.length ?? utf8Length(value)}`);
    if (bytes === null) {
      this.#text += value;
    } else {
      this.#cut();
      this.#pieces.push(bytes);
    }
    this.#text += after;
  }

  end(): readonly (string | Uint8Array)[] {
    this.#cut();
    return this.#pieces;
  }

  #cut(): void {
    if (this.#text !== "") this.#pieces.push(this.#text);
    this.#text = "";
  }
}

function fileFields(file: TaskFile): string {
  return `${file.cacheName} ${encodeName(file.sandboxName)} ${file.flags}`;
}

function utf8Length(text: string): number {
  // Most text is ASCII, and then need not be encoded to be counted.
  return /[^\0-\x7f]/.test(text) ? utf8.encode(text).length : text.length;
}

function line(text: string): string {
  // A character is at most three bytes in UTF-8: most lines need no count.
  const bytes = text.length * 3 > lineBytesMax ? utf8Length(text) : 0;
  if (bytes > lineBytesMax) {
    throw new RangeError(
      `Cannot send a line of ${bytes} bytes ("${text.slice(0, 60)}…"): ` +
        `workers read at most ${lineBytesMax}; shorten the name`,
    );
  }
  return text + "\n";
}
