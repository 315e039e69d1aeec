/**
 * Conversations of a manager and a worker as plain text, a line each (tests/golden/wire):
 *
 *   # …      for the reader            ! …    happens to the link or the clock
 *   M …      a line of the manager     M! …   happens at the manager
 *   M= …     payload of the manager    M? …   what the manager does besides sending
 *   W, W=, W!, W?                      the same of the worker
 *
 * Payloads and words are written as in JSON strings, without the quotes. `! drive` says which ends
 * are the real machines; the other end's lines are given. What the machines do, {@link play} adds.
 * A digit names the link where a manager has several: `! connect 2`, `W2 …`, `M2 …`.
 */
import assert from "node:assert/strict";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { entryBytes } from "../../core/pieces.ts";
import { Decoder, type Grammar } from "../../core/protocol/decoder.ts";
import {
  type Dialect,
  newestDialect,
  type Payload,
  type ToManager,
  type ToWorker,
} from "../../core/protocol/messages.ts";
import { encodeToManager, ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { bytesOf, textOf } from "./builders.ts";
import type { End, Step } from "./transcript_ends.ts";
import { ManagerEnd } from "./transcript_manager.ts";
import { WorkerEnd } from "./transcript_worker.ts";

export type Side = "M" | "W";

/** What one side sent on one link. */
export interface Stream {
  readonly side: Side;
  readonly bytes: Uint8Array;
  /** Of the link, by what the worker said. */
  readonly dialect: Dialect;
}

interface Entry {
  readonly kind: "comment" | "stimulus" | "line" | "payload" | "deed";
  readonly side: Side | null;
  readonly link: number;
  /** What follows the mark. */
  readonly text: string;
  readonly whole: string;
}

function parse(transcript: string): Entry[] {
  return transcript.replace(/\n$/, "").split("\n").map((whole) => {
    if (whole === "" || whole.startsWith("#")) {
      return { kind: "comment", side: null, link: 0, text: whole, whole };
    }
    const match = /^([MW]?)(\d?)([!?=]?)(?: (.*))?$/.exec(whole);
    assert.ok(match !== null && whole !== " ", `Not a line of a transcript: ${whole}`);
    const side = match[1] === "" ? null : match[1] as Side;
    const kind = ({ "!": "stimulus", "?": "deed", "=": "payload", "": "line" } as const)[
      match[3] as "!" | "?" | "=" | ""
    ];
    return { kind, side, link: Number(match[2] || 1), text: match[4] ?? "", whole };
  });
}

function drivenIn(entries: readonly Entry[]): readonly string[] {
  const first = entries.find((entry) => entry.kind === "stimulus");
  assert.ok(
    first !== undefined && first.text.startsWith("drive "),
    "A transcript begins with `! drive M`, `W` or `M W`",
  );
  return first.text.split(" ").slice(1);
}

/** The ends that are driven, `M` and `W`. */
export function driven(transcript: string): readonly string[] {
  return drivenIn(parse(transcript));
}

/** What went over each link, by side. */
export function streamsOf(transcript: string): Stream[] {
  const links: Record<Side, Uint8Array[]>[] = [];
  const open = new Map<number, Record<Side, Uint8Array[]>>();
  for (const { kind, side, link, text } of parse(transcript)) {
    if (kind === "stimulus" && text.startsWith("connect")) {
      const pieces = { M: [], W: [] };
      links.push(pieces);
      open.set(linkOf(text), pieces);
    }
    if (side === null || (kind !== "line" && kind !== "payload")) continue;
    open.get(link)![side].push(bytesOf(unescape(text) + (kind === "line" ? "\n" : "")));
  }
  return links.flatMap((pieces) => {
    const dialect = dialectOf(textOf(concat(pieces.W)));
    return (["M", "W"] as const).map((side) => ({ side, bytes: concat(pieces[side]), dialect }));
  });
}

function dialectOf(said: string): Dialect {
  const protocol = Number(/^workqueue (\d+)/.exec(said)?.[1] ?? newestDialect.protocol);
  return { protocol, endTimeInSeconds: said.includes("info worker-end-time") };
}

/** Of `connect 2` and the like; without a number the first. */
function linkOf(stimulus: string): number {
  return Number(/^\S+ (\d)$/.exec(stimulus)?.[1] ?? 1);
}

/**
 * The transcript that the machines make of what is given in this one. `forgiving`: what is given to
 * an end that is not there any more is passed over.
 */
export function play(transcript: string, forgiving = false): string {
  const player = new Player(drivenIn(parse(transcript)), forgiving);
  const entries = parse(transcript);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (!player.isGiven(entry)) continue;
    const group = [entry];
    // A line and the payload that follows it arrive together.
    for (
      let next = entries[i + 1];
      entry.kind === "line" && next?.kind === "payload" && next.side === entry.side &&
      next.link === entry.link;
      next = entries[i + 1]
    ) {
      group.push(next);
      i++;
    }
    player.give(group);
  }
  return player.text();
}

