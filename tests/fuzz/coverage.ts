/**
 * Which parts of the code have run, by V8's own count of every block (precise coverage, through the
 * inspector of this very process): no instrumented copy of the code is needed.
 */
import { Session } from "node:inspector";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly scriptId: string;
  readonly url: string;
  /** The first range of each is the function itself, those within follow, outer before inner. */
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly Range[];
  }[];
}

/** Of one module, as V8 has it: types are gone. */
interface Module {
  readonly scriptId: string;
  /** Letters by the innermost function that they are of; 0: of the module itself. */
  owner: Uint32Array;
  /** 1 for a letter that has run. */
  ran: Uint8Array;
  readonly functions: Map<string, number>;
}

export interface Reached {
  readonly path: string;
  readonly letters: number;
  readonly ran: number;
}

/** Counts from its making until it is disposed of. One at a time. */
export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #modules = new Map<string, Module>();
  /** First letters of the blocks that the last look found to be new. */
  readonly #fresh = new Map<Module, Set<number>>();

  private constructor() {}

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#post("Profiler.enable");
    await coverage.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return coverage;
  }

  /** Notes what ran since the last call; whether any of it had never run before. */
  async take(code: readonly string[]): Promise<boolean> {
    this.#fresh.clear();
    for (const [path, script] of await this.#scripts(code)) this.#note(path, script);
    return this.#fresh.size > 0;
  }

  /**
   * Those of the inputs that run what was new to the last {@link take}, one for each part of it.
   */
  async responsible<T>(
    code: readonly string[],
    inputs: readonly T[],
    run: (input: T) => Promise<unknown>,
  ): Promise<T[]> {
    const found: T[] = [];
    const search = async (some: readonly T[]): Promise<void> => {
      for (const input of some) await run(input);
      const hits = await this.#hits(code);
      if (hits.length === 0) return;
      if (some.length === 1) {
        found.push(some[0]!);
        for (const [module, letter] of hits) {
          const letters = this.#fresh.get(module)!;
          letters.delete(letter);
          if (letters.size === 0) this.#fresh.delete(module);
        }
        return;
      }
      await search(some.slice(0, some.length >> 1));
      if (this.#fresh.size > 0) await search(some.slice(some.length >> 1));
    };
    await search(inputs);
    return found;
  }

  /** Of the modules that were loaded. */
  reached(code: readonly string[]): Reached[] {
    return [...this.#modules].filter(([path]) => code.some((start) => path.startsWith(start)))
      .map(([path, { owner, ran }]) => ({
        path,
        letters: owner.reduce((sum, one) => sum + (one > 0 ? 1 : 0), 0),
        ran: ran.reduce((sum, one, i) => sum + (owner[i]! > 0 ? one : 0), 0),
      })).sort((a, b) => a.path < b.path ? -1 : 1);
  }

  /** Pieces of code that never ran, a line each: `PATH: CODE`. */
  async unreached(code: readonly string[]): Promise<string[]> {
    await this.#post("Debugger.enable");
    const lines: string[] = [];
    for (const [path, { scriptId, owner, ran }] of this.#modules) {
      if (!code.some((start) => path.startsWith(start))) continue;
      const { scriptSource } = await this.#post("Debugger.getScriptSource", { scriptId }) as {
        scriptSource: string;
      };
      for (let at = 0; at < ran.length; at++) {
        if (owner[at] === 0 || ran[at] === 1) continue;
        let end = at;
        while (end < ran.length && owner[end]! > 0 && ran[end] === 0) end++;
        const piece = scriptSource.slice(at, end).replace(/\s+/g, " ").trim();
        if (piece.length > 2) lines.push(`${path}: ${piece.slice(0, 110)}`);
        at = end;
      }
    }
    await this.#post("Debugger.disable");
    return lines;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }

  async #scripts(code: readonly string[]): Promise<[string, Script][]> {
    const { result } = await this.#post("Profiler.takePreciseCoverage") as { result: Script[] };
    return result.flatMap((script): [string, Script][] => {
      const path = pathOf(script.url);
      return path !== null && code.some((start) => path.startsWith(start)) ? [[path, script]] : [];
    });
  }

  /** Which of the new letters ran since the last look. */
  async #hits(code: readonly string[]): Promise<[Module, number][]> {
    const hits: [Module, number][] = [];
    for (const [path, { functions }] of await this.#scripts(code)) {
      const module = this.#modules.get(path);
      const letters = module && this.#fresh.get(module);
      if (module === undefined || letters === undefined) continue;
      for (const { ranges } of functions) {
        const { startOffset, endOffset } = ranges[0]!;
        const id = module.functions.get(keyOf(ranges[0]!));
        for (const letter of letters) {
          if (letter < startOffset || letter >= endOffset || module.owner[letter] !== id) continue;
          if (isRun(ranges, letter)) hits.push([module, letter]);
        }
      }
    }
    return hits;
  }

  #note(path: string, { scriptId, functions }: Script): void {
    let module = this.#modules.get(path);
    if (module === undefined) {
      module = {
        scriptId,
        owner: new Uint32Array(0),
        ran: new Uint8Array(0),
        functions: new Map(),
      };
      this.#modules.set(path, module);
    }
    for (const { ranges } of functions) learn(module, ranges[0]!);
    const fresh: number[] = [];
    for (const { ranges } of functions) {
      const [whole] = ranges;
      const id = module.functions.get(keyOf(whole!))!;
      if (id > 0 && whole!.count > 0) fresh.push(...mark(module, id, ranges));
    }
    if (fresh.length > 0) this.#fresh.set(module, new Set(fresh));
  }

  async #post(method: string, params: object = {}): Promise<unknown> {
    // Only a part of the protocol has types.
    const post = this.#session.post.bind(this.#session) as unknown as (
      method: string,
      params: object,
      done: (error: Error | null, result: unknown) => void,
    ) => void;
    return await new Promise((resolve, reject) =>
      post(method, params, (error, result) => error ? reject(error) : resolve(result))
    );
  }
}

