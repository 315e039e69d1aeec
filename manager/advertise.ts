/**
 * A manager in the catalog: tells it how things are, and asks it what factories and namesakes say.
 * All of it goes on beside the manager, which waits for none of it.
 */
import { type Address, showAddress } from "../core/addresses.ts";
import {
  allOf,
  anyOf,
  factoriesOnly,
  fieldIs,
  isManager,
  managersOnly,
} from "../core/catalog/selection.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { integerOf, type JxObject, stringOf } from "../core/jx/value.ts";
import { type AdvertCounts, endedAdvert, isNews } from "../core/status/advert.ts";
import type { QueueStatistics } from "../core/status/statistics.ts";
import { CatalogClient, type Environment, sendUpdate } from "../io/catalog_client.ts";
import { delay, within } from "../io/clock.ts";
import type { Manager } from "./server.ts";

/** How a manager is found by name. */
export interface Advertising {
  readonly project: string;
  readonly catalogs: readonly Address[];
}

/** Of a manager, what is told and what is done about the answers. */
export interface Advertised
  extends Pick<Manager, "advert" | "counts" | "factories" | "limitFactories"> {
  readonly statistics: Pick<QueueStatistics, "workersJoined">;
}

export interface AdvertiserOptions extends Advertising {
  readonly manager: Advertised;
  readonly note: (line: string) => void;
  readonly env?: Environment;
  readonly rhythm?: Rhythm;
}

export interface Rhythm {
  /** An update is sent at least so often, as by cctools' managers. */
  readonly everyMs: number;
  /** News is looked for so often: no two updates come closer. */
  readonly newsMs: number;
}

const usualRhythm: Rhythm = { everyMs: 60_000, newsMs: 5000 };

/** Two updates may be lost on the way, and a killed manager is forgotten within minutes. */
const lifetimeInUpdates = 3;
/** A run is over when it is over: the catalog gets so long to hear of it. */
const farewellMs = 2000;
/** For a catalog to say what it knows of factories; the next update asks again. */
const answerMs = 5000;

export class Advertiser implements AsyncDisposable {
  readonly #id = crypto.randomUUID();
  readonly #stopping = new AbortController();
  readonly #client: CatalogClient;
  readonly #running: Promise<void>;
  readonly #namesakes = new Set<string>();
  #works: boolean | null = null;
  #asking: Promise<void> | null = null;

  private constructor(private readonly options: AdvertiserOptions) {
    const { catalogs, env } = options;
    this.#client = new CatalogClient(catalogs, env === undefined ? {} : { env });
    this.#running = this.#run();
  }

  /** Sends the first update at once. */
  static start(options: AdvertiserOptions): Advertiser {
    return new Advertiser(options);
  }

  /** Tells the catalogs, if they ever listened, that the manager has ended; takes 2 s at most. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    const { catalogs, env } = this.options;
    // After the last update, or that would be taken for news.
    await within(farewellMs, Promise.all([this.#running, this.#asking]));
    if (this.#works !== true) return;
    const record = endedAdvert(this.#advert());
    const signal = AbortSignal.timeout(farewellMs);
    // Whoever is not reached forgets the manager by itself, later.
    await sendUpdate(catalogs, record, { signal, ...(env && { env }) }).catch(() => {});
  }

  async #run(): Promise<void> {
    const { manager, rhythm = usualRhythm } = this.options;
    const { signal } = this.#stopping;
    let told: AdvertCounts | null = null;
    let toldMs = -Infinity;
    // Whoever starts this is not ready to be asked about itself before the next turn.
    await delay(0);
    while (!signal.aborted) {
      const now = { ...manager.counts, joined: manager.statistics.workersJoined };
      if (performance.now() - toldMs >= rhythm.everyMs || told === null || isNews(told, now)) {
        told = now;
        toldMs = performance.now();
        await this.#tell();
        this.#asking ??= this.#ask().finally(() => this.#asking = null);
      }
      await delay(rhythm.newsMs, signal);
    }
  }

  #advert(): ReturnType<Manager["advert"]> {
    const { everyMs } = this.options.rhythm ?? usualRhythm;
    const lifetimeS = Math.ceil(lifetimeInUpdates * everyMs / 1000);
    return this.options.manager.advert({ id: this.#id, lifetimeS });
  }

  async #tell(): Promise<void> {
    const { catalogs, env } = this.options;
    const { signal } = this.#stopping;
    const { full, lean } = this.#advert();
    try {
      await sendUpdate(catalogs, full, { signal, lean, ...(env && { env }) });
      this.#say(true, "The catalog is told of this manager again");
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof RunError)) throw error;
      this.#say(
        false,
        `Workers cannot find this manager by its name for now: ${messageOf(error)}; trying again`,
      );
    }
  }

  /** Troubles are told once, and their end; that all is well from the start is no news. */
  #say(works: boolean, line: string): void {
    if (this.#works !== works && !(works && this.#works === null)) this.options.note(line);
    this.#works = works;
  }

  async #ask(): Promise<void> {
    const { project, manager } = this.options;
    const { signal } = this.#stopping;
    const namesakes = allOf(managersOnly, fieldIs("project", project));
    const factories = manager.factories.map((name) =>
      allOf(factoriesOnly, fieldIs("factory_name", name))
    );
    try {
      const filter = anyOf(namesakes, ...factories);
      const records = await this.#client.query(filter, { patienceMs: answerMs, signal });
      this.#noteNamesakes(records.filter(isManager));
      const limits = records.filter((record) => !isManager(record)).flatMap(limitOf);
      if (manager.factories.length > 0) manager.limitFactories(new Map(limits));
    } catch (error) {
      // That no catalog answers is told where updates cannot be sent; limits stay as they were.
      if (!(error instanceof RunError) && !signal.aborted) throw error;
    }
  }

  /** Workers go to any of them; each other one is told once. */
  #noteNamesakes(managers: readonly JxObject[]): void {
    const isOwn = (record: JxObject) => stringOf(record, "wqx_id") === this.#id;
    const heardS = Math.max(0, ...managers.filter(isOwn).map(heardOf));
    const aliveS = heardS - 2 * (this.options.rhythm ?? usualRhythm).everyMs / 1000;
    for (const record of managers) {
      // Managers of cctools that were killed stay in the list for half an hour.
      if (isOwn(record) || heardOf(record) < aliveS) continue;
      const host = stringOf(record, "name") ?? stringOf(record, "address") ?? "an unknown host";
      const place = showAddress({ host, port: integerOf(record, "port") });
      if (this.#namesakes.has(place)) continue;
      this.#namesakes.add(place);
      const owner = stringOf(record, "owner");
      this.options.note(
        `There is another manager called "${this.options.project}", at ${place}` +
          `${owner === null ? "" : ` of ${owner}`}: workers and factories will serve both. ` +
          "Give one of them another name (-M)",
      );
    }
  }
}

function heardOf(record: JxObject): number {
  return integerOf(record, "lastheardfrom");
}

/** Without `max_workers`, a factory has no limit. */
function limitOf(record: JxObject): [string, number][] {
  const name = stringOf(record, "factory_name");
  const max = record.get("max_workers");
  return name === null || typeof max !== "bigint" ? [] : [[name, Number(max)]];
}
