/**
 * A journal as bytes: a head, then a frame for each record, only ever added at the end.
 *
 * | bytes | of the head |
 * | --- | --- |
 * | 0–7 | `wqx-jrnl` |
 * | 8–11 | version of the format |
 * | 12–15 | CRC-32 of what is before |
 *
 * | bytes | of a frame |
 * | --- | --- |
 * | 0–3 | `WQJR` |
 * | 4–7 | length of the record in bytes |
 * | 8–11 | CRC-32 of these four bytes and the record |
 * | 12– | the record: JSON in UTF-8 |
 *
 * All numbers are little-endian. What a reader takes is a beginning of what was written, whatever
 * happened to the rest: a power cut tears the last frames, and these are dropped; damage that has
 * sound frames behind it is told apart by looking for them.
 */
import { crc32 } from "node:zlib";

/** Raised when an older wqx could not read what this one writes. */
export const journalVersion = 1;

const magic = new TextEncoder().encode("wqx-jrnl");
const mark = new TextEncoder().encode("WQJR");
const headBytes = 16;
const frameHeadBytes = 12;

/** What every journal starts with. */
export function journalHead(version: number = journalVersion): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(headBytes);
  const view = new DataView(head.buffer);
  head.set(magic);
  view.setUint32(8, version, true);
  view.setUint32(12, crc32(head.subarray(0, 12)), true);
  return head;
}

/** The frame of one record, which is anything that JSON can tell but `null`. */
export function frameOf(record: unknown): Uint8Array<ArrayBuffer> {
  const payload = new TextEncoder().encode(JSON.stringify(record));
  const frame = new Uint8Array(frameHeadBytes + payload.length);
  const view = new DataView(frame.buffer);
  frame.set(mark);
  view.setUint32(4, payload.length, true);
  view.setUint32(8, crc32(payload, crc32(frame.subarray(4, 8))), true);
  frame.set(payload, frameHeadBytes);
  return frame;
}

/** How the bytes of a journal end. `offset`: where what can be used ends. */
export type JournalEnd =
  | { readonly kind: "whole"; readonly offset: number }
  /** In the middle of a frame; as a power cut leaves it. */
  | { readonly kind: "torn"; readonly offset: number; readonly lostBytes: number }
  /** Sound frames follow what is damaged; they are not used. */
  | { readonly kind: "damaged"; readonly offset: number; readonly lostBytes: number }
  /** No journal at all, or one of a format that this wqx does not know. */
  | { readonly kind: "foreign"; readonly offset: 0; readonly why: string };

/** The records of a journal, one after the other, up to its end or the first that is damaged. */
export class JournalReader {
  #at = headBytes;
  #end: JournalEnd | null = null;

  constructor(private readonly bytes: Uint8Array) {
    const why = this.#whyForeign();
    // A head that was not written whole had nothing behind it.
    if (bytes.length < headBytes) {
      this.#end = bytes.length === 0 ? { kind: "whole", offset: 0 } : this.#lost("torn", 0);
    } else if (why !== null) this.#end = { kind: "foreign", offset: 0, why };
  }

  /** The next record; `null` after the last one that is sound. */
  next(): unknown {
    if (this.#end !== null) return null;
    if (this.#at === this.bytes.length) {
      this.#end = { kind: "whole", offset: this.#at };
      return null;
    }
    const payload = this.#payloadAt(this.#at);
    const record = payload === null ? null : recordIn(payload);
    if (payload === null || record === null) {
      this.#end = this.#lost(this.#isSoundAfter(this.#at) ? "damaged" : "torn", this.#at);
      return null;
    }
    this.#at += frameHeadBytes + payload.length;
    return record;
  }

  /** All that are left. */
  *rest(): Generator<unknown> {
    for (let record = this.next(); record !== null; record = this.next()) yield record;
  }

  /** How it ends; `null` while there may be more. */
  get end(): JournalEnd | null {
    return this.#end;
  }

  /** Just behind the last record that was given out. */
  get offset(): number {
    return this.#at;
  }

  #whyForeign(): string | null {
    const view = this.#view(0, headBytes);
    if (view === null) return null;
    if (magic.some((byte, i) => this.bytes[i] !== byte)) return 'it does not start with "wqx-jrnl"';
    if (view.getUint32(12, true) !== crc32(this.bytes.subarray(0, 12))) {
      return "its head is damaged";
    }
    const version = view.getUint32(8, true);
    if (version === journalVersion) return null;
    return `its format has version ${version}, and this wqx reads version ${journalVersion}`;
  }

  /** `null` where there is no sound frame. */
  #payloadAt(offset: number): Uint8Array | null {
    const view = this.#view(offset, frameHeadBytes);
    if (view === null || mark.some((byte, i) => this.bytes[offset + i] !== byte)) return null;
    const length = view.getUint32(4, true);
    const start = offset + frameHeadBytes;
    if (length > this.bytes.length - start) return null;
    const payload = this.bytes.subarray(start, start + length);
    const sum = crc32(payload, crc32(this.bytes.subarray(offset + 4, offset + 8)));
    return sum === view.getUint32(8, true) ? payload : null;
  }

  #isSoundAfter(offset: number): boolean {
    const [first, ...others] = mark;
    for (let at = offset + 1;; at++) {
      at = this.bytes.indexOf(first!, at);
      if (at < 0) return false;
      const marked = others.every((byte, i) => this.bytes[at + 1 + i] === byte);
      if (marked && this.#payloadAt(at) !== null) return true;
    }
  }

  #lost(kind: "torn" | "damaged", offset: number): JournalEnd {
    return { kind, offset, lostBytes: this.bytes.length - offset };
  }

  #view(offset: number, length: number): DataView | null {
    const { buffer, byteOffset } = this.bytes;
    if (offset + length > this.bytes.length) return null;
    return new DataView(buffer, byteOffset + offset, length);
  }
}

/** `null` for what is no record, whatever its checksum says. */
function recordIn(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}

/** What people are told of a journal that does not end as it should; `null` if it does. */
export function describeEnd(path: string, end: JournalEnd): string | null {
  switch (end.kind) {
    case "whole":
      return null;
    case "torn":
      return `The last record of ${path} was not written whole (${end.lostBytes} bytes at ` +
        `${end.offset}); it is left out, and its task runs again`;
    case "damaged":
      return `${path} is damaged at byte ${end.offset}: what is before is used, and the tasks of ` +
        `the ${end.lostBytes} bytes after it run again`;
    case "foreign":
      return `${path} cannot be read: ${end.why}`;
  }
}
