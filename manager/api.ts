/**
 * The manager that one client owns, over a Unix socket (docs/api.md): frames in, frames out. It lives
 * as long as its client, however that goes.
 */
import { apiVersion, type Frame, FrameDecoder, frameStart, kind } from "../core/api/frames.ts";
import { list, whole } from "../core/api/fields.ts";
import type { ClientResult } from "../core/api/result.ts";
import { Buffers, parseTask } from "../core/api/task.ts";
import { messageOf, PeerProtocolError, RunError, UsageError } from "../core/errors.ts";
import { within } from "../io/clock.ts";
import { ApiJournal, type ApiJournalOptions } from "./api_journal.ts";
import { ClientManager, type ClientManagerOptions } from "./api_manager.ts";
import { Outgoing } from "./api_outgoing.ts";
import { answerRequest } from "./api_requests.ts";
import { ApiSocket } from "./api_socket.ts";

/** Of answers that a client asks for and does not read, beyond which it is not read; bytes. */
const answerBytesMax = 16 * 1024 ** 2;

/** Counts that changed are told so often, and with every frame of results; ms. */
const countsEveryMs = 20;

/** Read at once; bytes. */
const readBytes = 256 * 1024;

/** For a client to take the last frame; ms. */
const farewellMs = 2000;

export interface ApiOptions extends ClientManagerOptions {
  /** Path of the socket. */
  readonly socket: string;
  /** `null`: nothing is kept. */
  readonly journal: ApiJournalOptions | null;
  /** Told once, when the client may connect. */
  readonly listening: (port: number) => void;
  readonly note: (line: string) => void;
  /** Fires when the client is known to be gone, or the manager is to end. */
  readonly gone: AbortSignal;
}

/**
 * Serves one client until it is done or gone. Throws a UsageError or RunError if it cannot begin,
 * and a RunError if the client broke the protocol.
 */
export async function serveApi(options: ApiOptions): Promise<void> {
  const { socket: path, listening, gone } = options;
  await using socket = await ApiSocket.open(path);
  const service = new ApiService(options);
  try {
    await service.open();
    listening(service.port);
    await service.serve(socket, gone);
  } finally {
    await service.close();
  }
}

