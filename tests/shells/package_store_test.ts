import assert from "node:assert/strict";
import { EnvironmentStore } from "../../package/store.ts";
import { isReady } from "../../package/unpack.ts";
import { environmentMembers, writeArchive } from "../support/tar.ts";
import { TempFolder } from "../support/temp.ts";

const { signal } = new AbortController();

/** Environments that differ in one file of some KB. */
async function archives(folder: TempFolder, count: number): Promise<string[]> {
  const paths = [];
  for (let i = 0; i < count; i++) {
    const members = [...environmentMembers, { path: "lib/data", text: `${i}`.repeat(10_000) }];
    paths.push(await writeArchive(folder.join(`${i}.tar.gz`), members));
  }
  return paths;
}

Deno.test("EnvironmentStore knows an archive by its content, under any name and after a change", async () => {
  await using folder = await TempFolder.create();
  const [first = "", second = ""] = await archives(folder, 2);
  const old = new Date(Date.now() - 3_600_000);
  await Deno.utime(first, old, old); // or it could change unnoticed within the same tick
  using store = new EnvironmentStore(folder.join("store"));
  const prefix = await store.open(first, { signal });
  assert.ok(isReady(prefix));
  await Deno.copyFile(first, folder.join("copy"));
  assert.equal(await store.open(folder.join("copy"), { signal }), prefix);

  // Remembered: not even read again.
  await Deno.chmod(first, 0);
  using another = new EnvironmentStore(folder.join("store"));
  assert.equal(await another.open(first, { signal }), prefix);

  await Deno.copyFile(second, folder.join("copy"));
  const changed = await store.open(folder.join("copy"), { signal });
  assert.notEqual(changed, prefix);
  assert.deepEqual(store.list().map((one) => one.prefix).sort(), [prefix, changed].sort());
  assert.equal(store.list().every(({ bytes }) => bytes > 10_000), true);
  await assert.rejects(store.open(folder.join("none"), { signal }), /there is no such file/);
});

Deno.test("EnvironmentStore removes the least recently used first, and none that is in use", async () => {
  await using folder = await TempFolder.create();
  const paths = await archives(folder, 3);
  using user = new EnvironmentStore(folder.join("store"));
  using cleaner = new EnvironmentStore(folder.join("store"));
  const prefixes: string[] = [];
  for (const [i, path] of paths.entries()) {
    const prefix = await user.open(path, { signal });
    const used = new Date(Date.now() - (10 - i) * 60_000);
    await Deno.utime(user.useFileOf(prefix), used, used);
    prefixes.push(prefix);
  }
  const [oldest = "", middle = "", newest = ""] = prefixes;
  const clean = async (options: { olderThanMs?: number; bytesMax?: number; dryRun?: boolean }) =>
    (await cleaner.clean({ ...options, signal })).map(({ prefix }) => prefix);

  assert.deepEqual(await clean({ olderThanMs: 0 }), []); // all are in use
  user.release(oldest);
  user.release(middle);
  assert.deepEqual(await clean({ olderThanMs: 0, dryRun: true }), [oldest, middle]);
  const { bytes } = cleaner.list()[0]!;
  assert.deepEqual(await clean({ bytesMax: 2 * bytes }), [oldest]);
  assert.deepEqual(await clean({ olderThanMs: 9.5 * 60_000 }), []);
  assert.deepEqual(await clean({ bytesMax: 0 }), [middle]);
  assert.ok(isReady(newest) && !isReady(middle) && !isReady(oldest));
  assert.ok(isReady(await user.open(paths[0]!, { signal }))); // it comes back
});
