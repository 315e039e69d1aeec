/**
 * Unpacked baskets to a column. ROOT writes big-endian numbers back to back, so the bytes of all
 * baskets are copied into the array that the caller gets, and turned round there in one pass. Pure.
 */
import type { Column, FlatColumn } from "../../core/columns.ts";
import { type Layout, newArray, scalarBytes } from "./layout.ts";

/** The part of one basket that is wanted. */
export interface Basket {
  /** Events wanted, counted from the first event of the basket. */
  readonly from: number;
  readonly to: number;
  /** Values of all events of the basket. */
  readonly values: Uint8Array;
  /** How many events the whole basket has. */
  readonly events: number;
  /**
   * Where each event starts, counted from `base` bytes before `values`. Null without need: with a
   * fixed number of values an event, with one event, or with no values at all.
   */
  readonly entryOffsets: Int32Array | null;
  readonly base: number;
}

/** std::vector writes a byte count (4), a version (2) and its length (4) before its values. */
const vectorHeaderBytes = 10;

/** Four bytes are kept for each; those of a basket with offsets are far fewer. */
const basketEventsMax = 2 ** 26;

/** The column of the wanted events of some baskets in a row. Throws Error if sizes do not fit. */
export function decode(layout: Layout, baskets: readonly Basket[]): Column {
  const events = baskets.reduce((sum, { from, to }) => sum + to - from, 0);
  return layout.shape === "fixed"
    ? decodeFixed(layout, baskets, events)
    : decodeJagged(layout, baskets, events);
}

function decodeFixed(layout: Layout, baskets: readonly Basket[], events: number): Column {
  const bytesPerEvent = layout.perEvent * scalarBytes(layout.scalar);
  const { record } = layout;
  const strideBytes = record?.bytes ?? bytesPerEvent;
  // Before memory is taken for what a damaged file says that it holds.
  for (const { values, events } of baskets) {
    if (values.length !== events * strideBytes) {
      throw new Error(`${events} events of ${strideBytes} bytes do not fill ${values.length}`);
    }
  }
  const values = newArray(layout.scalar, events * layout.perEvent);
  const target = bytesOf(values);
  let at = 0;
  for (const { from, to, values } of baskets) {
    if (record === null) {
      target.set(values.subarray(from * bytesPerEvent, to * bytesPerEvent), at);
      at += (to - from) * bytesPerEvent;
    } else {
      for (let event = from; event < to; event++) {
        const start = event * strideBytes + record.offsetBytes;
        for (let i = 0; i < bytesPerEvent; i++) target[at++] = values[start + i]!;
      }
    }
  }
  turnRound(target, values.BYTES_PER_ELEMENT);
  if (layout.perEvent === 1) return values;
  return {
    offsets: Uint32Array.from({ length: events + 1 }, (_, i) => i * layout.perEvent),
    values,
  };
}

function decodeJagged(layout: Layout, baskets: readonly Basket[], events: number): Column {
  const width = scalarBytes(layout.scalar);
  const headerBytes = layout.shape === "vector" ? vectorHeaderBytes : 0;
  const offsets = new Uint32Array(events + 1);
  const pieces: Uint8Array[] = [];
  let event = 0, bytes = 0;
  for (const basket of baskets) {
    const starts = entryStarts(basket, headerBytes, width);
    for (let i = basket.from; i < basket.to; i++) {
      bytes += starts[i + 1]! - starts[i]! - headerBytes;
      offsets[++event] = bytes / width;
    }
    pieces.push(
      headerBytes === 0
        ? basket.values.subarray(starts[basket.from], starts[basket.to])
        : withoutVectorHeaders(basket, starts, width),
    );
  }
  const values = newArray(layout.scalar, bytes / width);
  const target = bytesOf(values);
  let at = 0;
  for (const piece of pieces) {
    target.set(piece, at);
    at += piece.length;
  }
  turnRound(target, width);
  return { offsets, values };
}

/**
 * Where each event of a basket starts in its values, and where the last ends. Events must follow
 * one another, with whole values in each.
 */
function entryStarts(basket: Basket, headerBytes: number, width: number): Int32Array {
  const { entryOffsets, events, base, values } = basket;
  if (entryOffsets !== null && entryOffsets.length < events) {
    throw new Error("entry offsets of a basket are missing");
  }
  if (events > basketEventsMax) throw new Error(`a basket cannot have ${events} events`);
  const starts = new Int32Array(events + 1);
  starts[events] = values.length;
  if (entryOffsets === null) {
    if (events > 1 && values.length > 0) {
      throw new Error("the entry offsets of a basket are missing");
    }
    return starts;
  }
  for (let i = 0; i < events; i++) starts[i] = entryOffsets[i]! - base;
  let wrong = starts[0]! < 0;
  for (let i = 0; i < events; i++) {
    const bytes = starts[i + 1]! - starts[i]! - headerBytes;
    wrong ||= bytes < 0 || (bytes & (width - 1)) !== 0;
  }
  if (wrong) throw new Error("the entry offsets of a basket do not fit its bytes");
  return starts;
}

/** Big-endian int32 numbers, as entry offsets are written. */
export function int32s(bytes: Uint8Array): Int32Array {
  const numbers = new Int32Array(Math.floor(bytes.length / 4));
  bytesOf(numbers).set(bytes.subarray(0, numbers.byteLength));
  turnRound(bytesOf(numbers), 4);
  return numbers;
}

function withoutVectorHeaders(basket: Basket, starts: Int32Array, width: number): Uint8Array {
  const { from, to, values } = basket;
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const out = new Uint8Array(starts[to]! - starts[from]! - (to - from) * vectorHeaderBytes);
  let at = 0;
  for (let event = from; event < to; event++) {
    const first = starts[event]! + vectorHeaderBytes;
    const last = starts[event + 1]!;
    if (view.getUint32(first - 4) * width !== last - first) {
      throw new Error("the length of a vector does not fit its bytes");
    }
    for (let i = first; i < last; i++) out[at++] = values[i]!;
  }
  return out;
}

function bytesOf(array: FlatColumn): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Reverses the bytes of each number in place; `bytes` starts on a boundary of 8. */
function turnRound(bytes: Uint8Array, width: number): void {
  if (width === 2) {
    const words = new Uint16Array(bytes.buffer, 0, bytes.length / 2);
    for (let i = 0; i < words.length; i++) words[i] = (words[i]! << 8) | (words[i]! >>> 8);
  } else if (width === 4) {
    const words = new Uint32Array(bytes.buffer, 0, bytes.length / 4);
    for (let i = 0; i < words.length; i++) words[i] = turned(words[i]!);
  } else if (width === 8) {
    const words = new Uint32Array(bytes.buffer, 0, bytes.length / 4);
    for (let i = 0; i < words.length; i += 2) {
      const first = turned(words[i]!);
      words[i] = turned(words[i + 1]!);
      words[i + 1] = first;
    }
  }
}

function turned(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
