import assert from "node:assert/strict";
import fc from "fast-check";
import {
  parseCondaUnpack,
  parseRelocations,
  type Relocation,
  writeRelocations,
} from "../../core/package/relocations.ts";

const relocation: fc.Arbitrary<Relocation> = fc.record({
  path: fc.stringMatching(/^[\w .'"\\-]+(\/[\w é]+)*$/).filter((path) =>
    !path.split("/").includes("..")
  ),
  placeholder: fc.string({ minLength: 1 }),
  mode: fc.constantFrom("text" as const, "binary" as const),
});

const byPath = (list: readonly Relocation[]) =>
  list.map((one) => JSON.stringify([one.path, one.placeholder, one.mode])).sort();

Deno.test("relocations read back as they were written, whatever their order", () => {
  fc.assert(fc.property(fc.array(relocation), (list) => {
    assert.deepEqual(byPath(parseRelocations(writeRelocations(list))), byPath(list));
    assert.equal(writeRelocations(list), writeRelocations([...list].reverse()));
  }));
});

Deno.test("a relocation file that is damaged, newer or leaves the archive is refused", () => {
  const group = (fields: object) =>
    JSON.stringify({
      version: 1,
      replacements: [{ mode: "text", placeholder: "/p", paths: ["a"], ...fields }],
    });
  assert.equal(parseRelocations(group({})).length, 1);
  const cases: [string, RegExp][] = [
    ["{", /wqx-relocate\.json of the archive: it is no JSON/],
    ["[]", /has no version/],
    [`{"version": 2, "replacements": []}`, /version 2, this wqx knows 1; update wqx/],
    [`{"version": 1}`, /no list of replacements/],
    [group({ paths: "a" }), /a replacement has no paths/],
    [group({ mode: "exec" }), /"exec" is neither text nor binary/],
    [group({ placeholder: "" }), /a placeholder is empty/],
    [group({ paths: ["../x"] }), /"\.\.\/x" is no path inside the archive/],
    [group({ paths: ["/etc/passwd"] }), /is no path inside/],
    [group({ paths: [3] }), /3 is no path inside/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseRelocations(text), { name: "RunError", message });
  }
});

/** As Python's `repr` writes it. */
function repr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\\n\t]/g, (sign) => ({ "\\": "\\\\", "\n": "\\n" }[sign] ?? "\\t"));
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

Deno.test("records of conda-pack's script are read, and its code is left alone", () => {
  fc.assert(fc.property(fc.array(relocation), (list) => {
    const clean = list.map((one) => ({
      ...one,
      placeholder: one.placeholder.replace(/[^\x20-\x7e\n\t]/g, "_"),
    }));
    const records = clean.map(({ path, placeholder, mode }) =>
      `(${repr(path)}, ${repr(placeholder)}, ${repr(mode)})`
    );
    const script = `#!/usr/bin/env python\nimport os\n_prefix_records = [\n${
      records.join(",\n")
    }\n]\nprint("x")\n`;
    assert.deepEqual(parseCondaUnpack(script), clean);
  }));
  assert.deepEqual(parseCondaUnpack("print('no records')\n"), []);
  const [escaped] = parseCondaUnpack(
    String.raw`_prefix_records = [('caf\xe9\u20ac\U0001f600', "/p", 'text'),]`,
  );
  assert.equal(escaped?.path, "café€😀");
});

Deno.test("a script whose records are no string literals is refused with the line", () => {
  const cases: [string, RegExp][] = [
    [
      "_prefix_records = [\n(os.x, 'p', 'text')]",
      /bin\/conda-unpack .*: line 2: expected a string/,
    ],
    ["_prefix_records = [('a', 'p', 'text'", /line 1: expected \)/],
    ["_prefix_records = [('a", /a string has no end/],
    ["_prefix_records = [('a\\q', 'p', 'text')]", /unknown escape/],
    ["_prefix_records = [('a', 'p', 'text') 3]", /expected \]/],
    ["_prefix_records = [('a/../../b', 'p', 'text')]", /no path inside the archive/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseCondaUnpack(text), { name: "RunError", message });
  }
});
