/**
 * A manager that says nothing may be gone without a word: a router forgot the link, its machine lost
 * power. TCP by itself asks after two hours, so the worker does. Its question is a line that every
 * manager may be sent at any time; one of Work Queue reads it, if ever, and passes it over, but the
 * system that it runs on acknowledges it, or ours gives the link up after some 15 minutes. So a
 * manager that is busy elsewhere for hours keeps its workers. A manager of wqx answers with `check`,
 * whatever it is busy with, and one that does not is given up sooner.
 */

export interface SilenceLimits {
  /** Without a word for so long, the manager is asked, and again every time it has passed. */
  readonly askAfterMs: number;
  /** For a manager of wqx to answer. */
  readonly answerMsMax: number;
}

/** Managers say `check` after 120 s without news, and may be busy, or stopped, for minutes. */
export const silenceLimits: SilenceLimits = { askAfterMs: 300_000, answerMsMax: 300_000 };

/** Between two looks at the clock; if more has passed, it was this worker that stood still. */
const lookMsMax = 15_000;

/** Of one link. */
export class Silence {
  #lookedMs: number;
  #quietMs = 0;
  #asked = 0;
  #answers = false;

  constructor(nowMs: number, private readonly limits: SilenceLimits = silenceLimits) {
    this.#lookedMs = nowMs;
  }

  /** Of the manager; a whole message, or a part of one. */
  heard(): void {
    this.#quietMs = 0;
    this.#asked = 0;
  }

  /** It is one of wqx. */
  answers(): void {
    this.#answers = true;
  }

  /** For how long nothing was heard; s. */
  get seconds(): number {
    return Math.round(this.#quietMs / 1000);
  }

  /**
   * What to do about it now. `busy`: something is on its way to the manager, or being stored: then
   * it is not the manager that is waited for, and TCP sees by itself whether it is there.
   */
  look(nowMs: number, busy: boolean): "ask" | "give up" | null {
    const { askAfterMs, answerMsMax } = this.limits;
    this.#quietMs += Math.min(nowMs - this.#lookedMs, lookMsMax);
    this.#lookedMs = nowMs;
    if (busy) this.heard();
    if (this.#answers && this.#asked > 0 && this.#quietMs >= askAfterMs + answerMsMax) {
      return "give up";
    }
    if (this.#quietMs < askAfterMs * (this.#asked + 1)) return null;
    this.#asked++;
    return "ask";
  }
}
