/** A bare connection to the API of a manager, for tests of what no good client would send. */
import { type Frame, FrameDecoder, frameStart, kind } from "../../core/api/frames.ts";
import type { TestBed, Wqx } from "./wqx.ts";

/** `wqx manager --api`, started and listening. */
export async function startApi(
  bed: TestBed,
  name = "api",
  args: readonly string[] = [],
): Promise<{ manager: Wqx; socket: string; port: number }> {
  const socket = `${bed.folder.path}/${name}/s`;
  const manager = bed.start(["manager", "--api", socket, ...args], { stdin: "piped" });
  const [, port] = await manager.says(/"type":"listening".*"port":(\d+)/);
  return { manager, socket, port: Number(port) };
}

export class ApiLink implements Disposable {
  readonly #decoder = new FrameDecoder();

  private constructor(readonly conn: Deno.UnixConn) {}

  static async connect(path: string): Promise<ApiLink> {
    return new ApiLink(await Deno.connect({ transport: "unix", path }));
  }

  /** Connects, greets, and hears the manager's hello. */
  static async greet(path: string): Promise<ApiLink> {
    const link = await ApiLink.connect(path);
    await link.send(frameStart(kind.hello, [1, "test"]));
    await link.receive();
    return link;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  async submit(...tasks: readonly unknown[]): Promise<void> {
    await this.send(frameStart(kind.submit, tasks));
  }

  /** `null`: the manager closed the socket. */
  async receive(): Promise<Frame | null> {
    for (;;) {
      const frame = this.#decoder.next();
      if (frame !== null) return frame;
      const buffer = new Uint8Array(65_536);
      const count = await this.conn.read(buffer).catch(() => null);
      if (count === null) return null;
      this.#decoder.feed(buffer.subarray(0, count));
    }
  }

  /** The next frame of this kind. */
  async await(which: number): Promise<Frame | null> {
    for (;;) {
      const frame = await this.receive();
      if (frame === null || frame.kind === which) return frame;
    }
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}
