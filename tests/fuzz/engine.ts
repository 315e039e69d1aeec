/**
 * Tries inputs on one target. What reaches code that nothing reached before is kept, and is changed
 * further; what breaks the target is made short and told.
 */
import { type Rng, seededRng } from "../../core/env.ts";
import { messageOf } from "../../core/errors.ts";
import { Coverage } from "./coverage.ts";
import { Mutator } from "./mutate.ts";
import { bytesOf, type Target } from "./target.ts";

/** Inputs between two looks at the coverage, which take about a millisecond. */
const batchMsMax = 25;
const batchCountMax = 4000;

/** An input that takes longer is a finding; the least of three runs counts. */
export const inputMsMax = 1000;
/** What one batch may leave in array buffers. */
const buffersBytesMax = 512 * 1024 ** 2;

export interface Finding {
  readonly input: Uint8Array;
  readonly why: string;
  readonly stack: string;
}

/** Runs it once; null if all holds. `spent`: told how long it took. */
export async function tryInput(target: Target, input: Uint8Array): Promise<Finding | null> {
  const startMs = performance.now();
  try {
    const pending = target.run(input);
    if (pending !== undefined) await pending;
  } catch (error) {
    return found(input, error);
  }
  const ms = performance.now() - startMs;
  return ms < inputMsMax ? null : await ifSlow(target, input);
}

function found(input: Uint8Array, error: unknown): Finding {
  const name = error instanceof Error ? `${error.name}: ` : "";
  const stack = error instanceof Error ? error.stack ?? "" : "";
  return { input, why: name + messageOf(error), stack };
}

/** Others use this machine too. */
async function ifSlow(target: Target, input: Uint8Array): Promise<Finding | null> {
  let leastMs = Infinity;
  for (let i = 0; i < 3 && leastMs > inputMsMax; i++) {
    const startMs = performance.now();
    await target.run(input);
    leastMs = Math.min(leastMs, performance.now() - startMs);
  }
  if (leastMs <= inputMsMax) return null;
  return { input, why: `it takes ${Math.round(leastMs)} ms`, stack: "" };
}

/** Told before each input, for somebody who watches whether it ever ends. */
export type Watch = (target: string, input: Uint8Array) => void;

export interface Campaign {
  readonly inputs: number;
  readonly seconds: number;
  /** What was there, and what reached something new, in this order. */
  readonly kept: readonly Uint8Array[];
  readonly findings: readonly Finding[];
}

export interface CampaignOptions {
  readonly seed: number;
  readonly corpus: readonly Uint8Array[];
  /** Goes on while this is true. */
  readonly more: (inputs: number) => boolean;
  /** Null: nothing is kept. */
  readonly coverage: Coverage | null;
  readonly watch?: Watch;
}

export async function campaign(target: Target, options: CampaignOptions): Promise<Campaign> {
  return await new Campaigner(target, options).run();
}

class Campaigner {
  readonly #rng: Rng;
  readonly #mutator: Mutator;
  readonly #kept: Uint8Array[] = [];
  readonly #findings = new Map<string, Finding>();
  #inputs = 0;

  constructor(private readonly target: Target, private readonly options: CampaignOptions) {
    this.#rng = seededRng(options.seed);
    this.#mutator = new Mutator(target, this.#rng);
  }

  async run(): Promise<Campaign> {
    const startMs = performance.now();
    for (const input of [...this.target.seeds.map(bytesOf), ...this.options.corpus]) {
      await this.#try(input);
      this.#kept.push(input);
    }
    await this.#reachesMore();
    while (this.options.more(this.#inputs)) await this.#batch();
    const seconds = (performance.now() - startMs) / 1000;
    const findings = [...this.#findings.values()];
    return { inputs: this.#inputs, seconds, kept: this.#kept, findings };
  }

  async #batch(): Promise<void> {
    const batch: Uint8Array[] = [];
    const endMs = performance.now() + batchMsMax;
    while (batch.length < batchCountMax && performance.now() < endMs) {
      const input = this.#mutator.next(this.#parent(), this.#parent());
      batch.push(input);
      await this.#try(input);
      if (!this.options.more(this.#inputs)) break;
    }
    if (this.options.coverage === null) return;
    const { arrayBuffers } = memory();
    if (arrayBuffers > buffersBytesMax) await this.#findGreedy(batch);
    if (await this.#reachesMore()) await this.#keepNew(batch);
  }

  /** Later ones reach further, so they are taken more often. */
  #parent(): Uint8Array {
    const count = this.#kept.length;
    const isLate = this.#rng() < 0.3;
    return this.#kept[Math.floor((isLate ? 1 - this.#rng() ** 2 / 3 : this.#rng()) * count)] ??
      this.#kept[count - 1] ?? new Uint8Array(0);
  }

  async #try(input: Uint8Array): Promise<void> {
    this.#inputs++;
    this.options.watch?.(this.target.name, input);
    const finding = await tryInput(this.target, input);
    if (finding !== null) await this.#note(finding);
  }

  async #note(finding: Finding): Promise<void> {
    const key = kindOf(finding);
    if (!this.#findings.has(key)) this.#findings.set(key, await shortened(this.target, finding));
  }

  async #reachesMore(): Promise<boolean> {
    return await this.options.coverage?.take(this.target.code) ?? false;
  }

  /** The batch is known as a whole: which of its inputs it was, running them again tells. */
  async #keepNew(batch: readonly Uint8Array[]): Promise<void> {
    const { target, options: { coverage } } = this;
    const found = await coverage?.responsible(target.code, batch, (input) => tryInput(target, input));
    this.#kept.push(...found ?? []);
  }

  async #findGreedy(batch: readonly Uint8Array[]): Promise<void> {
    for (const input of batch) {
      const before = memory().arrayBuffers;
      await tryInput(this.target, input);
      const taken = memory().arrayBuffers - before;
      if (taken < buffersBytesMax / 4) continue;
      await this.#note({ input, why: `it takes ${taken >> 20} MB of buffers`, stack: "" });
      return;
    }
  }
}

function memory(): { readonly arrayBuffers: number } {
  return { arrayBuffers: Deno.memoryUsage().external };
}

/** Findings that are told apart: what is thrown, and where from. */
function kindOf({ why, stack }: Finding): string {
  const frame = /\((?:file:.*?)((?:core|manager|analysis|worker|package|factory|io)\/[^)]*)\)/
    .exec(stack)?.[1];
  return `${why.replace(/[\d"'].*/s, "").slice(0, 60)} ${frame ?? ""}`;
}

/** The same finding by a shorter input: parts are left out as long as it stays. */
async function shortened(target: Target, finding: Finding): Promise<Finding> {
  const key = kindOf(finding);
  let best = finding;
  let tries = 2000;
  const endMs = performance.now() + 5000;
  for (let size = best.input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < best.input.length;) {
      if (--tries < 0 || performance.now() > endMs) return best;
      const without = new Uint8Array(Math.max(0, best.input.length - size));
      without.set(best.input.subarray(0, at));
      if (at < without.length) without.set(best.input.subarray(at + size), at);
      const next = await tryInput(target, without.subarray(0, Math.max(at, best.input.length - size)));
      if (next !== null && kindOf(next) === key) best = next;
      else at += size;
    }
  }
  return best;
}
