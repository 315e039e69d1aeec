import assert from "node:assert/strict";
import fc from "fast-check";
import type { ChannelPriority } from "../../core/package/condarc.ts";
import { explainConflict, someVersions, unknownPackage } from "../../core/package/conflict.ts";
import { linkOrder } from "../../core/package/link_order.ts";
import { nameOfDependency, parseMatchSpec } from "../../core/package/match_spec.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import { mayFit } from "../../core/package/version_bounds.ts";
import { Selection } from "../../core/package/selection.ts";
import { solvedRecords, solverInput } from "../../core/package/solver_input.ts";

function record(
  name: string,
  version: string,
  depends: readonly string[] = [],
  more: Partial<PackageRecord> = {},
): PackageRecord {
  const channel = more.channel ?? "http://a";
  const fileName = `${name}-${version}-0.conda`;
  return {
    name,
    version,
    build: "0",
    buildNumber: 0,
    subdir: "linux-64",
    noarch: null,
    depends,
    constrains: [],
    fileName,
    url: `${channel}/linux-64/${fileName}`,
    channel,
    ...more,
  };
}

const b = { channel: "http://b" };
const pool = [
  record("app", "1", ["numpy >=2"]),
  record("app", "2", ["scipy"], b),
  record("numpy", "1.26", ["python"]),
  record("numpy", "2.0", ["python"], b),
  record("scipy", "1", ["numpy"], b),
  record("python", "3.11", ["__glibc >=2.17"]),
  record("other", "1"),
];

function select(
  specs: readonly (readonly [text: string, channels: readonly string[] | null])[],
  priority: ChannelPriority,
  narrow = false,
): Selection {
  const asked = specs.map(([text, channels]) => ({ spec: parseMatchSpec(text), channels }));
  const selection = new Selection(asked, ["http://a", "http://b"], priority, narrow);
  for (let names = selection.wanted(); names.length > 0; names = selection.wanted()) {
    for (const name of names) selection.add(name, pool.filter((one) => one.name === name));
  }
  return selection;
}

function versionsOf(selection: Selection, name: string, reach?: number): string[] {
  return selection.candidatesOf(name, reach).map(({ record, later }) =>
    `${record.version}${later ? " later" : ""}`
  );
}

Deno.test("strict priority takes a name from the first channel that has it", () => {
  const selection = select([["app", null]], "strict");
  assert.deepEqual([...selection.names()].sort(), ["app", "numpy", "python"]);
  assert.deepEqual(versionsOf(selection, "app"), ["1"]);
  assert.deepEqual(versionsOf(selection, "numpy"), ["1.26"]);
  assert.equal(selection.reachMax(), 1);
});

Deno.test("flexible priority marks what later channels have, disabled takes all alike", () => {
  const flexible = select([["app", null]], "flexible");
  assert.deepEqual([...flexible.names()].sort(), ["app", "numpy", "python", "scipy"]);
  assert.deepEqual(versionsOf(flexible, "numpy"), ["1.26"]);
  assert.deepEqual(versionsOf(flexible, "numpy", 2), ["1.26", "2.0 later"]);
  assert.deepEqual(versionsOf(flexible, "scipy"), ["1"]);
  assert.equal(flexible.reachMax(), 2);
  assert.deepEqual(versionsOf(select([["app", null]], "disabled"), "numpy"), ["1.26", "2.0"]);
});

Deno.test("a spec that names a channel gets its package from there, whatever is first", () => {
  const selection = select([["b::numpy", ["http://b"]], ["app", null]], "strict");
  assert.deepEqual(versionsOf(selection, "numpy"), ["2.0"]);
  assert.deepEqual(versionsOf(select([["c::numpy", ["http://c"]]], "strict"), "numpy"), []);
  assert.deepEqual(versionsOf(select([["numpy[subdir=noarch]", null]], "strict"), "numpy"), []);
  const file = "numpy[fn=numpy-2.0-0.conda]";
  assert.deepEqual(versionsOf(select([[file, null]], "disabled"), "numpy"), ["2.0"]);
});

Deno.test("a narrow selection leaves out what does not go with what is asked for", () => {
  const specs = [["app", null], ["python=3.12", null], ["numpy <2", null]] as const;
  const wide = select(specs, "disabled"), narrow = select(specs, "disabled", true);
  assert.deepEqual(versionsOf(wide, "python"), ["3.11"]);
  assert.deepEqual(versionsOf(narrow, "python"), []);
  // app 1 needs numpy >=2, and only app 2 leads to scipy.
  assert.deepEqual(versionsOf(narrow, "app"), ["2"]);
  assert.deepEqual(versionsOf(narrow, "numpy"), ["1.26"]);
  assert.ok(narrow.names().includes("scipy"));
  assert.ok(!select([["numpy >=3", null]], "disabled", true).names().includes("python"));
});

