/**
 * What JX text stands for: JSON with integers of 64 bits. Integers are bigint and doubles number,
 * because readers of records tell them apart: `9123` is a port and `9123.5` is none.
 */

export type JxValue = null | boolean | bigint | number | string | JxArray | JxObject;

export interface JxArray extends ReadonlyArray<JxValue> {}

/** In the order of the text; of equal keys the first counts, as in cctools. */
export interface JxObject extends ReadonlyMap<string, JxValue> {}

export function isJxObject(value: JxValue | undefined): value is JxObject {
  return value instanceof Map;
}

export function isJxArray(value: JxValue | undefined): value is JxArray {
  return Array.isArray(value);
}

/** A string field, or `null` if it is missing, empty or of another type. */
export function stringOf(object: JxObject, key: string): string | null {
  const value = object.get(key);
  return typeof value === "string" && value !== "" ? value : null;
}

/** An integer field; 0 if it is missing or of another type, as the readers of cctools see it. */
export function integerOf(object: JxObject, key: string): number {
  const value = object.get(key);
  return typeof value === "bigint" ? Number(value) : 0;
}

/** A field that is an integer or a double; 0 for all others. */
export function numberOf(object: JxObject, key: string): number {
  const value = object.get(key);
  return typeof value === "bigint" || typeof value === "number" ? Number(value) : 0;
}

/** A number that can be counted with; `null` if it is missing, of another type or infinite. */
export function amountOf(object: JxObject, key: string): number | null {
  const value = object.get(key);
  const amount = typeof value === "bigint" ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) ? amount : null;
}

/** The objects of a list; none if it is missing or of another type. */
export function objectsOf(object: JxObject, key: string): JxObject[] {
  const value = object.get(key);
  return isJxArray(value) ? value.filter(isJxObject) : [];
}

/** Whether the field is exactly `true`. */
export function isTrue(object: JxObject, key: string): boolean {
  return object.get(key) === true;
}
