/** One size for all chunks; where tasks are exhausted, chunks to come are cut before they are. */
import type { ChunkDone, ChunkExhausted, ChunkSizer } from "./sizer.ts";
import { SizeEvidence } from "./evidence.ts";

export class FixedSizer implements ChunkSizer {
  readonly rounding = "nearest";
  readonly perDataset = false;
  readonly #evidence = new Map<string, SizeEvidence>();

  constructor(private readonly chunkSize: number) {}

  get current(): number {
    return this.chunkSize;
  }

  sizeFor(): number {
    return this.chunkSize;
  }

  isProbed(): boolean {
    return true;
  }

  sizeWithin(dataset: string, events: number): number {
    return this.#of(dataset).within(events);
  }

  succeeded({ dataset, events }: ChunkDone): void {
    this.#of(dataset).succeeded(events);
  }

  exhausted({ dataset, events }: ChunkExhausted): number {
    const evidence = this.#of(dataset);
    evidence.exhausted(events);
    return evidence.within(Math.ceil(events / 2));
  }

  takeNotes(): string[] {
    return [];
  }

  #of(dataset: string): SizeEvidence {
    let evidence = this.#evidence.get(dataset);
    if (evidence === undefined) this.#evidence.set(dataset, evidence = new SizeEvidence());
    return evidence;
  }
}
