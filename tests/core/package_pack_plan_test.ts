import assert from "node:assert/strict";
import { compileFilters, type Filter, passes } from "../../core/package/fnmatch.ts";
import {
  type CondaPackage,
  type PackInput,
  planPack,
  portableRecord,
  type PrefixEntry,
  sourceOfByteCode,
} from "../../core/package/pack_plan.ts";

const site = "lib/python3.11/site-packages";

function conda(name: string, fields: Partial<CondaPackage>): CondaPackage {
  return {
    name,
    version: "1.0",
    recordPath: `conda-meta/${name}-1.0-0.json`,
    files: [],
    installed: new Map(),
    original: { folder: `/cache/${name}`, files: [] },
    isNoarchPython: false,
    isReplaced: false,
    ...fields,
  };
}

function input(paths: readonly string[], fields: Partial<PackInput> = {}): PackInput {
  const entries = paths.map((path): PrefixEntry => ({ path, kind: "file" }));
  return {
    prefix: "/env",
    entries,
    packages: [],
    owners: new Map(),
    sitePackages: site,
    filters: [],
    ...fields,
  };
}

const pathsOf = (plan: ReturnType<typeof planPack>) => plan.files.map(({ path }) => path);

Deno.test("files of a package come from its original, at the places where noarch Python goes", () => {
  const one = conda("app", {
    isNoarchPython: true,
    files: [`${site}/app.py`, "bin/app", "bin/entry", `${site}/__pycache__/app.cpython-311.pyc`],
    original: {
      folder: "/cache/app",
      files: [
        { path: "site-packages/app.py" },
        { path: "python-scripts/app", placeholder: "/ph", mode: "text" },
      ],
    },
  });
  const { files, missing } = planPack(input([...one.files, "share/own"], { packages: [one] }));
  const told = files.map(({ path, source, treatment, owner }) =>
    [path, source, treatment.type, owner ?? "nobody"].join(" ")
  );
  assert.deepEqual(told, [
    "bin/app /cache/app/python-scripts/app recorded app",
    "bin/entry /env/bin/entry search app",
    `${site}/__pycache__/app.cpython-311.pyc /env/${site}/__pycache__/app.cpython-311.pyc search app`,
    `${site}/app.py /cache/app/site-packages/app.py as-is app`,
    "share/own /env/share/own search nobody",
  ]);
  assert.deepEqual(missing, []);
});

Deno.test("a file that is gone is told with its package, unless it is left out anyway", () => {
  const one = conda("app", {
    files: ["lib/a.a", "lib/b.so"],
    original: { folder: "/c", files: [{ path: "lib/a.a" }, { path: "lib/b.so" }] },
  });
  const filters = compileFilters([{ kind: "exclude", pattern: "*.a" }]);
  assert.deepEqual(planPack(input([], { packages: [one], filters })).missing, ["app: lib/b.so"]);
});

