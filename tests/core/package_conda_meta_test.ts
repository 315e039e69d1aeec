import assert from "node:assert/strict";
import {
  condaMetaText,
  historyText,
  type InstalledPackage,
  parseCondaMeta,
  stemOf,
  withoutFiles,
} from "../../core/package/conda_meta.ts";
import {
  entryPointScript,
  parseEntryPoint,
  parseLinkJson,
} from "../../core/package/entry_points.ts";
import type { PackageRecord } from "../../core/package/record.ts";

const record: PackageRecord = {
  name: "app",
  version: "1.0",
  build: "py_0",
  buildNumber: 0,
  subdir: "noarch",
  noarch: "python",
  depends: ["python >=3.9"],
  constrains: [],
  fileName: "app-1.0-py_0.conda",
  url: "https://channel.test/c/noarch/app-1.0-py_0.conda",
  channel: "https://channel.test/c",
  sha256: "ab",
  timestamp: 1_700_000_000_000,
};

const installed: InstalledPackage = {
  record,
  paths: [
    {
      path: "lib/python3.11/site-packages/app.py",
      original: "site-packages/app.py",
      type: "hardlink",
      noLink: false,
      sha256: "01",
      sha256InPrefix: "01",
      size: 5,
    },
    {
      path: "share/app.cfg",
      type: "hardlink",
      noLink: false,
      sha256: "02",
      sha256InPrefix: "03",
      size: 300,
      placeholder: { text: "/P", mode: "text" },
    },
    { path: "share/empty", type: "directory", noLink: false },
  ],
  source: "/cache/app-1.0-py_0-ab",
  archive: "/cache/app-1.0-py_0-ab.conda",
  linkType: "copy",
  requestedSpecs: ["app >=1"],
  index: { name: "old", depends: ["python"], license_family: "BSD" },
};

Deno.test("a record has what conda, conda-pack and rattler look for", () => {
  const meta = JSON.parse(condaMetaText(installed));
  assert.deepEqual(meta.files, ["lib/python3.11/site-packages/app.py", "share/app.cfg"]);
  assert.deepEqual(meta.link, { source: "/cache/app-1.0-py_0-ab", type: 3 });
  assert.equal(meta.fn, "app-1.0-py_0.conda");
  assert.equal(meta.requested_spec, "app >=1");
  assert.equal(meta.paths_data.paths_version, 1);
  assert.deepEqual(meta.paths_data.paths[0], {
    _path: "lib/python3.11/site-packages/app.py",
    path_type: "hardlink",
    original_path: "site-packages/app.py",
    sha256: "01",
    sha256_in_prefix: "01",
    size_in_bytes: 5,
  });
  assert.deepEqual(meta.paths_data.paths[1].prefix_placeholder, "/P");
  assert.deepEqual(Object.keys(meta), Object.keys(meta).toSorted());
});

Deno.test("repodata corrects what the package says of itself, and leaves the rest", () => {
  const meta = JSON.parse(condaMetaText(installed));
  assert.equal(meta.name, "app");
  assert.deepEqual(meta.depends, ["python >=3.9"]);
  assert.equal(meta.license_family, "BSD");
});

Deno.test("withoutFiles takes files out of both lists, and nothing else", () => {
  const text = condaMetaText(installed);
  const without = JSON.parse(withoutFiles(text, new Set(["share/app.cfg", "not/there"])));
  const before = JSON.parse(text);
  assert.deepEqual(without.files, ["lib/python3.11/site-packages/app.py"]);
  assert.deepEqual(
    without.paths_data.paths.map((path: { _path: string }) => path._path),
    ["lib/python3.11/site-packages/app.py", "share/empty"],
  );
  assert.deepEqual({ ...without, files: 0, paths_data: 0 }, { ...before, files: 0, paths_data: 0 });
  assert.equal(withoutFiles(text, new Set()), text);
  assert.throws(() => withoutFiles("[", new Set()), /no JSON object/);
});

Deno.test("name, version and files of a record are read", () => {
  const { name, version, files } = parseCondaMeta(condaMetaText(installed));
  assert.deepEqual([name, version, files.length], ["app", "1.0", 2]);
  assert.throws(() => parseCondaMeta("{}"), /names no package/);
});

Deno.test("the history is conda's, and the same for the same packages in any order", () => {
  const other = { ...record, name: "a", fileName: "a-1-0.tar.bz2", subdir: "linux-64" };
  const text = historyText([record, other], "2023-11-14 22:13:20", ["app >=1"]);
  assert.equal(
    text,
    `==> 2023-11-14 22:13:20 <==
+https://channel.test/c/linux-64::a-1-0
+https://channel.test/c/noarch::app-1.0-py_0
# update specs: ["app >=1"]
`,
  );
  assert.equal(historyText([other, record], "2023-11-14 22:13:20", ["app >=1"]), text);
  assert.equal(stemOf(other), "a-1-0");
});

Deno.test("entry points are read with and without blanks and extras", () => {
  const rows: [string, [string, string, string]][] = [
    ["app = app.cli:main", ["app", "app.cli", "main"]],
    ["pip3.11=pip._internal:main", ["pip3.11", "pip._internal", "main"]],
    [" a-b = m : C.run [x] ", ["a-b", "m", "C.run"]],
  ];
  for (const [text, [command, module, callable]] of rows) {
    assert.deepEqual(parseEntryPoint(text), { command, module, callable });
  }
});

Deno.test("an entry point that would write elsewhere or run other code is refused", () => {
  const bad = [
    "../sh = a:b",
    "a/b = a:b",
    ".hidden = a:b",
    "-x = a:b",
    "x = a;import os:b",
    "x = a:b()",
    "x = a:b\nimport os",
    "x = a",
    "= a:b",
    "x = 1a:b",
    "",
  ];
  for (const text of bad) assert.throws(() => parseEntryPoint(text), /not of the form/, text);
});

Deno.test("link.json tells the kind and the entry points", () => {
  assert.deepEqual(parseLinkJson('{"noarch": {"type": "python", "entry_points": ["a = b:c"]}}'), {
    noarch: "python",
    entryPoints: [{ command: "a", module: "b", callable: "c" }],
  });
  assert.deepEqual(parseLinkJson('{"noarch": {"type": "generic"}}').noarch, "generic");
  assert.deepEqual(parseLinkJson("null"), { noarch: null, entryPoints: [] });
  assert.throws(() => parseLinkJson("{"), /no JSON/);
});

Deno.test("the script of an entry point calls its function with Python's own path", () => {
  const point = parseEntryPoint("app = app.cli:App.main");
  const script = entryPointScript(point, "/env", "3.11", "linux-64");
  assert.match(script, /^#!\/env\/bin\/python3\.11\n/);
  assert.match(script, /\nfrom app\.cli import App\n/);
  assert.match(script, /sys\.exit\(App\.main\(\)\)\n$/);
  const long = entryPointScript(point, `/${"x".repeat(120)}`, "3.11", "linux-64");
  assert.match(long, /^#!\/bin\/sh\n'''exec' "\/x+\/bin\/python3\.11" "\$0" "\$@" #'''\n/);
});
