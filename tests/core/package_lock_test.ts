import assert from "node:assert/strict";
import fc from "fast-check";
import { changeBetween, layerKeys } from "../../core/package/layers.ts";
import {
  lockData,
  lockedRequirements,
  type PackageLock,
  readLock,
} from "../../core/package/lock.ts";
import { withoutPrefixHashes, withoutScriptHashes } from "../../core/package/made_twice.ts";
import { readPipReport, readUvCompiled, readUvPlan } from "../../core/package/pip_report.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import { sizeReport } from "../../core/package/size_report.ts";

const record: PackageRecord = {
  name: "greet",
  version: "2.0",
  build: "0",
  buildNumber: 0,
  subdir: "noarch",
  noarch: "python",
  depends: ["python >=3.9"],
  constrains: [],
  fileName: "greet-2.0-0.conda",
  url: "file:///channel/noarch/greet-2.0-0.conda",
  channel: "file:///channel",
  sha256: "ab".repeat(32),
  size: 941,
};

const lock: PackageLock = {
  platform: "linux-64",
  virtual: new Map([["__glibc", "2.28"]]),
  conda: [record],
  pipOptions: ["--pre"],
  pip: [
    { name: "hist", version: "2.1", url: null, sha256: ["cd".repeat(32)] },
    { name: "own", version: "0", url: "git+https://example.org/own@abc", sha256: [] },
  ],
  locals: [{ path: "/src/ana", sha256: "ef".repeat(32) }],
  git: [{ name: "CORR", remote: "https://example.org/c.git", ref: "0123" }],
  http: [{
    name: "LUMI",
    url: "https://example.org/l.tar",
    type: "tar",
    compression: "gzip",
    sha256: "12".repeat(32),
  }],
  pinned: new Map([["numpy", "1.26.4"]]),
  variables: new Map([["MODE", "x"]]),
};

const bare: PackageLock = {
  platform: "linux-64",
  virtual: new Map(),
  conda: [],
  pipOptions: [],
  pip: [],
  locals: [],
  git: [],
  http: [],
  pinned: new Map(),
  variables: new Map(),
};

Deno.test("a lock that was written is read as it was", () => {
  for (const one of [lock, bare]) {
    assert.deepEqual(readLock(JSON.parse(JSON.stringify(lockData(one)))), one);
  }
  assert.deepEqual(Object.keys(lockData(bare)), ["wqx-lock", "platform"]);
});

Deno.test("what is no lock, or a damaged one, gets a sentence", () => {
  const with_ = (change: Record<string, unknown>) => ({ ...lockData(lock), ...change });
  const cases: [unknown, string][] = [
    [null, "this is no lock of wqx: make one with --lock FILE"],
    [{ dependencies: ["a"] }, "this is no lock of wqx: make one with --lock FILE"],
    [
      with_({ "wqx-lock": 9 }),
      "this lock is of version 9, and this wqx reads version 1: make it anew with --lock FILE",
    ],
    [
      with_({ platform: "win-64" }),
      '"platform" is none of linux-64, linux-aarch64, osx-64, osx-arm64',
    ],
    [with_({ conda: {} }), '"conda" is not a list'],
    [with_({ conda: ["a"] }), '"conda[0]" is not a mapping'],
    [with_({ conda: [{ ...record, url: 3 }] }), '"conda[0].url" is not a text'],
    [with_({ conda: [{ ...record, size: "3" }] }), '"conda[0].size" is not a number'],
    [
      with_({ conda: [{ ...record, fileName: "../x.conda" }] }),
      '"conda[0].fileName" is no name of a conda package: ../x.conda',
    ],
    [
      with_({ pip: [{ name: "a", version: "1", sha256: [1] }] }),
      '"pip[0].sha256" is not a list of texts',
    ],
    [with_({ pinned: { a: 1 } }), '"pinned" is not a mapping of texts'],
  ];
  for (const [data, message] of cases) {
    assert.throws(() => readLock(data), { name: "UsageError", message });
  }
});

Deno.test("pip is told names, versions and hashes", () => {
  assert.deepEqual(lockedRequirements(lock.pip), [
    `hist==2.1 --hash=sha256:${"cd".repeat(32)}`,
    "own @ git+https://example.org/own@abc",
  ]);
});

Deno.test("a layer's key changes with what it depends on, and no other does", () => {
  const keys = (one: PackageLock, length = 30) => layerKeys(one.conda, one.pip, one.locals, length);
  const all = keys(lock);
  assert.deepEqual(keys({ ...lock, pip: lock.pip.toReversed() }), all);
  const local = keys({ ...lock, locals: [{ path: "/src/ana", sha256: "00" }] });
  assert.deepEqual([local.conda, local.pip], [all.conda, all.pip]);
  assert.notEqual(local.locals, all.locals);
  const pip = keys({ ...lock, pip: lock.pip.slice(1) });
  assert.equal(pip.conda, all.conda);
  assert.ok(pip.pip !== all.pip && pip.locals !== all.locals);
  const conda = keys({ ...lock, conda: [{ ...record, sha256: "00" }] });
  const longer = keys(lock, 31);
  for (const other of [conda, longer]) {
    assert.ok(other.conda !== all.conda && other.pip !== all.pip && other.locals !== all.locals);
  }
});

