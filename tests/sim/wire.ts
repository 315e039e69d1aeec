/** A link that carries bytes with all the freedom that TCP has, and the faults that networks add. */
import type { Rng } from "../../core/env.ts";
import type { Faults } from "./faults.ts";
import type { Timeline } from "./timeline.ts";

/** Begin and end of what is sent at once, where it is cut finely; bytes. */
const edgeBytes = 40;

/** After which a system gives up on what is never acknowledged. */
const unacknowledgedMs = 60_000;
/** The same for links on which nobody has anything to say: Linux asks after two hours. */
const keepaliveMs = 7_875_000;

export interface End {
  received(bytes: Uint8Array): void;
  closed(): void;
}

type Side = "manager" | "worker";

/** What is under way to one side; later pieces may not overtake earlier ones. */
interface Course {
  lastMs: number;
  /** Of the moment `lastMs`, in order; `null`: the close. */
  arriving: (Uint8Array | null)[];
}

export class Wire {
  #open = true;
  /** Sides to which nothing comes through any more, without a word. */
  readonly #deaf = new Set<Side>();
  /** Sides that will hear of the end, because what they sent was never acknowledged. */
  #givingUp: Set<Side> | null = null;
  #stalledUntilMs = 0;
  readonly #courses: Readonly<Record<Side, Course>> = {
    manager: { lastMs: -1, arriving: [] },
    worker: { lastMs: -1, arriving: [] },
  };

  constructor(
    private readonly timeline: Timeline,
    private readonly rng: Rng,
    private readonly faults: Faults,
    private readonly ends: { readonly manager: End; readonly worker: End },
  ) {}

  /** The bytes must stay as they are. */
  send(to: Side, bytes: Uint8Array): void {
    if (this.#givingUp !== null) this.#giveUp(other(to), this.#givingUp);
    if (bytes.length > 0 && this.rng() >= this.faults.inPieces) {
      if (this.#open) this.#later(to, bytes);
      return;
    }
    for (let at = 0; at < bytes.length && this.#open;) {
      const left = bytes.length - at;
      // Tiny pieces matter around line ends; the inside of a long payload may come at once.
      const inside = at >= edgeBytes && left > 2 * edgeBytes;
      const tiny = 1 + Math.floor(this.rng() * this.faults.pieceBytesMax);
      const size = inside ? left - edgeBytes : Math.min(left, tiny);
      this.#later(to, bytes.subarray(at, at + size));
      at += size;
    }
  }

  /** One side closes: what it sent before still arrives, then the other side hears of it. */
  close(by: Side): void {
    if (this.#open) this.#later(other(by), null);
  }

  /** Breaks now, in the middle of whatever is under way. */
  cut(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const side of ["manager", "worker"] as const) {
      if (!this.#deaf.has(side)) this.ends[side].closed();
    }
  }

  /** From now on nothing arrives there, not even that the link is over. */
  deafen(...sides: readonly Side[]): void {
    for (const side of sides) this.#deaf.add(side);
  }

  /** A router has forgotten it: who sends is told a while later, who only waits much later. */
  forget(): void {
    if (!this.#open || this.#givingUp !== null) return;
    this.deafen("manager", "worker");
    this.#givingUp = new Set();
    this.timeline.in(keepaliveMs, () => {
      for (const side of ["manager", "worker"] as const) this.ends[side].closed();
    });
  }

  stall(ms: number): void {
    this.#stalledUntilMs = this.timeline.nowMs + ms;
  }

  #giveUp(side: Side, givingUp: Set<Side>): void {
    if (givingUp.has(side)) return;
    givingUp.add(side);
    this.timeline.in(unacknowledgedMs, () => this.ends[side].closed());
  }

  #later(to: Side, bytes: Uint8Array | null): void {
    const course = this.#courses[to];
    const arrivesMs = this.timeline.nowMs + this.rng() * this.faults.latencyMsMax;
    const atMs = Math.max(course.lastMs, arrivesMs, this.#stalledUntilMs);
    // A moment that is over takes nothing more: it would never arrive.
    if (atMs === course.lastMs && atMs > this.timeline.nowMs) {
      course.arriving.push(bytes);
      return;
    }
    const arriving = [bytes];
    course.lastMs = atMs;
    course.arriving = arriving;
    this.timeline.at(atMs, () => {
      for (const piece of arriving) this.#arrive(to, piece);
    });
  }

  #arrive(to: Side, bytes: Uint8Array | null): void {
    if (!this.#open || this.#deaf.has(to)) return;
    if (bytes !== null) {
      this.ends[to].received(bytes);
    } else {
      this.#open = false;
      this.ends[to].closed();
    }
  }
}

function other(side: Side): Side {
  return side === "manager" ? "worker" : "manager";
}
