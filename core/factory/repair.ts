/**
 * Configurations of a factory that are no JX, but plain enough for people. Forgiven are, between
 * the braces: `"key=value,`, `=` for `:`, a key without one or both of its quotes, a missing comma
 * between pairs, and a text without its closing quote before the next pair.
 */
import { JxSyntaxError, parseWholeJx } from "../jx/parse.ts";

/**
 * The same pairs as proper JX, keys with hyphens. `null` where it is not certain what was meant:
 * every pair must be whole, and one key at least known. `nameOf` gives the right spelling of a key,
 * `null` for an unknown one.
 */
export function repairConfig(
  text: string,
  nameOf: (key: string) => string | null,
): string | null {
  const inside = /^\s*\{([^]*)\}\s*;?\s*$/.exec(text)?.[1];
  if (inside === undefined) return null;
  const keys = [...inside.matchAll(keyMark)].flatMap((found) => {
    const [mark, open = "", key = "", close = "", sign = ""] = found;
    const name = nameOf(key);
    // Other keys, which expressions may use, only where nothing else can be meant.
    const isSound = open === '"' && close === '"' && sign === ":";
    if (name === null && !isSound) return [];
    return [{ name, key, start: found.index, valueStart: found.index + mark.length }];
  });
  const first = keys[0];
  if (first === undefined || !keys.some(({ name }) => name !== null)) return null;
  if (!isBlank(inside.slice(0, first.start))) return null;
  const pairs: string[] = [];
  for (const [i, { name, key, valueStart }] of keys.entries()) {
    const value = wholeValue(inside.slice(valueStart, keys[i + 1]?.start));
    if (value === null) return null;
    pairs.push(`  "${name ?? key}": ${value}`);
  }
  return `{\n${pairs.join(",\n")}\n}`;
}

const keyMark = /(?<=^|[\s,{])(["']?)([A-Za-z_][\w-]*)(["']?)\s*(=(?!=)|:)\s*/g;

/** The text of exactly one value, with at most a comma and comments after it. */
function wholeValue(text: string): string | null {
  const bare = text.replace(/[\s,]+$/, "");
  const quotes = bare.match(/(?<!\\)"/g)?.length ?? 0;
  const closed = quotes === 1 && bare.startsWith('"') ? `${bare}"` : bare;
  try {
    parseWholeJx(closed);
    // With a comment in it, the comma between pairs must stand on a line of its own.
    return closed.includes("#") ? `${closed}\n ` : closed;
  } catch (error) {
    if (error instanceof JxSyntaxError) return null;
    throw error;
  }
}

function isBlank(text: string): boolean {
  return /^(?:\s|#[^\n]*(?:\n|$))*$/.test(text);
}
