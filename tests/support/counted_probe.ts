/** A manager for tests of its status: a scheduler with the statistics that a shell keeps of it. */
import type { ManagerAction, ManagerEvent } from "../../core/scheduler/actions.ts";
import type { ManagerFacts, OwnerView, StatusSource } from "../../core/status/snapshot.ts";
import { StallWatch } from "../../core/status/stall.ts";
import { Statistics } from "../../core/status/statistics.ts";
import { ManagerProbe } from "./builders.ts";

export const facts: ManagerFacts = {
  project: "demo",
  owner: "alice",
  version: "0.1.0",
  port: 9123,
  ssl: false,
  priority: 0,
  workingDir: "/data/run",
  startedEpochMs: 1_795_000_000_250,
  interfaces: [
    { name: "lo", address: "127.0.0.1", family: "IPv4" },
    { name: "eth0", address: "192.0.2.7", family: "IPv4" },
    { name: "eth0", address: "2001:db8::7", family: "IPv6" },
  ],
  preferredConnection: "by_ip",
  tasksLeft: 12,
  hostsBlocked: ["bad1"],
};

/** A scheduler whose statistics are kept, as a shell keeps them. */
export class CountedProbe extends ManagerProbe {
  readonly statistics = new Statistics();
  readonly stall = new StallWatch(0);

  override handle(event: ManagerEvent): ManagerAction[] {
    this.statistics.happened(event, this.nowMs);
    this.stall.happened(event, this.nowMs);
    return this.#counted(super.handle(event));
  }

  override schedule(): ManagerAction[] {
    return this.#counted(super.schedule());
  }

  /** Now, on the calendar. */
  get epochMs(): number {
    return facts.startedEpochMs + this.nowMs;
  }

  source(changes: Partial<ManagerFacts> = {}, owner?: OwnerView): StatusSource {
    const { scheduler, statistics, nowMs, epochMs } = this;
    return {
      scheduler,
      statistics,
      facts: { ...facts, ...changes },
      stillMs: this.stillMs,
      at: { nowMs, epochMs },
      owner,
    };
  }

  get stillMs(): number | null {
    const { scheduler: { tasks, waitingCount }, statistics: { usualMs } } = this;
    const open = { open: tasks.size, running: tasks.size - waitingCount, usualMs };
    return this.stall.stillMs(open, this.nowMs);
  }

  #counted(actions: ManagerAction[]): ManagerAction[] {
    for (const action of actions) {
      this.statistics.acted(action);
      this.stall.acted(action);
    }
    return actions;
  }
}
