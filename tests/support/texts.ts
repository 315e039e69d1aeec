/** Texts of any characters, for property tests. */
import fc from "fast-check";

const surrogatesFrom = 0xd800, surrogateCount = 0x800;

/** Code points without halves of pairs, numbered from 0 on. */
const character = fc.nat(0x10ffff - surrogateCount).map(
  (n) => String.fromCodePoint(n < surrogatesFrom ? n : n + surrogateCount),
  (text) => {
    const code = typeof text === "string" ? text.codePointAt(0) : undefined;
    if (code === undefined || text !== String.fromCodePoint(code)) throw new Error("no character");
    return code < surrogatesFrom ? code : code - surrogateCount;
  },
);

/**
 * What `fc.string({ unit: "binary" })` gives; but that takes a second of CPU time to make a table of
 * all characters, in each file of tests anew.
 */
export function anyText(
  constraints: { readonly minLength?: number; readonly maxLength?: number } = {},
): fc.Arbitrary<string> {
  return fc.string({ ...constraints, unit: character });
}
