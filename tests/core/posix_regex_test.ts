import assert from "node:assert/strict";
import { posixRegex } from "../../core/posix_regex.ts";

const cases: readonly (readonly [string, string, boolean])[] = [
  ["cms.*", "cms-run3", true],
  ["a|b", "a", true],
  ["a|b", "ab", false],
  ["[[:alpha:]]+[[:digit:]]", "abc1", true],
  ["[^[:space:]]*", "a b", false],
  ["[]a]+", "a]a", true],
  ["[^]]", "]", false],
  ["[\\.]", "\\", true],
  ["[\\.]", ".", true],
  ["[\\w]", "w", true],
  ["a\\.b", "a.b", true],
  ["a\\.b", "axb", false],
  ["\\<a\\>", "a", true],
  ["\\d+", "42", true],
  ["\\q\\-\\é", "q-é", true],
  ["a{2,3}", "aaa", true],
  ["a.b", "a\nb", true],
  [".", "é", true],
];

Deno.test("extended regular expressions of POSIX match what they say", async (t) => {
  for (const [pattern, text, expected] of cases) {
    await t.step(`${pattern} on ${JSON.stringify(text)}`, () => {
      assert.equal(posixRegex(pattern, "whole").test(text), expected);
    });
  }
});

Deno.test("a pattern matches the whole text, or some part within it", () => {
  assert.equal(posixRegex("b", "within").test("abc"), true);
  assert.equal(posixRegex("b", "whole").test("abc"), false);
  assert.equal(posixRegex("^b", "within").test("abc"), false);
});

const refused: readonly (readonly [string, string])[] = [
  ["a(", "missing closing ): `a(`"],
  ["a)", "unexpected ): `a)`"],
  ["[a", "missing closing ]: `[a`"],
  ["*", "missing argument to repetition operator: `*`"],
  ["(a)\\1", "it refers back to a group (\\1)"],
  ["a".repeat(5000), "it has more than 4096 letters"],
];

Deno.test("what is no pattern is refused with the reason", () => {
  for (const [pattern, reason] of refused) {
    assert.throws(() => posixRegex(pattern, "whole"), {
      name: "UsageError",
      message: `"${pattern}" is not a regular expression: ${reason}`,
    });
  }
});

Deno.test("no pattern takes longer than the text and the pattern are long", () => {
  const text = `${"a".repeat(5000)}!`;
  for (const pattern of ["(a+)+b", "(a|a)*b", "(a*)*(a*)*b", "([a-z]+)*b"]) {
    assert.equal(posixRegex(pattern, "within").test(text), false);
  }
});