Deno.test("a version certainly does not fit a constraint only if plain numbers say so", () => {
  const fits = ["3.11.*", ">=3.11,<3.12.0a0", "3.11", "=3.11", "==3.11.0", ">=3", "<2|>3.10"];
  for (const text of fits) assert.ok(mayFit("3.11", text), text);
  const unfit = ["3.1.*", "<3.11.0a0", ">3.11", "==3.11.1", "=3.1", "<=3.10", "<2|>3.11", "3.11a0"];
  for (const text of unfit) assert.ok(!mayFit("3.11", text), text);
  const unknown = ["!=3.11", "~=3.12", "(<3)", "<3rc1", "2024a.*", "^2$", "<1!0"];
  for (const text of unknown) assert.ok(mayFit("3.11", text), text);
  assert.ok(mayFit("3.12.0rc1", "<3"));
  assert.ok(mayFit("3.12", ">=3.12.0a0") && mayFit("3.12", ">3.12.0a0"));
});

Deno.test("the solver is told of virtual packages and pins, and its answer is of our records", () => {
  const selection = select([["numpy", null]], "strict");
  const input = solverInput({
    selection,
    specs: [parseMatchSpec("numpy=1")],
    virtual: [{ name: "__glibc", version: "2.28", build: "0" }],
    pins: [parseMatchSpec("python=3.11")],
    reach: 1,
  }, false);
  assert.deepEqual(input.specs, ["numpy >=1dev,<2dev", "_wqx-pins"]);
  const noarch = JSON.parse(input.noarch)["packages.conda"];
  assert.equal(noarch["__glibc-0-0.conda"].version, "2.28");
  assert.deepEqual(noarch["_wqx-pins-0-0.conda"].constrains, ["python >=3.11dev,<3.12dev"]);
  const [first] = Object.keys(JSON.parse(input.platform)["packages.conda"]);
  const solved = solvedRecords([first!, "__glibc-0-0.conda", "_wqx-pins-0-0.conda"], input);
  assert.deepEqual(solved.map(({ name }) => name), ["numpy"]);
  assert.throws(() => solvedRecords(["x-0-0.conda"], input), /which it was not told of/);
});

Deno.test("packages are linked after what they depend on, Python before pip", () => {
  const records = [
    record("coffea", "1", ["numpy", "python >=3.8"], { noarch: "python" }),
    record("pip", "24", ["python", "setuptools"], { noarch: "python" }),
    record("setuptools", "70", ["python"], { noarch: "python" }),
    record("python", "3.11", ["zlib", "pip", "__glibc >=2.17"]),
    record("numpy", "1", ["blas", "python"]),
    record("blas", "1", ["gone"]),
    record("zlib", "1"),
  ];
  const names = linkOrder(records).map(({ name }) => name);
  assert.deepEqual(names, ["blas", "zlib", "python", "numpy", "coffea", "setuptools", "pip"]);
  assert.deepEqual(linkOrder([...records].reverse()).map(({ name }) => name), names);
});

Deno.test("the link order has each package once, also in circles", () => {
  const name = fc.constantFrom(..."abcdefgh", "python");
  const graph = fc.dictionary(name, fc.array(name, { maxLength: 4 }));
  fc.assert(fc.property(graph, (needs) => {
    const records = Object.entries(needs).map(([name, depends]) => record(name, "1", depends));
    const order = linkOrder(records).map(({ name }) => name);
    assert.deepEqual([...order].sort(), Object.keys(needs).sort());
    // Without circles, each comes after all that it needs.
    const before = (from: string, to: string, seen = new Set<string>()): boolean =>
      (needs[from] ?? []).some((next) =>
        next === to || !seen.has(next) && before(next, to, seen.add(next))
      );
    if (Object.keys(needs).some((name) => before(name, name))) return;
    for (const { name, depends } of records) {
      for (const text of depends) {
        const at = order.indexOf(nameOfDependency(text)!);
        assert.ok(at < order.indexOf(name), `${text} before ${name} in ${order}`);
      }
    }
  }));
});

const facts = {
  names: () => ["numpy", "numba", "scipy", "python", "app"],
  versionsOf: (name: string) => name === "numpy" ? ["1.9", "1.26", "1.10"] : [],
  passedOver: (name: string) => name === "scipy" ? "more is in the channel b" : null,
  virtual: [{ name: "__glibc", version: "2.28", build: "0" }],
};

