/**
 * The worker's shell for one link: it performs what the worker machine decides, and reports what
 * came of it. When the link ends, so does everything that ran for it.
 */
import { messageOf, PeerProtocolError } from "../core/errors.ts";
import { Decoder } from "../core/protocol/decoder.ts";
import type { TaskBlock, ToWorker } from "../core/protocol/messages.ts";
import { encodeToManager } from "../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../core/protocol/to_worker.ts";
import {
  type Afterwards,
  type WorkerAction,
  type WorkerEvent,
  type WorkerIdentity,
  type WorkerLimits,
  WorkerMachine,
} from "../core/worker/machine.ts";
import { within } from "../io/clock.ts";
import { copyOut, nowhere, removeIfThere, type Sink } from "../io/files.ts";
import type { Link } from "../io/link.ts";
import { Outbox, type Write } from "../io/outbox.ts";
import { environmentOf } from "./environment.ts";
import type { Guard } from "./guard.ts";
import type { Spawner, TaskProcess } from "./process.ts";
import type { Workspace } from "./workspace.ts";

/** How often the machine looks at the clock. */
const tickMs = 1000;

/** For the manager to take our last lines before the link is closed. */
const farewellMs = 1000;

export interface SessionEnd {
  readonly why: string;
  readonly then: Afterwards;
}

/** The files and process of one attempt; its steps run one after the other. */
interface Attempt {
  readonly sandbox: string;
  readonly printedPath: string;
  steps: Promise<void>;
  process: TaskProcess | null;
  forgotten: boolean;
}

export interface SessionParts {
  readonly workspace: Workspace;
  readonly spawner: Spawner;
  readonly guard: Guard;
  readonly identity: WorkerIdentity;
  readonly limits: WorkerLimits;
  readonly log: (line: string) => void;
}

export class Session {
  readonly #machine: WorkerMachine;
  readonly #outbox: Outbox;
  readonly #attempts = new Map<number, Attempt>();
  /** Attempts that were forgotten and are still being cleaned up. */
  readonly #leaving = new Set<Promise<void>>();
  #sink: Sink = nowhere;
  #serial = 0;
  #end: SessionEnd | null = null;
  #failure: unknown = null;

  constructor(private readonly link: Link, private readonly parts: SessionParts) {
    this.#machine = new WorkerMachine(parts.identity, parts.limits, performance.now());
    this.#outbox = new Outbox(link, () => {}, () => link.close());
  }

