/** A link that carries bytes with all the freedom that TCP has, and the faults that networks add. */
import type { Rng } from "../../core/env.ts";
import type { Faults } from "./faults.ts";
import type { Timeline } from "./timeline.ts";

/** Begin and end of what is sent at once, where it is cut finely; bytes. */
const edgeBytes = 40;

export interface End {
  received(bytes: Uint8Array): void;
  closed(): void;
}

export class Wire {
  #open = true;
  #mute = false;
  #stalledUntilMs = 0;
  /** When the last piece in each direction arrives: later ones may not overtake it. */
  readonly #lastMs = { manager: 0, worker: 0 };

  constructor(
    private readonly timeline: Timeline,
    private readonly rng: Rng,
    private readonly faults: Faults,
    private readonly ends: { readonly manager: End; readonly worker: End },
  ) {}

  send(to: "manager" | "worker", bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#open;) {
      const left = bytes.length - at;
      // Tiny pieces matter around line ends; the inside of a long payload may come at once.
      const inside = at >= edgeBytes && left > 2 * edgeBytes;
      const tiny = 1 + Math.floor(this.rng() * this.faults.pieceBytesMax);
      const size = inside ? left - edgeBytes : Math.min(left, tiny);
      const piece = bytes.slice(at, at + size);
      at += size;
      this.#later(to, () => this.ends[to].received(piece));
    }
  }

  /** One side closes: what it sent before still arrives, then the other side hears of it. */
  close(by: "manager" | "worker"): void {
    if (!this.#open) return;
    const to = by === "manager" ? "worker" : "manager";
    this.#later(to, () => {
      if (!this.#open) return;
      this.#open = false;
      this.ends[to].closed();
    });
  }

  /** Breaks now, in the middle of whatever is under way. */
  cut(): void {
    if (!this.#open) return;
    this.#open = false;
    this.ends.manager.closed();
    this.ends.worker.closed();
  }

  /** The worker's end is gone without a word: nothing arrives any more, in either direction. */
  goMute(): void {
    this.#mute = true;
  }

  stall(ms: number): void {
    this.#stalledUntilMs = this.timeline.nowMs + ms;
  }

  #later(to: "manager" | "worker", happen: () => void): void {
    const { nowMs } = this.timeline;
    const latencyMs = this.rng() * this.faults.latencyMsMax;
    const atMs = Math.max(this.#lastMs[to], nowMs + latencyMs, this.#stalledUntilMs);
    this.#lastMs[to] = atMs;
    // Not `in(atMs - nowMs)`: rounding could let a piece overtake the one before.
    this.timeline.at(atMs, () => {
      if (this.#open && !this.#mute) happen();
    });
  }
}
