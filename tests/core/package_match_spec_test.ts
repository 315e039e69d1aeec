import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../core/errors.ts";
import { dependencyText, nameOfDependency, parseMatchSpec } from "../../core/package/match_spec.ts";
import { withoutRanges, withRanges } from "../../core/package/prefix_ranges.ts";

/** As it is given, and as channels write it. */
const forms: readonly (readonly [string, string])[] = [
  ["numpy", "numpy"],
  ["NumPy", "numpy"],
  ["n=1.2", "n 1.2.*"],
  ["n =1.2", "n 1.2.*"],
  ["n = 1.2", "n 1.2.*"],
  ["n==1.2", "n ==1.2"],
  ["n 1.2", "n ==1.2"],
  ["n=1.2=b", "n ==1.2 b"],
  ["n 1.2 b", "n ==1.2 b"],
  ["n 1.2=b", "n ==1.2 b"],
  ["n=1.2.*=b*", "n 1.2.* b*"],
  ["n 1.2.*", "n 1.2.*"],
  ["n=1.2.*", "n 1.2.*"],
  ["n=1.2*", "n 1.2*"],
  ["n>=1,<2", "n >=1,<2"],
  ["n >= 1 , < 2 py*", "n >=1,<2 py*"],
  ["n>=1=b", "n >=1 b"],
  ["n 1.2|1.3", "n ==1.2|==1.3"],
  ["n =1.2,!=1.2.5", "n 1.2.*,!=1.2.5"],
  ["n (>=1|<0.5),!=3", "n (>=1|<0.5),!=3"],
  ["n!=1.5", "n !=1.5"],
  ["n~=1.4.2", "n ~=1.4.2"],
  ["n 1!2.0", "n ==1!2.0"],
  ["n 1.2 ^py3\\d+$", "n ==1.2 ^py3\\d+$"],
  ["n *", "n"],
  ["n=*=b", "n * b"],
  ["n 1.* *", "n 1.*"],
  ["n[version='>=1,<2',build=b*]", "n >=1,<2 b*"],
  ['n 3 [version="=1.2"]', "n ==1.2"],
  ["n >=1  # because of the other one", "n >=1"],
];

Deno.test("a match spec in any form becomes name, version and build with blanks between", () => {
  for (const [given, wanted] of forms) {
    assert.equal(dependencyText(parseMatchSpec(given)), wanted, given);
  }
});

Deno.test("a spec as channels write it stays as it is", () => {
  for (const [, text] of forms) {
    assert.equal(dependencyText(parseMatchSpec(text)), text);
  }
});

Deno.test("a spec tells its channel, its subdir and the keys in its brackets", () => {
  const parts = (text: string) => {
    const { channel, subdir, keys } = parseMatchSpec(text);
    return [channel, subdir, Object.fromEntries(keys)];
  };
  assert.deepEqual(parts("conda-forge::n"), ["conda-forge", null, {}]);
  assert.deepEqual(parts("a/b/linux-64::n=1"), ["a/b", "linux-64", {}]);
  assert.deepEqual(parts("file:///x/y/noarch::n"), ["file:///x/y", "noarch", {}]);
  assert.deepEqual(parts("https://h/c::n"), ["https://h/c", null, {}]);
  assert.deepEqual(parts("c::n[channel=d/noarch]"), ["d", "noarch", {}]);
  assert.deepEqual(parts("n[channel=d,subdir=linux-64]"), ["d", "linux-64", {}]);
  assert.deepEqual(parts("n[md5=ab, build_number='>=3', fn=\"a,b\"]"), [null, null, {
    md5: "ab",
    build_number: ">=3",
    fn: "a,b",
  }]);
});

const malformed: readonly (readonly [string, RegExp])[] = [
  ["", /^Cannot read the package "": it is empty$/],
  ["# nothing", /it is empty/],
  ["::n", /no channel before ::/],
  [">=1", /must begin with a name, as in numpy >=1\.26$/],
  ["nu*", /a name is meant, and not a pattern/],
  ["n >=", /">=" in ">=" is no version; one is written like 1\.2\.\*/],
  ["n >=1,", /"" in ">=1," is no version/],
  ["n !!bad", /"!!bad" in "!!bad" is no version/],
  ["n >=1 <2", /versions are joined by a comma, as in >=1,<2$/],
  ["n 1 b c", /a version and a build, and no more$/],
  ["n 1=b c", /it has two builds/],
  ["n 1 b/c", /"b\/c" is no build; one is written like py311\*/],
  ["n[x=1]", /nothing is known of "x"; in brackets may stand version, build, channel/],
  ["n[version=]", /"version" in brackets has no value/],
  ["n[version]", /pairs like build='py311\*', not "version"/],
  ["n[channel='']", /"channel" in brackets has no value/],
  ["pkg[extra]>=1", /extras are for pip, so put it among pip's$/],
  ["https://h/c/noarch/a-1-0.conda", /the URL of one file; name its channel and the package/],
];

Deno.test("a malformed spec is refused with a sentence that says what would do", () => {
  for (const [text, sentence] of malformed) {
    assert.throws(() => parseMatchSpec(text), (error) => {
      assert.ok(error instanceof UsageError, text);
      assert.match(error.message, sentence);
      return true;
    });
  }
});

Deno.test("any text is a spec that reads the same again, or refused as the user's mistake", () => {
  const word = fc.stringMatching(/^[a-z0-9 =<>!~.,|*:[\]'()^$-]{0,12}$/);
  fc.assert(fc.property(fc.oneof(word, fc.string(), word.map((text) => `n${text}`)), (text) => {
    let spec;
    try {
      spec = parseMatchSpec(text);
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
      return;
    }
    const again = dependencyText(spec);
    assert.equal(dependencyText(parseMatchSpec(again)), again);
  }));
});

Deno.test("the name of a dependency ends where its version begins", () => {
  const texts = ["python", "Python >=3.11", "python>=3.11", "python 3.11.* *_cpython", " a[x=1]"];
  assert.deepEqual(texts.map(nameOfDependency), ["python", "python", "python", "python", "a"]);
  for (const text of ["", ">=1", "c::n", "n[channel=c]", "a/b"]) {
    assert.equal(nameOfDependency(text), null, text);
  }
});

Deno.test("begins of versions become ranges, and words about ranges become begins again", () => {
  const cases = [
    ["n 1.0.*", "n >=1.0dev,<1.1dev"],
    ["n =1.0", "n >=1.0dev,<1.1dev"],
    ["n 1.9* b*", "n >=1.9dev,<1.10dev b*"],
    ["n 1!3.*", "n >=1!3dev,<1!4dev"],
    ["n !=1.5.*", "n (<1.5dev|>=1.6dev)"],
    ["n >=1,2.*|<0.5", "n >=1,>=2dev,<3dev|<0.5"],
  ] as const;
  for (const [text, ranges] of cases) assert.equal(withRanges(text), ranges);
  for (const text of ["n", "n 1.0", "n ==1.0", "n *", "n >=1", "n 2024a.*", "n ^1.*$ b"]) {
    assert.equal(withRanges(text), text);
  }
  const words = "n 1.0.*|!=1.5.*, which numpy 1 needs, or >=1.0dev,<1.5dev";
  const told = words.replace("1.0.*", ">=1.0dev,<1.1dev").replace("!=1.5.*", "<1.5dev|>=1.6dev");
  assert.equal(withoutRanges(told), words);
});
