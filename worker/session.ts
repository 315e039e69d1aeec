/**
 * The worker's shell for one link: it performs what the worker machine decides, and reports what
 * came of it. When the link ends, so does everything that ran for it, but for tasks that are kept
 * for the next link of the same session.
 */
import { messageOf, PeerProtocolError } from "../core/errors.ts";
import { Decoder } from "../core/protocol/decoder.ts";
import type { TaskBlock, ToManager, ToWorker } from "../core/protocol/messages.ts";
import { textToManager } from "../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../core/protocol/to_worker.ts";
import type {
  Afterwards,
  WorkerAction,
  WorkerEvent,
  WorkerIdentity,
  WorkerLimits,
} from "../core/worker/actions.ts";
import { WorkerMachine } from "../core/worker/machine.ts";
import { NameCheck } from "../core/worker/name_check.ts";
import { within } from "../io/clock.ts";
import { copyOut, nowhere, removeIfThere, type Sink } from "../io/files.ts";
import type { Link } from "../io/link.ts";
import { Outbox } from "../io/outbox.ts";
import { Assemblies } from "./assembly.ts";
import { type Attempt, callFunction, runCommand, type StepEvent } from "./attempt.ts";
import { environmentOf, ownEnvironment } from "./environment.ts";
import type { Environments } from "./environments.ts";
import { deliveryCommand, Obtainer } from "./obtain.ts";
import { sendCached } from "./send_cached.ts";
import type { Coprocesses } from "./coprocesses.ts";
import type { Guard } from "./guard.ts";
import type { Spawner } from "./process.ts";
import type { Sandbox } from "./sandboxes.ts";
import type { Watcher } from "./watched.ts";
import type { Workspace } from "./workspace.ts";

/** How often the machine looks at the clock. */
const tickMs = 1000;

/** For the manager to take our last lines before the link is closed. */
const farewellMs = 1000;

/** Of the worker's disk, each for files, environments and results that are kept from link to link. */
export const keptShareMax = 1 / 4;

export interface SessionEnd {
  readonly why: string;
  readonly then: Afterwards;
  /** Whether the manager sent anything at all: one of another protocol closes without a byte. */
  readonly heard: boolean;
  /** Nobody meant it to end. */
  readonly broken?: boolean;
}

/** Told to a session that is to leave: what the manager hears, and what the log says. */
export interface Leave {
  readonly key: string;
  readonly value: string;
  readonly why: string;
  readonly then: Afterwards;
}

export interface SessionParts {
  readonly workspace: Workspace;
  readonly spawner: Spawner;
  readonly guard: Guard;
  /** `null` where there are none. */
  readonly coprocesses: Coprocesses | null;
  readonly watcher: Watcher;
  /** `null`: their archives are left to the programs that come with them. */
  readonly environments: Environments | null;
  readonly identity: WorkerIdentity;
  readonly limits: WorkerLimits;
  /** What is run for a task's command, e.g. inside a wrapper. */
  readonly wrap: (command: string) => string;
  readonly log: (line: string) => void;
}

