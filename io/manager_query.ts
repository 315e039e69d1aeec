/** Asking a manager on its own port how it does: one line, answered by a list of records. */
import { Buffer } from "node:buffer";
import { lookup } from "node:dns/promises";
import type { Address } from "../core/addresses.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { parseJxValue } from "../core/jx/parse.ts";
import { isJxArray, isJxObject, type JxObject } from "../core/jx/value.ts";
import type { ExplainQuestion, ManagerQuestion } from "../core/status/questions.ts";
import { connectTcp, type IpMode } from "./connect.ts";
import { Deadline } from "./deadline.ts";
import { authenticate } from "./handshake.ts";
import type { Link } from "./link.ts";

export interface ManagerQueryOptions {
  readonly tls: boolean;
  /** Under TLS, of the only key that will do. */
  readonly pin?: string | undefined;
  /** The content of the password file. */
  readonly password: Uint8Array | null;
  /** For all of it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly ipMode?: IpMode;
}

/** An answer about a million tasks is shorter. */
const answerBytesMax = 1024 ** 3;

/**
 * The records of the answer. Throws a RunError in the words of Work Queue's status, and the reason
 * of `signal` if that broke it off.
 */
export async function askManager(
  address: Address,
  question: ManagerQuestion | ExplainQuestion,
  options: ManagerQueryOptions,
): Promise<readonly JxObject[]> {
  const { tls, pin, password, timeoutMs, ipMode = "AUTO" } = options;
  const { host, port } = address;
  const place = `${host} port ${port}`;
  using deadline = new Deadline(timeoutMs, options.signal);
  const { signal } = deadline;
  /** The sentence for what went wrong in a step; what was late or broken off says so better. */
  const step = async <T>(doing: Promise<T>, sentence: (why: string) => string): Promise<T> => {
    try {
      return await doing;
    } catch (error) {
      options.signal.throwIfAborted();
      const why = messageOf(signal.aborted ? signal.reason : error);
      throw new RunError(sentence(why), { cause: error });
    }
  };
  await step(lookup(host), () => `couldn't find address of ${host}`);
  const connecting = connectTcp(address, { ipMode, connectMs: timeoutMs, signal });
  using link = await step(connecting, (why) => `couldn't connect to ${place}: ${why}`);
  const patience = { deadlineMs: timeoutMs, signal };
  if (tls) {
    const starting = link.startTls({ role: "client", host, pin }, patience);
    await step(starting, (why) => `could not setup ssl connection. (${place}: ${why})`);
  }
  const unread = (why: string) => `couldn't read from ${place}: ${why}`;
  const ahead = password === null
    ? undefined
    : await step(authenticate(link, password, { role: "worker", ...patience }), unread);
  const answered = converse(link, question, ahead);
  return await step(link.inTime(answered, "the answer", patience), unread);
}

/** The answer ends where the connection does. */
async function converse(
  link: Link,
  question: ManagerQuestion | ExplainQuestion,
  ahead: Uint8Array | undefined,
): Promise<readonly JxObject[]> {
  await link.write(new TextEncoder().encode(`${question}\n`));
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of link.received(ahead)) {
    pieces.push(piece.slice()); // it is only good until the next one
    bytes += piece.length;
    if (bytes > answerBytesMax) throw new Error("the answer is too long");
  }
  if (bytes === 0) throw new Error("it closed the connection; does it expect a password, or TLS?");
  const answer = parseJxValue(new TextDecoder().decode(Buffer.concat(pieces)));
  if (!isJxArray(answer)) throw new Error("the answer is not a list of records");
  return answer.filter(isJxObject);
}