/** The solver's tree under its usual first words, and the sentences that it becomes. */
const trees: readonly (readonly [tree: string, sentence: string])[] = [
  [
    `The following packages are incompatible
└─ _wqx-asked * cannot be installed because there are no viable options:
   └─ _wqx-asked 0 would require
      ├─ python >=3.11dev,<3.12dev, which can be installed with any of the following options:
      │  └─ python 3.11.7
      └─ rootx *, which cannot be installed because there are no viable options:
         └─ rootx 6 would require
            └─ numpy >=2, which cannot be installed because there are no viable options:
               └─ numpy 2.0 | 2.1 | 2.2 | 2.3 would require
                  └─ python >=3.12,<3.13.0a0, which cannot be installed because there are no viable options:
                     └─ python 3.12.1, which conflicts with the versions reported above.
`,
    "python cannot be at once 3.11.* (asked for) and >=3.12,<3.13.0a0 " +
    "(needed by numpy 2.0 … 2.3, which rootx 6 needs).",
  ],
  [
    `_wqx-asked * cannot be installed because there are no viable options:
└─ _wqx-asked 0 would require
   ├─ numpi *, for which no candidates were found.
   ├─ numpy ==7, for which no candidates were found.
   └─ scipy >=1, for which no candidates were found.
`,
    'No channel has a package "numpi" (asked for): did you mean "numpy" or "numba"? ' +
    "No numpy fits ==7 (asked for): there is 1.26, 1.10, 1.9. " +
    "No scipy fits >=1 (asked for): there is none; more is in the channel b.",
  ],
  [
    `_wqx-asked * cannot be installed because there are no viable options:
└─ _wqx-asked 0 would require
   ├─ new *, which cannot be installed because there are no viable options:
   │  └─ new 1 would require
   │     └─ __glibc >=2.34, for which no candidates were found.
   └─ __cuda *, for which no candidates were found.
`,
    "__glibc >=2.34 is needed by new 1, but workers are taken to have 2.28; " +
    "if all of them have it, say so: --glibc VERSION. " +
    "__cuda * is asked for, but workers are taken to have none; " +
    "if all of them have it, say so: CONDA_OVERRIDE_CUDA=VERSION.",
  ],
  [
    `The following packages are incompatible
├─ numpy 1.26.4.* can be installed with any of the following options:
│  └─ numpy 1.26.4
└─ lim * cannot be installed because there are no viable options:
   └─ lim 1 would constrain
      └─ numpy <1.26, which conflicts with any installable versions previously reported
`,
    "numpy cannot be at once 1.26.4.* (asked for) and <1.26 (needed by lim 1).",
  ],
  [
    `The following packages are incompatible
└─ _wqx-asked * cannot be installed because there are no viable options:
   └─ _wqx-asked 0 would require
      ├─ numpy *, which can be installed with any of the following options:
      │  └─ numpy 1.26
      └─ _wqx-pins *, which cannot be installed because there are no viable options:
         └─ _wqx-pins 0 would constrain
            └─ numpy >=3dev,<4dev, which conflicts with any installable versions previously reported
`,
    "No numpy that fits the rest is 3.* (pinned): there is 1.26, 1.10, 1.9.",
  ],
  [
    "No candidates were found for numpy 7.*.\n",
    "No numpy fits 7.* (asked for): there is 1.26, " +
    "1.10, 1.9.",
  ],
  ["something new\n", "What was asked for cannot be installed together."],
];

Deno.test("the solver's tree becomes sentences, and follows them without what is ours", () => {
  for (const [tree, sentence] of trees) {
    const text = explainConflict(`Cannot solve the request because of: ${tree}`, facts);
    const [said, shown = ""] = text.split("\n\nThe solver says:\n");
    assert.equal(said, sentence);
    assert.doesNotMatch(shown, /_wqx|dev/);
    assert.match(shown, /^[├└]─ \S/);
  }
});

Deno.test("unknown packages get at most three suggestions, long lists are cut", () => {
  assert.equal(unknownPackage("zzzzzzz", ["numpy"]), 'No channel has a package "zzzzzzz".');
  assert.equal(
    unknownPackage("libroot", ["libroot1", "libroot2", "libroot3", "libroot4"]),
    'No channel has a package "libroot": did you mean "libroot1" or "libroot2" or "libroot3"?',
  );
  assert.equal(
    someVersions(["1.9", "1.10", "1.9", "3", "2", "0", "5", "4"]),
    "5, 4, 3, 2, 1.10 and 2 more",
  );
});
