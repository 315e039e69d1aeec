/** Random messages of both directions, as far as wqx may send them. */
import fc from "fast-check";
import {
  type CachePlace,
  type Dialect,
  protocolsSpoken,
  type TaskBlock,
  type ToManager,
  type ToWorker,
} from "../../core/protocol/messages.ts";

import { entryBytes, pieceBytesMax, PieceList } from "../../core/pieces.ts";
import { anyText } from "./texts.ts";

/** One message, and the payload that it announces. */
export interface Sent<M> {
  readonly message: M;
  readonly payload: Uint8Array | null;
}

/** Plain objects, as the decoder makes them. */
function record<T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const text = anyText({ maxLength: 60 });
const word = fc.stringMatching(/^[!-~]{1,20}$/);
const plainName = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/).filter((s) => !/^\.{1,2}$/.test(s));
const anyCacheName = text.filter((s) => !/^\.{0,2}$|[/\0]/.test(s));
const path = fc.array(anyCacheName, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
/** One line: as it is read again, without white space at its start. */
const restOfLine = anyText({ minLength: 1, maxLength: 60 })
  .filter((s) => !/^[ \t]|[\0\r\n]/.test(s));
const count = fc.nat({ max: 2 ** 40 });
const id = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const payload = fc.uint8Array({ maxLength: 50 });
const mode = fc.nat({ max: 0o7777 });
/** What has to survive as a body that NUL bytes may end. */
const target = text.filter((s) => s !== "" && !s.includes("\0"));

const taskFile = record({ cacheName: plainName, sandboxName: path, flags: fc.nat({ max: 127 }) });

/** Whole seconds after the year 2001, since older managers count microseconds. */
const endTimeMs = fc.integer({ min: 10 ** 9, max: 10 ** 11 }).map((seconds) => seconds * 1000);

export const anyTask: fc.Arbitrary<TaskBlock> = record({
  type: fc.constant("task" as const),
  taskId: id,
  command: text,
  category: word,
  cores: fc.nat({ max: 1_000_000 }).map((n) => n / 1000),
  gpus: fc.nat({ max: 64 }),
  memoryMb: count,
  diskMb: count,
  endTimeMs: fc.option(endTimeMs),
  wallTimeMs: fc.option(count),
  env: fc.array(text, { maxLength: 4 }),
  inputs: fc.array(taskFile, { maxLength: 4 }),
  directories: fc.array(path.filter((s) => !/[\s\0]/.test(s)), { maxLength: 3 }),
  outputs: fc.array(taskFile, { maxLength: 4 }),
});

export const anyDialect: fc.Arbitrary<Dialect> = record({
  protocol: fc.constantFrom(...protocolsSpoken),
  endTimeInSeconds: fc.boolean(),
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

/** What lies in a directory. */
type Tree = readonly { readonly name: string; readonly what: Leaf | Tree }[];
type Leaf = { readonly file: Uint8Array; readonly mode: number } | { readonly target: string };

const { tree } = fc.letrec<{ tree: Tree; node: Leaf | Tree }>((tie) => ({
  tree: fc.array(fc.record({ name: anyCacheName, what: tie("node") }), { maxLength: 3 }),
  node: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ file: payload, mode }),
    fc.record({ target }),
    tie("tree"),
  ),
}));

function sentTree(place: CachePlace, tree: Tree): Sent<ToWorker>[] {
  const { cacheName } = place;
  return [
    { message: { type: "dir", ...place }, payload: null },
    ...tree.flatMap(({ name, what }): Sent<ToWorker>[] => {
      const inside = place.inside === "" ? name : `${place.inside}/${name}`;
      if (!("file" in what) && !("target" in what)) return sentTree({ cacheName, inside }, what);
      if ("target" in what) {
        return [{ message: { type: "symlink", cacheName, inside, ...what }, payload: null }];
      }
      const { file, mode } = what;
      const message = { type: "put", cacheName, inside, length: file.length, mode } as const;
      return [{ message, payload: file }];
    }),
    { message: { type: "dir_end", ...place }, payload: null },
  ];
}

/** A directory with all that is in it. */
export const anyDirectory: fc.Arbitrary<Sent<ToWorker>[]> = fc.tuple(anyCacheName, tree)
  .map(([cacheName, tree]) => sentTree({ cacheName, inside: "" }, tree));

const fetched = record<OfType<ToWorker, "fetch">>({
  type: fc.constant("fetch" as const),
  from: fc.constantFrom("url" as const, "command" as const),
  source: target,
  cacheName: anyCacheName,
  mode,
});

const taken = record<OfType<ToWorker, "fetch">>({
  type: fc.constant("fetch" as const),
  from: fc.constant("kept" as const),
  source: fc.stringMatching(/^[0-9a-f]{64}$/),
  cacheName: anyCacheName,
  mode,
});

