/**
 * Whether a version may satisfy a constraint, as far as plain numbers tell it: enough to leave out
 * the builds for other Pythons, which are most of a channel. The solver decides; this only says
 * "certainly not", and on all that it does not understand "perhaps".
 */

/** False if the version certainly does not fit; a constraint is that of a dependency or spec. */
export function mayFit(version: string, constraint: string): boolean {
  const numbers = plain(version);
  if (numbers === null || /[()^]/.test(constraint)) return true;
  return constraint.split("|").some((all) => all.split(",").every((one) => mayBe(numbers, one)));
}

function mayBe(version: readonly number[], comparison: string): boolean {
  const [, operator = "", text = ""] = /^(==|=|>=|<=|>|<|)([^=<>!~]+)$/.exec(comparison) ?? [];
  const begin = /^(.*?)\.?\*$/.exec(text)?.[1] ?? (operator === "=" ? text : null);
  if (begin !== null) {
    const wanted = plain(begin);
    if (wanted === null || /[<>]/.test(operator)) return true;
    return wanted.every((number, i) => (version[i] ?? 0) === number);
  }
  // 3.12.0a0 comes right before 3.12: what is before or after the one is so to the other.
  const early = /^(\d+(?:\.\d+)*?)(?:\.0)*\.?(?:a0|dev0?)$/.exec(text)?.[1];
  const bound = plain(early ?? text);
  if (bound === null) return true;
  const order = compare(version, bound);
  switch (operator) {
    case ">=":
      return order >= 0;
    case ">":
      return early === undefined ? order > 0 : order >= 0;
    case "<=":
      return early === undefined ? order <= 0 : order < 0;
    case "<":
      return order < 0;
    default:
      return early === undefined ? order === 0 : false;
  }
}

/** The numbers of a version that has nothing else. */
function plain(text: string): readonly number[] | null {
  return /^\d+(?:\.\d+)*$/.test(text) ? text.split(".").map(Number) : null;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