Deno.test("a change is what was written or removed", () => {
  const files = fc.dictionary(fc.constantFrom("a", "b", "c/d", "c/e"), fc.constantFrom("1", "2"));
  const states = (stamps: Record<string, string>) =>
    new Map(Object.entries(stamps).map(([path, stamp]) => [path, { stamp }]));
  fc.assert(fc.property(files, files, (before, after) => {
    const { written, removed } = changeBetween(states(before), states(after));
    const result: Record<string, string> = { ...before };
    for (const path of removed) delete result[path];
    for (const path of written) result[path] = after[path]!;
    assert.deepEqual({ ...result }, { ...after });
    assert.ok(written.every((path) => before[path] !== after[path]));
  }));
});

Deno.test("pip's report is read: from an index, a URL, a repository; folders are left out", () => {
  const report = {
    install: [
      {
        metadata: { name: "My_Hist", version: "2.1" },
        is_direct: false,
        download_info: {
          url: "https://example.org/h.whl",
          archive_info: { hashes: { sha256: "cd" } },
        },
      },
      {
        metadata: { name: "b", version: "1" },
        is_direct: true,
        download_info: { url: "https://e.org/b.whl", archive_info: { hashes: { sha256: "ef" } } },
      },
      {
        metadata: { name: "a", version: "1" },
        is_direct: true,
        download_info: { url: "https://e.org/a", vcs_info: { vcs: "git", commit_id: "12ab" } },
      },
      {
        metadata: { name: "ana", version: "1" },
        is_direct: true,
        download_info: { url: "file:///src/ana", dir_info: {} },
      },
    ],
  };
  assert.deepEqual(readPipReport(report), [
    { name: "a", version: "1", url: "git+https://e.org/a@12ab", sha256: [] },
    { name: "b", version: "1", url: "https://e.org/b.whl", sha256: ["ef"] },
    { name: "my-hist", version: "2.1", url: null, sha256: ["cd"] },
  ]);
  assert.throws(() => readPipReport({}), { name: "RunError", message: /no list of distributions/ });
  assert.throws(() => readPipReport({ install: [{}] }), {
    name: "RunError",
    message: /without name or version/,
  });
});

Deno.test("what uv would install is read, and the hashes that it compiles", () => {
  const plan = "Would install 2 packages\n + click==8.1\n + ana==0.1 (from file:///src/ana)\n" +
    " - old==1\n";
  assert.deepEqual(readUvPlan(plan), [{ name: "click", version: "8.1" }]);
  const hashes = ["ab".repeat(32), "12".repeat(32)];
  const compiled = `# made by uv\n--pre\nclick==8.1 \\\n    --hash=sha256:${hashes[0]} \\\n` +
    `    --hash=sha256:${hashes[1]}\n    # via -r x\nhist==2\n`;
  assert.deepEqual(readUvCompiled(compiled), [
    { name: "click", version: "8.1", url: null, sha256: hashes.toSorted() },
    { name: "hist", version: "2", url: null, sha256: [] },
  ]);
});

Deno.test("the size report names the largest packages and what could be left out", () => {
  const report = sizeReport([
    { path: "lib/libbig.so", bytes: 900, owner: "big" },
    { path: "lib/libbig.a", bytes: 50, owner: "big" },
    { path: "lib/python3.11/site-packages/small/tests/data.py", bytes: 30, owner: "small" },
    { path: "lib/python3.11/site-packages/small/x.py", bytes: 5, owner: "small" },
    { path: "poncho/set_env", bytes: 1, owner: null },
  ]);
  assert.equal(report.bytes, 986);
  assert.equal(report.files, 5);
  assert.deepEqual(report.packages, [
    { name: "big", bytes: 950, files: 2 },
    { name: "small", bytes: 35, files: 2 },
    { name: "(no package)", bytes: 1, files: 1 },
  ]);
  assert.deepEqual(report.savings, [
    { what: "static libraries", patterns: ["*.a"], bytes: 50, files: 1 },
    { what: "tests", patterns: ["*/tests/*", "*/test/*"], bytes: 30, files: 1 },
  ]);
});

Deno.test("what is recorded of an environment does not depend on where it was made", () => {
  const meta = (hash: string) =>
    JSON.stringify({
      name: "a",
      paths_data: {
        paths_version: 1,
        paths: [
          { _path: "lib/a.so", sha256: "1", sha256_in_prefix: hash, prefix_placeholder: "/p" },
          { _path: "bin/a", path_type: "unix_python_entry_point", sha256: hash },
          { _path: "a.py", path_type: "hardlink", sha256: "2", sha256_in_prefix: "2" },
        ],
      },
    });
  assert.equal(withoutPrefixHashes(meta("x")), withoutPrefixHashes(meta("y")));
  assert.match(withoutPrefixHashes(meta("x")), /"sha256":"1".*"sha256_in_prefix":"2"/);
  assert.equal(withoutPrefixHashes('{"name":"a"}'), '{"name":"a"}');
  assert.equal(
    withoutScriptHashes("../../../bin/a,sha256=xyz,12\na/b.py,sha256=xy,3\na/c.pyc,,\n"),
    "../../../bin/a,,\na/b.py,sha256=xy,3\na/c.pyc,,\n",
  );
});
