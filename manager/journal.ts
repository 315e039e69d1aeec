/**
 * The journal of a run on disk: records are collected during a turn and written together, at the
 * end of the file only. A disk that is full does not end the run: what could not be written is
 * kept, whoever hands out tasks is told to pause, and it is tried again until there is room.
 */
import { dirname } from "node:path";
import { concat } from "../core/bytes.ts";
import { messageOf, UsageError } from "../core/errors.ts";
import { frameOf, type JournalEnd, journalHead, JournalReader } from "../core/journal/frames.ts";
import { delay } from "../io/clock.ts";
import { Pace } from "../io/files.ts";

/**
 * What outlives what. Each outlives the death of the manager at any moment.
 *
 * never     a power cut may take what was not on disk; what is missing or damaged is seen, and
 *           runs again
 * interval  a power cut takes the last second at most
 * always    nothing that was reported as finished is lost
 */
export const fsyncModes = ["never", "interval", "always"] as const;
export type FsyncMode = typeof fsyncModes[number];

/** Between two fsyncs of `interval`; ms. */
const syncEveryMs = 1000;
/** Before a write that failed is tried again; ms. */
const tryAgainAfterMs = 500;
/** Files brought to disk at the same time: file systems take many in one commit. */
const syncsAtOnce = 32;

export interface JournalOwner {
  note(line: string): void;
  /** While true, no task should be started: what comes of it could not be written down. */
  paused(paused: boolean): void;
}

/** Remembers that nothing is to be started, until there is somebody to be told. */
export class Pause {
  #paused = false;
  #tell: (paused: boolean) => void = () => {};

  readonly set = (paused: boolean): void => {
    this.#paused = paused;
    this.#tell(paused);
  };

  tell(tell: (paused: boolean) => void): void {
    this.#tell = tell;
    if (this.#paused) tell(true);
  }
}

/** The records of a journal that can be used, and how it ends. */
export interface Journaled {
  readonly records: readonly unknown[];
  readonly end: JournalEnd;
}

/** Throws the system's error. */
export async function readJournal(path: string): Promise<Journaled> {
  const reader = new JournalReader(await Deno.readFile(path));
  const records = [...reader.rest()];
  return { records, end: reader.end! };
}

/** The same, one by one, for those who need not keep them all. */
export async function journalReader(path: string): Promise<JournalReader> {
  return new JournalReader(await Deno.readFile(path));
}

export class JournalFile implements AsyncDisposable {
  /** Frames that are not written yet. */
  #waiting: Uint8Array[] = [];
  #written: number;
  #writing: Promise<void> | null = null;
  #dirty = false;
  #closing = false;
  #troubled = false;
  /** Files that records speak of, and that may not be on disk. */
  #unsynced = new Set<string>();
  #synced = Promise.withResolvers<void>();
  readonly #ended = new AbortController();
  readonly #syncing: Promise<void>;
  readonly #pace = new Pace();

  private constructor(
    private path: string,
    private readonly file: Deno.FsFile,
    private readonly fsync: FsyncMode,
    private readonly owner: JournalOwner,
    written: number,
  ) {
    this.#written = written;
    if (written === 0) this.#add(journalHead());
    this.#syncing = fsync === "interval" ? this.#syncNowAndThen() : Promise.resolve();
  }

  /** Goes on behind byte `offset`; what is there is cut off. */
  static async open(
    path: string,
    { offset = 0, fsync, owner }: {
      readonly offset?: number;
      readonly fsync: FsyncMode;
      readonly owner: JournalOwner;
    },
  ): Promise<JournalFile> {
    const file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
    if ((await file.stat()).size > offset) await file.truncate(offset);
    if (offset > 0) await file.seek(offset, Deno.SeekMode.Start);
    return new JournalFile(path, file, fsync, owner, offset);
  }

  /** Written by the end of the turn, with all others of it. */
  append(record: unknown): void {
    this.#add(frameOf(record));
  }

  /** A file that the next record speaks of: resolves when it is as safe as was asked for. */
  async keep(path: string): Promise<void> {
    if (this.fsync === "always") await syncFiles(new Set([path]));
    if (this.fsync === "interval") this.#unsynced.add(path);
  }

  /** Resolves when all records so far, and the files they speak of, are as safe as was asked for. */
  async settled(): Promise<void> {
    if (this.fsync === "interval") await this.#synced.promise;
    else await this.#writing;
  }

  /** Resolves when all records so far are written, if not brought to disk. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Gives it its name, once it holds what makes it worth having. */
  async moveTo(path: string): Promise<void> {
    await this.written();
    await this.keep(this.path);
    await Deno.rename(this.path, path);
    this.path = path;
  }

  /** Writes what is left. While the disk is full that is tried once more, and then given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#ended.abort();
    await this.#writing;
    await this.#syncing;
    this.file.close();
  }

  #add(frame: Uint8Array): void {
    this.#waiting.push(frame);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // the rest of what comes of one event; more waits for the write before
    while (this.#waiting.length > 0) {
      const frames = this.#waiting;
      this.#waiting = [];
      const bytes = concat(frames);
      try {
        if (this.#troubled) await this.file.seek(this.#written, Deno.SeekMode.Start);
        await this.#pace.writeAll(this.file, bytes);
        if (this.fsync === "always") await this.file.syncData();
        this.#written += bytes.length;
        this.#dirty = true;
        this.#tell(null);
      } catch (error) {
        this.#tell(error);
        if (this.#closing) break;
        this.#waiting.unshift(bytes);
        await delay(tryAgainAfterMs, this.#ended.signal);
      }
    }
    this.#writing = null;
  }

  #tell(error: unknown): void {
    if ((error !== null) === this.#troubled) return;
    this.#troubled = error !== null;
    this.owner.note(
      error === null
        ? `${this.path} can be written again: the run goes on`
        : `Cannot write to ${this.path}: ${messageOf(error)}. Nothing new is started until it ` +
          "can; make room, or end the run and resume it later",
    );
    this.owner.paused(this.#troubled);
  }

  async #syncNowAndThen(): Promise<void> {
    const { signal } = this.#ended;
    do {
      await delay(syncEveryMs, signal);
      await this.#writing;
      const told = this.#synced;
      this.#synced = Promise.withResolvers();
      if (this.#dirty) await this.#sync();
      told.resolve();
    } while (!signal.aborted);
    this.#synced.resolve();
  }

  async #sync(): Promise<void> {
    const paths = this.#unsynced;
    this.#unsynced = new Set();
    this.#dirty = false;
    try {
      await syncFiles(paths);
      await this.file.syncData();
    } catch (error) {
      this.owner.note(`Cannot bring ${this.path} to disk: ${messageOf(error)}`);
    }
  }
}

/** Files, and then their names in their folders, each of which is asked once. */
async function syncFiles(paths: ReadonlySet<string>): Promise<void> {
  const left = paths.values();
  const lane = async () => {
    for (const path of left) await syncOne(path);
  };
  await Promise.all(Array.from({ length: Math.min(syncsAtOnce, paths.size) }, lane));
  for (const folder of new Set([...paths].map(dirname))) await syncOne(folder);
}

/** A file or a folder; one that has gone in the meantime needs nothing. */
async function syncOne(path: string): Promise<void> {
  try {
    using file = await Deno.open(path);
    await file.sync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Throws a UsageError. */
export function parseFsync(text: string): FsyncMode {
  const mode = fsyncModes.find((one) => one === text);
  if (mode !== undefined) return mode;
  throw new UsageError(`"${text}" is no way to bring results to disk: ${fsyncModes.join(", ")}`);
}