/** Makes room for a function that was not told before, and gives it its letters. */
function learn(module: Module, range: Range): void {
  const key = keyOf(range);
  if (module.functions.has(key)) return;
  const { startOffset, endOffset } = range;
  if (endOffset > module.owner.length) {
    const [owner, ran] = [new Uint32Array(endOffset), new Uint8Array(endOffset)];
    owner.set(module.owner);
    ran.set(module.ran);
    module.owner = owner;
    module.ran = ran;
  }
  // The module itself comes first, and starts at 0.
  const id = startOffset === 0 && module.functions.size === 0 ? 0 : module.functions.size + 1;
  module.functions.set(key, id);
  const sizes = new Map([...module.functions].map(([key, id]) => [id, sizeOf(key)]));
  const size = endOffset - startOffset;
  for (let at = startOffset; at < endOffset; at++) {
    const holder = module.owner[at]!;
    if (holder !== 0 && sizes.get(holder)! <= size) continue;
    module.owner[at] = id;
    // What ran there was the function around it.
    module.ran[at] = 0;
  }
}

/**
 * Notes the letters of this function, and of none within it, that ran now and never before. Returns
 * the first of each run of them: what runs, runs as a block.
 */
function mark({ owner, ran }: Module, id: number, ranges: readonly Range[]): number[] {
  const { startOffset: start, endOffset: end } = ranges[0]!;
  const now = new Uint8Array(end - start);
  for (const { startOffset, endOffset, count } of ranges) {
    now.fill(count > 0 ? 1 : 0, startOffset - start, endOffset - start);
  }
  const found: number[] = [];
  let within = false;
  for (let i = 0; i < now.length; i++) {
    const isNew = now[i] === 1 && ran[start + i] === 0 && owner[start + i] === id;
    if (isNew) {
      ran[start + i] = 1;
      if (!within) found.push(start + i);
    }
    within = isNew;
  }
  return found;
}

/** By the innermost range that has it, which is the last. */
function isRun(ranges: readonly Range[], letter: number): boolean {
  const range = ranges.findLast(({ startOffset, endOffset }) =>
    letter >= startOffset && letter < endOffset
  );
  return range !== undefined && range.count > 0;
}

function keyOf({ startOffset, endOffset }: Range): string {
  return `${startOffset}-${endOffset}`;
}

function sizeOf(key: string): number {
  const [start = 0, end = 0] = key.split("-").map(Number);
  return end - start;
}

function pathOf(url: string): string | null {
  if (!url.startsWith("file://")) return null;
  const path = fileURLToPath(url);
  return path.startsWith(root) ? path.slice(root.length) : null;
}
