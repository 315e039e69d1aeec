import assert from "node:assert/strict";
import { fileURLToPath, pathToFileURL } from "node:url";
import { RunError } from "../../core/errors.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import { installPackages } from "../../package/install.ts";
import { PackageCache } from "../../package/package_cache.ts";
import {
  type ChannelFaults,
  fileNamesOf,
  noPackaging,
  packagingPython,
  realChannel,
  recordsOf,
  serveChannel,
} from "../support/channel.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const packaged = (name: string) => needs(packagingPython !== null, noPackaging, name);

const options = { signal: new AbortController().signal, backoffMs: 1 };

/** Names in a folder but for locks, which stay. */
async function left(folder: string): Promise<string[]> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  return names.filter((name) => !name.endsWith(".lock")).sort();
}

async function recordOf(name: string, url?: string): Promise<PackageRecord> {
  const { dir, url: own } = await realChannel();
  const [record] = await recordsOf(dir, url ?? own, fileNamesOf(dir, [name]));
  return record!;
}

async function served(name: string, faults: ChannelFaults) {
  const server = serveChannel((await realChannel()).dir, faults);
  return { server, record: await recordOf(name, server.url) };
}

Deno.test({
  ...packaged("a package that was corrupted on its way leaves nothing in the cache"),
  async fn() {
    await using temp = await TempFolder.create();
    const cache = new PackageCache(temp.path);
    for (const name of ["relo", "oldstyle"]) {
      const { server, record } = await served(name, { corrupt: /relo|oldstyle/ });
      await using _server = server;
      await assert.rejects(
        cache.obtain(record, options),
        (error) => error instanceof RunError && /its SHA-256 is/.test(error.message),
      );
      assert.deepEqual(await left(cache.folder), []);
    }
  },
});

Deno.test({
  ...packaged("a channel that stops in the middle of packages is asked for the rest"),
  async fn() {
    await using temp = await TempFolder.create();
    const cut = { path: /relo-/, afterBytes: 1000, times: 2 };
    const { server, record } = await served("relo", { cut });
    await using _server = server;
    const { folder, wasThere } = await new PackageCache(temp.path).obtain(record, options);
    assert.equal(wasThere, false);
    assert.deepEqual(await left(temp.join("packages")), [folder.split("/").at(-1)]);
    assert.ok(server.requests.some(({ range }) => range !== null));
  },
});

Deno.test({
  ...packaged("a package cut off anywhere is noticed even where no hash is told"),
  async fn() {
    await using temp = await TempFolder.create();
    for (const name of ["relo", "hepmath-1.0", "oldstyle"]) {
      const { sha256: _sha, md5: _md5, size: _size, ...bare } = await recordOf(
        name.replace("-1.0", ""),
      );
      const whole = await Deno.readFile(fileURLToPath(bare.url));
      const step = Math.ceil(whole.length / 30);
      for (let size = 0; size < whole.length; size += step) {
        const file = temp.join(bare.fileName);
        await Deno.writeFile(file, whole.subarray(0, size));
        const record = { ...bare, url: pathToFileURL(file).href };
        const cache = new PackageCache(temp.path);
        await assert.rejects(
          cache.obtain(record, options),
          (error) => error instanceof RunError && /Cannot extract/.test(error.message),
          `${name} cut at ${size}`,
        );
        assert.deepEqual(await left(cache.folder), []);
      }
    }
  },
});

const hostile: readonly (readonly [string, RegExp])[] = [
  ["parent-1-0.tar.bz2", /has "\.\."/],
  ["absolute-1-0.tar.bz2", /absolute path/],
  ["device-1-0.tar.bz2", /character device/],
  ["link-1-0.tar.bz2", /leads to "\/tmp"/],
  ["hardlink-1-0.tar.bz2", /hard link to|absolute path/],
  ["listed-1-0.tar.bz2", /could lead out/],
  ["missing-1-0.tar.bz2", /lacks share\/b\.txt/],
  ["size-1-0.tar.bz2", /has 2 bytes, and its own list says 7/],
  ["hash-1-0.tar.bz2", /another SHA-256/],
  ["empty-1-0.tar.bz2", /neither info\/paths\.json nor info\/files/],
  ["text-1-0.tar.bz2", /damaged|cut off/],
  ["text-1-0.conda", /no zip archive/],
  ["bomb-1-0.conda", /more than/],
  ["deflated-1-0.conda", /not stored/],
];

