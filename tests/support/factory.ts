/** Records and settings of factories in tests. */
import { type FactorySettings, settingsDefault } from "../../core/factory/settings.ts";
import type { JobId, JobStatus } from "../../core/factory/job.ts";
import type { JxObject, JxValue } from "../../core/jx/value.ts";

export function settings(changed: Partial<FactorySettings> = {}): FactorySettings {
  return { ...settingsDefault, managerName: "ana.*", ...changed };
}

/** Whole numbers become integers of JX. */
export function jxRecord(fields: Readonly<Record<string, JxValue>>): JxObject {
  const entries = Object.entries(fields).map(([key, value]): [string, JxValue] => [
    key,
    typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value,
  ]);
  return new Map(entries);
}

/** As a catalog that speaks JSON has it. */
export function managerFields(fields: Readonly<Record<string, unknown>> = {}): object {
  const always = { type: "wq_master", project: "ana1", name: "login1", port: 9123, protocol: 11 };
  return { ...always, ...fields };
}

export function managerRecord(fields: Readonly<Record<string, JxValue>> = {}): JxObject {
  return jxRecord({ ...managerFields(fields) });
}

export const jobId = (text: string): JobId => text as JobId;

export const pending: JobStatus = { phase: "pending", why: null };
export const running = (host: string | null = null): JobStatus => ({
  phase: "running",
  host,
  sinceEpochS: null,
});
export const ended = (exitCode: number | null, why = "it ended"): JobStatus => ({
  phase: "ended",
  exitCode,
  why,
});
