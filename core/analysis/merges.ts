/**
 * Merges that wait to become tasks. One that outgrew what it had is done in smaller steps: the first
 * parts now, the next ones to what comes of them. A task merges its parts one after the other in any
 * case, so the same sums are made in the same order, and the result is the same to the last bit.
 */
import type { Item, Part } from "./items.ts";
import type { Merge } from "./tree.ts";

export type MergeItem = Extract<Item, { kind: "accumulate" }>;

/** What an earlier manager found out. */
export interface KnownMerges {
  /** Parts that one task may merge. */
  readonly partsMax: number;
  /** They were merged by one task all the same. */
  isMerged(parts: readonly Part[], final: boolean): boolean;
}

export const noMergesKnown: KnownMerges = { partsMax: Infinity, isMerged: () => false };

export class Merges {
  readonly #waiting: MergeItem[] = [];
  #partsMax: number;
  /** Merges that there would not be without it. */
  #more = 0;

  constructor(private readonly known: KnownMerges) {
    this.#partsMax = known.partsMax;
  }

  get partsMax(): number {
    return this.#partsMax;
  }

  get more(): number {
    return this.#more;
  }

  next(): MergeItem | null {
    return this.#waiting.shift() ?? null;
  }

  add(merge: Merge<Part>): void {
    const item: MergeItem = { kind: "accumulate", ...merge };
    const isWhole = item.parts.length <= this.#partsMax ||
      this.known.isMerged(item.parts, item.final);
    if (isWhole) this.#waiting.push(item);
    else this.#inSteps(item);
  }

  /** It outgrew what it had: from now on fewer at once. False if there cannot be fewer. */
  narrow(item: MergeItem): boolean {
    if (item.parts.length <= 2) return false;
    this.#partsMax = Math.min(this.#partsMax, Math.ceil(item.parts.length / 2));
    this.#inSteps(item);
    return true;
  }

  /** The same again, with more. */
  enlarge(item: MergeItem, request: NonNullable<MergeItem["request"]>): void {
    this.#waiting.unshift({ ...item, request, step: stepAfter(item) });
  }

  /** A merge is done; whether there are others to be added to it. */
  goOn(item: MergeItem, sum: Part): boolean {
    if (item.rest === undefined) return false;
    this.#more++;
    const { rest, request: _, ...same } = item;
    this.#inSteps({ ...same, parts: [sum, ...rest.parts], final: rest.final });
    return true;
  }

  #inSteps(item: MergeItem): void {
    const parts = partsOf(item);
    const { rest, ...same } = item;
    const final = rest?.final ?? item.final;
    const step = stepAfter(item);
    const left = parts.slice(this.#partsMax);
    this.#waiting.unshift(
      left.length === 0 ? { ...same, parts, final, step } : {
        ...same,
        parts: parts.slice(0, this.#partsMax),
        final: false,
        step,
        rest: { parts: left, final },
      },
    );
  }
}

/** Those of later steps too. */
export function partsOf({ parts, rest }: MergeItem): readonly Part[] {
  return rest === undefined ? parts : [...parts, ...rest.parts];
}

function stepAfter({ step = 0 }: MergeItem): number {
  return step + 1;
}