class Player {
  readonly #written: string[] = [];
  readonly #manager: ManagerEnd | null;
  #worker: WorkerEnd | null = null;
  readonly #linked = new Set<number>();
  /** Bytes to the worker that are under way while the link is held. */
  #held: Uint8Array[] | null = null;
  #nowMs = 0;

  constructor(private readonly ends: readonly string[], private readonly forgiving: boolean) {
    this.#manager = ends.includes("M") ? new ManagerEnd() : null;
  }

  isGiven({ kind, side }: Entry): boolean {
    if (kind === "comment" || kind === "stimulus") return true;
    return kind !== "deed" && !this.ends.includes(side!);
  }

  give(group: readonly Entry[]): void {
    for (const { whole } of group) this.#written.push(whole);
    const [{ kind, side, link, text }] = group as [Entry];
    if (kind === "line" || kind === "payload") {
      const to = side === "M" ? this.#worker : this.#manager;
      if (!this.#linked.has(link) || to === null) {
        assert.ok(this.forgiving, `Nobody is there to read: ${text}`);
        return;
      }
      to.receive(
        concat(group.map((e) => bytesOf(unescape(e.text) + (e.kind === "line" ? "\n" : "")))),
        this.#nowMs,
        link,
      );
    } else if (kind === "stimulus") {
      const [, word = "", args = ""] = /^(\S+) ?(.*)$/.exec(text)!;
      if (side === null) this.#world(word, args, linkOf(text));
      else this.#end(side)?.happens(word, JSON.parse(`[${args}]`), this.#nowMs);
    }
    this.#settle();
  }

  text(): string {
    return `${this.#written.join("\n")}\n`;
  }

  #end(side: Side): End | null {
    const end = side === "M" ? this.#manager : this.#worker;
    assert.ok(end !== null || this.forgiving, `There is no ${side} that this could happen to`);
    return end;
  }

  #world(word: string, args: string, link: number): void {
    switch (word) {
      case "drive":
        break;
      case "connect":
        this.#linked.add(link);
        this.#manager?.open(link, this.#nowMs);
        if (this.ends.includes("W")) this.#worker = new WorkerEnd(JSON.parse(args || "{}"));
        this.#worker?.connect(this.#nowMs);
        break;
      case "cut":
        this.#unlink(link, "the link was cut");
        break;
      case "hold":
        this.#held = [];
        break;
      case "flow": {
        const held = this.#held ?? [];
        this.#held = null;
        for (const bytes of held) this.#worker?.receive(bytes, this.#nowMs);
        break;
      }
      case "wait":
        this.#nowMs += Number(args.replace(/ s$/, "")) * 1000;
        this.#manager?.tick(this.#nowMs);
        this.#worker?.tick(this.#nowMs);
        break;
      default:
        assert.fail(`Not a stimulus: ! ${word}`);
    }
  }

  /** Carries bytes to and fro until there are none left. */
  #settle(): void {
    for (;;) {
      const fromManager = this.#manager?.take() ?? [];
      const fromWorker = this.#worker?.take() ?? [];
      if (fromManager.length + fromWorker.length === 0) return;
      this.#write("M", fromManager);
      this.#write("W", fromWorker);
      this.#carry(fromManager, this.#worker, "M");
      this.#carry(fromWorker, this.#manager, "W");
    }
  }

  #carry(steps: readonly Step[], to: End | null, from: Side): void {
    for (const step of steps) {
      const { link } = step;
      if (step.kind === "does" || !this.#linked.has(link)) continue;
      if (step.kind === "closes") this.#unlink(link, "the worker closed the link");
      else if (from === "M" && this.#held !== null) this.#held.push(step.bytes);
      else to?.receive(step.bytes, this.#nowMs, link);
    }
  }

  #unlink(link: number, why: string): void {
    this.#linked.delete(link);
    this.#worker = null;
    this.#manager?.closed(link, why, this.#nowMs);
  }

  #write(side: Side, steps: readonly Step[]): void {
    for (const step of steps) {
      const mark = step.link > 1 ? `${side}${step.link}` : side;
      if (step.kind === "sends") this.#written.push(...rendered(mark, step.bytes));
      else this.#written.push(`${mark}? ${step.text}`);
    }
  }
}

