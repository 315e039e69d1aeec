/** A disk that can be full, and that forgets what was not brought to it when the power goes. */
import { concat } from "../../core/bytes.ts";
import type { Rng } from "../../core/env.ts";

const nothing = new Uint8Array(0);

export class SimDisk {
  /** Writes find no room. */
  isFull = false;
  /** As programs see them, by path. */
  readonly #files = new Map<string, Uint8Array>();
  /** As they are after a power cut, where that is not the same. `null`: not there. */
  readonly #onDisk = new Map<string, Uint8Array | null>();

  read(path: string): Uint8Array | undefined {
    return this.#files.get(path);
  }

  get paths(): string[] {
    return [...this.#files.keys()];
  }

  /** There from the beginning. */
  put(path: string, bytes: Uint8Array): void {
    this.#files.set(path, bytes);
  }

  /** False: there is no room, and what was there is not any more. */
  write(path: string, bytes: Uint8Array): boolean {
    this.#change(path, this.isFull ? nothing : bytes);
    return !this.isFull;
  }

  /** Returns how many bytes there was room for: some of them, if the disk is full. */
  append(path: string, bytes: Uint8Array, rng: Rng): number {
    const written = this.isFull ? Math.floor(rng() * bytes.length) : bytes.length;
    this.#change(path, concat([this.#files.get(path) ?? nothing, bytes.subarray(0, written)]));
    return written;
  }

  truncate(path: string, length: number): void {
    const bytes = this.#files.get(path) ?? nothing;
    if (bytes.length > length) this.#change(path, bytes.slice(0, length));
  }

  /** Whether it was there. */
  remove(path: string): boolean {
    if (!this.#files.has(path)) return false;
    this.#change(path, null);
    return true;
  }

  /** It and its name are on disk from then on. */
  sync(path: string): void {
    this.#onDisk.delete(path);
  }

  /** What was not brought to disk is there, or in part, or is not, or is something else. */
  cutPower(rng: Rng): void {
    for (const [path, before] of this.#onDisk) {
      const left = remains(before, this.#files.get(path) ?? null, rng);
      if (left === null) this.#files.delete(path);
      else this.#files.set(path, left);
    }
    this.#onDisk.clear();
  }

  #change(path: string, bytes: Uint8Array | null): void {
    if (!this.#onDisk.has(path)) this.#onDisk.set(path, this.#files.get(path) ?? null);
    if (bytes === null) this.#files.delete(path);
    else this.#files.set(path, bytes);
  }
}

function remains(before: Uint8Array | null, after: Uint8Array | null, rng: Rng): Uint8Array | null {
  if (rng() < 0.25) return after;
  if (rng() < 0.25 || after === null) return before;
  const kept = before === null ? 0 : alikeBytes(before, after);
  const left = after.slice(0, kept + Math.floor(rng() * (after.length - kept + 1)));
  // File systems may know the length of a file before they have its bytes.
  if (rng() < 0.3) left.fill(0, kept + Math.floor(rng() * (left.length - kept + 1)));
  return left;
}

/** How much of their beginnings is the same. */
function alikeBytes(a: Uint8Array, b: Uint8Array): number {
  const differs = a.findIndex((byte, i) => byte !== b[i]);
  return differs < 0 ? a.length : differs;
}
