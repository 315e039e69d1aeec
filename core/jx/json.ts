/** JX values to and from what JSON.stringify and JSON.parse know. */
import { isJxArray, isJxObject, type JxValue } from "./value.ts";

/** Plain objects and arrays. Integers past 2^53 are rounded, infinities become `null` as in JSON. */
export function toJson(value: JxValue): unknown {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (isJxArray(value)) return value.map(toJson);
  if (isJxObject(value)) {
    return Object.fromEntries([...value].map(([key, entry]) => [key, toJson(entry)]));
  }
  return value;
}

/**
 * From plain objects, arrays and Maps. Whole numbers that JavaScript holds exactly become integers;
 * fields that are `undefined` are left out. Throws a TypeError for what JSON cannot write.
 */
export function fromJson(value: unknown): JxValue {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "bigint":
      return BigInt.asIntN(64, value);
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
    case "object":
      break;
    default:
      throw new TypeError(`a ${typeof value} has no form in JX`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(fromJson);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return new Map(
    entries.filter(([, entry]) => entry !== undefined).map((
      [key, entry],
    ) => [String(key), fromJson(entry)]),
  );
}
