/**
 * Layers that were made before, each a folder named by its key: the files that it brought, and
 * which of them contain the path of the prefix in which it was made. A layer is put in place by
 * `rename`, so that there are no half-made ones.
 */
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { isRecord } from "../core/is_record.ts";
import type { LayerChange } from "../core/package/layers.ts";

const descriptionName = "layer.json";

/** Files linked before others get their turn. */
const filesAtOnce = 500;

interface Description {
  /** Prefix in which it was made. */
  readonly prefix: string;
  readonly removed: readonly string[];
  readonly plain: readonly string[];
  /** Files that contain the prefix. */
  readonly located: readonly string[];
}

export class LayerStore {
  /** `folder` is made when it is needed. */
  constructor(private readonly folder: string) {}

  has(key: string): boolean {
    try {
      return Deno.statSync(`${this.folder}/${key}`).isDirectory;
    } catch {
      return false;
    }
  }

  /** Puts a layer on top of what is in `prefix`; `false` if it is not there or not whole. */
  async restore(key: string, prefix: string, signal: AbortSignal): Promise<boolean> {
    const layer = `${this.folder}/${key}`;
    const description = await readDescription(`${layer}/${descriptionName}`);
    if (description === null || description.prefix.length !== prefix.length) return false;
    for (const path of description.removed) await removeFile(`${prefix}/${path}`);
    await inTurns(description.plain, signal, (path) => {
      place(`${layer}/files/${path}`, `${prefix}/${path}`);
    });
    await inTurns(description.located, signal, (path) => {
      relocate(`${layer}/files/${path}`, `${prefix}/${path}`, description.prefix, prefix);
    });
    // Tells which layers are in use.
    const now = new Date();
    await Deno.utime(layer, now, now);
    return true;
  }

  /** Keeps what a step did to `prefix`. */
  async save(
    key: string,
    prefix: string,
    { written, removed }: LayerChange,
    signal: AbortSignal,
  ): Promise<void> {
    await Deno.mkdir(this.folder, { recursive: true, mode: 0o700 });
    const made = await Deno.makeTempDir({ dir: this.folder, prefix: ".making-" });
    try {
      const located: string[] = [], plain: string[] = [];
      const wanted = Buffer.from(prefix);
      await inTurns(written, signal, (path) => {
        const from = `${prefix}/${path}`;
        const holds = Deno.lstatSync(from).isFile &&
          Buffer.from(Deno.readFileSync(from)).includes(wanted);
        (holds ? located : plain).push(path);
        place(from, `${made}/files/${path}`);
      });
      const description: Description = { prefix, removed, plain, located };
      await Deno.writeTextFile(`${made}/${descriptionName}`, JSON.stringify(description));
      await Deno.rename(made, `${this.folder}/${key}`).catch((error) => {
        // Somebody else made the same one meanwhile.
        if (!this.has(key)) throw error;
      });
    } finally {
      await Deno.remove(made, { recursive: true }).catch(() => {}); // it was put in place
    }
  }
}

async function readDescription(path: string): Promise<Description | null> {
  try {
    const data: unknown = JSON.parse(await Deno.readTextFile(path));
    return isRecord(data) && data.located !== undefined ? data as unknown as Description : null;
  } catch {
    return null;
  }
}

async function inTurns(
  paths: readonly string[],
  signal: AbortSignal,
  take: (path: string) => void,
): Promise<void> {
  for (const [i, path] of paths.entries()) {
    take(path);
    if (i % filesAtOnce !== filesAtOnce - 1) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal.throwIfAborted();
  }
}

/** The same file under another name where the file system allows it, else a copy of it. */
function place(from: string, to: string): void {
  makeRoom(to);
  const info = Deno.lstatSync(from);
  if (info.isDirectory) return Deno.mkdirSync(to, { recursive: true });
  if (info.isSymlink) return Deno.symlinkSync(Deno.readLinkSync(from), to);
  try {
    Deno.linkSync(from, to);
  } catch {
    Deno.copyFileSync(from, to);
    if (info.mtime !== null) Deno.utimeSync(to, info.mtime, info.mtime);
  }
}

/** A copy with another prefix in it, of the same length: then nothing else in the file moves. */
function relocate(from: string, to: string, made: string, prefix: string): void {
  makeRoom(to);
  const bytes = Buffer.from(Deno.readFileSync(from));
  const old = Buffer.from(made), now = Buffer.from(prefix);
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + now.length)) {
    now.copy(bytes, at);
  }
  const { mode, mtime } = Deno.statSync(from);
  Deno.writeFileSync(to, bytes);
  Deno.chmodSync(to, (mode ?? 0o644) & 0o7777);
  if (mtime !== null) Deno.utimeSync(to, mtime, mtime);
}

function makeRoom(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    Deno.mkdirSync(dirname(path), { recursive: true });
  }
}

async function removeFile(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
