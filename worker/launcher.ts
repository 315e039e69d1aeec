/**
 * The launcher: a program of a kilobyte that starts tasks. They have to come from a small process,
 * because one keeps the memory peak of the image that exec replaces: a child of the worker itself
 * would report the worker's. It makes them children of the worker all the same (launcher.c).
 */
import { errnoName, type Libc, SystemCallError } from "../io/libc.ts";
import { launcherCode } from "./launcher_code.ts";

/** A program to start in a session of its own, with no input and one output. */
export interface LaunchRequest {
  /** Absolute, as are the other paths. */
  readonly path: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Receives stdout and stderr; created with mode 0600, or truncated. */
  readonly outputPath: string;
}

/** The steps of a child on its way to become the program, as launcher.c numbers them. */
const steps = ["folder", "output", "exec"] as const;

/** Why a child could not become the program, after which it ends with 127. */
export interface LaunchFailure {
  readonly step: typeof steps[number];
  /** Name of the error, such as `ENOENT`. */
  readonly code: string;
}

/** The launcher has ended, for whatever reason. */
export class LauncherGone extends Error {
  override readonly name = "LauncherGone";
  /** @param started whether it may have started the program that it was asked for */
  constructor(readonly started: boolean) {
    super("the process that starts tasks has ended");
  }
}

/** `struct failure` of launcher.c: three numbers of 32 bits. */
const failureLength = 3;
const encoder = new TextEncoder();

export class Launcher {
  /** A child of this process, to be reaped once it has ended. */
  readonly pid: number;
  readonly #libc: Libc;
  readonly #requestFd: number;
  readonly #replyFd: number;
  readonly #failureFd: number;
  readonly #failures = new Map<number, LaunchFailure>();
  #closed = false;

  /**
   * Starts the launcher, by way of a file in this folder that is gone again when it runs. Throws
   * SystemCallError, or the error of the file system.
   */
  constructor(libc: Libc, folder: string) {
    const code = launcherCode[Deno.build.arch];
    if (code === undefined) throw new Error(`There is no launcher for ${Deno.build.arch}`);
    this.#libc = libc;
    const requests = libc.pipe(), replies = libc.pipe(), failures = libc.pipe();
    this.#requestFd = requests.writeFd;
    this.#replyFd = replies.readFd;
    this.#failureFd = failures.readFd;
    const path = `${folder}/.launcher`;
    try {
      Deno.writeFileSync(path, Uint8Array.fromBase64(code), { mode: 0o700 });
      libc.setNonBlocking(this.#failureFd);
      const fds = [requests.readFd, replies.writeFd, failures.writeFd];
      this.pid = libc.launch({ path, args: ["wqx-launcher"], env: {}, fds });
    } catch (error) {
      this.close();
      throw error;
    } finally {
      for (const fd of [requests.readFd, replies.writeFd, failures.writeFd]) libc.closeFd(fd);
      removeQuietly(path);
    }
  }

  /**
   * Starts a program and returns its pid, which is also its session and group. Waits for fork, so
   * a tenth of a millisecond; what fails after that, {@link failureOf} tells. Throws LauncherGone,
   * or SystemCallError, also for text with a NUL.
   */
  launch(request: LaunchRequest): number {
    this.#send(encodeRequest(request));
    const reply = new Int32Array(1);
    const size = this.#libc.read(this.#replyFd, new Uint8Array(reply.buffer));
    if (size < reply.byteLength) throw new LauncherGone(true);
    const [pid] = reply;
    if (pid! < 0) throw new SystemCallError("clone", errnoName(-pid!));
    return pid!;
  }

  /** Why a child that has ended with 127 did not become the program; `null` if it did, or closed. */
  failureOf(pid: number): LaunchFailure | null {
    if (this.#closed) return null;
    const record = new Int32Array(failureLength);
    const bytes = new Uint8Array(record.buffer);
    // Each was written at once, and is read at once, as pipes allow for so few bytes.
    while (this.#libc.read(this.#failureFd, bytes) === bytes.length) {
      const [failed, step, errno] = record;
      this.#failures.set(failed!, { step: steps[step!]!, code: errnoName(errno!) });
    }
    const failure = this.#failures.get(pid) ?? null;
    this.#failures.delete(pid);
    return failure;
  }

  /** Lets it end. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of [this.#requestFd, this.#replyFd, this.#failureFd]) this.#libc.closeFd(fd);
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    try {
      this.#libc.write(this.#requestFd, bytes);
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "EPIPE") throw new LauncherGone(false);
      throw error;
    }
  }
}

/** The layout that launcher.c describes, its size before it; longs have 64 bits. */
function encodeRequest(request: LaunchRequest): Uint8Array<ArrayBuffer> {
  const { path, args, cwd, env, outputPath } = request;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const strings = [cwd, outputPath, path, ...args, ...variables];
  const text = encoder.encode(`${strings.join("\0")}\0`);
  // A 0 after the arguments, and one after the environment.
  const offsetBytes = 8 * (strings.length + 2);
  const bytes = new Uint8Array(8 + offsetBytes + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, offsetBytes + text.length, true);
  let from = 0, at = 8;
  for (let i = 0; i < strings.length; i++) {
    view.setUint32(at, offsetBytes + from, true);
    from = text.indexOf(0, from) + 1;
    at += i === 2 + args.length ? 16 : 8;
  }
  if (from !== text.length) throw new SystemCallError("text with a NUL character", "EINVAL");
  bytes.set(text, 8 + offsetBytes);
  return bytes;
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not even made.
  }
}
