import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { RunError } from "../../core/errors.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import { type InstallOptions, installPackages } from "../../package/install.ts";
import {
  fileNamesOf,
  noPackaging,
  packagingPython,
  realChannel,
  recordsOf,
  serveChannel,
} from "../support/channel.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const packaged = (name: string) => needs(packagingPython !== null, noPackaging, name);

const signal = new AbortController().signal;
const options = (cache: string): InstallOptions => ({ cache, platform: "linux-64", signal });

/** All of these work together; python first among its users. */
const everything = [
  "python",
  "hepmath-1.5",
  "numpy",
  "packaging",
  "wheel",
  "setuptools",
  "pip",
  "app",
  "greeter",
  "relo",
  "oldstyle",
  "clash-a",
  "clash-b",
];

async function recordsFor(names: readonly string[], url?: string) {
  const channel = await realChannel();
  const files = names.map((name) =>
    name === "hepmath-1.5" ? "hepmath-1.5-1.conda" : fileNamesOf(channel.dir, [name])[0]!
  );
  return { channel, records: await recordsOf(channel.dir, url ?? channel.url, files) };
}

async function output(program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command(program, {
    args,
    env: { PATH: "/usr/bin:/bin" },
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  assert.ok(success, text.decode(stderr));
  return text.decode(stdout).trim();
}

async function rattler(home: string, ...args: string[]): Promise<unknown> {
  const script = fileURLToPath(new URL("./rattler_install.py", import.meta.url));
  const { stdout, stderr, success } = await new Deno.Command(packagingPython!, {
    args: ["-B", script, ...args],
    env: { HOME: home, XDG_CACHE_HOME: home, RATTLER_CACHE_DIR: home },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  assert.ok(success, text.decode(stderr));
  return JSON.parse(text.decode(stdout));
}

interface Seen {
  readonly kind: "file" | "link";
  readonly mode: number;
  readonly content: string;
}

/** Files and links of a prefix: mode, and hash or target. */
function tree(prefix: string, below = ""): Map<string, Seen> {
  const found = new Map<string, Seen>();
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(`${prefix}/${below}`)) {
    const path = below === "" ? name : `${below}/${name}`;
    const full = `${prefix}/${path}`;
    if (isDirectory) { for (const entry of tree(prefix, path)) found.set(...entry); }
    else if (isSymlink) {
      found.set(path, { kind: "link", mode: 0, content: Deno.readLinkSync(full) });
    } else {
      const content = createHash("sha256").update(Deno.readFileSync(full)).digest("hex");
      found.set(path, { kind: "file", mode: Deno.statSync(full).mode! & 0o777, content });
    }
  }
  return found;
}

Deno.test({
  ...packaged("programs, libraries and scripts of an installed prefix work where they are"),
  async fn() {
    await using temp = await TempFolder.create();
    const { records } = await recordsFor(everything);
    const prefix = temp.join("env");
    const report = await installPackages(records, prefix, options(temp.join("cache")));
    assert.equal(report.packages, everything.length);
    assert.equal(report.downloaded.packages, everything.length);
    const bin = (name: string, ...args: string[]) => output(`${prefix}/bin/${name}`, ...args);
    assert.equal(await bin("python", "-c", "import sys; print(sys.prefix)"), prefix);
    assert.equal(await bin("app"), "app 1");
    assert.equal(await bin("app-script"), "script");
    assert.equal(await bin("greet"), "hello");
    // An ELF program that finds its library by a run path, and a path compiled into that library.
    assert.equal(await bin("relo-where"), `${prefix}/share/relo`);
    assert.equal(await bin("relo-script"), `${prefix} 1`);
    assert.match(await bin("pip", "--version"), /^pip \d+.*site-packages\/pip/);
    assert.equal(await bin("python", "-c", "import numpy; print(numpy.arange(3).sum())"), "3");
    assert.deepEqual(report.clobbered, [{
      path: "share/clash.txt",
      owners: ["clash-a", "clash-b"],
    }]);
    assert.equal(await Deno.readTextFile(`${prefix}/share/clash.txt`), "of b\n");
    const meta = JSON.parse(await Deno.readTextFile(`${prefix}/conda-meta/clash-a-1.0-0.json`));
    assert.deepEqual(meta.files, ["share/clash-a.txt"]);
  },
});

Deno.test({
  ...packaged("a prefix is file by file what py-rattler installs, and it reads our records"),
  async fn() {
    await using temp = await TempFolder.create();
    const { channel, records } = await recordsFor(everything);
    // One after the other at the same place, because the place is in the files.
    const prefix = temp.join("env");
    await installPackages(records, prefix, options(temp.join("cache")));
    const read = await rattler(temp.join("home"), "read", prefix) as Record<string, RattlerRecord>;
    const ours = tree(prefix);
    await Deno.rename(prefix, temp.join("ours"));
    const names = everything.map((name) => name.replace("-1.5", ""));
    const files = await rattler(temp.join("home"), "install", channel.url, prefix, ...names);
    assert.deepEqual(files, records.map(({ fileName }) => fileName).sort());
    const theirs = tree(prefix);
    const theirRecords = await rattler(temp.join("home"), "read", prefix);
    // Ours have other words in scripts of entry points, and are not writable for the group.
    const entryPoint = /^bin\/(?:app|greet|pip[\d.]*|wheel)$/;
    // rattler keeps the loser of a clash; which of the two that is follows no order.
    const own = /^(?:conda-meta\/|CACHEDIR\.TAG$|__clobbers__\/|share\/clash\.txt$)/;
    const comparable = (all: Map<string, Seen>) =>
      [...all].filter(([path]) => !own.test(path)).map(([path, seen]) =>
        entryPoint.test(path) ? [path, "entry point"] : [path, seen]
      ).sort();
    assert.deepEqual(comparable(ours), comparable(theirs));
    for (const [name, record] of Object.entries(theirRecords as typeof read)) {
      const our = read[name]!;
      assert.deepEqual(
        [our.name, our.version, our.build, our.url],
        [record.name, record.version, record.build, record.url],
      );
      const isClash = name.startsWith("clash");
      if (!isClash) assert.deepEqual(our.files, record.files, name);
    }
  },
});

interface RattlerRecord {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  readonly url: string;
  readonly files: readonly string[];
  readonly paths: readonly (readonly [string, string, string, number])[];
}

Deno.test({
  ...packaged(
    "the same packages by http and file make the same prefix, and records tell its hashes",
  ),
  async fn() {
    await using temp = await TempFolder.create();
    const channel = await realChannel();
    await using server = serveChannel(channel.dir);
    const names = ["python", "hepmath-1.5", "app", "relo", "oldstyle"];
    const prefix = temp.join("env");
    const { records } = await recordsFor(names, server.url);
    await installPackages(records, prefix, options(temp.join("cache-http")));
    const byHttp = tree(prefix);
    await Deno.remove(prefix, { recursive: true });
    const { records: fromFiles } = await recordsFor(names);
    await installPackages(fromFiles, prefix, options(temp.join("cache-file")));
    const isRecord = ([path]: [string, Seen]) => path.startsWith("conda-meta/");
    const withoutRecords = (all: Map<string, Seen>) => [...all].filter((e) => !isRecord(e)).sort();
    assert.deepEqual(withoutRecords(byHttp), withoutRecords(tree(prefix)));
    const found = tree(prefix);
    for (const [name] of [...found].filter(isRecord)) {
      if (!name.endsWith(".json")) continue;
      const { paths_data: { paths } } = JSON.parse(Deno.readTextFileSync(`${prefix}/${name}`));
      for (const { _path, path_type, sha256_in_prefix } of paths) {
        // Packages of old tell no hashes.
        if (path_type === "softlink" || name.includes("oldstyle")) continue;
        assert.equal(sha256_in_prefix, found.get(_path)?.content, _path);
      }
    }
  },
});

Deno.test({
  ...packaged("writing into a prefix as pip and users do leaves the cache as it was"),
  async fn() {
    await using temp = await TempFolder.create();
    const { channel, records } = await recordsFor(["python", "hepmath-1.5", "app", "relo"]);
    const cache = temp.join("cache");
    await installPackages(records, temp.join("one"), options(cache));
    const before = tree(cache);
    const site = `lib/python${channel.pythonMinor}/site-packages`;
    const program = `bin/python${channel.pythonMinor}`;
    for (const path of [program, "bin/app-script", `${site}/hepapp_data.py`]) {
      await Deno.writeTextFile(temp.join("one", path), "changed\n");
    }
    await Deno.writeTextFile(temp.join("one/etc/conda/deactivate.d/relo.sh"), "changed\n");
    assert.deepEqual(tree(cache), before);
    const report = await installPackages(records, temp.join("two"), options(cache));
    assert.deepEqual(report.downloaded, { packages: 0, bytes: 0 });
    assert.equal(await output(temp.join("two/bin/app")), "app 1");
  },
});

Deno.test({
  ...packaged("a prefix with a long path and a blank in it works too"),
  async fn() {
    await using temp = await TempFolder.create();
    const { records } = await recordsFor(["python", "hepmath-1.5", "app", "relo"]);
    const prefix = temp.join(`a blank/${"deep/".repeat(20)}env`);
    await installPackages(records, prefix, options(temp.join("cache")));
    assert.equal(await output(`${prefix}/bin/app`), "app 1");
    assert.equal(await output(`${prefix}/bin/relo-script`), `${prefix} 1`);
    assert.equal(await output(`${prefix}/bin/relo-where`), `${prefix}/share/relo`);
    const longer = temp.join(`${"deeper/".repeat(40)}env`);
    await assert.rejects(
      installPackages(records, longer, options(temp.join("cache"))),
      (error) =>
        error instanceof RunError &&
        /Cannot install relo-1\.0-0\.conda: bin\/relo-where: .*room for a path of 255/.test(
          error.message,
        ),
    );
  },
});

Deno.test({
  ...packaged("post-link scripts run only if they may, and are told of otherwise"),
  async fn() {
    await using temp = await TempFolder.create();
    const { records } = await recordsFor(["postlink"]);
    const cache = temp.join("cache");
    const skipped = await installPackages(records, temp.join("one"), options(cache));
    assert.match(skipped.warnings.join(), /postlink 1\.0 was not run; --post-link allows it/);
    await assert.rejects(Deno.stat(temp.join("one/linked.txt")), Deno.errors.NotFound);
    const ran = await installPackages(records, temp.join("two"), {
      ...options(cache),
      postLink: true,
    });
    assert.deepEqual(ran.warnings, []);
    assert.equal(await Deno.readTextFile(temp.join("two/linked.txt")), "linked postlink 1.0\n");
  },
});

Deno.test({
  ...packaged("a Python package without a Python is refused with a sentence"),
  async fn() {
    await using temp = await TempFolder.create();
    const { records } = await recordsFor(["app"]);
    await assert.rejects(
      installPackages(records, temp.join("env"), options(temp.join("cache"))),
      /Cannot install app-1\.0-0\.conda: .*python is not among the packages/,
    );
  },
});

Deno.test({
  ...packaged("environments of other platforms are installed without running anything"),
  async fn() {
    await using temp = await TempFolder.create();
    const channel = await realChannel();
    const [app] = await recordsOf(channel.dir, channel.url, ["app-1.0-0.conda"]);
    const folder = `${channel.dir}/osx-arm64`;
    const name = [...Deno.readDirSync(folder)].find((entry) => entry.name.startsWith("python-"))!;
    const python: PackageRecord = {
      ...app!,
      name: "python",
      version: "3.11.0",
      noarch: null,
      subdir: "osx-arm64",
      fileName: name.name,
      url: `${channel.url}/osx-arm64/${name.name}`,
    };
    // Hashes of the record that it was made of are not its own.
    const { sha256: _sha, md5: _md5, size: _size, ...bare } = python;
    const prefix = temp.join("env");
    const more = { ...options(temp.join("cache")), platform: "osx-arm64" as const };
    await installPackages([bare, app!], prefix, more);
    assert.match(await Deno.readTextFile(`${prefix}/bin/app`), /^#!.*\/bin\/python3\.11\n/);
  },
});

Deno.test({
  ...packaged("progress counts bytes and packages up to all of them"),
  async fn() {
    await using temp = await TempFolder.create();
    const { records } = await recordsFor(["hepmath-1.5", "relo", "oldstyle"]);
    const seen: string[] = [];
    let bytes = 0;
    await installPackages(records, temp.join("env"), {
      ...options(temp.join("cache")),
      onProgress: (progress) => {
        assert.ok(progress.bytes >= bytes && progress.bytes <= progress.bytesTotal);
        bytes = progress.bytes;
        seen.push(`${progress.phase} ${progress.packages}/${progress.packagesTotal}`);
      },
    });
    assert.ok(seen.includes("fetch 3/3"));
    assert.deepEqual(seen.slice(-3), ["link 1/3", "link 2/3", "link 3/3"]);
  },
});
