/**
 * Extended regular expressions of POSIX, as work_queue tools take them for names of projects. They
 * may come from strangers, so they run in time linear in the text (RE2), whatever they say.
 */
import { RE2JS } from "re2js";
import { messageOf, UsageError } from "./errors.ts";

export interface TextPattern {
  /** Whether it matches the text. */
  test(text: string): boolean;
}

/** Long enough for every list of names; RE2 needs memory in proportion to it. */
const patternLengthMax = 4096;

/**
 * A pattern that must match the `whole` text, or some part `within` it. Throws a UsageError if it
 * is none; back-references, which RE2 has not, are refused too.
 */
export function posixRegex(pattern: string, extent: "whole" | "within"): TextPattern {
  try {
    if (pattern.length > patternLengthMax) {
      throw new Error(`it has more than ${patternLengthMax} letters`);
    }
    const compiled = RE2JS.compile(fromPosix(pattern), RE2JS.DOTALL);
    return extent === "whole"
      ? { test: (text) => compiled.matches(text) }
      : { test: (text) => compiled.test(text) };
  } catch (error) {
    const reason = messageOf(error).replace(/^error parsing regexp: /, "").replace("(?s)", "");
    throw new UsageError(`"${pattern}" is not a regular expression: ${reason}`);
  }
}

/** In RE2's syntax: a backslash means itself in brackets, and before most letters the letter. */
function fromPosix(pattern: string): string {
  return pattern.replace(bracketOrEscape, (whole, letter?: string) => {
    if (letter !== undefined) return escapes.get(letter) ?? escapedLetter(letter);
    return whole.replace(/\\(?![wWsSdD])/g, "\\\\");
  });
}

/** `[…]`, where a first `]` and what is in `[:…:]` do not close it; or a backslash and a letter. */
const bracketOrEscape = /\[\^?\]?(?:\[:\w*:\]|[^\]])*\]|\\([^])/g;

/** Those of GNU; `\d` is no digit there, but who writes it means one. */
const escapes: ReadonlyMap<string, string> = new Map([
  ["<", "\\b"],
  [">", "\\b"],
  ...["w", "W", "s", "S", "b", "B", "d", "D"].map((letter) => [letter, `\\${letter}`] as const),
]);

function escapedLetter(letter: string): string {
  if (/[1-9]/.test(letter)) throw new Error(`it refers back to a group (\\${letter})`);
  return /[\w\s\u0080-\uffff]/.test(letter) ? letter : `\\${letter}`;
}
