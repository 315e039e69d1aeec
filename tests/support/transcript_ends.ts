/** The real machines at the ends of a transcript's link, with files in memory. */
import assert from "node:assert/strict";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { taskId, type WorkerId, workerId } from "../../core/ids.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { Payload, ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { encodeToManager, ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import type { Resources } from "../../core/resources.ts";
import { checkScheduler } from "../../core/scheduler/check.ts";
import {
  type ManagerAction,
  type ManagerEvent,
  type Place,
  Scheduler,
  type Stored,
} from "../../core/scheduler/machine.ts";
import type { Attempt, TaskSpec } from "../../core/scheduler/tasks.ts";
import { type WorkerAction, type WorkerEvent, WorkerMachine } from "../../core/worker/machine.ts";
import { bytesOf, identity, taskSpec, textOf } from "./builders.ts";

/** What an end did: bytes on the link, or something a reader is told of. */
export type Step =
  | { readonly kind: "sends"; readonly bytes: Uint8Array }
  | { readonly kind: "does"; readonly text: string }
  | { readonly kind: "closes"; readonly text: string };

export interface End {
  receive(bytes: Uint8Array, nowMs: number): void;
  tick(nowMs: number): void;
  /** A stimulus of the transcript. */
  happens(word: string, args: unknown[], nowMs: number): void;
  take(): Step[];
}

class Steps {
  #steps: Step[] = [];

  take(): Step[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  sends(bytes: Uint8Array): void {
    const last = this.#steps.at(-1);
    // What follows a line belongs to it, as far as a reader is concerned.
    if (last?.kind === "sends") this.#steps.pop();
    const before = last?.kind === "sends" ? [last.bytes] : [];
    this.#steps.push({ kind: "sends", bytes: concat([...before, bytes]) });
  }

  does(text: string): void {
    this.#steps.push({ kind: "does", text });
  }

  closes(text: string): void {
    this.#steps.push({ kind: "closes", text });
  }
}

type Draft = { -readonly [K in keyof TaskSpec]: TaskSpec[K] };

export class ManagerEnd implements End {
  readonly #out = new Steps();
  readonly #scheduler = new Scheduler();
  #worker: WorkerId = workerId("w0");
  #links = 0;
  #decoder = new Decoder<ToManager>(new ToManagerGrammar());
  #place: Place = { kind: "nobody" };
  #payload: Uint8Array[] = [];
  #draft: Draft = taskSpec();
  /** Reasons by cached name, each for one time. */
  readonly #unreadable = new Map<string, string>();
  #storeTrouble: string | null = null;

  open(nowMs: number): void {
    this.#worker = workerId(`w${++this.#links}`);
    this.#decoder = new Decoder<ToManager>(new ToManagerGrammar());
    this.#payload = [];
    this.#deliver({ type: "link_opened", worker: this.#worker, address: "10.0.0.7:4000" }, nowMs);
  }

  closed(why: string, nowMs: number): void {
    this.#deliver({ type: "link_closed", worker: this.#worker, why }, nowMs);
  }

  tick(nowMs: number): void {
    this.#deliver({ type: "tick" }, nowMs);
  }

  receive(bytes: Uint8Array, nowMs: number): void {
    this.#decoder.feed(bytes);
    try {
      for (let m = this.#decoder.next(); m !== null; m = this.#decoder.next()) {
        if (m.type === "payload") this.#store(m, nowMs);
        else this.#deliver({ type: "received", worker: this.#worker, message: m }, nowMs);
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#out.closes(`closes the link: ${error.message}`);
      this.closed(error.message, nowMs);
    }
  }

  take(): Step[] {
    return this.#out.take();
  }

  happens(word: string, args: unknown[], nowMs: number): void {
    switch (word) {
      case "task":
        this.#draft = taskSpec(args[0] as Partial<TaskSpec>);
        break;
      case "input": {
        const [cacheName, sandboxName, content, kind] = args as string[];
        const source = { kind: "buffer", bytes: bytesOf(content!), mode: 0o644 } as const;
        const names = { cacheName: cacheName!, sandboxName: sandboxName! };
        this.#draft.inputs = [
          ...this.#draft.inputs,
          { source, ...names, cache: kind === "cached" },
        ];
        break;
      }
      case "output": {
        const [cacheName, sandboxName, when] = args as [string, string, "success" | "always"];
        const path = `/run/${cacheName}`;
        this.#draft.outputs = [...this.#draft.outputs, { cacheName, sandboxName, path, when }];
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
      default:
        assert.fail(`Not a stimulus: M! ${word}`);
    }
  }

  #store({ bytes, last }: Payload, nowMs: number): void {
    this.#payload.push(bytes);
    if (!last) return;
    const whole = concat(this.#payload);
    this.#payload = [];
    const stored = this.#stored(whole);
    const where = this.#place.kind === "file" ? this.#place.path : this.#place.kind;
    this.#out.does(
      stored.kind === "failed"
        ? `cannot store ${where}: ${stored.why}`
        : `stores ${where}: ${JSON.stringify(textOf(whole))}`,
    );
    this.#deliver({ type: "stored", worker: this.#worker, stored }, nowMs);
  }

  #stored(bytes: Uint8Array): Stored {
    if (this.#place.kind === "printed") return { kind: "printed", bytes };
    if (this.#place.kind === "nobody" || this.#storeTrouble === null) return { kind: "file" };
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
      case "send":
        this.#out.sends(encodeToWorker(action.message));
        break;
      case "answer_name":
        this.#out.sends(bytesOf("demo\n"));
        break;
      case "dispatch":
        this.#dispatch(action, nowMs);
        break;
      case "receive":
        this.#place = action.into;
        break;
      case "close":
        this.#out.closes(`closes the link: ${action.why}`);
        break;
      case "attempt_ended":
        this.#out.does(
          `attempt of task ${action.id}: ${ending(action.attempt.ending, action.again)}`,
        );
        break;
      case "returned":
        this.#out.does(`task ${action.task.id} is over: ${ending(action.end, false)}`);
        break;
    }
  }