Deno.test("of a package that pip replaced, pip's files are packed and conda's record is not", () => {
  const one = conda("numpy", {
    isReplaced: true,
    files: [`${site}/numpy/__init__.py`, `${site}/numpy/old.py`],
  });
  const plan = planPack(
    input([one.recordPath, `${site}/numpy/__init__.py`, `${site}/numpy/new.py`], {
      packages: [one],
    }),
  );
  assert.deepEqual(pathsOf(plan), [`${site}/numpy/__init__.py`, `${site}/numpy/new.py`]);
  assert.ok(plan.files.every(({ source }) => source.startsWith("/env/")));
  assert.match(plan.warnings[0]!, /numpy 1\.0 of conda was replaced by pip: pip's files/);
  assert.deepEqual(plan.missing, []);
});

Deno.test("without an original the record's own paths say which placeholder a file had", () => {
  const installed = new Map([["lib/x.so", {
    path: "lib/x.so",
    placeholder: "/ph",
    mode: "binary" as const,
    sha256: "ab",
  }]]);
  const one = conda("x", { original: null, installed, files: ["lib/x.so", "lib/y.so"] });
  const plan = planPack(input(["lib/x.so", "lib/y.so"], { packages: [one] }));
  assert.deepEqual(plan.files.map(({ treatment }) => treatment.type), ["restore", "search"]);
  assert.deepEqual(plan.warnings, []);
  const bare = conda("old", { original: null, files: ["lib/y.so"] });
  const { warnings } = planPack(input(["lib/y.so"], { packages: [bare] }));
  assert.match(warnings[0]!, /extracted packages of old are gone from the package cache/);
});

Deno.test("caches, back-ups, foreign activation scripts and stray byte code stay behind", () => {
  const managed = conda("m", {
    files: ["lib/m.py"],
    original: { folder: "/c", files: [{ path: "lib/m.py" }] },
  });
  const plan = planPack(input([
    ...["pkgs/x", "envs/y/z", "notes.txt~", ".DS_Store", "bin/activate", "bin/conda-unpack"],
    ...["bin/conda", "lib/m.py", "lib/__pycache__/m.cpython-311.pyc", "lib/own.py"],
    ...["lib/__pycache__/own.cpython-311.pyc", "lib/__pycache__/gone.cpython-311.pyc"],
    "conda-meta/history",
  ], { packages: [managed] }));
  assert.deepEqual(pathsOf(plan), [
    "conda-meta/history",
    "lib/__pycache__/own.cpython-311.pyc",
    "lib/m.py",
    "lib/own.py",
  ]);
});

Deno.test("two packages with one file are told", () => {
  const file = { files: ["share/x"], original: { folder: "/c", files: [{ path: "share/x" }] } };
  const plan = planPack(input(["share/x"], { packages: [conda("a", file), conda("b", file)] }));
  assert.equal(plan.files[0]!.owner, "b");
  assert.match(plan.warnings[0]!, /Two packages have the same file.*share\/x/);
});

Deno.test("byte code is told by its name", () => {
  assert.equal(sourceOfByteCode("a/__pycache__/b.cpython-311.pyc"), "a/b.py");
  assert.equal(sourceOfByteCode("__pycache__/b.c.cpython-311.opt-2.pyc"), "b.c.py");
  assert.equal(sourceOfByteCode("a/b.pyc"), null);
});

Deno.test("patterns are fnmatch's, and the last one that matches decides", () => {
  const cases: [string, string, boolean][] = [
    ["*.a", "lib/deep/x.a", true],
    ["lib/?.py", "lib/a.py", true],
    ["lib/?.py", "lib/ab.py", false],
    ["lib/[a-c]*", "lib/bx", true],
    ["lib/[!a-c]*", "lib/bx", false],
    ["lib/[!a-c]*", "lib/dx", true],
    ["x[y", "x[y", true],
    ["a+b(c)|$", "a+b(c)|$", true],
  ];
  for (const [pattern, path, matches] of cases) {
    const filters = compileFilters([{ kind: "exclude", pattern }]);
    assert.equal(passes(path, filters), !matches, `${pattern} on ${path}`);
  }
  const order: Filter[] = [
    { kind: "exclude", pattern: "share/*" },
    { kind: "include", pattern: "*/keep" },
  ];
  assert.equal(passes("share/keep", compileFilters(order)), true);
  assert.equal(passes("share/keep", compileFilters([...order].reverse())), false);
  assert.throws(() => compileFilters([{ kind: "exclude", pattern: "" }]), /--exclude is empty/);
  assert.throws(
    () => compileFilters([{ kind: "include", pattern: "[z-a]" }]),
    { name: "UsageError", message: /"\[z-a\]" cannot be: a range in brackets runs backwards/ },
  );
});

Deno.test("a record loses the folders of the machine that made it, and its keys are in order", () => {
  const text = JSON.stringify({
    name: "x",
    link: { type: 1, source: "/secret" },
    extracted_package_dir: "/secret",
    package_tarball_full_path: "/secret/x.conda",
    depends: ["b", "a"],
  });
  assert.deepEqual(
    portableRecord(text),
    JSON.stringify(
      {
        depends: ["b", "a"],
        extracted_package_dir: "",
        link: { source: "", type: 1 },
        name: "x",
        package_tarball_full_path: "",
      },
      null,
      1,
    ),
  );
});
