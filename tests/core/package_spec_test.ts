import assert from "node:assert/strict";
import fc from "fast-check";
import { withEditables } from "../../core/package/editable.ts";
import { normalizedName, requirementName } from "../../core/package/requirement.ts";
import { type PackageSpec, readSpec } from "../../core/package/spec.ts";

function sound(data: unknown): PackageSpec {
  const { spec, mistakes } = readSpec(data);
  assert.deepEqual(mistakes, []);
  return spec;
}

/** `PATH: TEXT` of each mistake. */
function mistakesIn(data: unknown): string[] {
  return readSpec(data).mistakes.map(({ path, text }) => `${path.join(".")}: ${text}`);
}

const sources = {
  git: { CORRECTIONS: { remote: "https://example.org/corr.git", ref: "9f1c2ab" } },
  http: {
    LUMI: { type: "tar", compression: "gzip", url: "https://example.org/lumi.tar.gz" },
    GOLDEN: { url: "https://example.org/golden.json", sha256: "AB".repeat(32) },
  },
};

Deno.test("the old and the new form of poncho and an environment.yml say the same", () => {
  const channels = ["conda-forge", "file:///data/mychan"];
  const packages = ["python=3.11", "numpy>=1.26,<3"], pip = ["coffea==0.7.30", "my-analysis"];
  const current = { conda: { channels, dependencies: [...packages, { pip }] }, ...sources };
  const forms = [
    current,
    { conda: { channels, packages }, pip, ...sources },
    { conda: { channels, packages, pip }, ...sources },
    { conda: { channels, packages: [{ pip }, ...packages] }, ...sources },
    { channels, dependencies: [...packages, { pip }], prefix: "/opt/env", ...sources },
  ];
  for (const form of forms) assert.deepEqual(sound(form), sound(current));
  assert.deepEqual(sound(current), {
    name: null,
    channels,
    dependencies: packages,
    pip,
    locals: [],
    pinned: new Map(),
    variables: new Map(),
    git: [{ name: "CORRECTIONS", remote: "https://example.org/corr.git", ref: "9f1c2ab" }],
    http: [
      {
        name: "LUMI",
        url: "https://example.org/lumi.tar.gz",
        type: "tar",
        compression: "gzip",
      },
      {
        name: "GOLDEN",
        url: "https://example.org/golden.json",
        type: "file",
        compression: null,
        sha256: "ab".repeat(32),
      },
    ],
  });
});

Deno.test("name, pins and variables are read, and channels that are not there are null", () => {
  const spec = sound({
    name: "ana",
    dependencies: ["python"],
    pinned: { conda: { numpy: "1.26.4" } },
    variables: { ANA_MODE: "fast" },
  });
  assert.equal(spec.name, "ana");
  assert.equal(spec.channels, null);
  assert.deepEqual(spec.pinned, new Map([["numpy", "1.26.4"]]));
  assert.deepEqual(spec.variables, new Map([["ANA_MODE", "fast"]]));
  assert.deepEqual(sound({ channels: ["a", "nodefaults"], dependencies: ["b"] }).channels, ["a"]);
});

Deno.test("pip's lists may have options, URLs, folders and -e", () => {
  const { spec, notes, mistakes } = readSpec({
    pip: [
      "--extra-index-url https://example.org/simple",
      "-e .",
      "./lib[fast]",
      "-e git+https://example.org/a.git#egg=a",
      "b[x] >= 1 ; python_version > '3'",
      "c @ https://example.org/c.whl",
    ],
  });
  assert.deepEqual(mistakes, []);
  assert.deepEqual(spec.locals, [".", "./lib[fast]"]);
  assert.deepEqual(spec.pip, [
    "--extra-index-url https://example.org/simple",
    "git+https://example.org/a.git#egg=a",
    "b[x] >= 1 ; python_version > '3'",
    "c @ https://example.org/c.whl",
  ]);
  assert.equal(notes.length, 2);
  assert.match(notes[0]!, /^"-e \." is installed as a copy/);
});

