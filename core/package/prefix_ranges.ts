/**
 * `1.0.*` as a range. To conda it means all versions that begin so, be it with a dot or a letter
 * (`9.*` is also 9e, `1.1.1.*` also 1.1.1w); the solver's version takes the dot for a part of it.
 */

/** Begins of versions end in a number here; a text such as `2024a.*` is left to the solver. */
const begin = /^(==?|!=|)((?:\d+!)?(?:[\w.]*\.)?)(\d+)(\.?\*|)$/;

/** Rewrites the comparisons of a dependency (`name version build`) that mean a begin. */
export function withRanges(dependency: string): string {
  const [, name = "", version = "", build = ""] = /^\s*(\S+)\s+(\S+)(.*)$/.exec(dependency) ?? [];
  if (version === "" || !/[*=]/.test(version)) return dependency;
  const parts = version.split(/([,|()])/).map((part) => {
    const found = begin.exec(part);
    if (found === null) return part;
    const [, operator, head = "", last = "", star = ""] = found;
    if (star === "" && operator !== "=") return part;
    // "dev" is before all that follows a number.
    const from = `${head}${last}dev`, to = `${head}${BigInt(last) + 1n}dev`;
    return operator === "!=" ? `(<${from}|>=${to})` : `>=${from},<${to}`;
  });
  // `|` binds less than `,`, so that a range needs no brackets of its own.
  return `${name} ${parts.join("")}${build}`;
}

/** The solver's words with the comparisons as they were. */
export function withoutRanges(words: string): string {
  const back = (from: string, to: string, text: string, whole: string) => {
    const found = /^(.*?)(\d+)$/.exec(from);
    const next = found === null ? "" : `${found[1]}${BigInt(found[2]!) + 1n}`;
    return next === to ? text : whole;
  };
  return words
    .replace(/>=([\w.!]+)dev,<([\w.!]+)dev/g, (all, a, b) => back(a, b, `${a}.*`, all))
    .replace(/\(?<([\w.!]+)dev\|>=([\w.!]+)dev\)?/g, (all, a, b) => back(a, b, `!=${a}.*`, all));
}
