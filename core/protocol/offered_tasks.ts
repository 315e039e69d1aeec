/**
 * Tasks that a worker of wqx still has of an earlier link, which broke: they run, or have ended and
 * their results lie there. Each is the value of an info line in its greeting:
 * `RUN KEY STATE AGE_MS CORES MEMORY_MB DISK_MB GPUS`. A manager of that run takes it by a task
 * block of that key, or says `wqx-drop KEY`. Managers that do not know the line pass it over.
 */
import type { Resources } from "../resources.ts";
import type { ToManager } from "./messages.ts";

export interface OfferedTask {
  /** The run that it is of. */
  readonly run: string;
  /** The same for the task under every manager of the run. */
  readonly key: string;
  readonly finished: boolean;
  /** Since it was started. */
  readonly ageMs: number;
  /** What it was given. */
  readonly box: Resources;
}

/** Told, and believed, on one link. */
export const offeredCountMax = 4096;
/** Of runs and keys; characters. */
export const keyLengthMax = 200;
/** No task is older. */
const ageMsMax = 30 * 24 * 3_600_000;

/** Value 1, in the greeting: the worker keeps tasks when a link breaks. */
export const keepsKey = "wqx-keeps";
export const offeredKey = "wqx-kept";

export function offeredInfo({ run, key, finished, ageMs, box }: OfferedTask): ToManager {
  const { cores, memoryMb, diskMb, gpus } = box;
  const state = finished ? "finished" : "running";
  const age = Math.max(0, Math.round(ageMs));
  const value = [run, key, state, age, cores, memoryMb, diskMb, gpus].join(" ");
  return { type: "info", key: offeredKey, value };
}

/** The inverse of {@link offeredInfo}; `null` for what does not parse, as for any unknown info. */
export function parseOffered(value: string): OfferedTask | null {
  const words = value.split(" ");
  const [run = "", key = "", state = ""] = words;
  const numbers = words.slice(3).map((word) => word === "" ? NaN : Number(word));
  if (numbers.length !== 5 || !numbers.every((n) => Number.isFinite(n) && n >= 0)) return null;
  if (!isKey(run) || !isKey(key) || (state !== "running" && state !== "finished")) return null;
  const [ageMs, cores, memoryMb, diskMb, gpus] = numbers as [
    number,
    number,
    number,
    number,
    number,
  ];
  const box = { cores, memoryMb, diskMb, gpus };
  return { run, key, finished: state === "finished", ageMs: Math.min(ageMs, ageMsMax), box };
}

/** Whether it can name a run or a task on the wire. */
export function isKey(text: string): boolean {
  return text.length <= keyLengthMax && /^[\x21-\x7e]+$/.test(text);
}
