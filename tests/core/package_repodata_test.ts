import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { RunError, UsageError } from "../../core/errors.ts";
import { matchesKeys, readRecord, readShardIndex, Repodata } from "../../core/package/repodata.ts";
import { isZstd, zstdFrames } from "../../core/package/zstd_frames.ts";

const folder = {
  channel: "https://h/c",
  subdir: "linux-64",
  url: "https://mirror/c/linux-64",
};

const good = { name: "a", version: "1.0", build: "h0_1", build_number: 1, depends: ["b >=1"] };

Deno.test("a record is read with all that an installation needs", () => {
  const raw = {
    ...good,
    name: "A",
    constrains: ["c <2"],
    md5: "0".repeat(32),
    sha256: "AB".repeat(32),
    size: 12,
    timestamp: 1_700_000_000,
    track_features: ["x", "y"],
    noarch: true,
    license: "MIT",
    python_site_packages_path: "lib/python3.13t/site-packages",
    signatures: { of: "the future" },
  };
  assert.deepEqual(readRecord(raw, "A-1.0-h0_1.conda", folder), {
    name: "a",
    version: "1.0",
    build: "h0_1",
    buildNumber: 1,
    subdir: "linux-64",
    noarch: "generic",
    depends: ["b >=1"],
    constrains: ["c <2"],
    fileName: "A-1.0-h0_1.conda",
    url: "https://mirror/c/linux-64/A-1.0-h0_1.conda",
    channel: "https://h/c",
    sha256: "ab".repeat(32),
    md5: "0".repeat(32),
    size: 12,
    timestamp: 1_700_000_000_000,
    trackFeatures: "x y",
    pythonSitePackagesPath: "lib/python3.13t/site-packages",
    license: "MIT",
  });
});

Deno.test("a record in which something is not right is none", () => {
  const bad: readonly (readonly [Readonly<Record<string, unknown>>, string?])[] = [
    [{ ...good, name: "../a" }],
    [{ ...good, version: 1 }],
    [{ ...good, version: "1 2" }],
    [{ ...good, build: "a/b" }],
    [{ ...good, build_number: 0.5 }],
    [{ ...good, depends: "b" }],
    [{ ...good, depends: ["b", 3] }],
    [{ ...good, depends: ["c::b"] }],
    [{ ...good, constrains: [">=1"] }],
    [good, "../a-1.0-h0_1.conda"],
    [good, ".conda"],
    [good, "a-1.0-h0_1.zip"],
  ];
  for (const [raw, fileName = "a-1.0-h0_1.conda"] of bad) {
    assert.equal(readRecord(raw, fileName, folder), null, JSON.stringify([raw, fileName]));
  }
  const repodata = new Repodata({
    packages: { "a-2-0.tar.bz2": { ...good, version: 2 }, "x-1-0.tar.bz2": null },
    "packages.conda": { "a-1.0-h0_1.conda": good },
  }, folder);
  assert.deepEqual(repodata.recordsOf("a").map(({ fileName }) => fileName), ["a-1.0-h0_1.conda"]);
  assert.equal(repodata.droppedCount, 2);
});

Deno.test("of one build in both formats the .conda is taken", () => {
  const repodata = new Repodata({
    packages: { "a-1.0-h0_1.tar.bz2": good, "a-1.0-h1_1.tar.bz2": { ...good, build: "h1_1" } },
    "packages.conda": { "a-1.0-h0_1.conda": good },
    removed: ["b-1-0.conda"],
    v3: {},
  }, folder);
  assert.deepEqual(repodata.recordsOf("a").map(({ fileName }) => fileName), [
    "a-1.0-h0_1.conda",
    "a-1.0-h1_1.tar.bz2",
  ]);
  assert.deepEqual([...repodata.names()], ["a"]);
  assert.deepEqual(repodata.recordsOf("b"), []);
});

Deno.test("packages lie where base_url says, never on this machine for a server's channel", () => {
  const urlOf = (base_url: unknown, place = folder) =>
    new Repodata({ info: { base_url }, packages: { "a-1-0.tar.bz2": good } }, place)
      .recordsOf("a")[0]!.url;
  assert.equal(urlOf(undefined), "https://mirror/c/linux-64/a-1-0.tar.bz2");
  assert.equal(urlOf("../files/"), "https://mirror/c/files/a-1-0.tar.bz2");
  assert.equal(urlOf("http://cdn/x"), "http://cdn/x/a-1-0.tar.bz2");
  assert.throws(() => urlOf("file:///etc"), /are at "file:\/\/\/etc": not http/);
  assert.throws(() => urlOf("https://["), /are at "https:\/\/\[": no URL/);
  assert.equal(urlOf("../y", { ...folder, url: "file:///d/x" }), "file:///d/y/a-1-0.tar.bz2");
});

Deno.test("the index of shards tells hashes and places", () => {
  const sha256 = new Uint8Array(32).fill(0xab);
  const index = readShardIndex({
    info: { base_url: "", shards_base_url: "./shards/" },
    shards: { Numpy: sha256, broken: new Uint8Array(3) },
  }, folder);
  assert.equal(index.shardsBase, "https://mirror/c/linux-64/shards");
  assert.equal(index.packagesBase, "https://mirror/c/linux-64");
  assert.deepEqual([...index.shards], [["numpy", "ab".repeat(32)]]);
  assert.throws(() => readShardIndex([], folder), RunError);
});

Deno.test("what is no repodata is refused with its place", () => {
  for (const json of [null, [], "x", { packages: [] }, { "packages.conda": 3 }]) {
    assert.throws(() => new Repodata(json, folder), (error) => {
      assert.ok(error instanceof RunError);
      assert.match(error.message, /^The repodata of https:\/\/mirror\/c\/linux-64 /);
      return true;
    });
  }
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (packages) => {
    const repodata = new Repodata({ packages }, folder);
    for (const name of repodata.names()) repodata.recordsOf(name);
  }));
});

Deno.test("keys in brackets are compared with records", () => {
  const record = readRecord({ ...good, md5: "c".repeat(32) }, "a-1.0-h0_1.conda", folder)!;
  const matches = (key: string, value: string) => matchesKeys(record, new Map([[key, value]]));
  assert.ok(matches("md5", "C".repeat(32)));
  assert.ok(!matches("sha256", "C".repeat(64)));
  assert.ok(matches("fn", "a-1.0-h0_1.conda"));
  const numbers = ["1", "==1", "=1", ">=1", "<=1", ">0", "<2", "!=0"];
  assert.ok(numbers.every((value) => matches("build_number", value)));
  const others = ["0", ">=2", "<=0", ">1", "<1", "!=1"];
  assert.ok(others.every((value) => !matches("build_number", value)));
  assert.throws(() => matches("build_number", "few"), UsageError);
});

Deno.test("zstd frames are found, and data that is cut off anywhere has none", () => {
  const text = new TextEncoder().encode("repodata ".repeat(50_000));
  const first = zstdCompressSync(text), second = zstdCompressSync(new Uint8Array(0));
  const skipped = new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]);
  const all = new Uint8Array([...first, ...skipped, ...second]);
  assert.ok(isZstd(all));
  assert.deepEqual(zstdFrames(all)?.map(({ start, stop }) => [start, stop]), [
    [0, first.length],
    [first.length + skipped.length, all.length],
  ]);
  for (let length = 1; length < first.length; length++) {
    assert.equal(zstdFrames(first.subarray(0, length)), null);
  }
  assert.equal(zstdFrames(new TextEncoder().encode("{}{}{}")), null);
  assert.deepEqual(zstdFrames(new Uint8Array(0)), []);
});
