/** A real XRootD server on loopback, and what stands between it and a client when things go wrong. */
import { join } from "node:path";
import { findProgram } from "../../io/programs.ts";
import { until } from "./until.ts";

const searchPath = Deno.env.get("PATH") ?? "";
const has = (name: string) => "path" in findProgram(name, searchPath);

/** Whether servers can be started here, and the client is there; and what would do. */
export const xrootdHere = ["xrootd", "xrdcp", "setpriv"].every(has);
export const xrootdReason = "apt-get install xrootd-server xrootd-client";

/** As whom servers run where tests are run by root, which XRootD refuses: nobody of Debian. */
export const nobody = 65534;

export interface XrootdServerOptions {
  /** Further lines of its configuration. */
  readonly config?: readonly string[];
  readonly port?: number;
}

/** Serves a folder of its own, in which tests put files. */
export class XrootdServer implements AsyncDisposable {
  #process: Deno.ChildProcess | null = null;
  #port = 0;

  private constructor(
    /** Of what it serves. */
    readonly folder: string,
    private readonly base: string,
    private readonly config: readonly string[],
  ) {}

  static async start(
    files: readonly string[],
    { config = [] }: XrootdServerOptions = {},
  ): Promise<XrootdServer> {
    // Not in TMPDIR, into which another user may not look.
    const base = await Deno.makeTempDir({ dir: "/tmp", prefix: "wqx-xrootd-" });
    const folder = join(base, "data");
    await Deno.chmod(base, 0o755);
    for (const path of [folder, join(base, "run")]) {
      await Deno.mkdir(path);
      if (Deno.uid() === 0) await Deno.chown(path, nobody, nobody);
    }
    for (const path of files) await Deno.copyFile(path, join(folder, path.replace(/.*\//, "")));
    const server = new XrootdServer(folder, base, config);
    try {
      await server.start();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** `root://127.0.0.1:PORT//NAME`. */
  url(name: string, port = this.#port): string {
    return `root://127.0.0.1:${port}//${name}`;
  }

  /** Again at the same port, if it has run before. */
  async start(): Promise<void> {
    const { base } = this;
    const run = join(base, "run"), config = join(base, "xrootd.cfg"), log = join(run, "t/log");
    await Deno.writeTextFile(
      config,
      [
        "all.export /",
        `oss.localroot ${this.folder}`,
        `all.adminpath ${run}`,
        `all.pidpath ${run}`,
        `xrd.port ${this.#port || "any"}`,
        "xrd.network nodnr",
        ...this.config,
        "",
      ].join("\n"),
    );
    await Deno.remove(log).catch(() => {});
    const command = ["xrootd", "-c", config, "-n", "t", "-l", join(run, "log")];
    const drop = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
    const [program = "", ...args] = Deno.uid() === 0 ? [...drop, ...command] : command;
    let ended = false;
    this.#process = new Deno.Command(program, {
      args,
      cwd: run,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    void this.#process.status.then(() => ended = true);
    await until(() => {
      const said = readIfThere(log);
      const [, port] = /xrootd \S+:(\d+) initialization completed/.exec(said) ?? [];
      if (ended) throw new Error(`xrootd ended: ${said}`);
      if (port !== undefined) this.#port = Number(port);
      return port !== undefined;
    }, { what: "the start of xrootd" });
  }

  /** At once, as when its machine loses power. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null) return;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.base, { recursive: true });
  }
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Passes bytes between clients and a port, until it is told to do worse. */
export class TroubledWire implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work: Promise<unknown>[] = [];
  /** What clients were sent so far. */
  bytes = 0;
  #cutAt = Infinity;
  #silentAt = Infinity;
  /** Clients that came while nobody listened. */
  refused = 0;

  constructor(private readonly target: number) {
    this.#work.push(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Cuts all connections once, when so many more bytes have come. */
  cutAfter(bytes: number): void {
    this.#cutAt = this.bytes + bytes;
  }

  /** From so many more bytes on, says nothing any more. */
  silentAfter(bytes: number): void {
    this.#silentAt = this.bytes + bytes;
  }

  speak(): void {
    this.#silentAt = Infinity;
  }

  get cut(): boolean {
    return this.#cutAt === Infinity;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#closeAll();
    await Promise.allSettled(this.#work);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.target })
        .catch(() => null);
      if (server === null) {
        this.refused++;
        client.close();
        continue;
      }
      this.#connections.add(client).add(server);
      const up = this.#pass(client, server, false), down = this.#pass(server, client, true);
      this.#work.push(Promise.allSettled([up, down]));
    }
  }

  async #pass(from: Deno.TcpConn, to: Deno.TcpConn, counted: boolean): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let count; (count = await from.read(buffer)) !== null;) {
        if (counted) this.bytes += count;
        if (this.bytes > this.#silentAt) continue;
        if (this.bytes > this.#cutAt) {
          this.#cutAt = Infinity;
          return this.#closeAll();
        }
        for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      }
    } catch {
      // Cut by the other direction.
    } finally {
      for (const connection of [from, to]) this.#close(connection);
    }
  }

  #closeAll(): void {
    for (const connection of this.#connections) this.#close(connection);
  }

  #close(connection: Deno.TcpConn): void {
    if (!this.#connections.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // The other end was faster.
    }
  }
}
