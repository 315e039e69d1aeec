/**
 * Tries inputs on one target. What reaches code that nothing reached before is kept, and is changed
 * further; what breaks the target is made short and told.
 */
import { type Rng, seededRng } from "../../core/env.ts";
import { messageOf } from "../../core/errors.ts";
import { cpuUsage } from "node:process";
import { Coverage } from "./coverage.ts";
import { concat } from "../../core/bytes.ts";
import { Mutator } from "./mutate.ts";
import { bytesOf, type Target } from "./target.ts";

/**
 * Between two looks at the coverage, which take some milliseconds: often while much is new, for then
 * the input that it was is found soon; seldom later.
 */
const batchMs = { min: 8, max: 1000 } as const;
const batchCountMax = 50_000;

/** An input that takes longer is a finding, by the processor's time; the least of three runs counts. */
const inputMsMax = 1500;
/** What one batch may leave in array buffers. */
const buffersBytesMax = 512 * 1024 ** 2;

export interface Finding {
  readonly input: Uint8Array;
  readonly why: string;
  readonly stack: string;
}

/** Runs it once; null if all holds. */
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
    const before = cpuUsage();
    await target.run(input);
    const { user, system } = cpuUsage(before);
    leastMs = Math.min(leastMs, (user + system) / 1000);
  }
  if (leastMs <= inputMsMax) return null;
  return { input, why: `it takes ${Math.round(leastMs)} ms`, stack: "" };
}

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
  /** Nothing of the corpus has run yet in this process. */
  readonly isFirst: boolean;
  /** Goes on while this is true. */
  readonly more: (inputs: number) => boolean;
  /** Null: nothing is kept. */
  readonly coverage: Coverage | null;
  /** Told of each input before it runs. */
  readonly watch?: (input: Uint8Array) => void;
}

export async function campaign(target: Target, options: CampaignOptions): Promise<Campaign> {
  return await new Campaigner(target, options).run();
}

const nothing = new Uint8Array(0);

class Campaigner {
  readonly #rng: Rng;
  readonly #mutator: Mutator;
  readonly #kept: Uint8Array[] = [];
  readonly #findings = new Map<string, Finding>();
  #inputs = 0;
  #batchMs: number = batchMs.min;

  constructor(private readonly target: Target, private readonly options: CampaignOptions) {
    this.#rng = seededRng(options.seed);
    this.#mutator = new Mutator(target, this.#rng);
  }

  async run(): Promise<Campaign> {
    const startMs = performance.now();
    const { corpus, isFirst } = this.options;
    this.#kept.push(...isFirst ? this.target.seeds.map(bytesOf) : [], ...corpus);
    if (isFirst) {
      for (const input of this.#kept) await this.#try(input);
      await this.#reachesMore();
    }
    while (this.options.more(this.#inputs)) await this.#batch();
    const seconds = (performance.now() - startMs) / 1000;
    const findings = [...this.#findings.values()];
    return { inputs: this.#inputs, seconds, kept: this.#kept, findings };
  }

  async #batch(): Promise<void> {
    const batch: Uint8Array[] = [];
    const endMs = performance.now() + this.#batchMs;
    while (batch.length < batchCountMax && performance.now() < endMs) {
      const input = this.#mutator.next(this.#parent(), this.#parent());
      batch.push(input);
      await this.#try(input);
      if (!this.options.more(this.#inputs)) break;
    }
    if (this.options.coverage === null) return;
    const { arrayBuffers } = memory();
    if (arrayBuffers > buffersBytesMax) await this.#findGreedy(batch);
    const isNew = await this.#reachesMore();
    this.#batchMs = isNew
      ? Math.max(batchMs.min, this.#batchMs / 4)
      : Math.min(batchMs.max, this.#batchMs * 2);
    if (isNew) await this.#keepNew(batch);
  }

  /** Later ones reach further, and short ones run fast, so they are taken more often. */
  #parent(): Uint8Array {
    const count = this.#kept.length;
    const any = () => {
      const place = this.#rng() < 0.3 ? 1 - this.#rng() ** 2 / 3 : this.#rng();
      return this.#kept[Math.min(count - 1, Math.floor(place * count))] ?? nothing;
    };
    const [one, other] = [any(), any()];
    return this.#rng() < 0.7 && other.length < one.length ? other : one;
  }

  async #try(input: Uint8Array): Promise<void> {
    this.#inputs++;
    this.options.watch?.(input);
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
    const found = await coverage?.responsible(
      target.code,
      batch,
      (input) => tryInput(target, input),
    );
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
  return frame === undefined ? why.slice(0, 40) : `${why.split(":")[0]} ${frame}`;
}

/** Of inputs that reach the same code, the shortest; seeds are left out, they are there anyway. */
export async function minimized(
  target: Target,
  kept: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  using coverage = await Coverage.start();
  const least: Uint8Array[] = [];
  for (const seed of target.seeds) await tryInput(target, bytesOf(seed));
  await coverage.take(target.code);
  const seeds = new Set(target.seeds.map((seed) => bytesOf(seed).toHex()));
  for (const input of [...kept].sort((a, b) => a.length - b.length)) {
    if (seeds.has(input.toHex())) continue;
    await tryInput(target, input);
    if (await coverage.take(target.code)) least.push(input);
  }
  return least;
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
      const { input } = best;
      const without = concat([input.subarray(0, at), input.subarray(at + size)]);
      const next = await tryInput(target, without);
      if (next !== null && kindOf(next) === key) best = next;
      else at += size;
    }
  }
  return best;
}
