import assert from "node:assert/strict";
import { parse } from "yaml";
import { needs } from "../support/skip.ts";
import { noPackaging, packagingPython } from "../support/channel.ts";
import { CreateBed } from "./create_bed.ts";

function test(name: string, fn: (bed: CreateBed) => Promise<void>): void {
  Deno.test({
    ...needs(packagingPython !== null, noPackaging, name),
    fn: async () => {
      await using bed = await CreateBed.create();
      await fn(bed);
    },
  });
}

const cells = {
  conda: { channels: ["main"], packages: ["python=3.11", "pip", "greeter"] },
  pip: ["smallpkg==1.0"],
};

test("the seed's cells: poncho's old form, by poncho's name, runs where nothing is left of its making", async (bed) => {
  await bed.write("env.json", cells);
  await bed.runAs("poncho_package_create", ["env.json", "env.tar.gz"]);
  await Deno.rename(bed.folder.join("env.tar.gz"), bed.folder.join("moved.tar.gz"));
  await Deno.remove(bed.env.WQX_CACHE!, { recursive: true });
  const told = await bed.inArchive(
    "moved.tar.gz",
    "python",
    "-c",
    "import sys, smallpkg; print(sys.version_info[:2], smallpkg.VERSION, sys.prefix)",
  );
  assert.match(told, /^\(3, 11\) 1\.0 \S*elsewhere/);
  assert.equal(await bed.inArchive("moved.tar.gz", "greet"), "hello");
});

test("all forms of a specification give the same bytes, and so does their lock", async (bed) => {
  const { conda: { channels, packages }, pip } = cells;
  await bed.write("old.json", cells);
  await bed.write("new.json", { conda: { channels, dependencies: [...packages, { pip }] } });
  await bed.write(
    "environment.yml",
    "name: ana\nchannels: [main]\ndependencies:\n  - python=3.11\n  - pip\n  - greeter\n" +
      "  - pip:\n      - smallpkg==1.0\n",
  );
  await bed.run(["create", "old.json", "old.tar.gz", "--lock", "env.lock.yml"]);
  await bed.run(["create", "new.json", "new.tar.gz", "--lock", "env.lock.json"]);
  await bed.run(["create", "environment.yml", "yml.tar.gz"]);
  const env = { WQX_CACHE: bed.folder.join("another", "cache", "of", "another", "length") };
  await bed.run(["create", "--from-lock", "env.lock.yml", "lock.tar.gz"], { env });
  const sums = await Promise.all(
    ["old", "new", "yml", "lock"].map((name) => bed.sha256(`${name}.tar.gz`)),
  );
  assert.equal(new Set(sums).size, 1, sums.join(" "));
  const lock = parse(await Deno.readTextFile(bed.folder.join("env.lock.yml")));
  assert.deepEqual(lock, JSON.parse(await Deno.readTextFile(bed.folder.join("env.lock.json"))));
  assert.deepEqual(lock.pip.map(({ name }: { name: string }) => name), ["smallpkg"]);
  assert.ok(lock.conda.every(({ sha256 }: { sha256: string }) => /^[0-9a-f]{64}$/.test(sha256)));
});

test("a changed project of this machine is installed anew, and nothing else", async (bed) => {
  await bed.project("ana", "1.0");
  await bed.write("env.json", { ...cells, pip: ["smallpkg", "-e ./ana"] });
  const layers = async (out: string) => {
    const { stdout } = await bed.run(["create", "env.json", out, "--json"]);
    return JSON.parse(stdout).layers;
  };
  assert.deepEqual(await layers("first.tar.gz"), { pip: false, locals: false });
  assert.deepEqual(await layers("same.tar.gz"), { pip: true, locals: true });
  assert.equal(await bed.sha256("same.tar.gz"), await bed.sha256("first.tar.gz"));
  await bed.project("ana", "1.1");
  assert.deepEqual(await layers("changed.tar.gz"), { pip: true, locals: false });
  assert.equal(await bed.inArchive("changed.tar.gz", "ana-show"), "ana 1.1");
  assert.equal(await bed.inArchive("same.tar.gz", "ana-show"), "ana 1.0");
});

test("a project that Python has as editable is taken from its working copy", async (bed) => {
  const folder = await bed.project("my_ana", "3.0");
  const record = { url: `file://${folder}`, dir_info: { editable: true } };
  await bed.write("site/my_ana-3.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: my_ana\n");
  await bed.write("site/my_ana-3.0.dist-info/direct_url.json", record);
  await bed.write("env.json", { ...cells, pip: ["My.Ana==9.9"] });
  const env = { PYTHONPATH: bed.folder.join("site") };
  const { stderr } = await bed.run(["create", "env.json", "env.tar.gz"], { env });
  assert.match(stderr, /"My\.Ana==9\.9" is taken from its working copy, \S*\/my_ana/);
  assert.equal(await bed.inArchive("env.tar.gz", "my_ana-show"), "my_ana 3.0");
});

