/** The words of explanations: amounts, lists and counts, as people read them. */
import { needOf } from "../allocation/box.ts";
import { type ResourceName, resourceNames, type Wish } from "../allocation/policy.ts";
import { eachResource, type Resources } from "../resources.ts";
import { formatDuration, formatSizeMb } from "../units.ts";

export const wholeWorker = "a whole worker";

export function needsOf(wish: Wish): string {
  const needs = amountsOf(wish);
  return resourceNames.every((name) => needs[name] === 0) ? wholeWorker : describe(needs);
}

/** "2 cores, 4 GB memory and 1 GB disk". */
export function describe(amounts: Resources): string {
  const order = ["cores", "memoryMb", "diskMb", "gpus"] as const;
  const parts = order.filter((name) => amounts[name] > 0).map((name) =>
    amount(name, amounts[name])
  );
  return parts.length === 0 ? "nothing" : list(parts);
}

export function amount(name: ResourceName, value: number): string {
  const rounded = Math.round(value * 1000) / 1000;
  switch (name) {
    case "cores":
      return `${rounded} core${rounded === 1 ? "" : "s"}`;
    case "gpus":
      return `${rounded} gpu${rounded === 1 ? "" : "s"}`;
    case "memoryMb":
      return `${formatSizeMb(Math.ceil(value))} memory`;
    case "diskMb":
      return `${formatSizeMb(Math.ceil(value))} disk`;
  }
}

/** What starts a worker of that size. */
export function workerOptions(wish: Wish): string {
  const { cores, memoryMb, diskMb, gpus } = amountsOf(wish);
  const options = [
    cores > 0 && `--cores ${Math.ceil(cores)}`,
    memoryMb > 0 && `--memory ${Math.ceil(memoryMb)}`,
    diskMb > 0 && `--disk ${Math.ceil(diskMb)}`,
    gpus > 0 && `--gpus ${Math.ceil(gpus)}`,
  ].filter((option) => option !== false);
  return `wqx worker ${options.join(" ")}`;
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

export function paragraph(...sentences: readonly string[]): string {
  return sentences.filter((sentence) => sentence !== "").join(" ");
}

export function list(parts: readonly string[]): string {
  return parts.length < 2
    ? parts.join("")
    : `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}`;
}

export function times(count: number): string {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

export function are(count: number): string {
  return count === 1 ? "is" : "are";
}

export function have(count: number): string {
  return count === 1 ? "has" : "have";
}

export function lower(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

export function time(ms: number): string {
  return ms < 90_000 ? `${Math.max(0, Math.round(ms / 1000))} s` : formatDuration(ms);
}

export function amountsOf(wish: Wish): Resources {
  return eachResource((name) => needOf(wish, name));
}
