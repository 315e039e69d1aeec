/** The files that a worker keeps from one link to the next, and the hashes they are known by. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { heldBytesMin, heldCountMax } from "../../core/protocol/held.ts";
import { FileHashes, sha256Of } from "../../io/hash.ts";
import { Kept } from "../../worker/kept.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const content = (byte: number, size = heldBytesMin) => new Uint8Array(size).fill(byte);
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const never = new AbortController().signal;

/** A store, and files beside it, each of one byte many times. */
class Bed implements AsyncDisposable {
  private constructor(readonly folder: TempFolder, readonly kept: Kept) {}

  static async create(): Promise<Bed> {
    const folder = await TempFolder.create();
    await Deno.mkdir(folder.join("kept"));
    return new Bed(folder, new Kept(folder.join("kept")));
  }

  file(byte: number, size?: number): string {
    const path = this.folder.join(`file.${byte}`);
    Deno.writeFileSync(path, content(byte, size));
    return path;
  }

  /** Until so many are kept and hashed. */
  async holds(count: number): Promise<void> {
    const names = () => [...Deno.readDirSync(this.folder.join("kept"))];
    await until(
      () => this.kept.held.length === count && names().length === count,
      { what: `${count} files that are kept` },
    );
  }

  get names(): string[] {
    return [...Deno.readDirSync(this.folder.join("kept"))].map(({ name }) => name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kept[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

Deno.test("large files are kept under their hashes and given out once", async () => {
  await using bed = await Bed.create();
  const told: unknown[] = [];
  bed.kept.listener = (held) => told.push(held);
  const small = bed.file(1, heldBytesMin - 1);
  const linked = bed.file(2);
  await Deno.link(linked, bed.folder.join("elsewhere"));
  await Deno.symlink(small, bed.folder.join("link"));
  const others = [small, linked, bed.folder.join("link"), bed.folder.path, "/nowhere"];
  await bed.kept.add([bed.file(3), bed.file(4), ...others], 1e9);
  await bed.holds(2);
  const hashes = [hashOf(content(3)), hashOf(content(4))];
  assert.deepEqual(bed.names, [...hashes].sort());
  assert.deepEqual(bed.kept.held, hashes.map((sha256) => ({ bytes: heldBytesMin, sha256 })));
  assert.deepEqual(told, bed.kept.held);

  const target = bed.folder.join("taken");
  await bed.kept.take(hashes[0]!, target, never);
  assert.equal(await sha256Of(target), hashes[0]);
  await assert.rejects(bed.kept.take(hashes[0]!, target, never), /does not have it any more/);
  await assert.rejects(bed.kept.take("../../etc/passwd", target, never), /does not have it/);
  await bed.kept.add([target], 1e9);
  await bed.holds(2);
});

Deno.test("the same content is kept once", async () => {
  await using bed = await Bed.create();
  const first = bed.file(1);
  await Deno.copyFile(first, bed.folder.join("again"));
  await bed.kept.add([first, bed.folder.join("again"), bed.file(2)], 1e9);
  await bed.holds(2);
});

Deno.test("no more is kept than there is room for: the oldest go first, of one time the smallest", async () => {
  await using bed = await Bed.create();
  await bed.kept.add([bed.file(1, 2 * heldBytesMin)], 1e9);
  await bed.holds(1);
  const bytesMax = 3 * heldBytesMin;
  await bed.kept.add([bed.file(2, 2 * heldBytesMin), bed.file(3), bed.file(4)], bytesMax);
  await bed.holds(2);
  const { held } = bed.kept;
  assert.deepEqual(held.map(({ bytes }) => bytes), [heldBytesMin, 2 * heldBytesMin]);
  await bed.kept.add(Array.from({ length: heldCountMax + 3 }, (_, i) => bed.file(10 + i)), 1e9);
  await bed.holds(heldCountMax);
  assert.ok(!bed.kept.held.some(({ sha256 }) => held.some((old) => old.sha256 === sha256)));
  await bed.kept.add([], 0);
  assert.deepEqual([bed.names, bed.kept.held], [[], []]);
});

Deno.test("a kept file that was changed, cut or removed is not given out, and is gone", async () => {
  await using bed = await Bed.create();
  const target = bed.folder.join("taken");
  const harms: [(path: string) => void, RegExp][] = [
    [(path) => Deno.writeTextFileSync(path, "x", { append: true }), /has changed since/],
    [(path) => Deno.truncateSync(path, 5), /has changed since/],
    [(path) => Deno.removeSync(path), /No such file/],
  ];
  for (const [harm, why] of harms) {
    await bed.kept.add([bed.file(1)], 1e9);
    await bed.holds(1);
    const { sha256 } = bed.kept.held[0]!;
    harm(bed.folder.join("kept", sha256));
    await assert.rejects(bed.kept.take(sha256, target, never), why);
    assert.deepEqual([bed.names, bed.kept.held], [[], []]);
  }
  await assert.rejects(Deno.lstat(target), Deno.errors.NotFound);
});

Deno.test("a taking that is broken off leaves the file for the next link", async () => {
  await using bed = await Bed.create();
  await bed.kept.add([bed.file(1)], 1e9);
  await bed.holds(1);
  const { sha256 } = bed.kept.held[0]!;
  const target = bed.folder.join("taken");
  await assert.rejects(bed.kept.take(sha256, target, AbortSignal.abort()));
  await bed.kept.take(sha256, target, never);
  assert.equal(await sha256Of(target), hashOf(content(1)));
});

Deno.test("without its folder the store keeps nothing, and is well", async () => {
  await using bed = await Bed.create();
  await bed.kept.add([bed.file(1)], 1e9);
  await bed.holds(1);
  await Deno.remove(bed.folder.join("kept"), { recursive: true });
  await bed.kept.add([bed.file(2)], 0);
  assert.deepEqual(bed.kept.held, []);
});

Deno.test("a store that is closed while it hashes stops at once", async () => {
  await using bed = await Bed.create();
  await bed.kept.add([bed.file(1, 50 * heldBytesMin)], 1e9);
  await bed.kept[Symbol.asyncDispose]();
  assert.deepEqual(bed.kept.held, []);
});

Deno.test("a file is hashed once while it stays as it is, and anew when it changed", async () => {
  await using folder = await TempFolder.create();
  const path = folder.join("a");
  await Deno.writeFile(path, content(1));
  const hashes = new FileHashes();
  const info = await Deno.stat(path);
  const first = hashes.of(path, info);
  assert.equal(hashes.of(path, await Deno.stat(path)), first, "one computation for both");
  assert.equal(await first, hashOf(content(1)));
  await Deno.writeFile(path, content(2));
  await Deno.utime(path, info.mtime!, new Date(info.mtime!.getTime() + 1000));
  assert.equal(await hashes.of(path, await Deno.stat(path)), hashOf(content(2)));
  await Deno.remove(path);
  await assert.rejects(hashes.of(path, { ...info, size: 3 }), Deno.errors.NotFound);
  await Deno.writeFile(path, content(3));
  assert.equal(await hashes.of(path, { ...info, size: 3 }), hashOf(content(3)), "tried again");
  assert.equal(await sha256Of("/dev/null"), hashOf(new Uint8Array(0)));
});
