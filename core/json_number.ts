/** Numbers that JSON cannot write: not-a-number, the infinities, and minus zero. */

/** A finite number as it is, any other one as `{ "$number": "NaN" }` and so on. */
export function numberToJson(value: number): number | { $number: string } {
  if (Object.is(value, -0)) return { $number: "-0" };
  return Number.isFinite(value) ? value : { $number: String(value) };
}

/** The number that `numberToJson` wrote; `null` for anything else. */
export function numberFromJson(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "object" || value === null || !("$number" in value)) return null;
  switch (value.$number) {
    case "NaN":
      return NaN;
    case "Infinity":
      return Infinity;
    case "-Infinity":
      return -Infinity;
    case "-0":
      return -0;
    default:
      return null;
  }
}
