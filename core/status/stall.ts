/**
 * Whether a queue still moves. While tasks are open and nothing happens to any of them, its owner
 * is told so, with the reason (explain.ts), after a minute and then ever less often.
 */
import type { NowMs } from "../env.ts";
import type { ManagerAction, ManagerEvent } from "../scheduler/actions.ts";

/** Nothing that helps a user takes less to look at. */
const stillMinMs = 60_000;
/** Tasks that run may well take some time: so many times what they took on average. */
const timesUsual = 5;
/** Before the first has ended, nobody knows what they take. */
const firstTasksMs = 600_000;

/** What is known of the open tasks. */
export interface OpenTasks {
  readonly open: number;
  /** On workers, at work. */
  readonly running: number;
  /** Average time of those that ended well; `null`: none has. */
  readonly usualMs: number | null;
}

export class StallWatch {
  #movedMs: NowMs;
  /** Since it was last asked. */
  #acted = false;
  /** Said again when it has lasted this long. */
  #sayAtMs = 0;

  constructor(nowMs: NowMs) {
    this.#movedMs = nowMs;
  }

  happened(event: ManagerEvent, nowMs: NowMs): void {
    if (moves(event)) this.#moved(nowMs);
  }

  acted({ type }: ManagerAction): void {
    if (type === "dispatch" || type === "attempt_ended" || type === "returned") this.#acted = true;
  }

  /** For how long nothing has moved; `null`: that is no reason to worry. */
  stillMs({ open, running, usualMs }: OpenTasks, nowMs: NowMs): number | null {
    if (open === 0 || this.#acted) this.#moved(nowMs);
    const patienceMs = running === 0
      ? stillMinMs
      : Math.max(stillMinMs, usualMs === null ? firstTasksMs : timesUsual * usualMs);
    const stillMs = nowMs - this.#movedMs;
    return stillMs >= patienceMs ? stillMs : null;
  }

  /** Whether to say so now: at once, and then each time that it has lasted twice as long. */
  isDue(stillMs: number): boolean {
    if (stillMs < this.#sayAtMs) return false;
    this.#sayAtMs = 2 * stillMs;
    return true;
  }

  #moved(nowMs: NowMs): void {
    this.#movedMs = nowMs;
    this.#acted = false;
    this.#sayAtMs = 0;
  }
}

/** Signs of life and news of a worker's size are none of a task's. */
function moves(event: ManagerEvent): boolean {
  switch (event.type) {
    case "received":
      return ["result", "file", "dir", "update"].includes(event.message.type);
    case "tick":
    case "order":
    case "factory_limits":
    case "link_opened":
    case "link_closed":
      return false;
    default:
      return true;
  }
}
