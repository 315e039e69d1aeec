/** The real worker machine at the other end of a transcript's link, with files in memory. */
import assert from "node:assert/strict";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { Held } from "../../core/protocol/held.ts";
import type { CachePlace, Payload, ToWorker } from "../../core/protocol/messages.ts";
import { encodeLacking } from "../../core/protocol/pieces.ts";
import { encodeToManager } from "../../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import type { Resources } from "../../core/resources.ts";
import type {
  OfferMessage,
  WorkerAction,
  WorkerEvent,
  WorkerIdentity,
} from "../../core/worker/actions.ts";
import { WorkerMachine } from "../../core/worker/machine.ts";
import { bytesOf, epochOffsetMs, identity, pathOf, textOf } from "./builders.ts";
import { type End, type Folder, isFolder, type Step, Steps, type Tree } from "./transcript_ends.ts";

/** What `! connect` may say of a worker. */
type Newcomer =
  & Partial<Resources>
  & Partial<Omit<WorkerIdentity, "resources">>
  & { readonly holds?: readonly Held[] };

export class WorkerEnd implements End {
  readonly #out = new Steps();
  readonly #machine: WorkerMachine;
  readonly #decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
  readonly #cache = new Map<string, Tree>();
  readonly #printed = new Map<number, Uint8Array>();
  /** Files that grow in sandboxes: by task, by name. */
  readonly #growing = new Map<number, Map<string, string>>();
  #storing: { readonly place: CachePlace; readonly mode: number } | null = null;
  /** The file whose missing pieces come. */
  #filling: string | null = null;
  readonly #offers = new Map<string, OfferMessage>();
  #payload: Uint8Array[] = [];
  #closed = false;
  readonly #holds: readonly Held[];

  constructor(
    { cores = 2, memoryMb = 500, diskMb = 1000, gpus = 0, holds = [], ...more }: Newcomer,
  ) {
    const resources = { cores, memoryMb, diskMb, gpus };
    const who = { ...identity, ...more, resources };
    this.#machine = new WorkerMachine(who, { idleTimeoutMs: 900_000 }, 0);
    this.#holds = holds;
  }

  connect(nowMs: number): void {
    this.#deliver({ type: "connected", holds: this.#holds }, nowMs);
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
      case "holds":
        this.#deliver({ type: "holds", held: { bytes: id, sha256: trouble! } }, nowMs);
        break;
      case "lacking": {
        const bits = encodeLacking(this.#offers.get(name)!.pieces, args[1] as number[]);
        this.#deliver({ type: "lacking", cacheName: name, bits }, nowMs);
        break;
      }
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
    if (this.#filling !== null) {
      this.#out.does(`fills ${this.#filling} with ${JSON.stringify(whole)}`);
      this.#filling = null;
      return;
    }
    if (this.#storing === null) return;
    const { place, mode } = this.#storing;
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
      case "decline":
        this.#storing = null;
        this.#out.does(`passes over ${pathOf(action.place)}: ${action.why}`);
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
      case "assemble": {
        const { cacheName, mode, pieces } = action.offer;
        this.#offers.set(cacheName, action.offer);
        const what = `${cacheName}, 0${mode.toString(8)}, from ${pieces.count} pieces`;
        const why = action.refused;
        this.#out.does(why === null ? `puts together ${what}` : `refuses ${what}: ${why}`);
        break;
      }
      case "fill":
        this.#filling = action.cacheName;
        break;
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
