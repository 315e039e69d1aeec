/**
 * Packed environments that tasks are to run in. Each archive is unpacked once by the worker, by what
 * is in it, while other tasks run; then all tasks that want it run there with its variables, and a
 * Python of it is kept warm like any other. `poncho_package_run`, which the command names, starts
 * only where something about the command or the archive is not known.
 *
 * An environment stays from one manager to the next, within bounds, if no task has changed it.
 */
import { createHash } from "node:crypto";
import { messageOf, RunError } from "../core/errors.ts";
import { activated } from "../core/package/activation.ts";
import type { TaskFile } from "../core/protocol/messages.ts";
import { limitsOf } from "../core/package/tar_safety.ts";
import { formatSizeMb } from "../core/units.ts";
import {
  type EnvironmentCommand,
  environmentCommand,
  isEnvironmentWrapper,
} from "../core/worker/environment_command.ts";
import { quoted } from "../core/shell_words.ts";
import { delay } from "../io/clock.ts";
import { removeIfThere } from "../io/files.ts";
import { FileHashes } from "../io/hash.ts";
import { activationOf } from "../package/activate.ts";
import { unpackEnvironment } from "../package/unpack.ts";

/** How a task is started in its environment; or why it cannot be, which is how it fails. */
export type Prepared =
  | { readonly kind: "ready"; readonly command: string; readonly env: Record<string, string> }
  | { readonly kind: "failed"; readonly why: string };

/** What a task holds until it is over. */
export interface Held {
  readonly prepared: Prepared;
  readonly release: () => void;
}

export interface EnvironmentTask {
  readonly command: string;
  /** Of the task as a whole. */
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: readonly Pick<TaskFile, "cacheName" | "sandboxName">[];
}

export interface EnvironmentsOptions {
  /** Made when it is needed. */
  readonly folder: string;
  /** Of the worker's disk, for all that is unpacked. */
  readonly bytesMax: number;
  /** Where a cached object lies. */
  readonly cachePath: (cacheName: string) => string;
  readonly log: (line: string) => void;
  readonly debug: (line: string) => void;
}

/** What the head of a wrapper needs to be known by; bytes. */
const headBytes = 64 * 1024;
/** Looks at files before others have their turn. */
const looksAtOnce = 500;

interface Environment {
  readonly archive: Archive;
  readonly prefix: string;
  readonly stop: AbortController;
  /** Tasks that wait for it or run in it. */
  users: number;
  bytes: number;
  /** `null` once it is ready, or why it is not. */
  opened: Promise<string | null>;
  /** Of its files as they were unpacked; `null` until they are. */
  stamp: string | null;
  /** False: tasks of other managers have been there since it was looked at. */
  trusted: boolean;
}

interface Archive {
  readonly path: string;
  /** As the task has it. */
  readonly name: string;
  readonly sha256: string;
}

export class Environments {
  /** By SHA-256 of the archive; the one that was used last is last. */
  readonly #environments = new Map<string, Environment>();
  readonly #hashes = new FileHashes();
  /** What changes the folder, one after the other. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: EnvironmentsOptions) {}

  /**
   * Waits until the environment of the task's command is there. `null`: it is no such command, or
   * one that is left to its wrapper, or `signal` has fired.
   */
  async prepare(task: EnvironmentTask, signal: AbortSignal): Promise<Held | null> {
    const { inputs, env } = task;
    const command = environmentCommand(task.command, env, inputs.map((one) => one.sandboxName));
    if (command === null) return null;
    const archive = await this.#archiveOf(task, command);
    if (archive === null) {
      this.options.debug(`${command.wrapper} -e ${command.archive} is left to that program`);
      return null;
    }
    const environment = this.#use(archive);
    const release = () => this.#release(environment);
    if (!await within(environment.opened, signal)) {
      release();
      return null;
    }
    const why = await environment.opened;
    const prepared: Prepared = why === null
      ? await start(command, env, environment.prefix)
      : { kind: "failed", why };
    return { prepared, release };
  }

  /**
   * The manager is gone, and no task holds anything: keeps what was used last, `keepBytesMax` at
   * most.
   */
  async endOfSession(keepBytesMax: number): Promise<void> {
    for (const environment of this.#environments.values()) environment.trusted = false;
    await this.#next(() => this.#shrinkTo(keepBytesMax));
  }

  /** `null` if the wrapper or the archive is something else than this worker knows. */
  async #archiveOf(
    { inputs }: EnvironmentTask,
    command: EnvironmentCommand,
  ): Promise<Archive | null> {
    const pathOf = (name: string) =>
      this.options.cachePath(inputs.find((one) => one.sandboxName === name)!.cacheName);
    const path = pathOf(command.archive);
    try {
      const info = await Deno.stat(path);
      if (!info.isFile || !isEnvironmentWrapper(headOf(pathOf(command.wrapper)))) return null;
      return { path, name: command.archive, sha256: await this.#hashes.of(path, info) };
    } catch {
      return null; // the program will say what is wrong
    }
  }

  #use(archive: Archive): Environment {
    const { sha256 } = archive;
    const environment = this.#environments.get(sha256) ?? this.#begin(archive);
    environment.users++;
    if (!environment.trusted) {
      environment.trusted = true;
      environment.opened = this.#next(() => this.#lookAgain(environment, archive));
    }
    // Used last.
    this.#environments.delete(sha256);
    this.#environments.set(sha256, environment);
    return environment;
  }

