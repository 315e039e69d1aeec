/**
 * Results of a client's tasks that outlive it: which task asks for the same as one that has ended
 * well, and which of those results is given to it.
 */
import { createHash } from "node:crypto";
import type { TaskSpec } from "../scheduler/tasks.ts";
import { UsageError } from "../errors.ts";
import { absolutePath, list, record, textOrNull } from "./fields.ts";

/** What a client says of a task for the journal: option `journal` of docs/api.md. */
export interface SaidOfTask {
  /** Counts in place of the command; `null`: the command itself. */
  readonly command: string | null;
  /** By input: what stands for its content; `null`: the content. */
  readonly inputs: readonly (string | null)[];
  /** Files that the task reads in place, as far as there are such. */
  readonly files: readonly string[];
}

export const nothingSaid: SaidOfTask = { command: null, inputs: [], files: [] };

/** `null`: the task is not to be kept, and gets no result of an earlier one. Throws a UsageError. */
export function parseSaid(value: unknown): SaidOfTask | null {
  if (value === false) return null;
  const given = record("journal", value);
  const unknown = Object.keys(given).find((key) => !(key in nothingSaid));
  if (unknown !== undefined) {
    throw new UsageError(`there is no ${JSON.stringify(unknown)} in journal`);
  }
  const { command = null, inputs = [], files = [] } = given;
  return {
    command: textOrNull("the command for the journal", command),
    inputs: list("the inputs for the journal", inputs).map((one) =>
      textOrNull("what stands for an input", one)
    ),
    files: list("the files for the journal", files).map((one) =>
      absolutePath("a file for the journal", one)
    ),
  };
}

/** The same for tasks that ask for the same. `contents`: what stands for the content of each input. */
export function taskKey(
  { command, env, coprocess, inputs, outputs }: TaskSpec,
  said: SaidOfTask,
  contents: readonly string[],
): string {
  const asked = [
    said.command ?? command,
    env,
    coprocess ?? null,
    inputs.map(({ sandboxName }, i) => [sandboxName, said.inputs[i] ?? contents[i]]),
    outputs.map(({ sandboxName, when }) => [sandboxName, when]),
  ];
  return sha256(JSON.stringify(asked));
}

export const sha256 = (data: string | Uint8Array): string =>
  createHash("sha256").update(data).digest("hex");

/** A result that was kept. */
export interface Kept {
  /** Of no other one. */
  readonly id: string;
  readonly key: string;
  /** Of its files. */
  readonly bytes: number;
  /** JSON of what is to be told, see `manager/api_journal.ts`. */
  readonly told: string;
}

export type ApiRecord =
  /** A manager takes the journal up. */
  | { readonly type: "opened"; readonly kind: "api"; readonly session: number }
  | ({ readonly type: "ended"; readonly user: string } & Kept)
  /** To a client. */
  | { readonly type: "given"; readonly id: string; readonly user: string }
  | { readonly type: "dropped"; readonly id: string };

/**
 * All that are kept, those that were used last at the end. A user is a client, of this manager or
 * of an earlier one; each gets each result once, and none that came of its own tasks.
 */
export class KeptResults {
  readonly #byId = new Map<string, Kept & { user: string }>();
  readonly #byKey = new Map<string, Set<string>>();
  #bytes = 0;

  /** @param max beyond which the oldest go */
  constructor(private readonly max: { readonly results: number; readonly bytes: number }) {}

  get size(): number {
    return this.#byId.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of an earlier manager. */
  replay(record: ApiRecord): void {
    switch (record.type) {
      case "ended": {
        const { id, key, bytes, told, user } = record;
        this.add({ id, key, bytes, told }, user);
        break;
      }
      case "given":
        this.use(record.id, record.user);
        break;
      case "dropped":
        this.drop(record.id);
        break;
      case "opened":
    }
  }

  /** Those that may be given to a task of this client, the first first. */
  for(key: string, user: string): Kept[] {
    const found = [...this.#byKey.get(key) ?? []].map((id) => this.#byId.get(id)!);
    return found.filter((kept) => kept.user !== user);
  }

  add(kept: Kept, user: string): void {
    this.drop(kept.id);
    this.#byId.set(kept.id, { ...kept, user });
    const same = this.#byKey.get(kept.key);
    if (same === undefined) this.#byKey.set(kept.key, new Set([kept.id]));
    else same.add(kept.id);
    this.#bytes += kept.bytes;
  }

  use(id: string, user: string): void {
    const kept = this.#byId.get(id);
    if (kept !== undefined) this.add(kept, user);
  }

  /** What it was; `undefined`: there is none of that id. */
  drop(id: string): Kept | undefined {
    const kept = this.#byId.get(id);
    if (kept === undefined) return undefined;
    this.#byId.delete(id);
    this.#bytes -= kept.bytes;
    const same = this.#byKey.get(kept.key)!;
    same.delete(id);
    if (same.size === 0) this.#byKey.delete(kept.key);
    return kept;
  }

  /**
   * Ids of the oldest that have to go before another one has room; `null`: there is none, since
   * what this client made or used stays as long as it may be of use.
   */
  roomFor(bytes: number, user: string): string[] | null {
    let [left, count] = [this.#bytes + bytes - this.max.bytes, this.size + 1 - this.max.results];
    const going: string[] = [];
    if (bytes > this.max.bytes) return null;
    for (const kept of this.#byId.values()) {
      if (left <= 0 && count <= 0) break;
      if (kept.user === user) return null;
      going.push(kept.id);
      left -= kept.bytes;
      count--;
    }
    return left <= 0 && count <= 0 ? going : null;
  }

  /** What a journal that begins anew has to tell. */
  *records(): Generator<ApiRecord> {
    for (const { user, ...kept } of this.#byId.values()) yield { type: "ended", user, ...kept };
  }
}
