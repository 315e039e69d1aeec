/** Worker → manager: lines to messages and back. */
import { PeerProtocolError, unreachable } from "../errors.ts";
import type { Grammar, Parsed } from "./decoder.ts";
import { Fields } from "./fields.ts";
import type { ToManager } from "./messages.ts";
import { decodeName, encodeName } from "./names.ts";

const utf8 = new TextEncoder();

export class ToManagerGrammar implements Grammar<ToManager> {
  /** The path that a browser asked for, until the empty line that ends its head. */
  #asked: string | null = null;
  #headLines = 0;

  line(text: string): Parsed<ToManager> {
    if (this.#asked !== null) return this.#head(text, this.#asked);
    const message = parse(new Fields(text));
    if (message.type === "http") {
      this.#asked = message.path;
      return { kind: "nothing" };
    }
    return "length" in message
      ? { kind: "message", message, payloadBytes: message.length }
      : { kind: "message", message };
  }

  #head(text: string, path: string): Parsed<ToManager> {
    if (text === "") {
      this.#asked = null;
      return { kind: "message", message: { type: "http", path } };
    }
    if (++this.#headLines > 100) throw new PeerProtocolError("A head of more than 100 lines");
    return { kind: "nothing" };
  }

  blob(): null {
    throw new Error("No message to a manager has a part of its own");
  }
}

function parse(fields: Fields): ToManager {
  switch (fields.keyword) {
    case "workqueue":
      return {
        type: "workqueue",
        protocol: fields.integer(0),
        hostname: fields.word(1),
        os: fields.word(2),
        arch: fields.word(3),
        version: fields.word(4),
      };
    case "info":
      return { type: "info", key: fields.word(0), value: fields.rest(1) };
    case "feature":
      return { type: "feature", name: decodeName(fields.word(0)) };
    case "resource":
      if (fields.word(0) === "tag") return { type: "resource tag", tag: fields.integer(1) };
      return {
        type: "resource",
        name: fields.word(0),
        total: fields.number(1),
        smallest: fields.number(2),
        largest: fields.number(3),
      };
    case "alive":
    case "name":
    case "available_results":
    case "end":
    case "auth":
      return { type: fields.keyword };
    case "tlq":
      return { type: "tlq", url: fields.word(0) };
    case "result":
      return {
        type: "result",
        status: fields.integer(0),
        exitCode: fields.integer(1),
        length: fields.bytes(2),
        wallUs: fields.integer(3),
        taskId: fields.integer(4),
      };
    case "file": {
      const { path, number } = pathAndNumber(fields);
      if (number < 0) throw fields.bad("a length cannot be negative");
      return { type: "file", path, length: number };
    }
    case "missing": {
      const { path, number } = pathAndNumber(fields);
      return { type: "missing", path, errno: number };
    }
    case "dir":
      return { type: "dir", path: pathAndNumber(fields).path };
    case "update":
      return update(fields);
    case "cache-update":
      return {
        type: "cache-update",
        cacheName: fields.word(0),
        bytes: fields.bytes(1),
        wallUs: fields.integer(2),
      };
    case "cache-invalid":
      return { type: "cache-invalid", cacheName: fields.word(0), length: fields.bytes(1) };
    case "wqx-lacks":
      return { type: "lacks", cacheName: fields.word(0), length: fields.bytes(1) };
    case "thirdput-complete":
      return { type: "thirdput-complete", value: fields.integer(0) };
    case "GET":
      return { type: "http", path: fields.word(0) };
    default:
      if (/^([a-z]+_status|wqx_explain( \S+){0,2})$/.test(fields.line)) {
        return { type: "status", request: fields.line };
      }
      throw fields.bad("not a message of a worker");
  }
}

/** The path of an `update` is raw as well. */
function update(fields: Fields): ToManager {
  const match = /^(\d{1,10}) (.+) (\d{1,15}) (\d{1,15})$/s.exec(fields.rest(0));
  if (match === null) throw fields.bad("expected a task, a path, an offset and a length");
  const [taskId, path, offset, length] = match.slice(1) as [string, string, string, string];
  return {
    type: "update",
    taskId: Number(taskId),
    path,
    offset: Number(offset),
    length: Number(length),
  };
}

/** `file`, `dir` and `missing` carry a raw path, which may hold spaces, before their number. */
function pathAndNumber(fields: Fields): { path: string; number: number } {
  const match = /^(.+) (-?\d{1,15})$/s.exec(fields.rest(0));
  if (match === null) throw fields.bad("expected a path and a number");
  return { path: match[1]!, number: Number(match[2]) };
}

/** The bytes of a message, without its payload. */
export function encodeToManager(message: ToManager): Uint8Array {
  return utf8.encode(textToManager(message));
}

/** The same as text, to be encoded together with what goes out with it. */
export function textToManager(message: ToManager): string {
  return `${text(message)}\n`;
}

function text(m: ToManager): string {
  switch (m.type) {
    case "workqueue":
      return `workqueue ${m.protocol} ${m.hostname} ${m.os} ${m.arch} ${m.version}`;
    case "info":
      return `info ${m.key} ${m.value}`;
    case "feature":
      return `feature ${encodeName(m.name)}`;
    case "resource": // whole numbers only: released managers drop a worker that sends a fraction
      return `resource ${m.name} ${Math.floor(m.total)} ${Math.floor(m.smallest)} ` +
        `${Math.floor(m.largest)}`;
    case "resource tag":
      return `resource tag ${m.tag}`;
    case "alive":
    case "name":
    case "available_results":
    case "end":
      return m.type;
    case "result":
      return `result ${m.status} ${m.exitCode} ${m.length} ${m.wallUs} ${m.taskId}`;
    case "file":
      return `file ${m.path} ${m.length}`;
    case "missing":
      return `missing ${m.path} ${m.errno}`;
    case "dir":
      return `dir ${m.path} 0`;
    case "update":
      return `update ${m.taskId} ${m.path} ${m.offset} ${m.length}`;
    case "cache-update":
      return `cache-update ${m.cacheName} ${m.bytes} ${m.wallUs}`;
    case "cache-invalid":
      return `cache-invalid ${m.cacheName} ${m.length}`;
    case "lacks":
      return `wqx-lacks ${m.cacheName} ${m.length}`;
    case "thirdput-complete":
      return `thirdput-complete ${m.value}`;
    case "tlq":
      return `tlq ${m.url}`;
    case "status":
      return m.request;
    case "http":
      return `GET ${m.path} HTTP/1.1\n`; // and the empty line that ends the head
    case "auth":
      return "auth password sha1";
    default:
      return unreachable(m);
  }
}