export class Session implements AsyncDisposable {
  readonly #machine: WorkerMachine;
  readonly #attempts = new Map<number, Attempt>();
  /** Attempts that were forgotten and are still being cleaned up. */
  readonly #leaving = new Set<Promise<void>>();
  #sink: Sink = nowhere;
  #isStoring = false;
  readonly #ownEnvironment = ownEnvironment();
  #serial = 0;
  /** Of running tasks, not told yet. */
  #count: ToManager | null = null;
  #heard = false;
  #end: Omit<SessionEnd, "heard"> | null = null;
  #failure: unknown = null;
  #link!: Link;
  #outbox!: Outbox;
  #obtainer!: Obtainer;
  #assemblies!: Assemblies;
  /** The link is over, and tasks may go on. */
  #isKeeping = false;
  /** Resolves when it is known of each task of a link that is over whether it goes on. */
  #sorted = Promise.withResolvers<void>();
  /** Looks at the clock between links. */
  #waiting: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly parts: SessionParts) {
    this.#machine = new WorkerMachine(parts.identity, parts.limits, performance.now());
  }

  /** Whether it has tasks for the manager that is to come. */
  get keepsTasks(): boolean {
    return this.#isKeeping && this.#machine.taskCount > 0;
  }

  #begin(link: Link, identity: WorkerIdentity): void {
    const { parts } = this;
    clearInterval(this.#waiting);
    this.#end = null;
    this.#isKeeping = false;
    this.#sorted = Promise.withResolvers();
    this.#heard = false;
    this.#sink = nowhere;
    this.#isStoring = false;
    this.#link = link;
    this.#machine.relink(identity, performance.now());
    this.#outbox = new Outbox(link, () => {}, (error) => {
      this.#end ??= { why: messageOf(error), then: "reconnect", broken: true };
      link.close();
    });
    this.#assemblies = new Assemblies(parts.workspace, (event) => this.#deliver(event));
    this.#obtainer = new Obtainer(parts.workspace, parts.spawner, (obtained) => {
      const { cacheName } = obtained;
      if (!obtained.ok) {
        this.#deliver({ type: "fetch_failed", cacheName, why: obtained.why });
      } else {
        const { bytes, wallMs } = obtained;
        this.#deliver({ type: "fetched", cacheName, bytes, wallMs });
      }
    });
  }

  /**
   * Serves the manager until the link ends. `ahead`: bytes that were read of it before. `signal`
   * makes the worker leave in an orderly way; its reason may be a {@link Leave}.
   */
  async run(
    link: Link,
    identity: WorkerIdentity,
    signal: AbortSignal,
    ahead: Uint8Array = new Uint8Array(0),
  ): Promise<SessionEnd> {
    this.#begin(link, identity);
    const leave = () => this.#leave(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    const tick = () => {
      const busy = this.#outbox.isBusy || this.#isStoring;
      this.#deliver({ type: "tick", epochMs: Date.now(), busy });
      this.#tellCount();
    };
    const ticking = setInterval(tick, tickMs);
    try {
      const { kept } = this.parts.workspace;
      kept.listener = (held) => this.#deliver({ type: "holds", held });
      this.#deliver({ type: "connected", holds: kept.held });
      if (signal.aborted) leave();
      await this.#receive(ahead);
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#end ??= { why: error.message, then: "reconnect" };
    } finally {
      this.#end ??= { why: "the manager closed the connection", then: "reconnect", broken: true };
      clearInterval(ticking);
      signal.removeEventListener("abort", leave);
      this.parts.workspace.kept.listener = null;
      link.close();
      await this.#cleanUp();
    }
    if (this.#failure !== null) throw this.#failure;
    return { ...this.#end, heard: this.#heard };
  }

  #leave(reason: unknown): void {
    if (typeof reason === "object" && reason !== null && "key" in reason) {
      this.#deliver({ type: "leave", ...reason as Leave });
    } else {
      this.#close({ why: "it was told to stop", then: "terminate" });
    }
  }

  async #receive(ahead: Uint8Array): Promise<void> {
    const decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
    const { project } = this.#machine.identity;
    let check = project === undefined ? null : new NameCheck(project);
    for await (const bytes of this.#link.received(ahead)) {
      this.#heard = true;
      const rest = check === null ? bytes : check.feed(bytes);
      if (rest === null) continue;
      check = null;
      decoder.feed(rest);
      await this.#digest(decoder);
    }
  }

  async #digest(decoder: Decoder<ToWorker>): Promise<void> {
    for (let m = decoder.next(); m !== null && this.#end === null; m = decoder.next()) {
      if (m.type !== "payload") {
        this.#deliver({ type: "received", message: m });
        continue;
      }
      this.#isStoring = true;
      await this.#sink.take(m.bytes);
      this.#deliver({ type: "moving" });
      const trouble = m.last ? await this.#sink.finish() : null;
      this.#isStoring = false;
      if (!m.last) continue;
      this.#sink = nowhere;
      if (trouble !== null) this.parts.log(`Could not keep an input: ${trouble}`);
    }
  }

  #deliver(event: WorkerEvent): void {
    if (this.#end !== null && !this.#isKeeping) return;
    for (const action of this.#machine.handle(event, performance.now())) this.#perform(action);
  }

  #perform(action: WorkerAction): void {
    const { workspace } = this.parts;
    switch (action.type) {
      case "send":
        this.#send(action.message);
        break;
      case "store":
        this.#assemblies.forget(action.place.cacheName);
        this.#sink = workspace.store(action.place, action.mode);
        break;
      case "decline":
        this.#sink = workspace.decline(action.place, action.why);
        break;
      case "make_directory":
        workspace.makeDirectory(action.place);
        break;
      case "make_link":
        workspace.makeLink(action.place, action.target);
        break;
      case "expect":
        this.#assemblies.forget(action.source.cacheName);
        this.#obtainer.expect(action.source);
        break;
      case "assemble":
        this.#obtainer.forget(action.offer.cacheName);
        this.#assemblies.begin(action.offer, action.refused);
        break;
      case "fill":
        this.#sink = this.#assemblies.fill(action.cacheName);
        break;
      case "deliver":
        this.#later(this.#giveAway(action));
        break;
      case "look":
        this.#look(action);
        break;
      case "send_update":
        this.#sendUpdate(action);
        break;
      case "send_body":
        this.#outbox.push(action.body);
        break;
      case "kill":
        this.#attempts.get(action.taskId)?.process?.kill();
        break;
      case "unlink":
        for (const name of action.names) {
          this.#assemblies.forget(name);
          this.#obtainer.forget(name);
          if (workspace.has(name)) {
            workspace.unlink(name);
            break;
          }
        }
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
      case "adopt":
        this.#adopt(action.from, action.task.taskId);
        break;
      case "restage":
        this.#restage(action);
        break;
      case "forget":
        this.#forget(action.taskId);
        break;
      case "send_result":
        this.#sendResult(action);
        break;
      case "send_cached":
        this.#outbox.push((write) => {
          const name = action.names.find((one) => workspace.has(one)) ?? action.written;
          return sendCached(action.written, workspace.cachePath(name), write);
        });
        break;
      case "close":
        this.#close({ why: action.why, then: action.then, broken: action.broken === true });
        break;
    }
  }

  /** How many tasks run is news that can wait for the next message: a write takes 0.1 ms. */
  #send(message: ToManager): void {
    if (message.type === "info" && message.key === "tasks_running") {
      this.#count = message;
      return;
    }
    this.#tellCount();
    this.#outbox.push(textToManager(message));
  }

  #tellCount(): void {
    if (this.#count !== null) this.#outbox.push(textToManager(this.#count));
    this.#count = null;
  }

  #stageIn(task: TaskBlock): void {
    const { workspace } = this.parts;
    const attempt: Attempt = {
      taskId: task.taskId,
      sandbox: workspace.sandboxes.take(),
      steps: Promise.resolve(),
      process: null,
      environment: null,
      forgotten: false,
    };
    this.#attempts.set(task.taskId, attempt);
    this.#step(attempt, async () => {
      const names = task.inputs.map((input) => input.cacheName);
      const trouble = await this.#obtainer.need(names) ?? await this.#assemblies.need(names) ??
        await workspace.stageIn(task, attempt.sandbox);
      if (trouble === null) await this.#prepareEnvironment(task, attempt);
      return { type: "staged_in", taskId: task.taskId, trouble };
    });
  }

  /** Other tasks go on while it is unpacked. */
  async #prepareEnvironment(task: TaskBlock, attempt: Attempt): Promise<void> {
    const { environments } = this.parts;
    if (environments === null || task.coprocess !== undefined) return;
    const waiting = new AbortController();
    attempt.process = { kill: () => waiting.abort() };
    const { command, inputs } = task;
    const env = this.#environmentOf(task, attempt.sandbox);
    attempt.environment = await environments.prepare({ command, inputs, env }, waiting.signal);
    attempt.process = null;
  }

  #environmentOf(task: TaskBlock, { temporary }: Sandbox): Record<string, string> {
    const { workspace } = this.parts;
    const folders = { workspace: workspace.path, temporary, wqx: workspace.wqxPath };
    return environmentOf(task, this.#ownEnvironment, folders);
  }

  #start(task: TaskBlock): void {
    const attempt = this.#attempts.get(task.taskId)!;
    this.#step(attempt, async () => {
      const exit = task.coprocess !== undefined
        ? await callFunction(task, attempt, this.parts.coprocesses)
        : await runCommand(task, attempt, this.parts, this.#environmentOf(task, attempt.sandbox));
      return { type: "exited", taskId: task.taskId, exit };
    });
  }

  #stageOut(task: TaskBlock): void {
    const attempt = this.#attempts.get(task.taskId)!;
    this.#step(attempt, () => {
      this.parts.workspace.stageOut(task, attempt.sandbox);
      const { size } = Deno.statSync(attempt.sandbox.printedPath);
      return { type: "staged_out", taskId: task.taskId, printedBytes: size };
    });
  }

  #adopt(from: number, taskId: number): void {
    const attempt = this.#attempts.get(from)!;
    this.#attempts.delete(from);
    this.#attempts.set(taskId, attempt);
    attempt.taskId = taskId;
  }

  #restage({ from, task }: Extract<WorkerAction, { type: "restage" }>): void {
    const attempt = this.#attempts.get(task.taskId)!;
    this.#step(attempt, async () => {
      const outputBytes = await this.parts.workspace.restage(from, task);
      const { size } = Deno.statSync(attempt.sandbox.printedPath);
      return { type: "staged_out", taskId: task.taskId, printedBytes: size, outputBytes };
    });
  }

  #forget(taskId: number): void {
    const attempt = this.#attempts.get(taskId);
    if (attempt === undefined) return; // it never got so far as to have a sandbox
    this.#attempts.delete(taskId);
    attempt.forgotten = true;
    attempt.process?.kill();
    this.#later(attempt.steps.then(async () => {
      attempt.environment?.release();
      // What it printed may be on its way out.
      if (this.#end === null) await this.#outbox.drained();
      const { spawner, workspace } = this.parts;
      // Where tasks are not measured, something that was killed may not be dead yet.
      if (spawner.unmeasured === null) await workspace.sandboxes.giveBack(attempt.sandbox);
      else await attempt.sandbox.remove();
    }));
  }

  /** Runs after the attempt's earlier steps; says nothing once the attempt is forgotten. */
  #step(attempt: Attempt, work: () => StepEvent | Promise<StepEvent>): void {
    attempt.steps = attempt.steps.then(async () => {
      if (attempt.forgotten) return;
      const event = await work();
      if (this.#end !== null) await this.#sorted.promise;
      // It may have got another number meanwhile.
      if (!attempt.forgotten) this.#deliver({ ...event, taskId: attempt.taskId });
    }).catch((error) => this.#fail(error));
  }

  #later(work: Promise<void>): void {
    const tracked = work
      .catch((error) => this.parts.log(`Could not clean up: ${messageOf(error)}`))
      .finally(() => this.#leaving.delete(tracked));
    this.#leaving.add(tracked);
  }

  #sendResult({ message, body }: Extract<WorkerAction, { type: "send_result" }>): void {
    this.#outbox.push(textToManager(message));
    if (body !== "captured") {
      this.#outbox.push(body);
      return;
    }
    if (message.length === 0) return;
    const { printedPath } = this.#attempts.get(message.taskId)!.sandbox;
    this.#outbox.push(async (write) => {
      using file = await Deno.open(printedPath);
      await copyOut(file, message.length, write);
    });
  }

  #look({ taskId, names }: Extract<WorkerAction, { type: "look" }>): void {
    const { folder } = this.#attempts.get(taskId)!.sandbox;
    const sizes = new Map<string, number>();
    for (const name of names) {
      try {
        sizes.set(name, Deno.statSync(`${folder}/${name}`).size);
      } catch {
        // Not written yet.
      }
    }
    this.#deliver({ type: "looked", taskId, sizes });
  }

  #sendUpdate({ message }: Extract<WorkerAction, { type: "send_update" }>): void {
    const { folder } = this.#attempts.get(message.taskId)!.sandbox;
    this.#outbox.push(textToManager(message));
    this.#outbox.push(async (write) => {
      using file = await Deno.open(`${folder}/${message.path}`);
      await file.seek(message.offset, Deno.SeekMode.Start);
      await copyOut(file, message.length, write);
    });
  }

  async #giveAway({ request }: Extract<WorkerAction, { type: "deliver" }>): Promise<void> {
    const { workspace, spawner } = this.parts;
    const path = workspace.cachePath(request.cacheName);
    const outputPath = `${workspace.path}/out.give.${++this.#serial}`;
    const { exited } = await spawner.spawn({
      command: deliveryCommand(request.to, request.target, path),
      cwd: `${workspace.path}/tmp`,
      env: this.#ownEnvironment,
      outputPath,
    });
    const { exitCode } = await exited;
    await removeIfThere(outputPath);
    const trouble = exitCode === 0 ? null : `exit code ${exitCode}`;
    this.#deliver({ type: "delivered", trouble });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#close({ why: messageOf(error), then: "terminate" });
  }

  /** Lets what is on its way out leave, then closes; `run` sees the end of the link. */
  #close(end: Omit<SessionEnd, "heard">): void {
    if (this.#end !== null) return;
    this.#end = end;
    const link = this.#link;
    if (end.broken === true) link.close();
    else void within(farewellMs, this.#outbox.drained()).then(() => link.close());
  }

  /** Returns when results lie where nothing that comes on another link can touch them. */
  async #keep(): Promise<void> {
    this.#isKeeping = true;
    this.#deliver({ type: "lost" });
    this.#sorted.resolve();
    for (let ids = this.#machine.staging; ids.length > 0; ids = this.#machine.staging) {
      await Promise.all(ids.map((id) => this.#attempts.get(id)!.steps));
    }
    const { taskCount } = this.#machine;
    if (taskCount === 0) return;
    this.parts.log(`Keeping ${taskCount} of its tasks, for when it comes back`);
    const tick = () => this.#deliver({ type: "tick", epochMs: Date.now() });
    this.#waiting = setInterval(tick, tickMs);
  }

  /** Ends what is kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#waiting);
    this.#isKeeping = false;
    this.#sorted.resolve();
    for (const taskId of [...this.#attempts.keys()]) this.#forget(taskId);
    await Promise.all(this.#leaving);
  }

  async #cleanUp(): Promise<void> {
    await this.#sink.abandon();
    const mayKeep = this.#end?.broken === true || this.#machine.isUnproven;
    if (mayKeep && this.#failure === null && !this.parts.workspace.hasSoftLinks) {
      await this.#keep();
    }
    for (const id of [...this.#attempts.keys()]) if (!this.#isKeeping || id >= 0) this.#forget(id);
    this.#sorted.resolve();
    await this.#obtainer.stop();
    await this.#assemblies.stop();
    await Promise.all(this.#leaving);
    const { environments, identity: { resources: { diskMb } } } = this.parts;
    const keptBytesMax = diskMb * 1024 ** 2 * keptShareMax;
    await environments?.endOfSession(keptBytesMax);
    await this.parts.workspace.clear(
      keptBytesMax,
      [...this.#attempts.values()].map((a) => a.sandbox),
    );
  }
}
