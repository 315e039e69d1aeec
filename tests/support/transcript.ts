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
 */
import assert from "node:assert/strict";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { Decoder, type Grammar } from "../../core/protocol/decoder.ts";
import type { Payload, ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { encodeToManager, ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { bytesOf, textOf } from "./builders.ts";
import { type End, ManagerEnd, type Step, WorkerEnd } from "./transcript_ends.ts";

export type Side = "M" | "W";

/** What one side sent on one link. */
export interface Stream {
  readonly side: Side;
  readonly bytes: Uint8Array;
}

interface Entry {
  readonly kind: "comment" | "stimulus" | "line" | "payload" | "deed";
  readonly side: Side | null;
  /** What follows the mark. */
  readonly text: string;
  readonly whole: string;
}

function parse(transcript: string): Entry[] {
  return transcript.replace(/\n$/, "").split("\n").map((whole) => {
    if (whole === "" || whole.startsWith("#")) {
      return { kind: "comment", side: null, text: whole, whole };
    }
    const match = /^([MW]?)([!?=]?)(?: (.*))?$/.exec(whole);
    assert.ok(match !== null && whole !== " ", `Not a line of a transcript: ${whole}`);
    const side = match[1] === "" ? null : match[1] as Side;
    const kind = ({ "!": "stimulus", "?": "deed", "=": "payload", "": "line" } as const)[
      match[2] as "!" | "?" | "=" | ""
    ];
    return { kind, side, text: match[3] ?? "", whole };
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
  for (const { kind, side, text } of parse(transcript)) {
    if (kind === "stimulus" && text.startsWith("connect")) links.push({ M: [], W: [] });
    if (side === null || (kind !== "line" && kind !== "payload")) continue;
    links.at(-1)![side].push(bytesOf(unescape(text) + (kind === "line" ? "\n" : "")));
  }
  return links.flatMap((link) =>
    (["M", "W"] as const).map((side) => ({ side, bytes: concat(link[side]) }))
  );
}

/** The transcript that the machines make of what is given in this one. */
export function play(transcript: string): string {
  const player = new Player(drivenIn(parse(transcript)));
  const entries = parse(transcript);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (!player.isGiven(entry)) continue;
    const group = [entry];
    // A line and the payload that follows it arrive together.
    while (entry.kind === "line" && entries[i + 1]?.whole.startsWith(`${entry.side}= `)) {
      group.push(entries[++i]!);
    }
    player.give(group);
  }
  return player.text();
}

class Player {
  readonly #written: string[] = [];
  readonly #manager: ManagerEnd | null;
  #worker: WorkerEnd | null = null;
  #linked = false;
  /** Bytes to the worker that are under way while the link is held. */
  #held: Uint8Array[] | null = null;
  #nowMs = 0;

  constructor(private readonly ends: readonly string[]) {
    this.#manager = ends.includes("M") ? new ManagerEnd() : null;
  }

  isGiven({ kind, side }: Entry): boolean {
    if (kind === "comment" || kind === "stimulus") return true;
    return kind !== "deed" && !this.ends.includes(side!);
  }

  give(group: readonly Entry[]): void {
    for (const { whole } of group) this.#written.push(whole);
    const [{ kind, side, text }] = group as [Entry];
    if (kind === "line" || kind === "payload") {
      const to = side === "M" ? this.#worker : this.#manager;
      assert.ok(this.#linked && to !== null, `Nobody is there to read: ${text}`);
      to.receive(
        concat(group.map((e) => bytesOf(unescape(e.text) + (e.kind === "line" ? "\n" : "")))),
        this.#nowMs,
      );
    } else if (kind === "stimulus") {
      const [, word = "", args = ""] = /^(\S+) ?(.*)$/.exec(text)!;
      if (side === null) this.#world(word, args);
      else this.#end(side).happens(word, JSON.parse(`[${args}]`), this.#nowMs);
    }
    this.#settle();
  }

  text(): string {
    return `${this.#written.join("\n")}\n`;
  }

  #end(side: Side): End {
    const end = side === "M" ? this.#manager : this.#worker;
    assert.ok(end !== null, `There is no ${side} that this could happen to`);
    return end;
  }

  #world(word: string, args: string): void {
    switch (word) {
      case "drive":
        break;
      case "connect":
        this.#linked = true;
        this.#manager?.open(this.#nowMs);
        if (this.ends.includes("W")) this.#worker = new WorkerEnd(JSON.parse(args || "{}"));
        this.#worker?.connect(this.#nowMs);
        break;
      case "cut":
        this.#unlink("the link was cut");
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
      if (!this.#linked) return;
      if (step.kind === "closes") this.#unlink("the worker closed the link");
      else if (step.kind === "sends" && from === "M" && this.#held !== null) {
        this.#held.push(step.bytes);
      } else if (step.kind === "sends") to?.receive(step.bytes, this.#nowMs);
    }
  }

  #unlink(why: string): void {
    this.#linked = false;
    this.#worker = null;
    this.#manager?.closed(why, this.#nowMs);
  }

  #write(side: Side, steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.kind === "sends") this.#written.push(...rendered(side, step.bytes));
      else this.#written.push(`${side}? ${step.text}`);
    }
  }
}

/** Whole messages as lines of a transcript; finds payloads by the lengths in the lines. */
function rendered(side: Side, bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0x0a, at);
    const line = textOf(bytes.subarray(at, end));
    lines.push(`${side} ${escape(line)}`);
    at = end + 1;
    const length = payloadLength(line);
    if (length > 0) lines.push(`${side}= ${escape(textOf(bytes.subarray(at, at + length)))}`);
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
      return Number(words[2]);
    case "result":
      return Number(words[3]);
    case "file":
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

/** All that these pieces say, up to the first error of the peer. */
export function decodeAll<M extends object>(
  grammar: Grammar<M>,
  pieces: Iterable<Uint8Array>,
): Decoded<M>[] {
  const decoder = new Decoder<M>(grammar);
  const messages: Decoded<M>[] = [];
  let payload: Uint8Array[] = [];
  try {
    for (const piece of pieces) {
      decoder.feed(piece);
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
  side: Side,
  messages: readonly Decoded<ToWorker | ToManager>[],
): Uint8Array {
  return concat(messages.map((m) => {
    if (m.type === "payload") return m.bytes;
    if (m.type === "refused") return new Uint8Array(0);
    return side === "M" ? encodeToWorker(m as ToWorker) : encodeToManager(m as ToManager);
  }));
}

/** The bytes in pieces, cut at these places. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1]!, end));
}
