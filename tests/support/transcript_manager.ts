/** The real scheduler at one end of a transcript's links, with files in memory. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { taskId, type WorkerId, workerId } from "../../core/ids.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { MonitorMode } from "../../core/monitor/mode.ts";
import type { CachePlace, Payload, ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker } from "../../core/protocol/to_worker.ts";
import type { ManagerAction, ManagerEvent, Place, Stored } from "../../core/scheduler/actions.ts";
import { PieceList } from "../../core/pieces.ts";
import { checkScheduler } from "../../core/scheduler/check.ts";
import { defaultLimits, type Limits } from "../../core/scheduler/limits.ts";
import { isCurrent, mayShare } from "../../core/scheduler/pieces.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import type { Attempt, TaskInput, TaskOutput, TaskSpec } from "../../core/scheduler/tasks.ts";
import { bytesOf, epochOffsetMs, pathOf, taskSpec, textOf } from "./builders.ts";
import { type End, type Folder, isFolder, type Step, Steps } from "./transcript_ends.ts";

type Draft = { -readonly [K in keyof TaskSpec]: TaskSpec[K] };

/** The manager's side of one link. */
interface Connection {
  readonly link: number;
  readonly worker: WorkerId;
  readonly decoder: Decoder<ToManager>;
  place: Place;
  payload: Uint8Array[];
}

export class ManagerEnd implements End {
  readonly #out = new Steps();
  #scheduler = new Scheduler({ epochOffsetMs });
  readonly #connections = new Map<WorkerId, Connection>();
  #links = 0;
  #draft: Draft = taskSpec();
  /** Directories that are inputs, by cached name. */
  readonly #trees = new Map<string, Folder>();
  /** Reasons by cached name, or the path of a file within a directory, each for one time. */
  readonly #unreadable = new Map<string, string>();
  /** Cached names of inputs that are offered in pieces, where the worker may have some. */
  readonly #pieced = new Set<string>();
  /** Reasons for what is to be kept next. */
  #storeTrouble: string | null = null;
  #directoryTrouble: string | null = null;
  /** The next body gets stuck on its way out. */
  #stuck = false;

  open(link: number, nowMs: number): void {
    const worker = workerId(`w${++this.#links}`);
    const decoder = new Decoder<ToManager>(new ToManagerGrammar());
    this.#connections.set(worker, { link, worker, decoder, place: nobody, payload: [] });
    const address = `10.0.0.${6 + this.#links}:4000`;
    this.#deliver({ type: "link_opened", worker, address }, nowMs);
  }

  closed(link: number, why: string, nowMs: number): void {
    const connection = this.#on(link);
    if (connection === undefined) return;
    this.#connections.delete(connection.worker);
    this.#deliver({ type: "link_closed", worker: connection.worker, why }, nowMs);
  }

  tick(nowMs: number): void {
    this.#deliver({ type: "tick" }, nowMs);
  }