Deno.test("what is wrong with a specification is said with its place", () => {
  const cases: [unknown, string[]][] = [
    [["numpy"], [": a list is not a mapping"]],
    [null, [": nothing is not a mapping"]],
    [{}, [": it names no packages: list them under conda: dependencies"]],
    [{ conda: ["numpy"] }, ["conda: a list is not a mapping"]],
    [{ conda: { dependancies: ["a"] } }, [
      'conda.dependancies: unknown key "dependancies": did you mean "dependencies"?',
    ]],
    [{ pips: ["a"], pip: ["b"] }, ['pips: unknown key "pips": did you mean "pip"?']],
    [{ dependencies: "numpy" }, ['dependencies: "numpy" is not a list']],
    [{ dependencies: [1.5] }, ['dependencies.0: "1.5" is not a text']],
    [{ dependencies: [""] }, ["dependencies.0: this is empty"]],
    [{ dependencies: [{ pipp: [] }, "a"] }, [
      'dependencies.0.pipp: unknown key "pipp": did you mean "pip"?',
    ]],
    [{ dependencies: [{ pip: "a" }] }, ['dependencies.0.pip: "a" is not a list']],
    [{ dependencies: ["a"], conda: { dependencies: ["b"] } }, [
      'dependencies: "dependencies" stands here and in "conda" too: keep one of them',
    ]],
    [{ dependencies: ["=1.2"] }, [
      'dependencies.0: Cannot read the package "=1.2": ' +
      "it must begin with a name, as in numpy >=1.26",
    ]],
    [{ pip: ["numpy 1.2"] }, [
      'pip.0: "numpy 1.2" is no requirement of pip: write name, or name>=1.2',
    ]],
    [{ dependencies: ["a"], pinned: { conda: { numpy: 1.1 } } }, [
      "pinned.conda.numpy: write 1.1 in quotes: it is a text",
    ]],
    [{ git: { "a-b": { remote: "x" } } }, [
      'git.a-b: "a-b" cannot be the name of a variable: use A-Z, 0-9 and "_"',
    ]],
    [
      { git: { A: { ref: "x" } } },
      [
        'git.A: "A" does not say where it comes from: add "remote"',
        ": it names no packages: list them under conda: dependencies",
      ].slice(0, 1),
    ],
    [{ http: { A: { url: "x", type: "zip" } } }, [
      'http.A.type: "zip" is not one of file, tar',
    ]],
    [{ http: { A: { url: "x", sha256: "12" } } }, [
      'http.A.sha256: "12" is no SHA-256: it has 64 hex digits',
    ]],
  ];
  for (const [data, expected] of cases) {
    assert.deepEqual(mistakesIn(data), expected, JSON.stringify(data));
  }
});

Deno.test("a list that is not read is said so", () => {
  const { notes } = readSpec({ conda: { dependencies: ["a"], packages: ["b"] } });
  assert.deepEqual(notes, [
    '"conda.packages" is not read, because "conda.dependencies" is there',
  ]);
});

Deno.test("any value at all is read without throwing", () => {
  const keys = fc.constantFrom("conda", "pip", "dependencies", "git", "http", "pinned", "x");
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string(),
      fc.constant(null),
      fc.integer(),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(keys, tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  fc.assert(fc.property(value, (data) => {
    readSpec(data);
  }));
});

Deno.test("an editable project replaces what names it, whatever the case, dashes and extras", () => {
  const spec = sound({
    dependencies: ["python", "My_Pkg=1.2", "numpy"],
    pip: ["other.pkg[fast]==2", "coffea"],
  });
  const editables = [
    { name: "my-pkg", path: "/src/my" },
    { name: "Other-Pkg", path: "/src/other" },
    { name: "third", path: "/src/third" },
  ];
  const { spec: changed, notes } = withEditables(spec, editables);
  assert.deepEqual(changed.dependencies, ["python", "numpy"]);
  assert.deepEqual(changed.pip, ["coffea"]);
  assert.deepEqual(changed.locals, ["/src/my", "/src/other[fast]"]);
  assert.deepEqual(notes, [
    '"My_Pkg=1.2" is taken from its working copy, /src/my',
    '"other.pkg[fast]==2" is taken from its working copy, /src/other',
    "Installed here as editable, and not asked for: third",
  ]);
  assert.deepEqual(withEditables(spec, []), { spec, notes: [] });
});

Deno.test("names of requirements", () => {
  const cases: [string, string | null][] = [
    ["numpy", "numpy"],
    ["numpy>=1", "numpy"],
    ["my_pkg [a,b] == 1", "my_pkg"],
    ["a@ https://x/y", "a"],
    ["git+https://x/y.git@v1#egg=zed", "zed"],
    ["https://x/y.whl", ""],
    ["numpy 1", null],
    ["-r x", null],
    ["", null],
  ];
  for (const [line, name] of cases) assert.equal(requirementName(line), name, line);
  assert.equal(normalizedName("My__Pkg.x"), "my-pkg-x");
});
