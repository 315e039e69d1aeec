/**
 * Runs a command in an environment, which may be an archive or a folder. The command takes the
 * place of this process where that is possible: then signals, input and the end are its own.
 */
import { constants } from "node:os";
import { basename, resolve } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { activated } from "../core/package/activation.ts";
import {
  condaUnpackPath,
  parseCondaUnpack,
  parseRelocations,
  type Relocation,
  relocationsPath,
} from "../core/package/relocations.ts";
import { removeIfThere } from "../io/files.ts";
import { Libc, LibcUnavailable, SystemCallError } from "../io/libc.ts";
import { findProgram } from "../io/programs.ts";
import { activationOf } from "./activate.ts";
import { locked } from "./folder_lock.ts";
import { EnvironmentStore } from "./store.ts";
import { relocateFile } from "./tree_writer.ts";
import { isReady, runCondaUnpack, unpackEnvironment, writeMarker } from "./unpack.ts";

export interface RunRequest {
  /** Archive or folder. */
  readonly environment: string;
  /** Empty: the environment is made ready, and nothing is run in it. */
  readonly command: readonly string[];
  /**
   * Where an archive is unpacked: in this folder, in a temporary one that is removed at the end, or
   * in the store of this folder.
   */
  readonly where:
    | { readonly kind: "folder"; readonly path: string }
    | { readonly kind: "temporary" }
    | { readonly kind: "store"; readonly path: string };
  /** How long to wait for somebody else who unpacks into the same folder. */
  readonly lockWaitMs: number;
  readonly bytesMax?: number;
  /** Told each step. */
  readonly note: (step: string) => void;
  readonly signal: AbortSignal;
}

/** As shells have it. */
export const notFoundExitCode = 127, notExecutableExitCode = 126;

/** Returns the command's exit code, unless the command takes our place. Throws RunError. */
export async function runInEnvironment(request: RunRequest): Promise<number> {
  const { environment, where, note, signal } = request;
  const limits = request.bytesMax === undefined ? {} : { bytesMax: request.bytesMax };
  if (await isFolder(environment)) {
    const prefix = await Deno.realPath(environment);
    await makeReady(prefix, request);
    return await start(prefix, request, null);
  }
  switch (where.kind) {
    case "folder": {
      note(`unpacking ${environment} into ${where.path}, unless somebody has`);
      const { lockWaitMs } = request;
      await unpackEnvironment(environment, where.path, { signal, lockWaitMs, ...limits });
      return await start(await Deno.realPath(where.path), request, null);
    }
    case "store": {
      note(`unpacking ${environment}, unless it was before`);
      using store = new EnvironmentStore(where.path);
      const prefix = await store.open(environment, { signal, ...limits });
      return await start(prefix, request, store.useFileOf(prefix));
    }
    case "temporary": {
      const folder = await Deno.makeTempDir({ prefix: "wqx-environment-" });
      try {
        note(`unpacking ${environment} into ${folder}`);
        await unpackEnvironment(environment, folder, { signal, ...limits });
        // Somebody has to remain who removes the folder.
        return await start(await Deno.realPath(folder), request, null, false);
      } finally {
        await removeIfThere(folder);
      }
    }
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new RunError(`Cannot run in ${path}: there is no such file or folder`);
  }
}

/**
 * A folder that was only untarred still has placeholders in its files: they are replaced once, as
 * its conda-unpack would do it.
 */
async function makeReady(prefix: string, { note, signal, lockWaitMs }: RunRequest): Promise<void> {
  const isPacked = exists(`${prefix}/${condaUnpackPath}`) || exists(`${prefix}/${relocationsPath}`);
  if (!isPacked || isReady(prefix)) return;
  try {
    using lock = await locked(prefix, { exclusive: true, signal, waitMs: lockWaitMs });
    if (lock === null) throw new RunError("somebody else has had the folder for too long");
    if (isReady(prefix)) return;
    note(`putting the path of ${prefix} into its files`);
    const relocations = relocationsIn(prefix);
    if (relocations === null) await runCondaUnpack(prefix, signal);
    for (const relocation of relocations ?? []) relocateIfThere(prefix, relocation);
    writeMarker(prefix);
  } catch (error) {
    signal.throwIfAborted();
    throw new RunError(
      `Cannot run in ${prefix}: its files have yet to be told where they are, as ` +
        `${condaUnpackPath} does, and that failed: ${messageOf(error)}`,
    );
  }
}