/** Whole messages as lines of a transcript; finds payloads by the lengths in the lines. */
function rendered(mark: string, bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0x0a, at);
    const line = textOf(bytes.subarray(at, end));
    lines.push(`${mark} ${escape(line)}`);
    at = end + 1;
    const length = payloadLength(line);
    const payload = bytes.subarray(at, at + length);
    if (payload.length > 0) lines.push(`${mark}= ${escape(textOf(payload))}`);
    at += length;
  }
  return lines;
}

function payloadLength(line: string): number {
  const words = line.split(" ");
  switch (words[0]) {
    case "cmd":
      return Number(words[1]);
    case "env":
      return Number(words[1]) + 1; // and a line end, which is not counted
    case "put":
    case "symlink":
    case "url":
    case "cache-invalid":
    case "wqx-fill":
    case "wqx-lacks":
      return Number(words[2]);
    case "wqx-pieces":
      return Number(words[5]) * entryBytes;
    case "result":
      return Number(words[3]);
    case "file":
    case "update":
      return Number(words.at(-1));
    default:
      return 0;
  }
}

function escape(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
}

function unescape(text: string): string {
  return JSON.parse(`"${text.replaceAll(/\\.|"/g, (c) => c === '"' ? '\\"' : c)}"`);
}

// Decoding and encoding whole streams

/** A message, a payload as a whole, or the error that ended it. */
export type Decoded<M> =
  | M
  | { readonly type: "payload"; readonly bytes: Uint8Array }
  | { readonly type: "refused"; readonly why: string };

/**
 * All that these pieces say, up to the first error of the peer. Each is fed in an array that is
 * filled with other bytes afterwards, as a link does it.
 */
export function decodeAll<M extends object>(
  grammar: Grammar<M>,
  pieces: Iterable<Uint8Array>,
): Decoded<M>[] {
  const decoder = new Decoder<M>(grammar);
  const messages: Decoded<M>[] = [];
  let payload: Uint8Array[] = [];
  try {
    for (const piece of pieces) {
      const lent = piece.slice();
      decoder.feed(lent);
      for (let m = decoder.next(); m !== null; m = decoder.next()) {
        if (!isPayload(m)) {
          messages.push(m);
          continue;
        }
        payload.push(m.bytes.slice());
        if (!m.last) continue;
        messages.push({ type: "payload", bytes: concat(payload) });
        payload = [];
      }
      lent.fill(0x3f);
    }
  } catch (error) {
    if (!(error instanceof PeerProtocolError)) throw error;
    messages.push({ type: "refused", why: error.message });
  }
  if (payload.length > 0) messages.push({ type: "payload", bytes: concat(payload) });
  return messages;
}

function isPayload<M extends object>(m: M | Payload): m is Payload {
  return "type" in m && m.type === "payload";
}

export function decodeStream(
  side: Side,
  pieces: Iterable<Uint8Array>,
): Decoded<ToWorker | ToManager>[] {
  return side === "M"
    ? decodeAll<ToWorker>(new ToWorkerGrammar(), pieces)
    : decodeAll<ToManager>(new ToManagerGrammar(), pieces);
}

/** The bytes of all that was not refused. */
export function encodeStream(
  { side, dialect }: Pick<Stream, "side" | "dialect">,
  messages: readonly Decoded<ToWorker | ToManager>[],
): Uint8Array {
  return concat(messages.map((m) => {
    if (m.type === "payload") return m.bytes;
    if (m.type === "refused") return new Uint8Array(0);
    return side === "M" ? encodeToWorker(m as ToWorker, dialect) : encodeToManager(m as ToManager);
  }));
}

/** The bytes in pieces, cut at these places. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1]!, end));
}
