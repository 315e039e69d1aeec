/** Manager → worker: lines to messages and back. */
import { PeerProtocolError, unreachable } from "../errors.ts";
import type { Grammar, Parsed } from "./decoder.ts";
import { Fields } from "./fields.ts";
import {
  blockBytesMax,
  lineBytesMax,
  type TaskBlock,
  type TaskFile,
  type ToWorker,
} from "./messages.ts";
import { checkCacheName, checkSandboxName, decodeName, encodeName } from "./names.ts";

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

type Block = {
  -readonly [K in keyof TaskBlock]: TaskBlock[K] extends readonly (infer T)[] ? T[] : TaskBlock[K];
};

/** Which field of the open block the awaited bytes belong to. */
type Awaiting = "command" | "env" | null;

export class ToWorkerGrammar implements Grammar<ToWorker> {
  #block: Block | null = null;
  #blockBytes = 0;
  #awaiting: Awaiting = null;

  line(text: string): Parsed<ToWorker> {
    return this.#block === null
      ? this.#command(new Fields(text))
      : this.#inBlock(this.#block, text);
  }

  blob(bytes: Uint8Array): void {
    const block = this.#block!;
    if (this.#awaiting === "command") block.command = fromUtf8.decode(bytes);
    else block.env.push(fromUtf8.decode(bytes).replace(/\n$/, ""));
    this.#awaiting = null;
  }

  #command(fields: Fields): Parsed<ToWorker> {
    switch (fields.keyword) {
      case "put": {
        const cacheName = checkCacheName(decodeName(fields.word(0)));
        const length = fields.bytes(1);
        const message = { type: "put", cacheName, length, mode: fields.octal(2) } as const;
        return { kind: "message", message, payloadBytes: length };
      }
      case "task":
        this.#block = emptyBlock(fields.integer(0));
        this.#blockBytes = 0;
        return { kind: "part" };
      case "send_results":
        return { kind: "message", message: { type: "send_results" } };
      case "get":
        return { kind: "message", message: { type: "get", cacheName: cacheNameOf(fields) } };
      case "kill":
        return { kind: "message", message: { type: "kill", taskId: fields.integer(0) } };
      case "unlink":
        return { kind: "message", message: { type: "unlink", cacheName: cacheNameOf(fields) } };
      case "check":
      case "release":
      case "exit":
      case "auth":
        return { kind: "message", message: { type: fields.keyword } };
      default:
        throw fields.bad("not a message of a manager");
    }
  }

  #inBlock(block: Block, text: string): Parsed<ToWorker> {
    this.#count(text.length);
    const fields = new Fields(text);
    switch (fields.keyword) {
      case "": // the line end after the bytes of `env`, which its length does not count
        return { kind: "nothing" };
      case "cmd":
        return this.#blob("command", fields.bytes(0, blockBytesMax));
      case "env":
        return this.#blob("env", fields.bytes(0, blockBytesMax));
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
      case "infile":
        block.inputs.push(taskFile(fields));
        return { kind: "part" };
      case "outfile":
        block.outputs.push(taskFile(fields));
        return { kind: "part" };
      case "end":
        this.#block = null;
        return { kind: "message", message: block };
      default:
        throw fields.bad("not a line of a task block");
    }
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
    env: [],
    inputs: [],
    outputs: [],
  };
}

function cacheNameOf(fields: Fields): string {
  return checkCacheName(decodeName(fields.word(0)));
}

function taskFile(fields: Fields): TaskFile {
  return {
    cacheName: checkCacheName(fields.word(0)),
    sandboxName: checkSandboxName(decodeName(fields.word(1))),
    flags: fields.integer(2),
  };
}

/** The bytes of a message, without its payload. Throws RangeError if a line would be too long. */
export function encodeToWorker(message: ToWorker): Uint8Array {
  return utf8.encode(
    message.type === "task" ? taskText(message) : line(commandLine(message)),
  );
}

function commandLine(message: Exclude<ToWorker, TaskBlock>): string {
  switch (message.type) {
    case "put":
      return `put ${encodeName(message.cacheName)} ${message.length} 0${message.mode.toString(8)}`;
    case "send_results":
      return "send_results -1";
    case "get":
      return `get ${message.cacheName} 1`;
    case "kill":
      return `kill ${message.taskId}`;
    case "unlink":
      return `unlink ${message.cacheName}`;
    case "check":
    case "release":
    case "exit":
      return message.type;
    case "auth":
      return "auth password sha1";
    default:
      return unreachable(message);
  }
}

function taskText(task: TaskBlock): string {
  let text = line(`task ${task.taskId}`);
  text += line(`cmd ${utf8.encode(task.command).length}`) + task.command;
  text += line(`category ${task.category}`);
  text += line(`cores ${task.cores.toFixed(3)}`);
  text += line(`gpus ${task.gpus}`);
  text += line(`memory ${task.memoryMb}`);
  text += line(`disk ${task.diskMb}`);
  for (const variable of task.env) {
    text += line(`env ${utf8.encode(variable).length}`) + variable + "\n";
  }
  for (const file of task.inputs) text += line(`infile ${fileFields(file)}`);
  for (const file of task.outputs) text += line(`outfile ${fileFields(file)}`);
  return text + line("end");
}

function fileFields(file: TaskFile): string {
  return `${file.cacheName} ${encodeName(file.sandboxName)} ${file.flags}`;
}

function line(text: string): string {
  if (text.length > lineBytesMax) {
    throw new RangeError(
      `Cannot send a line of ${text.length} bytes ("${text.slice(0, 60)}…"): ` +
        `workers read at most ${lineBytesMax}; shorten the name`,
    );
  }
  return text + "\n";
}
