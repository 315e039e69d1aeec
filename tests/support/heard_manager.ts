/** A manager on this machine without tasks, and all that it tells of its links. */
import type { ManagerListener } from "../../manager/listener.ts";
import { Manager } from "../../manager/server.ts";
import { openToAll, type Serving } from "../../manager/serving.ts";

export class HeardManager implements AsyncDisposable {
  /** Reasons for which connections were refused. */
  readonly refused: string[] = [];
  /** Reasons for which workers left. */
  readonly left: string[] = [];
  /** Workers, in order. */
  readonly joined: string[] = [];
  /** Workers that talk plain text, as far as that was told. */
  readonly plain: string[] = [];
  readonly #manager: Manager;

  constructor(serving: Partial<Serving> = {}) {
    const listener: ManagerListener = {
      attemptEnded() {},
      returned() {},
      workerJoined: (worker) => this.joined.push(worker.id),
      workerLeft: (_worker, why) => this.left.push(why),
      refused: (_address, why) => this.refused.push(why),
      hostBlocked() {},
      tooLarge() {},
      plainText: (worker) => this.plain.push(worker.id),
    };
    this.#manager = Manager.listen({
      hostname: "127.0.0.1",
      name: "ana",
      version: "0",
      port: { low: 0, high: 0 },
      serving: { ...openToAll, ...serving },
    }, listener);
  }

  get port(): number {
    return this.#manager.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#manager[Symbol.asyncDispose]();
  }
}

/** What a worker says first. */
export const workersGreeting = new TextEncoder().encode(
  "workqueue 11 h Linux x86_64 8.0.0\ninfo worker-id a\nresource cores 1 1 1\nresource tag 0\n",
);
