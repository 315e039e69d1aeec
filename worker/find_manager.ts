/** Where a worker gets its managers from: its command line, or catalogs that it asks. */
import { type Address, showAddress } from "../core/addresses.ts";
import {
  type ConnectionMode,
  type FoundManager,
  managersAmong,
  managersOnly,
} from "../core/catalog/selection.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { addressesOf, type JoinToken } from "../core/pin.ts";
import type { TextPattern } from "../core/posix_regex.ts";
import { KnownManagers } from "../core/worker/known_managers.ts";
import type { CatalogClient } from "../io/catalog_client.ts";

export interface ManagerSource {
  /** What is looked for, to end a sentence: `a manager at host:port`. */
  readonly wanted: string;
  /** The longest pause after it found none: a new manager is to be noticed soon. */
  readonly pauseMsMax?: number;
  /** Throws RunError where nothing is known of any. */
  find(signal: AbortSignal): Promise<Lookup>;
  /** Hears which of them has been served. */
  served?(manager: FoundManager): void;
}

export interface Lookup {
  /** In the order in which to try them. */
  readonly managers: readonly FoundManager[];
  /** Why they are those of an earlier time, as a sentence; `null`: they are those of now. */
  readonly outdated: string | null;
}

/** The manager of a token: under TLS, and only with the key that the token names. */
export function joinedManager(token: JoinToken): ManagerSource {
  const addresses = addressesOf(token);
  const label = showAddress(addresses[0]!);
  const found = [{ label, addresses, tls: true, pin: token.pin }];
  return {
    wanted: `the manager at ${label}`,
    find: () => Promise.resolve({ managers: found, outdated: null }),
  };
}

/** The managers of the command line, always the same. */
export function listedManagers(addresses: readonly Address[], tls: boolean): ManagerSource {
  const managers = addresses.map((address) => ({
    label: showAddress(address),
    addresses: [address],
    tls,
  }));
  return {
    wanted: `a manager at ${managers.map(({ label }) => label).join(" or ")}`,
    find: () => Promise.resolve({ managers, outdated: null }),
  };
}

export interface CatalogQuery {
  readonly client: CatalogClient;
  readonly project: TextPattern;
  /** `project` as the user wrote it. */
  readonly projectText: string;
  readonly mode: ConnectionMode | undefined;
  /** Managers without TLS are left out. */
  readonly tlsOnly: boolean;
  /** Hears once that there is no catalog or no manager, and once that there is again. */
  readonly log: (line: string) => void;
  readonly debug: (line: string) => void;
}

type State = "all well" | "no catalog" | "no manager";

/**
 * The managers of a catalog whose project name matches; each worker begins at another one. A catalog
 * is asked every time, and only if none answers does the last answer count: workers that wait ask
 * four times a minute, and cctools', which keep an answer for 60 s, are late to notice a new manager
 * by as much.
 */
export class CatalogManagers implements ManagerSource {
  readonly pauseMsMax = 15_000;
  readonly #known = new KnownManagers();
  #state: State = "all well";

  constructor(private readonly query: CatalogQuery) {}

  get wanted(): string {
    const places = this.query.client.catalogs.map(showAddress).join(" or ");
    return `a manager with project name "${this.query.projectText}" in the catalog at ${places}`;
  }

  served(manager: FoundManager): void {
    this.#known.served(manager);
  }

  async find(signal: AbortSignal): Promise<Lookup> {
    const { client, project, projectText, mode, tlsOnly, debug } = this.query;
    let records;
    try {
      // The pattern is matched here: servers know how to look for a part of a name only.
      records = await client.query(managersOnly, { patienceMs: 0, signal });
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      const managers = this.#known.inOrder;
      const more = managers.length === 0 ? "" : `, and ${managers[0]!.label} where it was`;
      this.#say("no catalog", `Cannot ask for managers: ${messageOf(error)}; trying again${more}`);
      if (managers.length === 0) throw error;
      return { managers, outdated: messageOf(error) };
    }
    const found = managersAmong(records, project, mode);
    const usable = found.filter(({ tls }) => tls || !tlsOnly);
    debug(`${records.length} records, ${found.length} managers, ${usable.length} of use`);
    this.#known.told(usable);
    if (this.#state === "no catalog") this.#say("all well", "A catalog answers again");
    if (usable.length === 0 && found.length > 0) {
      throw new RunError(`${found[0]!.label} has no TLS, which --ssl insists on`);
    }
    if (usable.length > 0) this.#state = "all well";
    else this.#say("no manager", `Waiting for a manager with project name "${projectText}"`);
    const start = Math.floor(Math.random() * usable.length);
    return { managers: [...usable.slice(start), ...usable.slice(0, start)], outdated: null };
  }

  /** Once for each state. */
  #say(state: State, line: string): void {
    if (this.#state !== state) this.query.log(line);
    this.#state = state;
  }
}