  #begin(archive: Archive): Environment {
    const environment: Environment = {
      archive,
      prefix: `${this.options.folder}/${archive.sha256.slice(0, 16)}`,
      stop: new AbortController(),
      users: 0,
      bytes: 0,
      opened: Promise.resolve(null),
      stamp: null,
      trusted: true,
    };
    environment.opened = this.#next(() => this.#open(environment, archive));
    return environment;
  }

  /** Of an environment that is there: unpacked anew if something has changed it. */
  async #lookAgain(environment: Environment, archive: Archive): Promise<string | null> {
    const { prefix, stamp } = environment;
    const now = await lookAt(prefix).catch(() => null); // it may even be gone
    if (now?.stamp === stamp) return null;
    this.options.log(`Tasks have changed the environment ${archive.name}: unpacking it again`);
    return await this.#open(environment, archive);
  }

  async #open(environment: Environment, archive: Archive): Promise<string | null> {
    const { prefix } = environment;
    const startedMs = performance.now();
    environment.stamp = null;
    try {
      await this.#unpack(environment, archive);
      Object.assign(environment, await lookAt(prefix));
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      const size = formatSizeMb(Math.ceil(environment.bytes / 1024 ** 2));
      this.options.log(`Unpacked the environment ${archive.name} (${size}) in ${seconds} s`);
      return null;
    } catch (error) {
      environment.bytes = 0;
      await removeIfThere(prefix);
      if (environment.stop.signal.aborted) return "no task wants it any more";
      // The name in the cache says nothing to people.
      const why = messageOf(error).replaceAll(archive.path, archive.name);
      this.options.log(why);
      return why;
    }
  }

  /** Once more, if others can make room for it. */
  async #unpack(environment: Environment, { path }: Archive): Promise<void> {
    const { prefix, stop: { signal } } = environment;
    const onProgress = ({ bytes }: { readonly bytes: number }) => {
      environment.bytes = bytes;
    };
    for (;;) {
      environment.bytes = 0;
      await removeIfThere(prefix);
      await Deno.mkdir(this.options.folder, { recursive: true });
      const { size } = await Deno.stat(path);
      const { bytesMax } = limitsOf(size, this.options.bytesMax - this.#bytes, undefined);
      try {
        return await unpackEnvironment(path, prefix, { signal, bytesMax, onProgress });
      } catch (error) {
        environment.bytes = 0;
        const before = this.#bytes;
        await this.#shrinkTo(0);
        if (signal.aborted || this.#bytes === before) throw error;
      }
    }
  }

  #release(environment: Environment): void {
    environment.users--;
    // What failed may have failed for want of room, which there may be later.
    if (environment.users > 0 || environment.stamp !== null) return;
    environment.stop.abort();
    const { sha256 } = environment.archive;
    if (this.#environments.get(sha256) === environment) this.#environments.delete(sha256);
  }

  get #bytes(): number {
    return [...this.#environments.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Removes what was used longest ago and is not used now. */
  async #shrinkTo(bytesMax: number): Promise<void> {
    for (const environment of [...this.#environments.values()]) {
      if (this.#bytes <= bytesMax) return;
      if (environment.users > 0) continue;
      this.#environments.delete(environment.archive.sha256);
      await removeIfThere(environment.prefix);
    }
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }
}

/** In the environment at `prefix`, which is ready. */
async function start(
  { inner, wrapper, env: set }: EnvironmentCommand,
  env: Readonly<Record<string, string>>,
  prefix: string,
): Promise<Prepared> {
  if (inner.kind === "around") {
    // Of a folder that is ready the program makes nothing new.
    const command = `${inner.before}./${wrapper} -e ${quoted(prefix)} -- ${inner.after}`;
    return { kind: "ready", command, env: { ...env } };
  }
  const before = { ...env, ...set };
  try {
    const activation = await activationOf(prefix, before);
    return { kind: "ready", command: inner.command, env: activated(before, activation) };
  } catch (error) {
    if (error instanceof RunError) return { kind: "failed", why: error.message };
    throw error;
  }
}

/** False if `signal` fires first. */
async function within(promise: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const aborted = Promise.withResolvers<boolean>();
  const stop = () => aborted.resolve(false);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return !signal.aborted && await Promise.race([promise.then(() => true), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function headOf(path: string): string {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(headBytes);
  return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
}

/**
 * What its files are, as far as the system tells without reading them: nobody but root can set a
 * file's time of change. Byte code is left out, since Python writes it beside what it imports.
 */
async function lookAt(folder: string): Promise<Pick<Environment, "stamp" | "bytes">> {
  const hash = createHash("sha256");
  let looks = 0;
  let bytes = 0;
  for (const folders = [""]; folders.length > 0;) {
    const inside = folders.pop()!;
    const entries = [...Deno.readDirSync(`${folder}/${inside}`)];
    for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      const path = `${inside}${name}`;
      if (isDirectory && name !== "__pycache__") folders.push(`${path}/`);
      if (isDirectory) continue;
      const { size, ino, mode, ctime } = Deno.lstatSync(`${folder}/${path}`);
      hash.update(`${path}\0${size} ${ino} ${mode} ${ctime?.getTime()}\0`);
      bytes += size;
      if (++looks % looksAtOnce === 0) await delay(0);
    }
  }
  return { stamp: hash.digest("hex"), bytes };
}