test("variables and data travel along", async (bed) => {
  await bed.write("golden.json", { runs: [1, 2] });
  await bed.write("env.json", {
    conda: { channels: ["main"], dependencies: ["generic"] },
    variables: { ANA_MODE: "it's fast" },
    http: { GOLDEN: { url: `file://${bed.folder.join("golden.json")}` } },
  });
  await bed.run(["create", "env.json", "env.tar.gz"]);
  await Deno.remove(bed.folder.join("golden.json"));
  const told = await bed.inArchive("env.tar.gz", "sh", "-c", 'echo "$ANA_MODE" && cat "$GOLDEN"');
  assert.match(told, /^it's fast\n[^]*"runs"/);
});

test("--dry-run tells what would be installed and makes nothing", async (bed) => {
  await bed.write("env.json", cells);
  const { stdout } = await bed.run(["create", "env.json", "--dry-run"]);
  assert.match(stdout, /^package +version +build +channel +size +cache\n/);
  assert.match(stdout, /\npython +3\.11\.\d+ +0_cpython +main\/linux-64 +\S+ MB +no\n/);
  assert.match(stdout, /\n\d+ conda packages, \S+ MB; to download: \d+, \S+ MB\n/);
  assert.match(stdout, /pip chooses when they are there: smallpkg==1\.0\n$/);
  assert.deepEqual(bed.names("cache", "packages"), []);
  const { stdout: json } = await bed.run(["create", "env.json", "--dry-run", "--json"]);
  const lines = json.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.some(({ type, name }) => type === "package" && name === "greeter"));
  assert.deepEqual(lines.at(-1), { type: "pip", requirement: "smallpkg==1.0" });
});

test("an archive for another platform is made here", async (bed) => {
  await bed.write("env.json", { conda: { channels: ["main"], dependencies: ["hepmath"] } });
  await bed.run(["create", "env.json", "env.tar.gz", "--platform", "linux-aarch64"]);
  await bed.write("pip.json", cells);
  const { stderr } = await bed.run(
    ["create", "pip.json", "pip.tar.gz", "--platform", "linux-aarch64"],
    { code: 2 },
  );
  assert.match(stderr, /pip packages for linux-aarch64 cannot be installed on linux-64/);
});

test("--solver lets another program choose the versions", async (bed) => {
  const answer = {
    actions: { LINK: [{ name: "hepmath", version: "1.0", build_string: "0", channel: "main" }] },
  };
  const script = `#!/bin/sh\necho "$@" >"$HOME/asked"\necho '${JSON.stringify(answer)}'\n`;
  await bed.write("bin/mamba", script);
  await Deno.chmod(bed.folder.join("bin", "mamba"), 0o755);
  await bed.write("env.json", { conda: { channels: ["main"], dependencies: ["hepmath"] } });
  const env = { PATH: `${bed.folder.join("bin")}:${bed.env.PATH}` };
  const args = ["create", "env.json", "--dry-run", "--solver", "mamba"];
  const { stdout } = await bed.run(args, { env });
  assert.match(stdout, /\nhepmath +1\.0 +0 /);
  const asked = await Deno.readTextFile(bed.folder.join("asked"));
  assert.match(asked, /^create --dry-run --json --yes --override-channels .* hepmath\n$/);
  await bed.write("bin/mamba", '#!/bin/sh\necho \'{"message": "no way"}\'\nexit 1\n');
  const failed = await bed.run(args, { env, code: 1 });
  assert.match(failed.stderr, /mamba found no solution: no way/);
  const missing = await bed.run(["create", "env.json", "x.tar.gz", "--solver", "mmba"], {
    code: 2,
  });
  assert.match(missing.stderr, /Cannot solve with "mmba": no program of that name/);
});

test("--check imports every module, and --exclude leaves out", async (bed) => {
  await bed.write("env.json", cells);
  const { stdout } = await bed.run(
    ["create", "env.json", "env.tar.gz", "--check", "--exclude", "*/pip/*"],
    {},
  );
  assert.match(stdout, /^largest packages +size +files\npython +\S+ MB/);
  assert.match(stdout, /\nChecked: \d+ modules imported\n/);
  assert.match(stdout, /\nMade env\.tar\.gz: \S+ MB; \d+ files, \S+ MB unpacked; in \d+:\d+\n/);
});

test("conda-pack's call packs an environment that is there", async (bed) => {
  await bed.write("env.json", cells);
  await bed.run(["create", "env.json", "env.tar.gz"]);
  await bed.run(["run", "env.tar.gz", "--unpack-to", "unpacked", "--", "true"]);
  const call = ["-p", "unpacked", "-o", "again.tar.gz", "--ignore-missing-files"];
  await bed.runAs("conda-pack", call);
  const { stderr } = await bed.runAs("conda-pack", call, 2);
  assert.match(stderr, /again\.tar\.gz is there already: give --force to replace it/);
  await bed.runAs("conda-pack", [...call, "-f", "-q"]);
  assert.equal(await bed.inArchive("again.tar.gz", "greet"), "hello");
  await bed.run(["create", "--from-prefix", "unpacked", "prefix.tar.gz"]);
  assert.equal(await bed.inArchive("prefix.tar.gz", "greet"), "hello");
});