/** Null if only a program of the environment's own can tell. */
function relocationsIn(prefix: string): Relocation[] | null {
  if (exists(`${prefix}/${relocationsPath}`)) {
    return parseRelocations(Deno.readTextFileSync(`${prefix}/${relocationsPath}`));
  }
  const script = Deno.readTextFileSync(`${prefix}/${condaUnpackPath}`);
  return /^_prefix_records\s*=/m.test(script) ? parseCondaUnpack(script) : null;
}

function relocateIfThere(prefix: string, relocation: Relocation): void {
  const path = `${prefix}/${relocation.path}`;
  // A link could lead out of the folder; what it leads to inside is told by itself.
  if (!exists(path) || Deno.realPathSync(path) !== resolve(path)) return;
  relocateFile(prefix, relocation.path, [relocation], prefix);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** `useFile`: to be locked for as long as the command runs. */
async function start(
  prefix: string,
  { command, note, environment }: RunRequest,
  useFile: string | null,
  mayReplaceUs = true,
): Promise<number> {
  note(`activating ${prefix}`);
  const env = activated(Deno.env.toObject(), await activationOf(prefix));
  const [word, ...args] = command;
  if (word === undefined) return 0;
  const program = findProgram(word, env.PATH ?? "");
  if ("why" in program) {
    const isThere = /may not be executed/.test(program.why);
    complain(`Cannot run "${word}" in ${basename(environment)}: ${program.why}`);
    return isThere ? notExecutableExitCode : notFoundExitCode;
  }
  note(`running ${command.join(" ")}`);
  if (mayReplaceUs) become(program.path, command, env, useFile);
  return await supervise(program.path, args, env);
}

function complain(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Returns where the system cannot do it. */
function become(
  path: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  useFile: string | null,
): void {
  try {
    using libc = Libc.open();
    if (useFile !== null) libc.holdShared(useFile);
    libc.exec(path, command, env);
  } catch (error) {
    // A script without its first line is none to the kernel; the shell of the other way reads it.
    if (!(error instanceof LibcUnavailable || error instanceof SystemCallError)) throw error;
  }
}

const forwarded = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

/** Runs it as a child that gets our signals; 128 and the number where one ended it. */
async function supervise(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const spawn = (program: string, words: readonly string[]) =>
    new Deno.Command(program, {
      args: [...words],
      clearEnv: true,
      env: { ...env },
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  let child: Deno.ChildProcess;
  try {
    child = spawn(path, args);
  } catch (error) {
    const isTextOnly = /\(os error 8\)/.test(messageOf(error)); // ENOEXEC
    if (!isTextOnly) {
      complain(`Cannot run ${path}: ${messageOf(error)}`);
      return notExecutableExitCode;
    }
    child = spawn("/bin/sh", [path, ...args]);
  }
  const inTerminal = Deno.stdin.isTerminal();
  const listeners = forwarded.map((name) => {
    const forward = () => {
      // A terminal has sent these two to the child as well.
      if (inTerminal && (name === "SIGINT" || name === "SIGQUIT")) return;
      try {
        child.kill(name);
      } catch {
        // It has just ended.
      }
    };
    Deno.addSignalListener(name, forward);
    return () => Deno.removeSignalListener(name, forward);
  });
  try {
    const { code, signal } = await child.status;
    return signal === null
      ? code
      : 128 + constants.signals[signal as keyof typeof constants.signals];
  } finally {
    for (const remove of listeners) remove();
  }
}