const offered = fc.tuple(
  fc.stringMatching(/^[0-9a-f]{64}$/),
  anyCacheName,
  mode,
  fc.array(fc.tuple(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.integer({ min: 1, max: pieceBytesMax }),
  )),
).map(([sha256, cacheName, mode, list]): OfType<ToWorker, "offer"> => {
  const entries = new Uint8Array(list.length * entryBytes);
  const view = new DataView(entries.buffer);
  for (const [i, [name, length]] of list.entries()) {
    entries.set(name, i * entryBytes);
    view.setUint32((i + 1) * entryBytes - 4, length);
  }
  const pieces = new PieceList(entries);
  return { type: "offer", cacheName, mode, sha256, bytes: pieces.bytes, pieces };
});

const alone: fc.Arbitrary<Sent<ToWorker>> = fc.oneof(
  bare<ToWorker>(offered),
  withPayload<OfType<ToWorker, "fill">>(record({
    type: fc.constant("fill" as const),
    cacheName: anyCacheName,
  })),
  withPayload<OfType<ToWorker, "put">>(record({
    type: fc.constant("put" as const),
    cacheName: anyCacheName,
    inside: fc.constant(""),
    mode,
  })),
  bare(anyTask),
  bare<ToWorker>(fetched),
  bare<ToWorker>(taken),
  bare<ToWorker>(record({
    type: fc.constant("thirdput" as const),
    to: fc.constantFrom("command" as const, "path" as const),
    target: restOfLine,
    cacheName: plainName,
  })),
  bare<ToWorker>(record({
    type: fc.constantFrom("get" as const, "unlink" as const),
    cacheName: plainName,
  })),
  bare<ToWorker>(record({
    type: fc.constant("invalidate-file" as const),
    cacheName: plainName,
  })),
  bare<ToWorker>(record({ type: fc.constant("tlq" as const), url: word })),
  bare<ToWorker>(record({
    type: fc.constant("kill" as const),
    taskId: fc.oneof(id, fc.constant(-1)),
  })),
  bare<ToWorker>(record({
    type: fc.constantFrom<Bare["type"]>("send_results", "check", "release", "exit", "auth"),
  })),
);

/** A message, or a directory as the messages that it takes. */
export const anyToWorker: fc.Arbitrary<Sent<ToWorker>[]> = fc.oneof(
  { weight: 4, arbitrary: alone.map((one) => [one]) },
  { weight: 1, arbitrary: anyDirectory },
);

/** Sources as workers of protocols 8 to 10 are told of them. */
export const anyOldFetch: fc.Arbitrary<OfType<ToWorker, "fetch">> = fc.oneof(
  record<OfType<ToWorker, "fetch">>({
    type: fc.constant("fetch" as const),
    from: fc.constant("url" as const),
    source: target,
    cacheName: plainName,
    mode,
  }),
  record<OfType<ToWorker, "fetch">>({
    type: fc.constant("fetch" as const),
    from: fc.constantFrom("command" as const, "path" as const),
    source: restOfLine,
    cacheName: plainName,
    mode: fc.constant(0o777),
  }),
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
      "auth" as const,
    ),
  })),
  bare<ToManager>(record({ type: fc.constant("tlq" as const), url: word })),
  withPayload<OfType<ToManager, "result">>(record({
    type: fc.constant("result" as const),
    status: fc.nat({ max: 100 }),
    exitCode: fc.integer({ min: -255, max: 255 }),
    wallUs: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    taskId: id,
  })),
  withPayload<OfType<ToManager, "update">>(record({
    type: fc.constant("update" as const),
    taskId: id,
    path: path.filter((s) => !/[\s\0]/.test(s)),
    offset: count,
  })),
  withPayload<OfType<ToManager, "file">>(record({
    type: fc.constant("file" as const),
    path: restOfLine,
  })),
  bare<ToManager>(record({ type: fc.constant("dir" as const), path: restOfLine })),
  bare<ToManager>(record({
    type: fc.constant("missing" as const),
    path: restOfLine,
    errno: fc.nat({ max: 200 }),
  })),
  bare<ToManager>(record({
    type: fc.constant("cache-update" as const),
    cacheName: plainName,
    bytes: count,
    wallUs: count,
  })),
  withPayload<OfType<ToManager, "cache-invalid">>(record({
    type: fc.constant("cache-invalid" as const),
    cacheName: plainName,
  })),
  withPayload<OfType<ToManager, "lacks">>(record({
    type: fc.constant("lacks" as const),
    cacheName: plainName,
  })),
  bare<ToManager>(record({
    type: fc.constant("thirdput-complete" as const),
    value: fc.nat({ max: 1 }),
  })),
  bare<ToManager>(record({
    type: fc.constant("status" as const),
    request: fc.stringMatching(/^[a-z]{1,10}_status$/),
  })),
);