  #dispatch(
    { id, inputs, block }: Extract<ManagerAction, { type: "dispatch" }>,
    nowMs: number,
  ): void {
    for (const [i, { cacheName, source }] of inputs.entries()) {
      const why = this.#unreadable.get(cacheName);
      this.#unreadable.delete(cacheName);
      if (why !== undefined) {
        const unsent = inputs.slice(i).map((rest) => rest.cacheName);
        this.#deliver(
          { type: "input_unreadable", worker: this.#worker, id, unsent, why },
          nowMs,
        );
        return;
      }
      assert.ok(source.kind === "buffer");
      const { bytes, mode } = source;
      this.#out.sends(encodeToWorker({ type: "put", cacheName, length: bytes.length, mode }));
      this.#out.sends(bytes);
    }
    this.#out.sends(encodeToWorker(block));
  }
}

function ending(end: Attempt["ending"], again: boolean): string {
  const what = end.kind === "failure" ? `failure ${end.code}` : end.kind;
  return what + ("why" in end ? `, ${end.why}` : "") + (again ? "; once more" : "");
}

export class WorkerEnd implements End {
  readonly #out = new Steps();
  readonly #machine: WorkerMachine;
  readonly #decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
  readonly #cache = new Map<string, Uint8Array>();
  readonly #printed = new Map<number, Uint8Array>();
  #storing: { readonly name: string; readonly mode: number } | null = null;
  #payload: Uint8Array[] = [];
  #closed = false;

  constructor(size: Partial<Resources>) {
    const resources = { cores: 2, memoryMb: 500, diskMb: 1000, gpus: 0, ...size };
    this.#machine = new WorkerMachine({ ...identity, resources }, { idleTimeoutMs: 900_000 }, 0);
  }

  connect(nowMs: number): void {
    this.#deliver({ type: "connected" }, nowMs);
  }

  tick(nowMs: number): void {
    this.#deliver({ type: "tick" }, nowMs);
  }

  receive(bytes: Uint8Array, nowMs: number): void {
    this.#decoder.feed(bytes);
    try {
      for (let m = this.#decoder.next(); m !== null && !this.#closed; m = this.#decoder.next()) {
        if (m.type === "payload") this.#store(m);
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
    switch (word) {
      case "staged_in":
        this.#deliver(
          { type: "staged_in", taskId: id, trouble: (args[1] ?? null) as string | null },
          nowMs,
        );
        break;
      case "exited": {
        const exit = { exitCode: 0, wallMs: 0, measured: null, ...args[1] as object };
        this.#deliver({ type: "exited", taskId: id, exit }, nowMs);
        break;
      }
      case "staged_out": {
        const printed = bytesOf(String(args[1] ?? ""));
        this.#printed.set(id, printed);
        for (const [name, content] of Object.entries((args[2] ?? {}) as Record<string, string>)) {
          this.#cache.set(name, bytesOf(content));
        }
        this.#deliver({ type: "staged_out", taskId: id, printedBytes: printed.length }, nowMs);
        break;
      }
      default:
        assert.fail(`Not a stimulus: W! ${word}`);
    }
  }

  #store({ bytes, last }: Payload): void {
    this.#payload.push(bytes);
    if (!last) return;
    const whole = concat(this.#payload);
    this.#payload = [];
    const { name, mode } = this.#storing!;
    this.#cache.set(name, whole);
    this.#out.does(`keeps ${name}, 0${mode.toString(8)}: ${JSON.stringify(textOf(whole))}`);
  }

  #deliver(event: WorkerEvent, nowMs: number): void {
    for (const action of this.#machine.handle(event, nowMs)) this.#perform(action);
  }

  #perform(action: WorkerAction): void {
    switch (action.type) {
      case "send":
        this.#out.sends(encodeToManager(action.message));
        break;
      case "store":
        this.#storing = { name: action.cacheName, mode: action.mode };
        break;
      case "unlink":
        this.#cache.delete(action.cacheName);
        this.#out.does(`removes ${action.cacheName}`);
        break;
      case "stage_in":
        this.#out.does(`stages in task ${action.task.taskId}`);
        break;
      case "start":
        this.#out.does(`starts task ${action.task.taskId}`);
        break;
      case "stage_out":
        this.#out.does(`stages out task ${action.task.taskId}`);
        break;
      case "forget":
        this.#out.does(`forgets task ${action.taskId}`);
        break;
      case "send_result": {
        this.#out.sends(encodeToManager(action.message));
        const printed = this.#printed.get(action.message.taskId);
        this.#out.sends(action.body === "captured" ? printed! : action.body);
        break;
      }
      case "send_cached":
        this.#sendCached(action.cacheName);
        break;
      case "close":
        this.#closed = true;
        this.#out.closes(`closes the link, to ${action.then}: ${action.why}`);
        break;
    }
  }

  #sendCached(path: string): void {
    const bytes = this.#cache.get(path);
    if (bytes === undefined) {
      this.#out.sends(encodeToManager({ type: "missing", path, errno: 2 }));
    } else {
      this.#out.sends(encodeToManager({ type: "file", path, length: bytes.length }));
      this.#out.sends(bytes);
    }
    this.#out.sends(encodeToManager({ type: "end" }));
  }
}
