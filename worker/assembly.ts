/**
 * Files that a manager sends in pieces. What the worker has of them, in files of earlier links and
 * of this one, is copied from there; the rest is asked for. Tasks may have written to those files:
 * each piece is checked as it is read, and one that is not what it was counts as lacking. The whole
 * is checked by its hash before it gets its name in the cache.
 */
import { messageOf } from "../core/errors.ts";
import { areSimilar, type PieceList, pieceName } from "../core/pieces.ts";
import { encodeLacking } from "../core/protocol/pieces.ts";
import type { OfferMessage, WorkerEvent } from "../core/worker/actions.ts";
import { nowhere, Pace, removeIfThere, type Sink } from "../io/files.ts";
import { FileLists, sha256Of } from "../io/hash.ts";
import type { Workspace } from "./workspace.ts";

/** Copied at once; bytes. */
const runBytesMax = 1024 ** 2;

/** Of this link's files so many times the bytes that are wanted are listed to find some of them. */
const listedFactorMax = 4;

/** A file whose pieces may be used. */
export interface Source {
  readonly path: string;
  readonly pieces: PieceList;
}

/** A piece of the file that is put together, and where there may be one like it. */
interface Found {
  readonly source: Source;
  readonly offset: number;
}

/** All that is put together on one link. */
export class Assemblies {
  readonly #open = new Map<string, Assembly>();
  readonly #stop = new AbortController();
  readonly #lists = new FileLists(this.#stop.signal);
  readonly #finishing = new Set<Promise<void>>();
  /** One after the other, since answers come in the order of the offers. */
  #gathering: Promise<void> = Promise.resolve();

  /** @param tell told what the machine is to know */
  constructor(
    private readonly workspace: Workspace,
    private readonly tell: (event: WorkerEvent) => void,
  ) {}

