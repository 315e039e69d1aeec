/** Values of a client's JSON, checked as they are taken: each says what it should have been. */
import { UsageError } from "../errors.ts";

/** Throws a UsageError that is the end of a sentence: `NAME is 3, not a text`. */
function wrong(name: string, value: unknown, wanted: string): never {
  const shown = (JSON.stringify(value) ?? "missing").slice(0, 60);
  throw new UsageError(`${name} is ${shown}, not ${wanted}`);
}

export function text(name: string, value: unknown): string {
  return typeof value === "string" ? value : wrong(name, value, "a text");
}

export function textOrNull(name: string, value: unknown): string | null {
  return value === null || value === undefined ? null : text(name, value);
}

export function number(name: string, value: unknown): number {
  return typeof value === "number" ? value : wrong(name, value, "a number");
}

export function whole(name: string, value: unknown, min = -Infinity): number {
  const isWhole = Number.isSafeInteger(value) && (value as number) >= min;
  const least = min === -Infinity ? "" : ` of at least ${min}`;
  return isWhole ? value as number : wrong(name, value, `a whole number${least}`);
}

export function list(name: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : wrong(name, value, "a list");
}

export function record(name: string, value: unknown): Readonly<Record<string, unknown>> {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? value as Record<string, unknown> : wrong(name, value, "an object");
}

export function boolean(name: string, value: unknown): boolean {
  return typeof value === "boolean" ? value : wrong(name, value, "true or false");
}

/** One of these; anything else is refused with all of them. */
export function oneOf<T extends string>(name: string, value: unknown, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  return found ?? wrong(name, value, `one of ${known.join(", ")}`);
}

/** A path that does not depend on anybody's current folder. */
export function absolutePath(name: string, value: unknown): string {
  const path = text(name, value);
  return path.startsWith("/") ? path : wrong(name, path, "an absolute path");
}