class ApiService {
  readonly #manager: ClientManager;
  readonly #over = Promise.withResolvers<void>();
  #journal: ApiJournal | null = null;
  #outgoing: Outgoing | null = null;
  #told = "";
  #telling: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly options: ApiOptions) {
    this.#manager = new ClientManager(options, {
      result: (result) => this.#journal === null ? this.#tell(result) : this.#journal.ended(result),
      turned: () => this.#tellSoon(),
      note: options.note,
    });
  }

  /** Throws a UsageError if there can be no journal. */
  async open(): Promise<void> {
    const { journal, note } = this.options;
    if (journal === null) return;
    this.#journal = await ApiJournal.open(journal, {
      note,
      paused: (paused) => this.#manager.hold(paused),
      submit: (submitted) => this.#manager.submit(submitted),
      result: (result) => this.#tell(result),
      failed: (error) => this.#over.reject(this.#brokenBy(error)),
    });
  }

  get port(): number {
    return this.#manager.port;
  }

  /** The first to connect is the client; whoever comes later is told so. */
  async serve(socket: ApiSocket, gone: AbortSignal): Promise<void> {
    const over = this.#over;
    const end = () => over.resolve();
    gone.addEventListener("abort", end, { once: true });
    if (gone.aborted) end();
    let client: Deno.UnixConn | null = null;
    const accepting = (async () => {
      for await (const conn of socket.connections()) {
        if (client === null) {
          client = conn;
          this.#converse(conn).then((greeted) => {
            if (greeted) return end();
            // It only looked whether somebody listens.
            client = null;
            conn.close();
          }).catch(over.reject);
        } else {
          await refuse(conn);
        }
      }
    })();
    try {
      await over.promise;
    } finally {
      gone.removeEventListener("abort", end);
      (client as Deno.UnixConn | null)?.close();
      await socket[Symbol.asyncDispose]();
      await accepting;
    }
  }

  async close(): Promise<void> {
    if (this.#telling !== null) clearTimeout(this.#telling);
    this.#outgoing = null;
    await this.#manager.close(false);
    await this.#journal?.[Symbol.asyncDispose]();
  }

  /** Until the client is done or gone; `false`: it never said that it is one. */
  async #converse(conn: Deno.UnixConn): Promise<boolean> {
    const counts = () => this.#counts();
    const outgoing = new Outgoing(conn, counts, () => this.#noteBacklog());
    this.#outgoing = outgoing;
    try {
      const frames = framesOf(conn);
      if (!await this.#greet(frames, outgoing)) return false;
      for await (const frame of frames) {
        if (await this.#take(frame, outgoing)) break;
        while (outgoing.backlog.answerBytes > answerBytesMax) await outgoing.drained();
      }
      return true;
    } catch (error) {
      throw this.#brokenBy(error);
    } finally {
      await within(farewellMs, outgoing.drained());
    }
  }

  /** What the client did wrong, which it is told; or anything else, as it is. */
  #brokenBy(error: unknown): unknown {
    if (!(error instanceof UsageError || error instanceof PeerProtocolError)) return error;
    const why = `The client broke the protocol of the manager's API: ${error.message}`;
    this.#outgoing?.send(kind.failed, why);
    return new RunError(why);
  }

  async #greet(frames: AsyncGenerator<Frame>, outgoing: Outgoing): Promise<boolean> {
    const first = await frames.next();
    if (first.done) return false;
    if (first.value.kind !== kind.hello) {
      throw new PeerProtocolError("its first frame is no hello");
    }
    const [version] = list("its hello", first.value.value);
    if (whole("its version", version) !== apiVersion) {
      throw new PeerProtocolError(`it speaks version ${version}, and this manager ${apiVersion}`);
    }
    outgoing.send(kind.welcome, {
      api: apiVersion,
      version: this.options.version,
      port: this.port,
      pid: Deno.pid,
      hostname: Deno.hostname(),
      ssl: this.options.serving.tls?.required ?? false,
    });
    return true;
  }

  /** Whether that was the last one. */
  async #take(frame: Frame, outgoing: Outgoing): Promise<boolean> {
    switch (frame.kind) {
      case kind.submit: {
        const buffers = new Buffers(frame.raw);
        for (const task of list("a submit", frame.value)) {
          (this.#journal ?? this.#manager).submit(parseTask(task, buffers));
        }
        buffers.end();
        return false;
      }
      case kind.request:
        return await this.#answer(frame, outgoing);
      default:
        throw new PeerProtocolError(`it sent a frame of kind ${frame.kind}`);
    }
  }

  async #answer({ value, raw, request }: Frame, outgoing: Outgoing): Promise<boolean> {
    const [method, first] = Array.isArray(value) ? value : [];
    // What is asked about tasks is of those that are known to have to run.
    await this.#journal?.settled();
    if (method === "close") {
      await this.#manager.close(first === true);
      await this.#journal?.[Symbol.asyncDispose]();
      this.#journal = null;
      outgoing.send(kind.reply, true, request);
      return true;
    }
    try {
      const answer = method === "forget"
        ? await this.#forget(first)
        : await answerRequest(this.#manager, value, raw);
      if (method === "cancel" || method === "cancel_category") {
        this.#journal?.canceled(answer as readonly number[]);
      }
      outgoing.send(kind.reply, answer, request);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      outgoing.send(kind.refused, error.message, request);
    }
    return false;
  }

  async #forget(ids: unknown): Promise<true> {
    await this.#journal?.forget(list("the ids", ids).map((id) => whole("an id", id)));
    return true;
  }

  #counts(): readonly number[] {
    const [taken = 0, waiting = 0, ...others] = this.#manager.counts;
    const { lookingCount = 0, givenCount = 0 } = this.#journal ?? {};
    const counts = [taken + lookingCount + givenCount, waiting + lookingCount, ...others];
    this.#told = counts.join();
    return counts;
  }

  #tell(result: ClientResult): void {
    this.#outgoing?.result(result);
    this.#noteBacklog();
  }

  #noteBacklog(): void {
    if (this.#outgoing !== null) this.#manager.noteBacklog(this.#outgoing.backlog);
  }

  /** A client that reads nothing has one frame of counts waiting, no more. */
  #tellSoon(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = null;
      const outgoing = this.#outgoing;
      if (outgoing === null || !outgoing.isIdle) return;
      const before = this.#told;
      const counts = this.#counts();
      if (this.#told !== before) outgoing.send(kind.counts, counts);
    }, countsEveryMs);
  }
}

async function* framesOf(conn: Deno.UnixConn): AsyncGenerator<Frame> {
  const decoder = new FrameDecoder();
  const buffer = new Uint8Array(readBytes);
  for (;;) {
    let count: number | null;
    try {
      count = await conn.read(buffer);
    } catch {
      return; // reset, or closed by us
    }
    if (count === null) {
      if (decoder.isWithin) throw new PeerProtocolError("it closed the socket within a frame");
      return;
    }
    decoder.feed(buffer.slice(0, count));
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) yield frame;
  }
}

async function refuse(conn: Deno.UnixConn): Promise<void> {
  const why = "This manager has a client already: start another one";
  // It may have left before it heard.
  await within(farewellMs, conn.write(frameStart(kind.failed, why)).catch(() => {}));
  try {
    conn.close();
  } catch (error) {
    throw new RunError(messageOf(error));
  }
}