  /** Collects what there is of a file. `refused`: it is not to be put together, for this reason. */
  begin(offer: OfferMessage, refused: string | null): void {
    const { cacheName, pieces } = offer;
    this.forget(cacheName);
    const assembly = new Assembly(offer, this.workspace.partialPath());
    this.#open.set(cacheName, assembly);
    this.#gathering = this.#gathering.then(async () => {
      let lacking: readonly number[] = [];
      try {
        if (refused !== null) throw new Error(refused);
        const sources = await this.#sources(offer.bytes);
        lacking = await assembly.gather(sources, this.#stop.signal);
      } catch (error) {
        await this.#fail(assembly, error);
      }
      if (assembly.isOver) await assembly.remove();
      this.tell({ type: "lacking", cacheName, bits: encodeLacking(pieces, lacking) });
    });
  }

  /** Takes what a file lacks; passes over what nobody asked for. */
  fill(cacheName: string): Sink {
    const assembly = this.#open.get(cacheName);
    if (assembly === undefined) return nowhere;
    return {
      take: (bytes) => assembly.fill(bytes),
      abandon: () => Promise.resolve(), // the link is over, and so is the assembly
      finish: () => {
        this.#later(this.#finish(assembly));
        return null;
      },
    };
  }

  /** Waits for those of the files that are being put together; `null`, or what is wrong. */
  async need(cacheNames: readonly string[]): Promise<string | null> {
    const troubles = await Promise.all(cacheNames.map((name) => this.#open.get(name)?.done));
    return troubles.find((trouble) => trouble !== undefined && trouble !== null) ?? null;
  }

  /** The file is not wanted any more, or comes in another way. */
  forget(cacheName: string): void {
    const assembly = this.#open.get(cacheName);
    if (assembly === undefined) return;
    this.#open.delete(cacheName);
    assembly.end(null);
    this.#later(assembly.remove());
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const name of this.#open.keys()) this.forget(name);
    await this.#gathering;
    await Promise.all(this.#finishing);
  }

  #later(work: Promise<void>): void {
    const tracked = work.finally(() => this.#finishing.delete(tracked));
    this.#finishing.add(tracked);
  }

  /** Files of about this size: those that are listed already, then the newest of this link. */
  async #sources(bytes: number): Promise<Source[]> {
    const { kept, sentPaths } = this.workspace;
    const sources: Source[] = kept.listed.filter(({ pieces }) => areSimilar(pieces.bytes, bytes));
    let left = bytes * listedFactorMax;
    for (const path of sentPaths) {
      try {
        const info = Deno.lstatSync(path);
        if (!info.isFile || !areSimilar(info.size, bytes) || info.size > left) continue;
        left -= info.size;
        sources.push({ path, pieces: (await this.#lists.of(path, info)).pieces });
      } catch {
        // It was unlinked, or the link is over.
      }
    }
    return sources;
  }

  async #finish(assembly: Assembly): Promise<void> {
    const { cacheName } = assembly.offer;
    try {
      if (!await assembly.finish(this.workspace.cachePath(cacheName), this.#stop.signal)) return;
      this.#open.delete(cacheName);
      this.workspace.noteSent(cacheName);
      const wallMs = performance.now() - assembly.startedMs;
      this.tell({ type: "fetched", cacheName, bytes: assembly.offer.bytes, wallMs });
      assembly.end(null);
    } catch (error) {
      await this.#fail(assembly, error);
    }
  }

  async #fail(assembly: Assembly, error: unknown): Promise<void> {
    const { cacheName } = assembly.offer;
    await assembly.remove();
    if (assembly.isOver || this.#stop.signal.aborted) return;
    this.#open.delete(cacheName);
    const why = `cannot put it together from pieces: ${messageOf(error)}`;
    this.workspace.noteLacking(cacheName, why);
    this.tell({ type: "fetch_failed", cacheName, why });
    assembly.end(why);
  }
}

/** One file that is put together. */
class Assembly {
  readonly startedMs = performance.now();
  /** `null`, or why it could not be done. */
  readonly done: Promise<string | null>;
  readonly end: (why: string | null) => void;
  #over = false;
  #file: Deno.FsFile | null = null;
  readonly #pace = new Pace();
  /** Where each piece begins. */
  readonly #offsets: readonly number[];
  /** `null` until it is known; of it so many are there, and of the next so many bytes. */
  #lacking: number[] | null = null;
  #filled = 0;
  #filledBytes = 0;
  #trouble: Error | null = null;

  constructor(readonly offer: OfferMessage, private readonly path: string) {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    this.done = promise;
    this.end = (why) => {
      this.#over = true;
      resolve(why);
    };
    this.#offsets = offsetsOf(offer.pieces);
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Copies what the sources have; returns which pieces they do not. */
  async gather(sources: readonly Source[], signal: AbortSignal): Promise<readonly number[]> {
    const { pieces } = this.offer;
    const found = find(pieces, sources);
    this.#file = await Deno.open(this.path, { write: true, createNew: true, mode: 0o600 });
    const lacking: number[] = [];
    const files = new Map<Source, Deno.FsFile | null>();
    try {
      for (let first = 0; first < pieces.count && !this.#over;) {
        signal.throwIfAborted();
        const from = found[first];
        const behind = endOfRun(found, pieces, first);
        if (from === undefined) {
          lacking.push(first);
        } else {
          if (!files.has(from.source)) files.set(from.source, await openOr(from.source.path));
          const file = files.get(from.source)!;
          lacking.push(...await this.#copy(file, from.offset, first, behind));
        }
        first = behind;
      }
    } finally {
      for (const file of files.values()) file?.close();
    }
    this.#lacking = lacking;
    return lacking;
  }

  /** The next bytes of what it lacks. Failing is kept for the end. */
  async fill(bytes: Uint8Array): Promise<void> {
    try {
      for (let rest = bytes; rest.length > 0 && this.#trouble === null;) {
        rest = rest.subarray(await this.#fillPiece(rest));
      }
    } catch (error) {
      this.#trouble ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Gives it its name, if it is complete and right; `false`: it is not wanted any more. */
  async finish(to: string, signal: AbortSignal): Promise<boolean> {
    if (this.#trouble !== null) throw this.#trouble;
    if (this.#filled !== this.#lacking?.length) {
      throw new Error("the manager did not send what this worker lacked of it");
    }
    this.#close();
    if (await sha256Of(this.path, signal) !== this.offer.sha256) {
      throw new Error("what came of it has another hash");
    }
    if (this.#over) {
      await this.remove();
      return false;
    }
    Deno.chmodSync(this.path, (this.offer.mode & 0o777) | 0o600);
    Deno.renameSync(this.path, to);
    return true;
  }

  async remove(): Promise<void> {
    this.#close();
    await removeIfThere(this.path);
  }

  #close(): void {
    this.#file?.close();
    this.#file = null;
  }

  /** Returns those of the pieces from `first` to `behind` that are not there any more. */
  async #copy(
    file: Deno.FsFile | null,
    offset: number,
    first: number,
    behind: number,
  ): Promise<number[]> {
    const { pieces } = this.offer;
    const begin = this.#offsets[first]!;
    const run = new Uint8Array(this.#offsets[behind]! - begin);
    const there = file === null ? 0 : await readAt(file, offset, run);
    const lacking: number[] = [];
    for (let index = first; index < behind; index++) {
      const [from, to] = [this.#offsets[index]! - begin, this.#offsets[index + 1]! - begin];
      const isRight = to <= there && pieceName(run.subarray(from, to)) === pieces.nameOf(index);
      if (!isRight) lacking.push(index);
    }
    if (lacking.length < behind - first) await this.#writeAt(begin, run);
    return lacking;
  }

  /** Returns how many of the bytes are of the piece that is being filled. */
  async #fillPiece(bytes: Uint8Array): Promise<number> {
    const index = this.#lacking?.[this.#filled];
    if (index === undefined) throw new Error("the manager sent more than this worker lacked of it");
    const left = this.offer.pieces.lengthOf(index) - this.#filledBytes;
    const part = bytes.subarray(0, left);
    await this.#writeAt(this.#offsets[index]! + this.#filledBytes, part);
    this.#filledBytes += part.length;
    if (part.length === left) {
      this.#filled++;
      this.#filledBytes = 0;
    }
    return part.length;
  }

  async #writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#file === null) return; // it is over
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    await this.#pace.writeAll(this.#file, bytes);
  }
}

/** For each piece one like it, where there is one. */
function find(pieces: PieceList, sources: readonly Source[]): (Found | undefined)[] {
  const wanted = new Map<string, number[]>();
  for (let i = 0; i < pieces.count; i++) {
    const name = pieces.nameOf(i);
    const indexes = wanted.get(name);
    if (indexes === undefined) wanted.set(name, [i]);
    else indexes.push(i);
  }
  const found = new Array<Found | undefined>(pieces.count).fill(undefined);
  for (const source of sources) {
    const offsets = offsetsOf(source.pieces);
    for (let i = 0; i < source.pieces.count; i++) {
      for (const index of wanted.get(source.pieces.nameOf(i)) ?? []) {
        found[index] ??= { source, offset: offsets[i]! };
      }
    }
  }
  return found;
}

/** Behind the pieces from `first` on that follow each other in one source as well. */
function endOfRun(
  found: readonly (Found | undefined)[],
  pieces: PieceList,
  first: number,
): number {
  const from = found[first];
  let bytes = pieces.lengthOf(first);
  let behind = first + 1;
  for (; from !== undefined && behind < pieces.count; behind++) {
    const next = found[behind];
    if (next?.source !== from.source || next.offset !== from.offset + bytes) break;
    if (bytes + pieces.lengthOf(behind) > runBytesMax) break;
    bytes += pieces.lengthOf(behind);
  }
  return behind;
}

/** Where each piece begins, and the end of the last. */
function offsetsOf(pieces: PieceList): number[] {
  const offsets = [0];
  for (let i = 0; i < pieces.count; i++) offsets.push(offsets[i]! + pieces.lengthOf(i));
  return offsets;
}

async function openOr(path: string): Promise<Deno.FsFile | null> {
  try {
    return await Deno.open(path);
  } catch {
    return null; // it was taken or unlinked meanwhile
  }
}

/** Returns how many bytes there were. */
async function readAt(file: Deno.FsFile, offset: number, into: Uint8Array): Promise<number> {
  file.seekSync(offset, Deno.SeekMode.Start);
  let done = 0;
  while (done < into.length) {
    const count = await file.read(into.subarray(done));
    if (count === null) break;
    done += count;
  }
  return done;
}
