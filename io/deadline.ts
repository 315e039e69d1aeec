/** A limit of time for something that takes an AbortSignal; its timer goes with it. */
export class Deadline implements Disposable {
  readonly #late = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  /** Fires with an Error that says how long it was, or as `outer` does. */
  readonly signal: AbortSignal;

  constructor(ms: number, outer: AbortSignal) {
    const error = new Error(`no answer within ${Math.ceil(ms / 1000)} s`);
    this.#timer = setTimeout(() => this.#late.abort(error), ms);
    this.signal = AbortSignal.any([outer, this.#late.signal]);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
