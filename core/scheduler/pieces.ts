/**
 * Files that go to a worker in pieces, of which it has some in files of before. They are offered
 * where something may be gained: the worker knows of it, and has a file of about that size. The
 * rest of the talk is as with files that it is told to take: if nothing comes of it, the tasks that
 * needed the file are not at fault, and it is sent whole.
 */
import { PeerProtocolError } from "../errors.ts";
import type { TaskId } from "../ids.ts";
import { areSimilar, type PieceList } from "../pieces.ts";
import { lackingBytes, parseLacking, piecedBytesMax, piecedBytesMin } from "../protocol/pieces.ts";
import type { SchedulerState } from "./state.ts";
import type { WorkerState } from "./workers.ts";

/** A file that a worker was told the pieces of. */
export interface Offer {
  readonly cacheName: string;
  /** Where the manager has it. */
  readonly path: string;
  readonly pieces: PieceList;
  /** The task that it is an input of. */
  readonly id: TaskId;
}

/** Of a worker that takes files in pieces. */
export interface PieceTalk {
  /** Sizes in bytes of files that it has or had, the newest last. */
  readonly sizes: number[];
  /** Not answered yet, in order. */
  readonly offers: Offer[];
  /** By cached name the newest, until it is known what came of it or the worker is to forget it. */
  readonly current: Map<string, Offer>;
  /** Cached names of files that it could not take or put together. */
  readonly whole: Set<string>;
  /** Offers in a row of which it lacked about everything. */
  vain: number;
  /** Of large bodies that were sent to it. */
  readonly sent: { bytes: number; ms: number };
}

/** Sizes that are remembered. */
const sizesMax = 64;

/** After so many offers in vain files of this worker are not like each other: a list costs a hash. */
const vainMax = 3;

/** Part of the bytes; a worker that lacks more has gained nothing. */
const vainShare = 3 / 4;

/**
 * A link that is faster than this brings a file sooner than its pieces are listed, copied and
 * hashed, which takes 5 s a GB; bytes a ms.
 */
const fastRate = 200_000;

export function newTalk(): PieceTalk {
  return {
    sizes: [],
    offers: [],
    current: new Map(),
    whole: new Set(),
    vain: 0,
    sent: { bytes: 0, ms: 0 },
  };
}

/** A body has left for the worker. */
export function noteRate({ pieces }: WorkerState, bytes: number, ms: number): void {
  if (pieces === null || bytes < piecedBytesMin) return;
  pieces.sent.bytes += bytes;
  pieces.sent.ms += ms;
}

/** Whether whole files go to it as fast as pieces could; `false` while that is not known. */
export function isFast({ pieces }: WorkerState): boolean {
  return pieces !== null && pieces.sent.bytes > pieces.sent.ms * fastRate;
}

/** The worker has a file of this size, or will have. */
export function noteFile({ pieces }: WorkerState, bytes: number): void {
  if (pieces === null || bytes < piecedBytesMin) return;
  pieces.sizes.push(bytes);
  if (pieces.sizes.length > sizesMax) pieces.sizes.shift();
}

/** Whether a file is worth the work of listing its pieces for this worker. */
export function mayShare({ pieces }: WorkerState, cacheName: string, bytes: number): boolean {
  return pieces !== null && bytes >= piecedBytesMin && bytes <= piecedBytesMax &&
    pieces.vain < vainMax && !pieces.whole.has(cacheName) &&
    pieces.sizes.some((size) => areSimilar(size, bytes));
}

export function offered(worker: WorkerState, offer: Offer): void {
  worker.pieces!.offers.push(offer);
  worker.pieces!.current.set(offer.cacheName, offer);
  worker.taking.add(offer.cacheName);
  noteFile(worker, offer.pieces.bytes);
}

/** Whether the worker waits for what it lacks: else it has complained of it, or was to forget it. */
export function isCurrent({ pieces }: WorkerState, offer: Offer): boolean {
  return pieces?.current.get(offer.cacheName) === offer;
}

/** The worker has the file, or no longer waits for it. */
export function noteOver({ pieces }: WorkerState, cacheName: string): void {
  pieces?.current.delete(cacheName);
}

/** Neither what it kept nor pieces of that were of use. */
export function noteFailed({ pieces }: WorkerState, cacheName: string): void {
  pieces?.current.delete(cacheName);
  pieces?.whole.add(cacheName);
}

/** The offer that the worker answers; its answers come in the order of the offers. */
export function answeredOffer(
  { pieces }: WorkerState,
  { cacheName, length }: { readonly cacheName: string; readonly length: number },
): Offer {
  const offer = pieces?.offers.shift();
  if (offer?.cacheName !== cacheName) {
    throw new PeerProtocolError(`It lacks pieces of "${cacheName}", which it was not offered`);
  }
  const expected = lackingBytes(offer.pieces);
  if (length !== expected) {
    throw new PeerProtocolError(
      `It tells in ${length} bytes which of the ${offer.pieces.count} pieces of ${cacheName} ` +
        `it lacks; there are ${expected}`,
    );
  }
  return offer;
}

/** Has sent what the worker lacks. Throws PeerProtocolError for pieces that there are not. */
export function fill(
  state: SchedulerState,
  worker: WorkerState,
  offer: Offer,
  bits: Uint8Array,
): void {
  const { cacheName, pieces } = offer;
  const lacking = parseLacking(bits, pieces, cacheName);
  const talk = worker.pieces!;
  if (!isCurrent(worker, offer)) return;
  const bytes = lacking.reduce((sum, index) => sum + pieces.lengthOf(index), 0);
  talk.vain = bytes > pieces.bytes * vainShare ? talk.vain + 1 : 0;
  state.act({ type: "fill", worker: worker.id, offer, lacking, bytes });
}