  /** Serves the manager until the link ends; `signal` makes it leave in an orderly way. */
  async run(signal: AbortSignal): Promise<SessionEnd> {
    const leave = () => this.#close({ why: "it was told to stop", then: "terminate" });
    signal.addEventListener("abort", leave, { once: true });
    const ticking = setInterval(() => this.#deliver({ type: "tick" }), tickMs);
    try {
      this.#deliver({ type: "connected" });
      if (signal.aborted) leave();
      await this.#receive();
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#end ??= { why: error.message, then: "reconnect" };
    } finally {
      this.#end ??= { why: "the manager closed the connection", then: "reconnect" };
      clearInterval(ticking);
      signal.removeEventListener("abort", leave);
      this.link.close();
      await this.#cleanUp();
    }
    if (this.#failure !== null) throw this.#failure;
    return this.#end;
  }

  async #receive(): Promise<void> {
    const decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
    for await (const bytes of this.link.received()) {
      decoder.feed(bytes);
      for (let m = decoder.next(); m !== null && this.#end === null; m = decoder.next()) {
        if (m.type !== "payload") {
          this.#deliver({ type: "received", message: m });
          continue;
        }
        await this.#sink.take(m.bytes);
        if (!m.last) continue;
        const trouble = await this.#sink.finish();
        this.#sink = nowhere;
        if (trouble !== null) this.parts.log(`Could not keep an input: ${trouble}`);
      }
    }
  }

  #deliver(event: WorkerEvent): void {
    if (this.#end !== null) return;
    for (const action of this.#machine.handle(event, performance.now())) this.#perform(action);
  }

  #perform(action: WorkerAction): void {
    const { workspace } = this.parts;
    switch (action.type) {
      case "send":
        this.#outbox.push(encodeToManager(action.message));
        break;
      case "store":
        this.#sink = workspace.store(action.cacheName, action.mode);
        break;
      case "unlink":
        workspace.unlink(action.cacheName);
        break;
      case "stage_in":
        this.#stageIn(action.task);
        break;
      case "start":
        this.#start(action.task);
        break;
      case "stage_out":
        this.#stageOut(action.task);
        break;
      case "forget":
        this.#forget(action.taskId);
        break;
      case "send_result":
        this.#sendResult(action);
        break;
      case "send_cached":
        this.#outbox.push((write) => this.#sendCached(action.cacheName, write));
        break;
      case "close":
        this.#close({ why: action.why, then: action.then });
        break;
    }
  }

  #stageIn(task: TaskBlock): void {
    const { workspace } = this.parts;
    const name = `${task.taskId}.${++this.#serial}`;
    const attempt: Attempt = {
      sandbox: `${workspace.path}/t.${name}`,
      printedPath: `${workspace.path}/out.${name}`,
      steps: Promise.resolve(),
      process: null,
      forgotten: false,
    };
    this.#attempts.set(task.taskId, attempt);
    this.#step(attempt, async () => {
      const trouble = await workspace.stageIn(task, attempt.sandbox);
      return { type: "staged_in", taskId: task.taskId, trouble };
    });
  }

  #start(task: TaskBlock): void {
    const { workspace, spawner, guard } = this.parts;
    const attempt = this.#attempts.get(task.taskId)!;
    const { sandbox, printedPath } = attempt;
    this.#step(attempt, async () => {
      const folders = { workspace: workspace.path, sandbox, wqx: workspace.wqxPath };
      const env = environmentOf(task, Deno.env.toObject(), folders);
      const request = { command: task.command, cwd: sandbox, env, outputPath: printedPath };
      try {
        attempt.process = await spawner.spawn(request);
      } catch (error) {
        await Deno.writeTextFile(printedPath, `${messageOf(error)}\n`, { mode: 0o600 });
        const exit = { exitCode: 127, wallMs: 0, measured: null };
        return { type: "exited", taskId: task.taskId, exit };
      }
      const { group, exited } = attempt.process;
      guard.add(group);
      if (attempt.forgotten) attempt.process.kill();
      const exit = await exited;
      guard.remove(group);
      return { type: "exited", taskId: task.taskId, exit };
    });
  }

  #stageOut(task: TaskBlock): void {
    const attempt = this.#attempts.get(task.taskId)!;
    this.#step(attempt, async () => {
      await this.parts.workspace.stageOut(task, attempt.sandbox);
      const { size } = await Deno.stat(attempt.printedPath);
      return { type: "staged_out", taskId: task.taskId, printedBytes: size };
    });
  }

  #forget(taskId: number): void {
    const attempt = this.#attempts.get(taskId);
    if (attempt === undefined) return; // it never got so far as to have a sandbox
    this.#attempts.delete(taskId);
    attempt.forgotten = true;
    attempt.process?.kill();
    this.#later(attempt.steps.then(async () => {
      await removeIfThere(attempt.sandbox);
      await removeIfThere(attempt.printedPath);
    }));
  }

  /** Runs after the attempt's earlier steps; says nothing once the attempt is forgotten. */
  #step(attempt: Attempt, work: () => Promise<WorkerEvent>): void {
    attempt.steps = attempt.steps.then(async () => {
      if (attempt.forgotten) return;
      const event = await work();
      if (!attempt.forgotten) this.#deliver(event);
    }).catch((error) => this.#fail(error));
  }

  #later(work: Promise<void>): void {
    const tracked = work
      .catch((error) => this.parts.log(`Could not clean up: ${messageOf(error)}`))
      .finally(() => this.#leaving.delete(tracked));
    this.#leaving.add(tracked);
  }

  #sendResult({ message, body }: Extract<WorkerAction, { type: "send_result" }>): void {
    this.#outbox.push(encodeToManager(message));
    if (body !== "captured") {
      this.#outbox.push(body);
      return;
    }
    const { printedPath } = this.#attempts.get(message.taskId)!;
    this.#outbox.push(async (write) => {
      using file = await Deno.open(printedPath);
      await copyOut(file, message.length, write);
    });
  }

  async #sendCached(cacheName: string, write: Write): Promise<void> {
    const end = encodeToManager({ type: "end" });
    let file: Deno.FsFile;
    try {
      file = await Deno.open(this.parts.workspace.cachePath(cacheName));
    } catch (error) {
      const errno = error instanceof Deno.errors.NotFound ? 2 : 5; // ENOENT, EIO
      await write(encodeToManager({ type: "missing", path: cacheName, errno }));
      await write(end);
      return;
    }
    try {
      const { size } = await file.stat();
      await write(encodeToManager({ type: "file", path: cacheName, length: size }));
      await copyOut(file, size, write);
      await write(end);
    } finally {
      file.close();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#close({ why: messageOf(error), then: "terminate" });
  }

  /** Lets what is on its way out leave, then closes; `run` sees the end of the link. */
  #close(end: SessionEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    void within(farewellMs, this.#outbox.drained()).then(() => this.link.close());
  }

  async #cleanUp(): Promise<void> {
    await this.#sink.abandon();
    for (const taskId of [...this.#attempts.keys()]) this.#forget(taskId);
    await Promise.all(this.#leaving);
    await this.parts.workspace.clear();
  }
}
