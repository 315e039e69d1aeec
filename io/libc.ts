/**
 * The only file that calls into the C library: what Deno has no word for, on 64-bit Linux.
 * Struct layouts are those of the x86-64 and aarch64 system call interface, which glibc and musl
 * share; both are little-endian.
 */

/** The C library cannot be called here; the message says why. Callers fall back to plain Deno. */
export class LibcUnavailable extends Error {
  override readonly name = "LibcUnavailable";
}

/** A system call failed. `code` is the errno name, such as `ENOENT`. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  constructor(readonly call: string, readonly code: string) {
    super(`${call}: ${code}`);
  }
}

/** What `wait4` tells of a process that ended and of the children it waited for. */
export interface Reaped {
  /** `exit(3)` code; 0 when a signal ended it. */
  readonly exitCode: number;
  readonly signal: number | null;
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  /** Largest resident set of any one of these processes, in 1024² bytes. */
  readonly memoryPeakMb: number;
}

/** A program to start in a session of its own; its stdin, stdout and stderr are /dev/null. */
export interface Launch {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Become descriptors 3, 4 …; numbers from 10 up. */
  readonly fds: readonly number[];
}

const symbols = {
  __errno_location: { parameters: [], result: "pointer" },
  close: { parameters: ["i32"], result: "i32" },
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  posix_spawn_file_actions_addopen: {
    parameters: ["buffer", "i32", "buffer", "i32", "u32"],
    result: "i32",
  },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_setsigmask: { parameters: ["buffer", "buffer"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  sigemptyset: { parameters: ["buffer"], result: "i32" },
  sigfillset: { parameters: ["buffer"], result: "i32" },
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  syscall: { parameters: ["i64", "i64", "i64"], result: "i64" },
  wait4: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  waitid: { parameters: ["i32", "i32", "buffer", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const satisfies Deno.ForeignLibraryInterface;

// From the kernel's headers; the same on x86-64 and aarch64.
const LOCK_SH = 1, LOCK_NB = 4;
const SIGPIPE = 13;
const O_RDONLY = 0, O_RDWR = 0x2, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;
const F_SETFL = 4, F_DUPFD_CLOEXEC = 1030;
const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1, WEXITED = 4, WNOWAIT = 0x1000000;
const P_ALL = 0, P_PID = 1;
/** Without a wrapper in older libraries; the same number on all architectures. */
const SYS_pidfd_open = 434n;
const POSIX_SPAWN_SETSIGDEF = 0x04, POSIX_SPAWN_SETSIGMASK = 0x08, POSIX_SPAWN_SETSID = 0x80;

/** Room for the opaque structs of posix_spawn: 336, 80 and 128 bytes in glibc and in musl. */
const opaqueBytes = 512;
/** `siginfo_t` is 128 bytes; `si_pid` is at 16 in the one that waitid fills. */
const siginfoBytes = 128, siPidOffset = 16;
/** `struct rusage`: two timevals of 16 bytes (seconds, microseconds), then 14 longs. */
const rusageBytes = 144, userTimeOffset = 0, systemTimeOffset = 16, maxRssKbOffset = 32;

/** Errno names a caller may meet here; the rest are shown as `errno N`. */
const errnoNames: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  7: "E2BIG",
  8: "ENOEXEC",
  9: "EBADF",
  10: "ECHILD",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  40: "ELOOP",
  122: "EDQUOT",
};

/** `ENOENT` for 2, and so on. */
export function errnoName(errno: number): string {
  return errnoNames[errno] ?? `errno ${errno}`;
}

/** File names of the C library: glibc first, then musl's. */
function libraryNames(): string[] {
  return ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`, `ld-musl-${Deno.build.arch}.so.1`];
}

/** The C library of this machine. Every call is short and synchronous; none of them blocks. */
export class Libc {
  /** Whether the kernel has pidfds (5.3), by which Deno then waits for its own children. */
  readonly hasPidfds: boolean;
  readonly #library: Deno.DynamicLibrary<typeof symbols>;
  /** Attributes of every launch: own session, no blocked and no ignored signals. */
  readonly #attributes = new Uint8Array(opaqueBytes);
  // Reused by wait, hasEnded and endedChild, which run at every SIGCHLD.
  readonly #status = new Int32Array(1);
  readonly #usage = new DataView(new ArrayBuffer(rusageBytes));
  readonly #siginfo = new DataView(new ArrayBuffer(siginfoBytes));

  private constructor(library: Deno.DynamicLibrary<typeof symbols>) {
    this.#library = library;
    const { symbols: c } = library;
    const all = new Uint8Array(opaqueBytes), none = new Uint8Array(opaqueBytes);
    c.sigfillset(all);
    c.sigemptyset(none);
    c.posix_spawnattr_init(this.#attributes);
    c.posix_spawnattr_setflags(
      this.#attributes,
      POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK,
    );
    // Deno ignores SIGPIPE, which a task would inherit and then meet as a write error.
    c.posix_spawnattr_setsigdefault(this.#attributes, all);
    c.posix_spawnattr_setsigmask(this.#attributes, none);
    const pidfd = Number(c.syscall(SYS_pidfd_open, BigInt(Deno.pid), 0n));
    this.hasPidfds = pidfd >= 0;
    if (pidfd >= 0) c.close(pidfd);
  }

  /** Throws LibcUnavailable off 64-bit Linux, and where no library answers to the known names. */
  static open(names: readonly string[] = libraryNames()): Libc {
    if (Deno.build.os !== "linux") {
      throw new LibcUnavailable(`Measuring needs Linux, and this is ${Deno.build.os}`);
    }
    const reasons: string[] = [];
    for (const name of names) {
      try {
        return new Libc(Deno.dlopen(name, symbols));
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error));
      }
    }
    throw new LibcUnavailable(`Cannot open the C library: ${reasons.join("; ")}`);
  }

  close(): void {
    this.#library.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes orphaned descendants children of this process instead of init's, or stops doing so. */
  setSubreaper(on: boolean): void {
    const zero = 0n;
    this.#check(
      "prctl",
      this.#library.symbols.prctl(PR_SET_CHILD_SUBREAPER, on ? 1n : zero, zero, zero, zero),
    );
  }

  /** A pipe whose ends no child inherits by accident. */
  pipe(): { readFd: number; writeFd: number } {
    const fds = new Int32Array(2);
    this.#check("pipe2", this.#library.symbols.pipe2(fds, O_CLOEXEC));
    // Above the numbers that launches give to their children.
    const [readFd = -1, writeFd = -1] = Array.from(fds, (fd) => {
      const moved = this.#check("fcntl", this.#library.symbols.fcntl(fd, F_DUPFD_CLOEXEC, 10));
      this.#library.symbols.close(fd);
      return moved;
    });
    return { readFd, writeFd };
  }

  /** Reading from this end of a pipe no longer waits. */
  setNonBlocking(fd: number): void {
    this.#check("fcntl", this.#library.symbols.fcntl(fd, F_SETFL, O_NONBLOCK));
  }

  closeFd(fd: number): void {
    this.#library.symbols.close(fd);
  }

  /**
   * What the pipe holds, up to the size of `into`; waits while it is empty. 0 at its end, or when
   * one that does not wait is empty.
   */
  read(fd: number, into: Uint8Array<ArrayBuffer>): number {
    try {
      return this.#again("read", () => this.#library.symbols.read(fd, into, BigInt(into.length)));
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "EAGAIN") return 0;
      throw error;
    }
  }

  /** Writes all of it, waiting while a pipe is full. Throws SystemCallError, such as `EPIPE`. */
  write(fd: number, bytes: Uint8Array<ArrayBuffer>): void {
    for (let rest = bytes; rest.length > 0;) {
      const count = this.#again(
        "write",
        () => this.#library.symbols.write(fd, rest, BigInt(rest.length)),
      );
      rest = rest.subarray(count);
    }
  }

  /**
   * Starts a program by posix_spawn, which unlike fork does not copy the page tables of a large
   * process, and returns its pid. Throws SystemCallError.
   */
  launch(launch: Launch): number {
    const c = this.#library.symbols;
    const actions = new Uint8Array(opaqueBytes);
    c.posix_spawn_file_actions_init(actions);
    try {
      const nullPath = cString("/dev/null");
      for (const fd of [0, 1, 2]) {
        c.posix_spawn_file_actions_addopen(actions, fd, nullPath, O_RDWR, 0);
      }
      launch.fds.forEach((fd, i) => c.posix_spawn_file_actions_adddup2(actions, fd, 3 + i));
      const args = new CStringArray(launch.args);
      const env = new CStringArray(Object.entries(launch.env).map(([k, v]) => `${k}=${v}`));
      const pid = new Int32Array(1);
      const errno = c.posix_spawn(
        pid,
        cString(launch.path),
        actions,
        this.#attributes,
        args.pointers,
        env.pointers,
      );
      if (errno !== 0) throw new SystemCallError("posix_spawn", errnoName(errno));
      // Named here so that neither block of strings is collected before the call.
      if (args.bytes.length + env.bytes.length === 0) throw new RangeError("no arguments");
      return pid[0]!;
    } finally {
      c.posix_spawn_file_actions_destroy(actions);
    }
  }

  /**
   * Becomes the program, in the same process; returns only by throwing SystemCallError. Open
   * descriptors of Deno's are closed by it, and signals have their usual effects again.
   */
  exec(path: string, args: readonly string[], env: Readonly<Record<string, string>>): never {
    const words = new CStringArray(args);
    const variables = new CStringArray(Object.entries(env).map(([k, v]) => `${k}=${v}`));
    // Deno ignores it, and a program that inherits that does not end when nobody reads it.
    this.#library.symbols.signal(SIGPIPE, null);
    const { symbols } = this.#library;
    this.#check("execve", symbols.execve(cString(path), words.pointers, variables.pointers));
    // Named here so that neither block of strings is collected before the call.
    throw new RangeError(`exec of ${words.bytes.length + variables.bytes.length} bytes returned`);
  }

  /** Holds a shared `flock` on the file until this process, and what it becomes, has ended. */
  holdShared(path: string): void {
    const { symbols } = this.#library;
    const fd = this.#check("open", symbols.open(cString(path), O_RDONLY));
    this.#check("flock", symbols.flock(fd, LOCK_SH | LOCK_NB));
  }

  /**
   * A child that has ended; it stays a zombie, and until it is reaped this is always the same one.
   * 0 if there is none.
   */
  endedChild(): number {
    this.#siginfo.setInt32(siPidOffset, 0, true);
    const flags = WEXITED | WNOHANG | WNOWAIT;
    // Fails without any children.
    if (this.#library.symbols.waitid(P_ALL, 0, this.#siginfo, flags) < 0) return 0;
    return this.#siginfo.getInt32(siPidOffset, true);
  }

  /** Whether this child has ended; it stays a zombie, so that its pid and group stay reserved. */
  hasEnded(pid: number): boolean {
    this.#siginfo.setInt32(siPidOffset, 0, true);
    const flags = WEXITED | WNOHANG | WNOWAIT;
    this.#check("waitid", this.#library.symbols.waitid(P_PID, pid, this.#siginfo, flags));
    return this.#siginfo.getInt32(siPidOffset, true) === pid;
  }

  /** Reaps this child if it has ended; null while it runs. `ECHILD` if it is no child of ours. */
  wait(pid: number): Reaped | null {
    const got = this.#library.symbols.wait4(pid, this.#status, WNOHANG, this.#usage);
    if (this.#check("wait4", got) === 0) return null;
    const status = this.#status[0]!;
    // As <sys/wait.h> has it: low seven bits the signal, the next byte the exit code.
    const signal = status & 0x7f;
    return {
      exitCode: signal === 0 ? (status >> 8) & 0xff : 0,
      signal: signal === 0 ? null : signal,
      cpuUserMs: this.#timevalMs(userTimeOffset),
      cpuSystemMs: this.#timevalMs(systemTimeOffset),
      memoryPeakMb: Number(this.#usage.getBigInt64(maxRssKbOffset, true)) / 1024,
    };
  }

  /** Sends SIGKILL to a process, or to a group if negative. False if there is none. */
  kill(pid: number): boolean {
    // 0, 1 and -1 mean this group, init and everything: never what a caller can mean here.
    if (Math.abs(pid) <= 1) throw new RangeError(`Not a process or group to kill: ${pid}`);
    const sigkill = 9;
    if (this.#library.symbols.kill(pid, sigkill) === 0) return true;
    const code = this.#errno();
    // EPERM: what is left there changed its user and is out of reach.
    if (code === "ESRCH" || code === "EPERM") return false;
    throw new SystemCallError("kill", code);
  }

  #timevalMs(offset: number): number {
    return Number(this.#usage.getBigInt64(offset, true)) * 1000 +
      Number(this.#usage.getBigInt64(offset + 8, true)) / 1000;
  }

  /** Calls it again when a signal came in between. */
  #again(call: string, what: () => bigint): number {
    for (;;) {
      const result = Number(what());
      if (result >= 0) return result;
      const code = this.#errno();
      if (code !== "EINTR") throw new SystemCallError(call, code);
    }
  }

  #check(call: string, result: number): number {
    if (result < 0) throw new SystemCallError(call, this.#errno());
    return result;
  }

  #errno(): string {
    const location = this.#library.symbols.__errno_location();
    if (location === null) return "errno unknown";
    return errnoName(new Deno.UnsafePointerView(location).getInt32());
  }
}

const encoder = new TextEncoder();

/** Text with its final NUL. A NUL inside would cut it short unnoticed, so it is refused. */
function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new SystemCallError(`Text with a NUL character (${JSON.stringify(text)})`, "EINVAL");
  }
  return encoder.encode(text + "\0");
}

/** A `char *const []`: one block of strings and the addresses into it, ended by a null pointer. */
class CStringArray {
  readonly pointers: BigUint64Array<ArrayBuffer>;
  /** Holds the bytes alive as long as the pointers. */
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(texts: readonly string[]) {
    const strings = texts.map(cString);
    // From an ArrayBuffer, because V8 may move small arrays that it holds in its own heap.
    this.bytes = new Uint8Array(new ArrayBuffer(strings.reduce((sum, s) => sum + s.length, 1)));
    this.pointers = new BigUint64Array(strings.length + 1);
    const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.bytes));
    let offset = 0;
    strings.forEach((string, i) => {
      this.bytes.set(string, offset);
      this.pointers[i] = base + BigInt(offset);
      offset += string.length;
    });
  }
}
