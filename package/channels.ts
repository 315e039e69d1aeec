/**
 * What channels have: of each folder its shards, else its compressed repodata, else the plain one.
 * With shards a few hundred small files are fetched in place of one of 50 MB.
 */
import { messageOf, RunError } from "../core/errors.ts";
import { type Channel, shownUrl } from "../core/package/condarc.ts";
import type { Platform } from "../core/package/platform.ts";
import type { PackageRecord } from "../core/package/record.ts";
import {
  type ChannelFolder,
  readShardIndex,
  Repodata,
  type ShardIndex,
} from "../core/package/repodata.ts";
import { isZstd } from "../core/package/zstd_frames.ts";
import { ChannelFiles, type ChannelFilesOptions, PlaceError } from "./channel_files.ts";
import { unpackZstd } from "./zstd.ts";

/** The packages of one folder of a channel. */
export interface RecordSource {
  readonly channel: string;
  names(): Iterable<string>;
  /** All records of some names. Throws RunError if they cannot be had. */
  recordsOf(names: readonly string[]): Promise<readonly PackageRecord[]>;
  /** Records that were left out because something is not right in them. */
  droppedCount(): number;
}

/** Shards asked for at a time. */
const shardsAtOnceMax = 24;

/** A shard is about one name; the largest of these days becomes 10 MB. */
const shardBytesMax = 512 * 1024 ** 2;

export class Channels implements Disposable {
  readonly #files: ChannelFiles;

  constructor(private readonly options: ChannelFilesOptions) {
    this.#files = new ChannelFiles(options);
  }

  /**
   * The folders for a platform and for `noarch`. One that is missing counts as empty, with a note;
   * throws RunError if the channel has neither, or no place of it can be read.
   */
  async open(channel: Channel, platform: Platform): Promise<readonly RecordSource[]> {
    const subdirs = [platform, "noarch"] as const;
    const found = await settled(subdirs.map((subdir) => this.#folder(channel, subdir)));
    if (found.every((source) => source === null)) {
      const places = channel.places.map(shownUrl).join(" and ");
      throw new RunError(
        `There is no channel "${shownUrl(channel.name)}" at ${places}: ` +
          `it has neither ${platform}/repodata.json nor noarch/repodata.json`,
      );
    }
    return found.flatMap((source, i) => {
      if (source !== null) return [source];
      this.options.note(`The channel ${shownUrl(channel.url)} has nothing for ${subdirs[i]}.`);
      return [];
    });
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }

  /** From the first place that answers; null if all say that there is no such folder. */
  async #folder(channel: Channel, subdir: string): Promise<RecordSource | null> {
    let trouble: unknown = null;
    for (const place of channel.places) {
      const folder: ChannelFolder = { channel: channel.url, subdir, url: `${place}/${subdir}` };
      try {
        const source = await this.#open(folder);
        if (source !== null) return source;
      } catch (error) {
        if (!(error instanceof PlaceError)) throw error;
        trouble ??= error;
        if (channel.places.length > 1) this.options.note(`${messageOf(error)}.`);
      }
    }
    if (trouble !== null) throw trouble;
    return null;
  }

  async #open(folder: ChannelFolder): Promise<RecordSource | null> {
    const { url } = folder;
    const index = await this.#read(`${url}/repodata_shards.msgpack.zst`, async (bytes, what) => {
      return readShardIndex(await readMsgpack(await unpackZstd(bytes, what), what), folder);
    });
    if (index !== null) return new ShardedFolder(folder, index, this.#files);
    for (const name of ["repodata.json.zst", "repodata.json"]) {
      const repodata = await this.#read(`${url}/${name}`, async (bytes, what) => {
        // Some servers unpack it on the way.
        const json = isZstd(bytes) ? await unpackZstd(bytes, what) : bytes;
        return new Repodata(readJson(json, what), folder);
      });
      if (repodata !== null) return new WholeFolder(folder, repodata);
    }
    return null;
  }

  /** A file of a folder, or null if there is none; damaged ones are not kept. */
  async #read<T>(
    url: string,
    decode: (bytes: Uint8Array, what: string) => Promise<T>,
  ): Promise<T | null> {
    const bytes = await this.#files.get(url);
    if (bytes === null) return null;
    try {
      return await decode(bytes, shownUrl(url));
    } catch (error) {
      await this.#files.forget(url);
      throw error instanceof RunError ? new PlaceError(error.message) : error;
    }
  }
}

class WholeFolder implements RecordSource {
  readonly channel: string;

  constructor({ channel }: ChannelFolder, private readonly repodata: Repodata) {
    this.channel = channel;
  }

  names(): Iterable<string> {
    return this.repodata.names();
  }

  recordsOf(names: readonly string[]): Promise<readonly PackageRecord[]> {
    return Promise.resolve(names.flatMap((name) => this.repodata.recordsOf(name)));
  }

  droppedCount(): number {
    return this.repodata.droppedCount;
  }
}

class ShardedFolder implements RecordSource {
  readonly channel: string;
  #dropped = 0;

  constructor(
    private readonly folder: ChannelFolder,
    private readonly index: ShardIndex,
    private readonly files: ChannelFiles,
  ) {
    this.channel = folder.channel;
  }

  names(): Iterable<string> {
    return this.index.shards.keys();
  }

  async recordsOf(names: readonly string[]): Promise<readonly PackageRecord[]> {
    const there = names.filter((name) => this.index.shards.has(name));
    const found: (readonly PackageRecord[])[] = [];
    const next = there.entries();
    let failed = false;
    const fail = (error: unknown) => {
      failed = true;
      throw error;
    };
    // Each takes the next name when it is done with one.
    const readers = Array.from({ length: Math.min(shardsAtOnceMax, there.length) }, async () => {
      for (const [i, name] of next) {
        found[i] = await this.#shard(name);
        if (failed) return;
      }
    }).map((reader) => reader.catch(fail));
    await settled(readers);
    return found.flat();
  }

  droppedCount(): number {
    return this.#dropped;
  }

  async #shard(name: string): Promise<readonly PackageRecord[]> {
    const sha256 = this.index.shards.get(name)!;
    const url = `${this.index.shardsBase}/${sha256}.msgpack.zst`;
    const what = shownUrl(url);
    const bytes = await this.files.getHashed(url, sha256);
    const shard = await readMsgpack(await unpackZstd(bytes, what, shardBytesMax), what);
    const repodata = new Repodata(shard, this.folder, this.index.packagesBase);
    const records = repodata.recordsOf(name);
    this.#dropped += repodata.droppedCount;
    return records;
  }
}

/** The values of all, once none is under way any more; throws what the first of them threw. */
export async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function readJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new RunError(`${what} is cut off or no JSON: ${messageOf(error)}`);
  }
}

async function readMsgpack(bytes: Uint8Array, what: string): Promise<unknown> {
  const { decode } = await import("@msgpack/msgpack");
  try {
    return decode(bytes);
  } catch (error) {
    throw new RunError(`${what} is cut off or no msgpack: ${messageOf(error)}`);
  }
}
