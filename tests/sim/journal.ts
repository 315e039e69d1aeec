/** The journal of a run on a simulated disk: the real format, written as `manager/journal.ts` does. */
import { concat } from "../../core/bytes.ts";
import type { Rng } from "../../core/env.ts";
import { frameOf, type JournalEnd, journalHead, JournalReader } from "../../core/journal/frames.ts";
import type { SimDisk } from "./disk.ts";
import type { FsyncMode } from "./faults.ts";
import type { Timeline } from "./timeline.ts";

const syncEveryMs = 1000;
const tryAgainAfterMs = 500;

export interface SimJournalOptions {
  readonly timeline: Timeline;
  readonly disk: SimDisk;
  readonly path: string;
  readonly fsync: FsyncMode;
  readonly rng: Rng;
  /** Time of one write. */
  readonly diskMs: () => number;
  /** Nothing should be started: what comes of it could not be written down. */
  readonly paused: (paused: boolean) => void;
  /** Says that it has brought things to disk, and has not. */
  readonly skipsFsync: boolean;
}

export class SimJournal {
  #frames: Uint8Array[] = [];
  #writing = false;
  #written: number;
  #dirty = false;
  #dead = false;
  #unsynced = new Set<string>();
  /** To be told once what is written now is safe. */
  #waiting: (() => void)[] = [];
  /** Records of this manager that are written, or as safe as was asked for; head not counted. */
  readonly said = { written: 0, safe: 0 };
  #appended = 0;

  constructor(private readonly options: SimJournalOptions, offset: number) {
    const { disk, path, fsync } = options;
    disk.truncate(path, offset);
    this.#written = offset;
    if (offset === 0) this.#frames.push(journalHead());
    if (fsync === "interval") this.#syncLater();
  }

  append(record: unknown): void {
    this.#frames.push(frameOf(record));
    this.#appended++;
    this.#write();
  }

  /** A file that the next record speaks of: goes on when it is as safe as was asked for. */
  keep(path: string, then: () => void): void {
    const { fsync, timeline, diskMs } = this.options;
    if (fsync === "interval") this.#unsynced.add(path);
    timeline.in(fsync === "always" ? diskMs() : 0, () => {
      if (this.#dead) return;
      if (fsync === "always") this.#sync(path);
      then();
    });
  }

  /** Goes on when all records so far are as safe as was asked for. */
  settled(then: () => void): void {
    if (this.options.fsync !== "interval" && !this.#writing) then();
    else this.#waiting.push(then);
  }

  /** Nothing waits to be written. */
  get isWritten(): boolean {
    return this.#frames.length === 0;
  }

  /** Killed, maybe in the middle of a write. */
  die(): void {
    this.#dead = true;
    const bytes = concat(this.#frames);
    const { disk, path, rng } = this.options;
    if (bytes.length === 0 || !this.#writing) return;
    disk.append(path, bytes.subarray(0, Math.floor(rng() * (bytes.length + 1))), rng);
  }

  #write(): void {
    if (this.#writing) return;
    this.#writing = true;
    const { timeline, diskMs } = this.options;
    timeline.in(diskMs(), () => this.#writeNow());
  }

  #writeNow(): void {
    if (this.#dead) return;
    const { timeline, disk, path, fsync, rng, diskMs, paused } = this.options;
    disk.truncate(path, this.#written);
    const bytes = concat(this.#frames);
    if (disk.append(path, bytes, rng) < bytes.length) {
      paused(true);
      timeline.in(tryAgainAfterMs, () => this.#writeNow());
      return;
    }
    paused(false);
    this.#frames = [];
    this.#written += bytes.length;
    this.#dirty = true;
    this.said.written = this.#appended;
    const { written } = this.said;
    const finish = () => {
      if (this.#dead) return;
      if (fsync === "always") this.#sync(path);
      if (fsync === "always") this.said.safe = written;
      this.#writing = false;
      if (fsync !== "interval") this.#tell();
      if (this.#frames.length > 0) this.#write();
    };
    if (fsync === "always") timeline.in(diskMs(), finish);
    else finish();
  }

  #syncLater(): void {
    const { timeline, diskMs } = this.options;
    timeline.in(syncEveryMs, () => {
      if (this.#dead) return;
      if (this.#writing) return timeline.in(diskMs() + 1, () => this.#syncLater());
      const told = this.#waiting;
      this.#waiting = [];
      const { written } = this.said;
      const unsynced = [...this.#unsynced];
      this.#unsynced.clear();
      timeline.in(diskMs(), () => {
        if (this.#dead) return;
        for (const path of unsynced) this.#sync(path);
        if (this.#dirty) this.#sync(this.options.path);
        this.#dirty = this.#writing;
        this.said.safe = written;
        for (const tell of told) tell();
        this.#syncLater();
      });
    });
  }

  #sync(path: string): void {
    if (!this.options.skipsFsync) this.options.disk.sync(path);
  }

  #tell(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }
}

/** All records that can be used, and how the journal ends. */
export function readSimJournal(disk: SimDisk, path: string): {
  readonly records: readonly unknown[];
  readonly end: JournalEnd;
} {
  const reader = new JournalReader(disk.read(path) ?? new Uint8Array(0));
  const records = [...reader.rest()];
  return { records, end: reader.end! };
}
