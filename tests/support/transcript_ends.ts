/** The real machines at the ends of a transcript's links, with files in memory. */
import assert from "node:assert/strict";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { taskId, type WorkerId, workerId } from "../../core/ids.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { CachePlace, Payload, ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { encodeToManager, ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import type { Resources } from "../../core/resources.ts";
import type { ManagerAction, ManagerEvent, Place, Stored } from "../../core/scheduler/actions.ts";
import { checkScheduler } from "../../core/scheduler/check.ts";
import { defaultLimits, type Limits } from "../../core/scheduler/limits.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import type { Attempt, TaskInput, TaskOutput, TaskSpec } from "../../core/scheduler/tasks.ts";
import type { WorkerAction, WorkerEvent, WorkerIdentity } from "../../core/worker/actions.ts";
import { WorkerMachine } from "../../core/worker/machine.ts";
import { bytesOf, epochOffsetMs, identity, pathOf, taskSpec, textOf } from "./builders.ts";

/** What an end did: bytes on a link, or something a reader is told of. */
export type Step =
  & { readonly link: number }
  & (
    | { readonly kind: "sends"; readonly bytes: Uint8Array }
    | { readonly kind: "does"; readonly text: string }
    | { readonly kind: "closes"; readonly text: string }
  );

export interface End {
  receive(bytes: Uint8Array, nowMs: number, link: number): void;
  tick(nowMs: number): void;
  /** A stimulus of the transcript. */
  happens(word: string, args: unknown[], nowMs: number): void;
  take(): Step[];
}

/** Files of a transcript: a text is a file, `["x"]` a link to x, `null` a link to nothing. */
type Tree = string | readonly [string] | null | { readonly [name: string]: Tree };
type Folder = Exclude<Tree, string | readonly [string] | null>;

function isFolder(tree: Tree): tree is Folder {
  return typeof tree === "object" && tree !== null && !Array.isArray(tree);
}

class Steps {
  #steps: Step[] = [];

  take(): Step[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  sends(bytes: Uint8Array, link = 1): void {
    const last = this.#steps.at(-1);
    // What follows a line belongs to it, as far as a reader is concerned.
    const joined = last?.kind === "sends" && last.link === link;
    if (joined) this.#steps.pop();
    this.#steps.push({ kind: "sends", link, bytes: joined ? concat([last.bytes, bytes]) : bytes });
  }

  does(text: string, link = 1): void {
    this.#steps.push({ kind: "does", link, text });
  }

  closes(text: string, link = 1): void {
    this.#steps.push({ kind: "closes", link, text });
  }
}

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
        const { stragglerFactors = {}, ...limits } = args[0] as Partial<Limits> & {
          stragglerFactors?: Record<string, number>;
        };
        this.#scheduler = new Scheduler({
          epochOffsetMs,
          limits: { ...defaultLimits, ...limits },
          stragglerFactors: new Map(Object.entries(stragglerFactors)),
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
    const input = { source, cacheName, sandboxName, cache: kind === "cached" };
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
    { source, cacheName }: TaskInput,
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
      case "buffer":
        return put(place, source.bytes, source.mode);
      case "directory": {
        send({ type: "unlink", cacheName });
        const why = sendTree(place, this.#trees.get(cacheName)!);
        if (why !== null) send({ type: "unlink", cacheName });
        return why;
      }
      case "url":
        send({ type: "fetch", from: "url", source: source.url, cacheName, mode: 0o755 });
        return null;
      case "empty directory":
        return null;
      case "file":
        assert.fail("There are no files here");
    }
  }
}

const nobody: Place = { kind: "nobody" };

function describePlace(place: Place): string {
  if (place.kind === "update") return `${place.path} from ${place.offset} on`;
  return place.kind === "file" ? place.path : place.kind;
}

function ending(end: Attempt["ending"], again: boolean): string {
  const what = end.kind === "failure" ? `failure ${end.code}` : end.kind;
  return what + ("why" in end ? `, ${end.why}` : "") + (again ? "; once more" : "");
}

