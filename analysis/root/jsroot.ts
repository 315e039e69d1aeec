/**
 * The one door to jsroot: the part of it that wqx uses, typed, and kept from writing to the console.
 * jsroot knows the file format (keys, streamer infos, trees, basket headers). The bytes come from
 * our own source, and baskets are decoded in bulk (decode.ts): its callback per event costs more
 * than everything else together.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { zstdDecompressSync } from "node:zlib";
import * as jsrootCore from "jsroot/core";
import * as jsrootIo from "jsroot/io";

/** A named object in a file; field names as in ROOT's TKey. */
export interface Key {
  readonly fName: string;
  readonly fClassName: string;
  readonly fCycle: number;
  /** Where the key starts in the file; the object follows `fKeylen` bytes later. */
  readonly fSeekKey: number;
  /** Of key and (compressed) object together. */
  readonly fNbytes: number;
  readonly fKeylen: number;
  /** Of the object once unpacked. */
  readonly fObjlen: number;
}

export interface Directory {
  readonly fKeys: readonly Key[];
}

export interface RootFile extends Directory {
  getKey(name: string): Promise<Key>;
  readDirectory(name: string): Promise<Directory>;
}

/** A TBasket's header; `fBufferRef` is there if the basket is stored inside the tree itself. */
export interface BasketHeader {
  readonly fNbytes: number;
  readonly fObjlen: number;
  readonly fKeylen: number;
  readonly fNevBuf: number;
  /** One past the last byte of the values, counted from the start of the key. */
  readonly fLast: number;
  readonly fEntryOffset?: Int32Array;
  readonly fBufferRef?: { readonly arr: DataView | null };
}

export interface Leaf {
  readonly _typename: string;
  readonly fName: string;
  /** Values an event, or, with `fLeafCount`, for each that is counted. */
  readonly fLen: number;
  readonly fIsUnsigned: boolean;
  readonly fLeafCount: Leaf | null;
}

export interface Branch {
  readonly _typename: string;
  readonly fName: string;
  readonly fEntries: number;
  /** Baskets written to the file; one more may be inside the tree (`fBaskets`). */
  readonly fWriteBasket: number;
  readonly fBasketEntry: readonly number[];
  readonly fBasketSeek: readonly number[];
  readonly fBasketBytes: Int32Array;
  readonly fBaskets: { readonly arr: readonly (BasketHeader | null | undefined)[] };
  readonly fLeaves: { readonly arr: readonly Leaf[] };
  readonly fBranches: { readonly arr: readonly Branch[] };
  /** Another file that holds the baskets; "" for this one. */
  readonly fFileName: string;
  /** Bit 1: entry offsets are not stored, but to be made from the counts (kGenerateOffsetMap). */
  readonly fIOFeatures?: { readonly fIOBits: number };
  // Of TBranchElement only:
  readonly fClassName?: string;
  readonly fStreamerType?: number;
  readonly fType?: number;
  readonly fBranchCount?: Branch | null;
}

export interface Tree {
  readonly fEntries: number;
  readonly fBranches: { readonly arr: readonly Branch[] };
}

interface Buffer {
  fTagOffset: number;
  mapObject(tag: number, object: object): void;
  classStreamer<T extends object>(object: T, className: string): T;
}

interface Jsroot {
  openFile(proxy: object): Promise<RootFile>;
  readonly FileProxy: new () => object;
  readonly TBuffer: new (data: DataView, position: number, file: RootFile) => Buffer;
  R__unzip(data: DataView, size: number, quiet: boolean): Promise<DataView | null>;
}

// Its declaration files say nothing; these are the shapes seen in version 7.11.2.
const jsroot = jsrootIo as unknown as Jsroot;
const { internals } = jsrootCore as unknown as {
  internals: { _ZstdStream?: { decompress(bytes: Uint8Array): Uint8Array } };
};
// jsroot would load a WebAssembly zstd, which takes a second to start.
internals._ZstdStream = { decompress: (bytes) => zstdDecompressSync(bytes) };

