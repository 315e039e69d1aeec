/** Files that a worker puts together from pieces of files that it has. */
import assert from "node:assert/strict";
import { seededRng } from "../../core/env.ts";
import { type ListedFile, PieceLister } from "../../core/pieces.ts";
import { parseLacking } from "../../core/protocol/pieces.ts";
import { fileFlag } from "../../core/protocol/messages.ts";
import type { WorkerEvent } from "../../core/worker/actions.ts";
import { Assemblies } from "../../worker/assembly.ts";
import { Workspace } from "../../worker/workspace.ts";
import { taskBlock } from "../support/builders.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

type Bytes = Uint8Array<ArrayBuffer>;

function randomBytes(seed: number, size: number): Bytes {
  const rng = seededRng(seed);
  return new Uint8Array(size).map(() => rng() * 256);
}

function listed(bytes: Uint8Array): ListedFile {
  const lister = new PieceLister();
  lister.feed(bytes);
  return lister.finish();
}

function joined(...parts: Uint8Array[]): Bytes {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const old = randomBytes(1, 2_000_000);
const news = randomBytes(2, 200_000);
const changed = joined(old.subarray(0, 900_000), news, old.subarray(1_000_000));
const list = listed(changed);
const { sha256, pieces } = list;
const everything = Array.from({ length: pieces.count }, (_, i) => i);

/** A workspace of which one link is served. */
class Bed implements AsyncDisposable {
  readonly told: WorkerEvent[] = [];
  readonly assemblies: Assemblies;

  private constructor(readonly folder: TempFolder, readonly workspace: Workspace) {
    this.assemblies = new Assemblies(workspace, (event) => this.told.push(event));
  }

  static async create(): Promise<Bed> {
    const folder = await TempFolder.create();
    const options = { parent: folder.path, wqx: ["true"], symlinks: false };
    return new Bed(folder, await Workspace.create(options));
  }

  /** A file that a manager sends. */
  async put(cacheName: string, bytes: Bytes): Promise<void> {
    const sink = this.workspace.store({ cacheName, inside: "" }, 0o644);
    await sink.take(bytes);
    assert.equal(await sink.finish(), null);
  }

  offer(cacheName: string, refused: string | null = null): void {
    const about = { sha256, bytes: changed.length, pieces, mode: 0o755 };
    this.assemblies.begin({ type: "offer", cacheName, ...about }, refused);
  }

  /** What it lacks of the last offer. */
  async lacking(count = 1): Promise<number[]> {
    const answers = () => this.told.filter((event) => event.type === "lacking");
    await until(() => answers().length === count, { what: "an answer" });
    return parseLacking(answers().at(-1)!.bits, pieces, "x");
  }

  /** Sends these pieces. */
  async fill(cacheName: string, lacking: readonly number[]): Promise<void> {
    const sink = this.assemblies.fill(cacheName);
    for (let i = 0, at = 0; i < pieces.count; i++) {
      const piece = changed.subarray(at, at += pieces.lengthOf(i));
      if (!lacking.includes(i)) continue;
      await sink.take(piece.subarray(0, 1000));
      await sink.take(piece.subarray(1000));
    }
    assert.equal(await sink.finish(), null);
  }

  async isRight(cacheName: string): Promise<void> {
    assert.equal(await this.assemblies.need([cacheName]), null);
    const path = this.workspace.cachePath(cacheName);
    assert.deepEqual(Deno.readFileSync(path), changed);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o755);
    assert.ok(this.told.some((event) => event.type === "fetched" && event.cacheName === cacheName));
  }

  /** In the cache. */
  get names(): string[] {
    return [...Deno.readDirSync(`${this.workspace.path}/cache`)].map(({ name }) => name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.assemblies.stop();
    await this.workspace[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

Deno.test("a file is put together from one of this link, which stays as it is", async () => {
  await using bed = await Bed.create();
  await bed.put("old", old);
  bed.offer("new");
  const lacking = await bed.lacking();
  assert.ok(lacking.length > 0 && lacking.length < pieces.count / 3, `${lacking}`);
  await bed.fill("new", lacking);
  await bed.isRight("new");
  assert.deepEqual(Deno.readFileSync(bed.workspace.cachePath("old")), old);
  assert.deepEqual(bed.names, ["new", "old"]);
  bed.offer("again");
  assert.deepEqual(await bed.lacking(2), [], "now it has all of them");
  await bed.fill("again", []);
  await bed.isRight("again");
});

Deno.test("a file of an earlier link serves as well, and both are kept for the next", async () => {
  await using bed = await Bed.create();
  await bed.put("old", old);
  await bed.workspace.clear(1e9);
  await until(() => bed.workspace.kept.listed.length === 1, { what: "its pieces" });
  bed.offer("new");
  await bed.fill("new", await bed.lacking());
  await bed.isRight("new");
  await bed.workspace.clear(1e9);
  await until(() => bed.workspace.kept.listed.length === 2, { what: "the pieces of both" });
});

const harms: Record<string, (path: string) => void> = {
  "was written to": (path) => {
    using file = Deno.openSync(path, { write: true });
    file.seekSync(300_000, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(10));
  },
  "was cut": (path) => Deno.truncateSync(path, 1_500_000),
  "is gone": (path) => Deno.removeSync(path),
};
for (const [what, harm] of Object.entries(harms)) {
  Deno.test(`of a source that ${what} the right pieces are used and the others asked for`, async () => {
    await using bed = await Bed.create();
    await bed.put("old", old);
    await bed.workspace.clear(1e9);
    await until(() => bed.workspace.kept.listed.length === 1, { what: "its pieces" });
    harm(bed.workspace.kept.listed[0]!.path);
    bed.offer("new");
    const lacking = await bed.lacking();
    if (what === "is gone") assert.deepEqual(lacking, everything);
    else assert.ok(lacking.length < pieces.count / 2, `${lacking}`);
    await bed.fill("new", lacking);
    await bed.isRight("new");
  });
}

Deno.test("a worker without any like it lacks everything, and says so", async () => {
  await using bed = await Bed.create();
  await bed.put("large", randomBytes(3, 9_000_000));
  await bed.put("other", randomBytes(4, 2_000_000));
  bed.offer("new");
  assert.deepEqual(await bed.lacking(), everything);
  await bed.fill("new", everything);
  await bed.isRight("new");
});

Deno.test("an input that was replaced serves the one that comes in its place", async () => {
  await using bed = await Bed.create();
  const { sandboxes } = bed.workspace;
  for (const [i, flags] of [fileFlag.cache, fileFlag.none].entries()) {
    await bed.put("env", old);
    const inputs = [{ cacheName: "env", sandboxName: "env", flags }];
    assert.equal(await bed.workspace.stageIn(taskBlock(i, { inputs }), sandboxes.take()), null);
    bed.workspace.unlink("env");
    assert.ok(!bed.workspace.has("env"));
    bed.offer("env");
    const lacking = await bed.lacking(i + 1);
    // The first time around it was an input that stays; now that file is there, set aside.
    assert.ok(lacking.length < pieces.count / 3);
    await bed.fill("env", lacking);
    await bed.isRight("env");
  }
  for (let i = 0; i < 9; i++) {
    await bed.put("env", old);
    const inputs = [{ cacheName: "env", sandboxName: "env", flags: fileFlag.cache }];
    assert.equal(await bed.workspace.stageIn(taskBlock(i, { inputs }), sandboxes.take()), null);
    bed.workspace.unlink("env");
  }
  assert.equal(bed.names.length, 4, "a few are kept, not all");
});

Deno.test("a file that is not wanted any more, or comes whole, leaves nothing behind", async () => {
  await using bed = await Bed.create();
  await bed.put("old", old);
  bed.offer("new");
  const waiting = bed.assemblies.need(["new"]);
  bed.assemblies.forget("new"); // while it is collected
  assert.equal(await waiting, null);
  await bed.lacking(1);
  bed.offer("new");
  const lacking = await bed.lacking(2);
  const sink = bed.assemblies.fill("new");
  await sink.take(changed.subarray(0, 10));
  bed.assemblies.forget("new"); // while it is filled
  await bed.put("new", news);
  await sink.take(changed.subarray(0, 10));
  assert.equal(await sink.finish(), null);
  bed.offer("other");
  await bed.lacking(3);
  await bed.assemblies.stop(); // before it is filled
  assert.deepEqual(bed.names, ["new", "old"]);
  assert.deepEqual(Deno.readFileSync(bed.workspace.cachePath("new")), news);
  assert.ok(lacking.length > 0 && !bed.told.some(({ type }) => type === "fetched"));
});

Deno.test("a file that is refused, or cannot be written, is complained of before the answer", async () => {
  await using bed = await Bed.create();
  await bed.put("old", old);
  bed.offer("new", "it is too large");
  assert.deepEqual(await bed.lacking(), []);
  assert.deepEqual(bed.told.map(({ type }) => type), ["fetch_failed", "lacking"]);
  await Deno.remove(`${bed.workspace.path}/cache`, { recursive: true });
  bed.offer("other");
  assert.deepEqual(await bed.lacking(2), []);
  const [, , failed] = bed.told;
  assert.ok(failed?.type === "fetch_failed");
  assert.match(failed.why, /^cannot put it together from pieces: No such file/);
  const block = taskBlock(1, { inputs: [{ cacheName: "new", sandboxName: "x", flags: 1 }] });
  const trouble = await bed.workspace.stageIn(block, bed.workspace.sandboxes.take());
  assert.match(trouble!, /^x: cannot put it together from pieces: it is too large/);
});
