/** Random messages of both directions, as far as wqx may send them. */
import fc from "fast-check";
import type { TaskBlock, ToManager, ToWorker } from "../../core/protocol/messages.ts";

/** One message, and the payload that it announces. */
export interface Sent<M> {
  readonly message: M;
  readonly payload: Uint8Array | null;
}

/** Plain objects, as the decoder makes them. */
function record<T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

// A mark of byte order at the start of a text is lost.
const text = fc.string({ unit: "binary", maxLength: 60 }).filter((s) => !s.startsWith("\ufeff"));
const word = fc.stringMatching(/^[!-~]{1,20}$/);
const plainName = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/).filter((s) => !/^\.{1,2}$/.test(s));
const anyCacheName = text.filter((s) => !/^\.{0,2}$|[/\0]/.test(s));
const sandboxName = fc.array(anyCacheName, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));
/** One line: as it is read again, without white space at its start. */
const restOfLine = fc.string({ unit: "binary", minLength: 1, maxLength: 60 })
  .filter((s) => !/^[ \t\ufeff]|[\0\r\n\u2028\u2029]/.test(s));
const count = fc.nat({ max: 2 ** 40 });
const id = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const payload = fc.uint8Array({ maxLength: 50 });

const taskFile = record({ cacheName: plainName, sandboxName, flags: fc.nat({ max: 127 }) });

export const anyTask: fc.Arbitrary<TaskBlock> = record({
  type: fc.constant("task" as const),
  taskId: id,
  command: text,
  category: word,
  cores: fc.nat({ max: 1_000_000 }).map((n) => n / 1000),
  gpus: fc.nat({ max: 64 }),
  memoryMb: count,
  diskMb: count,
  env: fc.array(text.filter((s) => !s.endsWith("\n")), { maxLength: 4 }),
  inputs: fc.array(taskFile, { maxLength: 4 }),
  outputs: fc.array(taskFile, { maxLength: 4 }),
});

function bare<M>(message: fc.Arbitrary<M>): fc.Arbitrary<Sent<M>> {
  return message.map((message) => ({ message, payload: null }));
}

function withPayload<M extends { readonly length: number }>(
  fields: fc.Arbitrary<Omit<M, "length">>,
): fc.Arbitrary<Sent<M>> {
  return fc.tuple(fields, payload).map(([rest, bytes]) => ({
    message: { ...rest, length: bytes.length } as unknown as M,
    payload: bytes,
  }));
}

type OfType<M, T> = Extract<M, { readonly type: T }>;
type Bare = OfType<ToWorker, "send_results" | "check" | "release" | "exit" | "auth">;

export const anyToWorker: fc.Arbitrary<Sent<ToWorker>> = fc.oneof(
  withPayload<OfType<ToWorker, "put">>(record({
    type: fc.constant("put" as const),
    cacheName: anyCacheName,
    mode: fc.nat({ max: 0o7777 }),
  })),
  bare(anyTask),
  bare<ToWorker>(record({
    type: fc.constantFrom("get" as const, "unlink" as const),
    cacheName: plainName,
  })),
  bare<ToWorker>(record({
    type: fc.constant("kill" as const),
    taskId: fc.oneof(id, fc.constant(-1)),
  })),
  bare<ToWorker>(record({
    type: fc.constantFrom<Bare["type"]>("send_results", "check", "release", "exit", "auth"),
  })),
);

export const anyToManager: fc.Arbitrary<Sent<ToManager>> = fc.oneof(
  bare<ToManager>(record({
    type: fc.constant("workqueue" as const),
    protocol: fc.nat({ max: 20 }),
    hostname: word,
    os: word,
    arch: word,
    version: word,
  })),
  bare<ToManager>(record({
    type: fc.constant("info" as const),
    key: word,
    value: restOfLine,
  })),
  bare<ToManager>(record({
    type: fc.constant("feature" as const),
    name: text.filter((s) => s !== ""),
  })),
  bare<ToManager>(record({
    type: fc.constant("resource" as const),
    name: fc.oneof(word, fc.constantFrom("cores", "memory")).filter((name) => name !== "tag"),
    total: count,
    smallest: count,
    largest: count,
  })),
  bare<ToManager>(record({
    type: fc.constant("resource tag" as const),
    tag: fc.integer({ min: -1 }),
  })),
  bare<ToManager>(record({
    type: fc.constantFrom(
      "alive" as const,
      "name" as const,
      "available_results" as const,
      "end" as const,
    ),
  })),
  withPayload<OfType<ToManager, "result">>(record({
    type: fc.constant("result" as const),
    status: fc.nat({ max: 100 }),
    exitCode: fc.integer({ min: -255, max: 255 }),
    wallUs: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    taskId: id,
  })),
  withPayload<OfType<ToManager, "file">>(record({
    type: fc.constant("file" as const),
    path: restOfLine,
  })),
  bare<ToManager>(record({
    type: fc.constant("missing" as const),
    path: restOfLine,
    errno: fc.nat({ max: 200 }),
  })),
);