const hushed = new AsyncLocalStorage<true>();
const noisy = ["log", "info", "warn", "error"] as const;
let quietCalls = 0;
let unhush = () => {};

/** Runs `body`, dropping what it (and nothing else that runs meanwhile) says on the console. */
async function quietly<T>(body: () => Promise<T> | T): Promise<T> {
  if (quietCalls++ === 0) unhush = hush();
  try {
    return await hushed.run(true, async () => await body());
  } finally {
    if (--quietCalls === 0) unhush();
  }
}

function hush(): () => void {
  const { console } = globalThis;
  const restore = noisy.map((name) => {
    const original = console[name];
    console[name] = (...args: unknown[]) => {
      if (hushed.getStore() !== true) original.apply(console, args);
    };
    return () => void (console[name] = original);
  });
  return () => restore.forEach((undo) => undo());
}

/** Reads header, keys and streamer infos of a file; `read` hands out its bytes, by range. */
export function openFile(
  name: string,
  size: number,
  read: (ranges: readonly { start: number; bytes: number }[]) => Promise<Uint8Array[]>,
): Promise<RootFile> {
  const proxy = Object.assign(new jsroot.FileProxy(), {
    openFile: () => Promise.resolve(true),
    getFileName: () => name,
    getFileSize: () => size,
    // Position and length by turns.
    readBuffers: async (places: readonly number[]) => {
      const ranges = [];
      for (let i = 0; i < places.length; i += 2) {
        ranges.push({ start: places[i]!, bytes: places[i + 1]! });
      }
      return (await read(ranges)).map(viewOf);
    },
  });
  return quietly(() => jsroot.openFile(proxy));
}

/** The key of that name and highest cycle, in subfolders too (`folder/name`); null without one. */
export function findKey(file: RootFile, name: string): Promise<Key | null> {
  return quietly(() =>
    file.getKey(name).catch((error: unknown) => {
      if (error instanceof Error && error.message.startsWith("Key not found")) return null;
      throw error;
    })
  );
}

/** Paths of all keys of the file, subfolders included. */
export function listKeys(file: RootFile): Promise<{ path: string; className: string }[]> {
  const folderDepthMax = 8; // deeper ones are not looked into: the list is for an error message
  async function walk(directory: Directory, prefix: string, depth: number) {
    const found: { path: string; className: string }[] = [];
    for (const key of directory.fKeys) {
      const path = prefix + key.fName;
      found.push({ path, className: key.fClassName });
      if (key.fClassName.startsWith("TDirectory") && depth < folderDepthMax) {
        found.push(...await walk(await file.readDirectory(path), `${path}/`, depth + 1));
      }
    }
    return found;
  }
  return quietly(() => walk(file, "", 0));
}

/** The object of a key, from its unpacked bytes. Throws whatever jsroot throws if they are bad. */
export function streamObject(file: RootFile, key: Key, payload: Uint8Array): Promise<object> {
  return quietly(() => {
    const buffer = new jsroot.TBuffer(viewOf(payload), 0, file);
    // References inside count from the start of the key, and 1 is the object itself.
    buffer.fTagOffset = key.fKeylen;
    const object = {};
    buffer.mapObject(1, object);
    return buffer.classStreamer(object, key.fClassName);
  });
}

/** The header of a basket, from its bytes in the file. Throws RangeError if they are too few. */
export function basketHeader(file: RootFile, bytes: Uint8Array): BasketHeader {
  return new jsroot.TBuffer(viewOf(bytes), 0, file).classStreamer({}, "TBasket") as BasketHeader;
}

/** Unpacks one compressed block, its 9-byte header included; null if it cannot. */
export async function unzip(block: Uint8Array, size: number): Promise<Uint8Array | null> {
  const view = await jsroot.R__unzip(viewOf(block), size, true);
  return view && new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
