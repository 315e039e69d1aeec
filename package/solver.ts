/** From what users ask for to the packages that make it, in the order in which they are linked. */
import { homedir } from "node:os";
import { RunError } from "../core/errors.ts";
import {
  type Channel,
  type ChannelPriority,
  type ChannelSettings,
  defaultSettings,
  resolveChannels,
  shownUrl,
} from "../core/package/condarc.ts";
import { type ChannelFacts, explainConflict, unknownPackage } from "../core/package/conflict.ts";
import { linkOrder } from "../core/package/link_order.ts";
import { isVirtual, type MatchSpec, parseMatchSpec } from "../core/package/match_spec.ts";
import type { Platform } from "../core/package/platform.ts";
import type { PackageRecord } from "../core/package/record.ts";
import { type AskedSpec, Selection } from "../core/package/selection.ts";
import { solvedRecords, solverInput, type SolverQuestion } from "../core/package/solver_input.ts";
import { virtualOptions, type VirtualPackage } from "../core/package/virtual.ts";
import { Channels, type RecordSource, settled } from "./channels.ts";
import { SolverThread } from "./solver_thread.ts";

export interface SolveOptions {
  /** Match specs in any form. */
  readonly specs: readonly string[];
  /** Names, URLs or folders, first choice first. */
  readonly channels: readonly string[];
  readonly platform: Platform;
  readonly virtual: readonly VirtualPackage[];
  readonly priority: ChannelPriority;
  /** Versions, by name, that packages must have if they are there. */
  readonly pinned: ReadonlyMap<string, string>;
  /** Folder for copies of repodata. */
  readonly cache: string;
  /** Where bare names of channels are, proxies and so on; by default what conda takes. */
  readonly settings?: ChannelSettings;
  /** Ask no server; take the copies that there are. */
  readonly offline?: boolean;
  readonly onProgress?: (progress: SolveProgress) => void;
  readonly signal?: AbortSignal;
  /** The solver is stopped then; 5 minutes by default. */
  readonly timeoutMs?: number;
}

export type SolveProgress =
  | { readonly is: "reading"; readonly channel: string }
  /** So many names are known whose packages may play a part. */
  | { readonly is: "selecting"; readonly nameCount: number }
  | { readonly is: "solving"; readonly recordCount: number }
  /** For the user: what is missing or odd, and yet no failure. */
  | { readonly is: "note"; readonly line: string };

const timeoutMsDefault = 300_000;

/**
 * Solves, and returns the packages in link order. Throws UsageError on a spec or channel that
 * cannot be read, and RunError on what cannot be had or installed together: its first paragraph is
 * for people, the solver's tree follows.
 */
export async function solveEnvironment(options: SolveOptions): Promise<readonly PackageRecord[]> {
  const { virtual, signal, timeoutMs = timeoutMsDefault, onProgress } = options;
  const specs = options.specs.map(parseMatchSpec);
  const pins = [...options.pinned].map(([name, version]) =>
    parseMatchSpec(/^[=<>!~]/.test(version) ? `${name} ${version}` : `${name}=${version}`)
  );
  using channels = new Channels({
    cache: options.cache,
    settings: options.settings ?? defaultSettings,
    offline: options.offline ?? options.settings?.offline ?? false,
    note: (line) => onProgress?.({ is: "note", line }),
    ...signal && { signal },
  });
  const pool = await openPool(specs, options, channels);
  const narrow = await pool.select(true, onProgress, signal);
  pool.noteDropped(onProgress);
  const unknown = pool.unknownNames(narrow);
  if (unknown.length > 0) throw new RunError(unknown.join(" "));

  using thread = new SolverThread();
  const ask = async (
    question: Omit<SolverQuestion, "specs" | "virtual" | "pins">,
    whole = false,
  ) => {
    const input = solverInput({ ...question, specs, virtual, pins }, whole);
    onProgress?.({ is: "solving", recordCount: input.records.size });
    const { platform, noarch } = input;
    const request = { specs: input.specs, target: options.platform, platform, noarch };
    const solved = await thread.ask(request, { timeoutMs, ...signal && { signal } });
    return solved.is === "solved" ? linkOrder(solvedRecords(solved.fileNames, input)) : solved.text;
  };
  // In flexible priority, one channel more for every name until something fits.
  for (let reach = 1; reach <= narrow.reachMax(); reach++) {
    const solved = await ask({ selection: narrow, reach });
    if (typeof solved !== "string") return solved;
    if (/^(?!Cannot solve)/.test(solved)) {
      throw new RunError(`The solver cannot read the packages that are asked for: ${solved}`);
    }
  }
  // Once more, with all that was left out, for the reason.
  const selection = await pool.select(false, onProgress, signal);
  const solved = await ask({ selection, reach: selection.reachMax() }, true);
  if (typeof solved !== "string") return solved;
  const reason = explainConflict(solved, pool.facts(selection, virtual));
  throw new RunError(`Cannot solve the environment: ${reason}`);
}