/** What `! connect` may say of a worker. */
type Newcomer = Partial<Resources> & Partial<Omit<WorkerIdentity, "resources">>;

export class WorkerEnd implements End {
  readonly #out = new Steps();
  readonly #machine: WorkerMachine;
  readonly #decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
  readonly #cache = new Map<string, Tree>();
  readonly #printed = new Map<number, Uint8Array>();
  /** Files that grow in sandboxes: by task, by name. */
  readonly #growing = new Map<number, Map<string, string>>();
  #storing: { readonly place: CachePlace; readonly mode: number } | null = null;
  #payload: Uint8Array[] = [];
  #closed = false;

  constructor({ cores = 2, memoryMb = 500, diskMb = 1000, gpus = 0, ...more }: Newcomer) {
    const resources = { cores, memoryMb, diskMb, gpus };
    const who = { ...identity, ...more, resources };
    this.#machine = new WorkerMachine(who, { idleTimeoutMs: 900_000 }, 0);
  }

  connect(nowMs: number): void {
    this.#deliver({ type: "connected" }, nowMs);
  }

  tick(nowMs: number): void {
    this.#deliver({ type: "tick", epochMs: epochOffsetMs + nowMs }, nowMs);
  }

  receive(bytes: Uint8Array, nowMs: number): void {
    this.#decoder.feed(bytes);
    try {
      for (let m = this.#decoder.next(); m !== null && !this.#closed; m = this.#decoder.next()) {
        if (m.type === "payload") this.#store(m, nowMs);
        else this.#deliver({ type: "received", message: m }, nowMs);
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#closed = true;
      this.#out.closes(`closes the link, to reconnect: ${error.message}`);
    }
  }

  take(): Step[] {
    return this.#out.take();
  }

  happens(word: string, args: unknown[], nowMs: number): void {
    const id = Number(args[0]);
    const name = String(args[0]);
    const trouble = (args[1] ?? null) as string | null;
    switch (word) {
      case "staged_in":
        this.#deliver({ type: "staged_in", taskId: id, trouble }, nowMs);
        break;
      case "exited": {
        const exit = { exitCode: 0, wallMs: 0, measured: null, ...args[1] as object };
        this.#deliver({ type: "exited", taskId: id, exit }, nowMs);
        break;
      }
      case "staged_out": {
        const printed = bytesOf(String(args[1] ?? ""));
        this.#printed.set(id, printed);
        for (const [name, content] of Object.entries((args[2] ?? {}) as Folder)) {
          this.#cache.set(name, content);
        }
        this.#deliver({ type: "staged_out", taskId: id, printedBytes: printed.length }, nowMs);
        break;
      }
      case "grows": {
        const files = this.#growing.get(id) ?? new Map<string, string>();
        this.#growing.set(id, files.set(String(args[1]), String(args[2])));
        break;
      }
      case "fetched": {
        const content = String(args[1]);
        this.#cache.set(name, content);
        const sizes = { bytes: bytesOf(content).length, wallMs: Number(args[2] ?? 0) };
        this.#deliver({ type: "fetched", cacheName: name, ...sizes }, nowMs);
        break;
      }
      case "fetch_failed":
        this.#deliver({ type: "fetch_failed", cacheName: name, why: trouble! }, nowMs);
        break;
      case "delivered":
        this.#deliver({ type: "delivered", trouble: (args[0] ?? null) as string | null }, nowMs);
        break;
      case "leave": {
        const [key, value, why, then] = args as [string, string, string, "terminate"];
        this.#deliver({ type: "leave", key, value, why, then }, nowMs);
        break;
      }
      default:
        assert.fail(`Not a stimulus: W! ${word}`);
    }
  }

  #store({ bytes, last }: Payload, nowMs: number): void {
    this.#payload.push(bytes);
    this.#deliver({ type: "moving" }, nowMs);
    if (!last) return;
    const whole = textOf(concat(this.#payload));
    this.#payload = [];
    const { place, mode } = this.#storing!;
    if (place.inside === "") this.#cache.set(place.cacheName, whole);
    this.#out.does(`keeps ${pathOf(place)}, 0${mode.toString(8)}: ${JSON.stringify(whole)}`);
  }

  #deliver(event: WorkerEvent, nowMs: number): void {
    for (const action of this.#machine.handle(event, nowMs)) this.#perform(action, nowMs);
  }

  #perform(action: WorkerAction, nowMs: number): void {
    switch (action.type) {
      case "send":
        this.#out.sends(encodeToManager(action.message));
        break;
      case "send_body":
        this.#out.sends(action.body);
        break;
      case "store":
        this.#storing = action;
        break;
      case "make_directory":
        if (action.place.inside === "") this.#cache.set(action.place.cacheName, {});
        this.#out.does(`makes the directory ${pathOf(action.place)}`);
        break;
      case "make_link":
        this.#out.does(
          `makes the link ${pathOf(action.place)} to ${JSON.stringify(action.target)}`,
        );
        break;
      case "expect": {
        const { cacheName, from, source, mode } = action.source;
        const where = `${from} ${JSON.stringify(source)}`;
        this.#out.does(`expects ${cacheName}, 0${mode.toString(8)}, from ${where}`);
        break;
      }
      case "deliver": {
        const { cacheName, to, target } = action.request;
        this.#out.does(`gives ${cacheName} to ${to} ${JSON.stringify(target)}`);
        break;
      }
      case "unlink": {
        const name = action.names.find((one) => this.#cache.has(one)) ?? action.names[0]!;
        this.#cache.delete(name);
        this.#out.does(`removes ${name}`);
        break;
      }
      case "stage_in":
        this.#out.does(`stages in task ${action.task.taskId}`);
        break;
      case "start":
        this.#out.does(`starts task ${action.task.taskId}`);
        break;
      case "kill":
        this.#out.does(`kills task ${action.taskId}`);
        break;
      case "stage_out":
        this.#out.does(`stages out task ${action.task.taskId}`);
        break;
      case "forget":
        this.#out.does(`forgets task ${action.taskId}`);
        break;
      case "look":
        this.#look(action, nowMs);
        break;
      case "send_update": {
        const { taskId, path, offset, length } = action.message;
        this.#out.sends(encodeToManager(action.message));
        const content = bytesOf(this.#growing.get(taskId)!.get(path)!);
        this.#out.sends(content.subarray(offset, offset + length));
        break;
      }
      case "send_result": {
        this.#out.sends(encodeToManager(action.message));
        const printed = this.#printed.get(action.message.taskId);
        this.#out.sends(action.body === "captured" ? printed! : action.body);
        break;
      }
      case "send_cached": {
        const name = action.names.find((one) => this.#cache.has(one));
        const missing = name === undefined ? null : this.#cache.get(name)!;
        this.#sendCached(action.written, missing);
        this.#out.sends(encodeToManager({ type: "end" }));
        break;
      }
      case "close":
        this.#closed = true;
        this.#out.closes(`closes the link, to ${action.then}: ${action.why}`);
        break;
    }
  }

  #look({ taskId, names }: Extract<WorkerAction, { type: "look" }>, nowMs: number): void {
    const files = this.#growing.get(taskId) ?? new Map<string, string>();
    const sizes = new Map(
      names.filter((name) => files.has(name))
        .map((name) => [name, bytesOf(files.get(name)!).length]),
    );
    this.#deliver({ type: "looked", taskId, sizes }, nowMs);
  }

  #sendCached(path: string, tree: Tree): void {
    if (typeof tree === "string") {
      const bytes = bytesOf(tree);
      this.#out.sends(encodeToManager({ type: "file", path, length: bytes.length }));
      this.#out.sends(bytes);
    } else if (isFolder(tree)) {
      this.#out.sends(encodeToManager({ type: "dir", path }));
      for (const [name, part] of Object.entries(tree)) this.#sendCached(`${path}/${name}`, part);
    } else {
      this.#out.sends(encodeToManager({ type: "missing", path, errno: 2 }));
    }
  }
}
