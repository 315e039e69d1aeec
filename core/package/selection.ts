/**
 * Which records a solver gets to see. From the names that were asked for, by way of what their
 * records depend on, to all names that could matter; of each those that the priority of channels
 * and the specs allow. Channels and their priority are settled here, because the solver knows
 * neither flexible priority nor specs that name a channel.
 */
import type { ChannelPriority } from "./condarc.ts";
import { isVirtual, type MatchSpec, nameOfDependency } from "./match_spec.ts";
import type { PackageRecord } from "./record.ts";
import { matchesKeys } from "./repodata.ts";
import { mayFit } from "./version_bounds.ts";

/** A spec and, if it names a channel, the URLs that this stands for. */
export interface AskedSpec {
  readonly spec: MatchSpec;
  readonly channels: readonly string[] | null;
}

/** Records of a name in channels that do not come first are marked in flexible priority. */
export interface Candidate {
  readonly record: PackageRecord;
  readonly later: boolean;
}

export class Selection {
  readonly #records = new Map<string, readonly PackageRecord[]>();
  readonly #waiting = new Set<string>();
  readonly #asked = new Map<string, AskedSpec[]>();
  /** Names whose records came since `wanted` was last called. */
  #fresh: string[] = [];
  /** Whether a dependency leaves something of a name that is asked for, by its text. */
  readonly #leaves = new Map<string, boolean>();

  /**
   * `channels` are URLs, first choice first; those that only specs name are not among them. With
   * `narrow`, records are left out that certainly do not go with what is asked for, such as builds
   * for other Pythons; without, the solver can say why they do not.
   */
  constructor(
    asked: readonly AskedSpec[],
    private readonly channels: readonly string[],
    private readonly priority: ChannelPriority,
    private readonly narrow: boolean,
  ) {
    for (const one of asked) {
      this.#asked.set(one.spec.name, [...this.#asked.get(one.spec.name) ?? [], one]);
      this.#want(one.spec.name);
    }
  }

  /** Names whose records are needed next, each told once; empty when all is there. */
  wanted(): readonly string[] {
    // What strict priority excludes is never looked at, so neither is what it depends on.
    const reach = this.priority === "flexible" ? this.channels.length : 1;
    for (const name of this.#fresh) {
      for (const { record } of this.candidatesOf(name, reach)) {
        for (const text of record.depends) this.#want(nameOfDependency(text) ?? "");
      }
    }
    this.#fresh = [];
    const names = [...this.#waiting];
    this.#waiting.clear();
    return names;
  }

  /** All records of a wanted name, in all channels. */
  add(name: string, records: readonly PackageRecord[]): void {
    this.#records.set(name, records);
    this.#fresh.push(name);
  }

  /** Names that were asked for or depended on, and have records somewhere. */
  names(): readonly string[] {
    return [...this.#records.keys()].filter((name) => this.#records.get(name)!.length > 0);
  }

  /** All records of a name, whatever the priority is. */
  allOf(name: string): readonly PackageRecord[] {
    return this.#records.get(name) ?? [];
  }

  /** Records of a name that are as its specs say of channel, subdir and keys. */
  allowedOf(name: string): readonly PackageRecord[] {
    const asked = this.#asked.get(name) ?? [];
    return this.allOf(name).filter((record) =>
      asked.every(({ spec, channels }) =>
        (channels === null || channels.includes(record.channel)) &&
        (spec.subdir === null || spec.subdir === record.subdir) && matchesKeys(record, spec.keys)
      )
    );
  }

  /**
   * What may be taken for a name; in flexible priority from as many of the channels that have it
   * as `reach` says, else that plays no part.
   */
  candidatesOf(name: string, reach = 1): readonly Candidate[] {
    const records = this.allOf(name);
    const asked = this.#asked.get(name) ?? [];
    const allowed = this.allowedOf(name).filter((record) =>
      !this.narrow || this.#fitsAsked(record, asked) && record.depends.every(this.#leavesSome)
    );
    // A spec that names a channel gets it, whichever comes first for others.
    if (asked.some(({ channels }) => channels !== null)) {
      return allowed.map((record) => ({ record, later: false }));
    }
    const ours = allowed.filter(({ channel }) => this.channels.includes(channel));
    if (this.priority === "disabled") return ours.map((record) => ({ record, later: false }));
    // The first channel that has the name counts, even if a spec excludes what it has.
    const having = this.channels.filter((url) => records.some(({ channel }) => channel === url));
    const taken = having.slice(0, this.priority === "strict" ? 1 : reach);
    return ours.filter(({ channel }) => taken.includes(channel)).map((record) => ({
      record,
      later: record.channel !== taken[0],
    }));
  }

  /** The most channels that have one name: what `reach` is at most of use. */
  reachMax(): number {
    if (this.priority !== "flexible") return 1;
    const counts = this.names().map((name) =>
      new Set(this.allOf(name).map(({ channel }) => channel)).size
    );
    return Math.min(this.channels.length, counts.reduce((a, b) => Math.max(a, b), 1));
  }

  #fitsAsked({ version }: PackageRecord, asked: readonly AskedSpec[]): boolean {
    return asked.every(({ spec }) => spec.version === null || mayFit(version, spec.version));
  }

  /** Whether something that is asked for anyway may fit a dependency; true for other names. */
  readonly #leavesSome = (dependency: string): boolean => {
    const known = this.#leaves.get(dependency);
    if (known !== undefined) return known;
    const name = nameOfDependency(dependency) ?? "";
    const asked = this.#asked.get(name), [, version] = dependency.trim().split(/\s+/);
    // Records of all names that are asked for are the first to come.
    const leaves = asked === undefined || version === undefined ||
      this.allowedOf(name).some((record) =>
        this.#fitsAsked(record, asked) && mayFit(record.version, version)
      );
    this.#leaves.set(dependency, leaves);
    return leaves;
  };

  #want(name: string): void {
    if (name === "" || isVirtual(name) || this.#records.has(name)) return;
    this.#waiting.add(name);
  }
}