/** Opens the channels that were given, and those that only specs name. */
async function openPool(
  specs: readonly MatchSpec[],
  options: SolveOptions,
  channels: Channels,
): Promise<Pool> {
  const { settings = defaultSettings, platform, onProgress } = options;
  const place = { folder: Deno.cwd(), home: homedir() };
  const main = resolveChannels(options.channels, settings, place);
  const asked = specs.map((spec): AskedSpec => {
    if (spec.channel === null) return { spec, channels: null };
    // The name of a channel among those given means that one, wherever it is.
    const same = main.filter(({ name }) =>
      name === spec.channel || name.endsWith(`/${spec.channel}`)
    );
    const urls = same.length > 0 ? same : resolveChannels([spec.channel], settings, place);
    return { spec, channels: urls.map(({ url }) => url) };
  });
  const named = specs.flatMap(({ channel }) => channel === null ? [] : [channel]);
  const known = new Set(asked.flatMap(({ channels }) => channels ?? []));
  const extra = resolveChannels(named, settings, place).filter(({ url }) => known.has(url));
  const all = new Map([...main, ...extra].map((channel) => [channel.url, channel]));
  if (all.size === 0) {
    throw new RunError("There is no channel to take packages from: give one, such as conda-forge");
  }
  const sources = await settled([...all.values()].map((channel) => {
    onProgress?.({ is: "reading", channel: shownUrl(channel.url) });
    return channels.open(channel, platform);
  }));
  return new Pool(asked, main.map(({ url }) => url), all, sources.flat(), options.priority);
}

/** The channels of a solve, and what is asked of them. */
class Pool {
  constructor(
    private readonly asked: readonly AskedSpec[],
    private readonly main: readonly string[],
    private readonly channels: ReadonlyMap<string, Channel>,
    private readonly sources: readonly RecordSource[],
    private readonly priority: ChannelPriority,
  ) {}

  /** Reads all that could matter, wave by wave of names. */
  async select(
    narrow: boolean,
    onProgress: SolveOptions["onProgress"],
    signal: AbortSignal | undefined,
  ): Promise<Selection> {
    const { sources } = this;
    const selection = new Selection(this.asked, this.main, this.priority, narrow);
    let nameCount = 0;
    for (let names = selection.wanted(); names.length > 0; names = selection.wanted()) {
      signal?.throwIfAborted();
      nameCount += names.length;
      onProgress?.({ is: "selecting", nameCount });
      const found = await settled(sources.map((source) => source.recordsOf(names)));
      const byName = Map.groupBy(found.flat(), ({ name }) => name);
      for (const name of names) selection.add(name, byName.get(name) ?? []);
    }
    return selection;
  }

  noteDropped(onProgress: SolveOptions["onProgress"]): void {
    const dropped = this.sources.reduce((sum, source) => sum + source.droppedCount(), 0);
    if (dropped === 0) return;
    const line = `${dropped} packages of the channels were left out: their records are not right.`;
    onProgress?.({ is: "note", line });
  }

  /** Sentences about names that were asked for and are nowhere, or not in their own channel. */
  unknownNames(selection: Selection): string[] {
    const sentences: string[] = [];
    for (const { spec, channels } of this.asked) {
      if (isVirtual(spec.name)) {
        if (virtualOptions.has(spec.name) || spec.name === "__unix") continue;
        sentences.push(
          `Nothing is known of "${spec.name}": facts about workers are ` +
            `${[...virtualOptions.keys()].join(", ")}.`,
        );
        continue;
      }
      const all = selection.allOf(spec.name);
      if (all.length === 0) {
        sentences.push(unknownPackage(spec.name, this.#names()));
      } else if (selection.allowedOf(spec.name).length === 0) {
        const have = [...new Set(all.map(({ channel }) => shownUrl(channel)))].join(", ");
        const limits = channels === null ? "with what its brackets say" : "in that channel";
        sentences.push(`There is no "${spec.text}" ${limits}: ${spec.name} is in ${have}.`);
      }
    }
    return sentences;
  }

  facts(selection: Selection, virtual: readonly VirtualPackage[]): ChannelFacts {
    return {
      names: () => this.#names(),
      versionsOf: (name, builds) =>
        selection.candidatesOf(name, Infinity).map(({ record }) =>
          builds ? `${record.version} ${record.build}` : record.version
        ),
      passedOver: (name) => this.#passedOver(selection, name),
      virtual,
    };
  }

  #names(): Iterable<string> {
    return new Set(this.sources.flatMap((source) => [...source.names()]));
  }

  #passedOver(selection: Selection, name: string): string | null {
    if (this.priority !== "strict") return null;
    const all = selection.allOf(name);
    const taken = selection.candidatesOf(name)[0]?.record.channel;
    const left = all.find(({ channel }) => channel !== taken)?.channel;
    if (taken === undefined || left === undefined) return null;
    const called = (url: string) => this.channels.get(url)?.name ?? shownUrl(url);
    return `more is in the channel ${called(left)}, which is not looked at because ` +
      `${called(taken)} has the package and comes first (channel priority is strict)`;
  }
}
