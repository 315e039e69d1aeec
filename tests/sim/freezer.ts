/** SIGSTOP and SIGCONT: what comes while a process is stopped waits until it goes on, in order. */
import type { Timeline } from "./timeline.ts";

export class Freezer {
  #untilMs = 0;
  #waiting: (() => void)[] = [];

  constructor(private readonly timeline: Timeline) {}

  freeze(ms: number): void {
    const { timeline } = this;
    if (timeline.nowMs < this.#untilMs) return;
    this.#untilMs = timeline.nowMs + ms;
    timeline.at(this.#untilMs, () => {
      for (const happen of this.#waiting.splice(0)) happen();
    });
  }

  whenAwake(happen: () => void): void {
    if (this.timeline.nowMs < this.#untilMs) this.#waiting.push(happen);
    else happen();
  }
}
