/** What simulated tasks of an analysis are given, and what is made of what they say. */
import { crc32 } from "node:zlib";
import type { Item } from "../../core/analysis/items.ts";
import type { Job, Outcome } from "../../core/analysis/job.ts";
import type { Got } from "../../core/analysis/records.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { TaskEnd } from "../../core/scheduler/tasks.ts";
import type { Files } from "./worker.ts";
import { textOf } from "./workload.ts";

export const processorText = "the processor";
export const dataText = (source: string): string => `events of ${source}`;

/** What a task has must be what was sent along. */
export function checkInputs(sandbox: Files): void {
  for (const [name, bytes] of sandbox) {
    const should = name === "processor.js"
      ? processorText
      : name.startsWith("data/")
      ? dataText(name)
      : null;
    if (should !== null && textOf(bytes) !== should) {
      throw new Error(`A task has something else as its ${name}: ${textOf(bytes)}`);
    }
  }
}

export function outcomeIn(bytes: Uint8Array | undefined): Outcome | null {
  try {
    return JSON.parse(textOf(bytes));
  } catch {
    return null; // the attempt died before it could say anything
  }
}

export function gotOf(end: TaskEnd, outcome: Outcome | null): Got {
  if (end.kind === "canceled") return { kind: "nothing" };
  const fault = outcome !== null && !outcome.ok ? outcome.error : null;
  const unread = { kind: "failure", code: resultCode.success, why: "no outcome" } as const;
  const failure = end.kind === "failure" ? end : unread;
  return { kind: "failure", end: failure, fault, why: failure.why };
}

export function jobOf(item: Item, postprocess: boolean): Job {
  switch (item.kind) {
    case "preprocess":
      return { kind: "preprocess", ...item.file, open: "" };
    case "process": {
      const { file, range } = item;
      const of = { uuid: "", metadata: {}, processor: { module: "" } };
      return { kind: "process", ...file, ...range, open: "", ...of };
    }
    case "accumulate": {
      const parts = item.parts.map((_, i) => String(i));
      const last = postprocess && item.final ? { postprocess: { module: "" } } : {};
      return { kind: "accumulate", parts, ...last };
    }
  }
}

/** Of a chunk; sums of such numbers depend on the order in their last bits. */
export function weightOf(line: string): number {
  return crc32(line) / 3 * 10 ** (crc32(line) % 7);
}

export const broken: Outcome = {
  ok: false,
  error: { whose: "internal", message: "a fault of the test" },
};

export function lineOf(file: string, start: number, stop: number): string {
  return `${file} ${start} ${stop}`;
}