async function makeHostile(folder: string): Promise<void> {
  const script = fileURLToPath(new URL("./make_hostile.py", import.meta.url));
  const { success, stderr } = await new Deno.Command(packagingPython!, {
    args: ["-B", script, folder],
    stdin: "null",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

function recordAt(path: string): PackageRecord {
  const fileName = path.split("/").at(-1)!;
  return {
    name: fileName.split("-")[0]!,
    version: "1",
    build: "0",
    buildNumber: 0,
    subdir: "linux-64",
    noarch: null,
    depends: [],
    constrains: [],
    fileName,
    url: pathToFileURL(path).href,
    channel: "file:///channel",
  };
}

Deno.test({
  ...packaged("hostile and broken packages are refused with the reason, and nothing stays"),
  async fn() {
    await using temp = await TempFolder.create();
    await makeHostile(temp.join("bad"));
    const cache = new PackageCache(temp.join("cache"));
    for (const [name, pattern] of hostile) {
      await assert.rejects(
        cache.obtain(recordAt(temp.join("bad", name)), options),
        (error) =>
          error instanceof RunError && error.message.includes(`Cannot extract ${name}`) &&
          pattern.test(error.message),
        name,
      );
      assert.deepEqual(await left(cache.folder), [], name);
    }
    assert.deepEqual((await left(temp.path)).filter((name) => name.includes("escaped")), []);
    await assert.rejects(Deno.lstat("/tmp/wqx-escaped.txt"), Deno.errors.NotFound);
  },
});

Deno.test({
  ...packaged("old packages are extracted by a library where there is no bzip2, and cut ones seen"),
  async fn() {
    await using temp = await TempFolder.create();
    const record = await recordOf("oldstyle");
    const searchPath = Deno.env.get("PATH")!;
    Deno.env.set("PATH", temp.path);
    try {
      const { folder } = await new PackageCache(temp.join("cache")).obtain(record, options);
      assert.equal(await Deno.readTextFile(`${folder}/share/copied.txt`), "copied\n");
      const whole = await Deno.readFile(fileURLToPath(record.url));
      await Deno.writeFile(temp.join("oldstyle-1.0-0.tar.bz2"), whole.subarray(0, 400));
      await assert.rejects(
        new PackageCache(temp.join("other")).obtain(
          recordAt(temp.join("oldstyle-1.0-0.tar.bz2")),
          options,
        ),
        /Cannot extract oldstyle-1\.0-0\.tar\.bz2: its bzip2 data are damaged or cut off/,
      );
    } finally {
      Deno.env.set("PATH", searchPath);
    }
  },
});

Deno.test({
  ...packaged("zstd data of several frames are read to the last one"),
  async fn() {
    await using temp = await TempFolder.create();
    await makeHostile(temp.join("bad"));
    const cache = new PackageCache(temp.join("cache"));
    const { folder } = await cache.obtain(recordAt(temp.join("bad/frames-1-0.conda")), options);
    assert.equal(await Deno.readTextFile(`${folder}/share/a.txt`), "a\n");
  },
});

Deno.test({
  ...packaged("packages that lead out of a prefix together, or by entry points, are refused"),
  async fn() {
    await using temp = await TempFolder.create();
    await makeHostile(temp.join("bad"));
    const install = (names: string[], prefix: string) =>
      installPackages(names.map((name) => recordAt(temp.join(`bad/${name}-1-0.tar.bz2`))), prefix, {
        cache: temp.join("cache"),
        platform: "linux-64",
        signal: options.signal,
      });
    const rows: [string[], RegExp][] = [
      [["first", "second", "third"], /third-1-0.tar.bz2: a\/b\/x is a link that leads out/],
      [["entry"], /entry-1-0.tar.bz2: it has the entry point "\.\.\/\.\.\/escaped = a:b"/],
      [["file", "folder"], /share\/a\.txt is a folder, and to another package it is a file/],
      [["folder", "file"], /share\/a\.txt is a file, and to another package it is a folder/],
    ];
    for (const [i, [names, pattern]] of rows.entries()) {
      await assert.rejects(install(names, temp.join(`deep/er/env${i}`)), pattern);
    }
    assert.deepEqual((await left(temp.path)).sort(), ["bad", "cache", "deep"]);
    assert.deepEqual(await left(temp.join("deep")), ["er"]);
  },
});

function obtainElsewhere(cache: string, record: PackageRecord): Deno.ChildProcess {
  const script = fileURLToPath(new URL("../support/obtain_package.ts", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, cache, JSON.stringify(record)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test({
  ...packaged("of several processes that want a package one makes it, and all get it"),
  async fn() {
    await using temp = await TempFolder.create();
    const { server, record } = await served("wheel", {});
    await using _server = server;
    const ends = await Promise.all(
      [1, 2, 3].map(() => obtainElsewhere(temp.path, record).output()),
    );
    for (const { success, stderr } of ends) assert.ok(success, new TextDecoder().decode(stderr));
    assert.equal(server.requests.length, 1);
    assert.equal((await left(temp.join("packages"))).length, 1);
  },
});

Deno.test({
  ...packaged("what a process that was killed while it extracted left is made anew"),
  async fn() {
    await using temp = await TempFolder.create();
    const record = await recordOf("python");
    const cache = new PackageCache(temp.path);
    const partial = `${cache.folderOf(record)}.partial`;
    const child = obtainElsewhere(temp.path, record);
    await until(() => Deno.stat(`${partial}/lib`).then(() => true, () => false), {
      what: "the first extracted files",
    });
    child.kill("SIGKILL");
    await child.output();
    assert.ok(!cache.has(record));
    const { paths, wasThere } = await cache.obtain(record, options);
    assert.equal(wasThere, false);
    assert.ok(paths.length > 100);
    assert.equal((await left(cache.folder)).length, 1);
  },
});

/** A file system of so many bytes at this place, or why there is none. */
async function smallDisk(path: string, bytes: number): Promise<boolean> {
  await Deno.mkdir(path);
  const args = ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path];
  const end = await new Deno.Command("mount", { args, stdout: "null", stderr: "null" }).output()
    .catch(() => ({ success: false }));
  return end.success;
}

const mayMount = await (async () => {
  if (packagingPython === null) return false;
  await using temp = await TempFolder.create();
  if (!await smallDisk(temp.join("disk"), 65536)) return false;
  await new Deno.Command("umount", { args: [temp.join("disk")] }).output();
  return true;
})();

Deno.test({
  ...needs(
    mayMount,
    packagingPython === null ? noPackaging : "no file system may be mounted here",
    "a full disk is a sentence, and no half package stays",
  ),
  async fn() {
    await using temp = await TempFolder.create();
    const record = await recordOf("python");
    const disk = temp.join("disk");
    assert.ok(await smallDisk(disk, record.size! + 2 * 1024 ** 2));
    try {
      const cache = new PackageCache(disk);
      await assert.rejects(
        cache.obtain(record, options),
        (error) =>
          error instanceof RunError && /Cannot extract python-.*: /.test(error.message) &&
          /no more is free on the disk|No space left/.test(error.message),
      );
      assert.deepEqual(await left(cache.folder), []);
    } finally {
      await new Deno.Command("umount", { args: [disk] }).output();
    }
    assert.ok(await smallDisk(`${disk}2`, 1024 ** 2));
    try {
      const cache = new PackageCache(`${disk}2`);
      await assert.rejects(
        cache.obtain(record, options),
        (error) => error instanceof RunError && /Cannot download .*No space/.test(error.message),
      );
      assert.deepEqual(await left(cache.folder), []);
    } finally {
      await new Deno.Command("umount", { args: [`${disk}2`] }).output();
    }
  },
});