  receive(bytes: Uint8Array, nowMs: number, link: number): void {
    const connection = this.#on(link)!;
    const { decoder, worker } = connection;
    decoder.feed(bytes);
    try {
      for (let m = decoder.next(); m !== null; m = decoder.next()) {
        if (m.type === "payload") this.#store(connection, m, nowMs);
        else this.#deliver({ type: "received", worker, message: m }, nowMs);
        if (!this.#connections.has(worker)) return; // what still comes is of no interest
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#out.closes(`closes the link: ${error.message}`, link);
      this.closed(link, error.message, nowMs);
    }
  }

  take(): Step[] {
    return this.#out.take();
  }

  happens(word: string, args: unknown[], nowMs: number): void {
    switch (word) {
      case "manager": {
        const { stragglerFactors = {}, monitor = "off", ...limits } = args[0] as
          & Partial<Limits>
          & { stragglerFactors?: Record<string, number>; monitor?: MonitorMode };
        this.#scheduler = new Scheduler({
          epochOffsetMs,
          limits: { ...defaultLimits, ...limits },
          stragglerFactors: new Map(Object.entries(stragglerFactors)),
          monitor,
          foreignMonitor: { source: wqxSource, diskMb: 46 },
        });
        break;
      }
      case "task":
        this.#draft = taskSpec(args[0] as Partial<TaskSpec>);
        break;
      case "input": {
        const [cacheName, sandboxName, content, kind] = args as string[];
        const source = { kind: "buffer", bytes: bytesOf(content!), mode: 0o644 } as const;
        this.#input(source, cacheName!, sandboxName!, kind);
        break;
      }
      case "url": {
        const [cacheName, sandboxName, url, kind] = args as string[];
        this.#input({ kind: "url", url: url! }, cacheName!, sandboxName!, kind);
        break;
      }
      case "directory": {
        const [cacheName, sandboxName, tree, kind] = args as [string, string, Folder, string];
        this.#trees.set(cacheName, tree);
        this.#input(
          { kind: "directory", path: `/data/${cacheName}` },
          cacheName,
          sandboxName,
          kind,
        );
        break;
      }
      case "empty_directory":
        this.#input({ kind: "empty directory" }, "no-such", String(args[0]), "own");
        break;
      case "output": {
        const [cacheName, sandboxName, when, more = {}] = args as [
          string,
          string,
          TaskOutput["when"],
          Partial<TaskOutput>?,
        ];
        const path = `/run/${cacheName}`;
        const output = { cacheName, sandboxName, path, when, ...more };
        this.#draft.outputs = [...this.#draft.outputs, output];
        break;
      }
      case "submit":
        this.#deliver({ type: "submitted", id: taskId(Number(args[0])), spec: this.#draft }, nowMs);
        break;
      case "cancel":
        this.#deliver({ type: "cancel", id: taskId(Number(args[0])) }, nowMs);
        break;
      case "unreadable":
        this.#unreadable.set(String(args[0]), String(args[1]));
        break;
      case "cannot_store":
        this.#storeTrouble = String(args[0]);
        break;
      case "cannot_make":
        this.#directoryTrouble = String(args[0]);
        break;
      case "stuck":
        this.#stuck = true;
        break;
      default:
        assert.fail(`Not a stimulus: M! ${word}`);
    }
  }

  #on(link: number): Connection | undefined {
    return [...this.#connections.values()].find((one) => one.link === link);
  }

  #input(source: TaskInput["source"], cacheName: string, sandboxName: string, kind?: string): void {
    const isPieced = kind === "pieced";
    if (isPieced) this.#pieced.add(cacheName);
    const input = { source, cacheName, sandboxName, cache: isPieced || kind === "cached" };
    this.#draft.inputs = [...this.#draft.inputs, input];
  }

  #store(connection: Connection, { bytes, last }: Payload, nowMs: number): void {
    const { worker, place, link } = connection;
    connection.payload.push(bytes);
    if (!last) {
      this.#deliver({ type: "moving", worker }, nowMs);
      return;
    }
    const whole = concat(connection.payload);
    connection.payload = [];
    const stored = this.#stored(place, whole);
    this.#out.does(
      stored.kind === "failed"
        ? `cannot store ${describePlace(place)}: ${stored.why}`
        : `stores ${describePlace(place)}: ${JSON.stringify(textOf(whole))}`,
      link,
    );
    this.#deliver({ type: "stored", worker, stored }, nowMs);
  }

  #stored(place: Place, bytes: Uint8Array): Stored {
    if (place.kind === "printed") return { kind: "printed", bytes };
    if (place.kind === "nobody" || this.#storeTrouble === null) return { kind: "file" };
    const why = this.#storeTrouble;
    this.#storeTrouble = null;
    return { kind: "failed", why };
  }

  #deliver(event: ManagerEvent, nowMs: number): void {
    for (const action of this.#scheduler.handle(event, nowMs)) this.#perform(action, nowMs);
    checkScheduler(this.#scheduler);
    for (const action of this.#scheduler.schedule(nowMs)) this.#perform(action, nowMs);
    checkScheduler(this.#scheduler);
  }

  #perform(action: ManagerAction, nowMs: number): void {
    switch (action.type) {
      case "attempt_ended":
        this.#out.does(
          `attempt of task ${action.id}: ${ending(action.attempt.ending, action.again)}`,
        );
        return;
      case "returned":
        this.#out.does(`task ${action.task.id} is over: ${ending(action.end, false)}`);
        return;
      case "too_large":
        this.#out.does(`says that ${action.why}`);
        return;
      case "host_blocked":
        this.#out.does(`gives no tasks to ${action.host}: ${action.why}`);
        return;
    }
    const connection = this.#connections.get(action.worker);
    if (connection === undefined) return; // closed meanwhile
    const { link } = connection;
    switch (action.type) {
      case "send":
        this.#out.sends(encodeToWorker(action.message), link);
        break;
      case "answer_name":
        this.#out.sends(bytesOf("demo\n"), link);
        break;
      case "answer_status": {
        const { question } = action;
        const asked = question.type === "status" ? question.request : question.path;
        this.#out.closes(`answers ${asked} and closes the link`, link);
        this.closed(link, "it was a question", nowMs);
        break;
      }
      case "dispatch":
        this.#dispatch(action, link, nowMs);
        break;
      case "fill": {
        const { offer, lacking } = action;
        const { cacheName, path } = offer;
        if (!isCurrent(this.#scheduler.workers.get(action.worker)!, offer)) break;
        const body = bytesOf(linesOf(path).filter((_, i) => lacking.includes(i)).join(""));
        const fill = { type: "fill", cacheName, length: body.length } as const;
        this.#out.sends(encodeToWorker(fill), link);
        this.#out.sends(body, link);
        break;
      }
      case "receive":
        connection.place = action.into;
        break;
      case "make_directory":
        this.#makeDirectory(action, link, nowMs);
        break;
      case "close":
        this.#out.closes(`closes the link: ${action.why}`, link);
        this.closed(link, action.why, nowMs);
        break;
    }
  }

  #makeDirectory(
    { worker, path }: Extract<ManagerAction, { type: "make_directory" }>,
    link: number,
    nowMs: number,
  ): void {
    const why = this.#directoryTrouble;
    this.#directoryTrouble = null;
    this.#out.does(`${why === null ? "makes" : "cannot make"} the directory ${path}`, link);
    if (why !== null) this.#deliver({ type: "directory_failed", worker, why }, nowMs);
  }

  #dispatch(
    { worker, id, inputs, block }: Extract<ManagerAction, { type: "dispatch" }>,
    link: number,
    nowMs: number,
  ): void {
    const { dialect } = this.#scheduler.workers.get(worker)!;
    const send = (message: ToWorker) => this.#out.sends(encodeToWorker(message, dialect), link);
    for (const [i, input] of inputs.entries()) {
      const why = this.#sendInput(worker, input, send, link, nowMs);
      if (this.#stuck) return;
      if (why === null) continue;
      const unsent = inputs.slice(i).map((rest) => rest.cacheName);
      this.#deliver({ type: "input_unreadable", worker, id, unsent, why }, nowMs);
      return;
    }
    send(block);
  }

  /** Why it cannot be read, or `null`. */
  #sendInput(
    worker: WorkerId,
    { source, cacheName, cache }: TaskInput,
    send: (message: ToWorker) => void,
    link: number,
    nowMs: number,
  ): string | null {
    const put = (place: CachePlace, bytes: Uint8Array, mode: number): string | null => {
      const path = pathOf(place);
      const why = this.#unreadable.get(path) ?? null;
      this.#unreadable.delete(path);
      if (why !== null) return why;
      send({ type: "put", ...place, length: bytes.length, mode });
      this.#deliver({ type: "sending", worker, bytes: bytes.length }, nowMs);
      if (this.#stuck) return null;
      this.#out.sends(bytes, link);
      this.#deliver({ type: "sent", worker }, nowMs);
      return null;
    };
    const sendTree = (place: CachePlace, tree: Folder): string | null => {
      send({ type: "dir", ...place });
      let why: string | null = null;
      for (const [name, what] of Object.entries(tree)) {
        const inside = place.inside === "" ? name : `${place.inside}/${name}`;
        const there = { cacheName, inside };
        if (typeof what === "string") why = put(there, bytesOf(what), 0o644);
        else if (isFolder(what)) why = sendTree(there, what);
        else send({ type: "symlink", ...there, target: what?.[0] ?? "nowhere" });
        if (why !== null) break;
      }
      send({ type: "dir_end", ...place });
      return why;
    };
    const place = { cacheName, inside: "" };
    switch (source.kind) {
      case "buffer": {
        // Sizes are those of large files; the contents here are short.
        const sha256 = createHash("sha256").update(source.bytes).digest("hex");
        const { mode } = source;
        const state = this.#scheduler.workers.get(worker)!;
        if (this.#pieced.has(cacheName) && mayShare(state, cacheName, pretendedBytes)) {
          const path = textOf(source.bytes);
          const pieces = listOf(path);
          const bytes = source.bytes.length;
          const offer = { cacheName, path, pieces, id: taskId(1) };
          this.#deliver({ type: "offered", worker, offer }, nowMs);
          send({ type: "offer", cacheName, mode, sha256, bytes, pieces });
          return null;
        }
        if (!cache || !this.#scheduler.workers.get(worker)!.holds.has(sha256)) {
          return put(place, source.bytes, mode);
        }
        this.#deliver({ type: "taken", worker, cacheName, sha256 }, nowMs);
        send({ type: "fetch", from: "kept", source: sha256, cacheName, mode });
        return null;
      }
      case "directory": {
        send({ type: "unlink", cacheName });
        const why = sendTree(place, this.#trees.get(cacheName)!);
        if (why !== null) send({ type: "unlink", cacheName });
        return why;
      }
      case "url":
        send({ type: "fetch", from: "url", source: source.url, cacheName, mode: 0o755 });
        return null;
      case "command":
        send({ type: "fetch", from: "command", source: source.command, cacheName, mode: 0o755 });
        return null;
      case "empty directory":
        return null;
      case "piece":
      case "file":
        assert.fail("There are no files here");
    }
  }
}

/** Size of a file that is offered. */
const pretendedBytes = 20_000_000;

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n/g) ?? [];
}

/** Each line is a piece, and its text the name, so that people can read it. */
function listOf(text: string): PieceList {
  return new PieceList(bytesOf(
    linesOf(text).map((line) => `${line.trim().padEnd(16, ".")}\0\0\0${charOf(line.length)}`).join(
      "",
    ),
  ));
}

function charOf(code: number): string {
  return String.fromCharCode(code);
}

const nobody: Place = { kind: "nobody" };
const wqxSource = { kind: "buffer", bytes: bytesOf("#!/bin/sh\n"), mode: 0o755 } as const;

function describePlace(place: Place): string {
  if (place.kind === "update") return `${place.path} from ${place.offset} on`;
  return place.kind === "file" ? place.path : place.kind;
}

function ending(end: Attempt["ending"], again: boolean): string {
  const what = end.kind === "failure" ? `failure ${end.code}` : end.kind;
  return what + ("why" in end ? `, ${end.why}` : "") + (again ? "; once more" : "");
}
