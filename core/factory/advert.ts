/** The record by which managers, other factories and people know of a factory. */
import { integerOf, type JxObject, type JxValue } from "../jx/value.ts";
import { peerFields } from "./peers.ts";
import type { Plan } from "./plan.ts";
import type { FactorySettings } from "./settings.ts";
import type { View } from "./view.ts";

/**
 * Seconds after which a catalog may forget it; at least two updates are lost by then. Work Queue's
 * own factories stay listed for half an hour after their end.
 */
const lifetimeS = 300;

/** What stays the same for a run. */
export interface FactoryFacts {
  /** Told apart by it, also after a restart in the same scratch folder. */
  readonly id: string;
  /**
   * Negative, and no port at all: a catalog keeps one record for each port of an address.
   */
  readonly port: number;
  readonly owner: string;
  readonly version: string;
  readonly batchType: string;
}

export interface Standing {
  readonly settings: FactorySettings;
  readonly view: View;
  readonly plan: Plan;
  readonly waiting: number;
  readonly running: number;
  /** How many more it could bring. */
  readonly room: number;
  /** All jobs so far, those of this cycle too. */
  readonly brought: number;
}

/** What is in the catalog before this cycle's jobs are handed in, as in work_queue_factory. */
export function factoryRecord(facts: FactoryFacts, standing: Standing): JxObject {
  const { settings, view, plan, waiting, running, room, brought } = standing;
  const record: [string, JxValue | null][] = [
    ["type", "wq_factory"],
    ["port", BigInt(facts.port)],
    ["owner", facts.owner],
    ["version", facts.version],
    ["lifetime", BigInt(lifetimeS)],
    ["workers_submitted", BigInt(plan.submitted)],
    ["workers_needed", BigInt(plan.needed)],
    ["workers_requested", BigInt(plan.submit)],
    ["workers_to_connect", BigInt(plan.toConnect)],
    ["managers", view.managers.map(summaryOf)],
    ["foremen", (view.foremen ?? []).map(summaryOf)],
    ...(settings.managerName === null ? [] : named(settings, settings.managerName)),
    [peerFields.id, facts.id],
    [peerFields.room, BigInt(room)],
    ["wqx_batch_type", facts.batchType],
    ["wqx_waiting", BigInt(waiting)],
    [peerFields.running, BigInt(running)],
    [peerFields.brought, BigInt(brought)],
    ["wqx_why", plan.why],
  ];
  return new Map(record);
}

/** Managers look for these to keep to the limit of a factory. */
function named(settings: FactorySettings, project: string): [string, JxValue][] {
  return [
    ["project_regex", project],
    ["submission_regex", settings.foremenName ?? project],
    ["max_workers", BigInt(settings.maxWorkers)],
    ...(settings.factoryName === null
      ? []
      : [["factory_name", settings.factoryName] as [string, JxValue]]),
  ];
}

function summaryOf(record: JxObject): JxObject {
  const counts = ["port", "tasks_waiting", "tasks_running", "tasks_complete", "workers"];
  return new Map<string, JxValue>([
    ["project", record.get("project") ?? ""],
    ["name", record.get("name") ?? ""],
    ...counts.map((key): [string, JxValue] => [key, BigInt(Math.trunc(integerOf(record, key)))]),
  ]);
}
