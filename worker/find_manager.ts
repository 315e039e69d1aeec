/** Where a worker gets its managers from: its command line, or a catalog that it asks. */
import { messageOf, RunError } from "../core/errors.ts";
import {
  type Address,
  type ConnectionMode,
  type FoundManager,
  managersAmong,
  showAddress,
} from "../core/worker/managers.ts";
import { Deadline } from "./deadline.ts";

/** For one catalog to answer, whole. */
const catalogMsMax = 5000;
/** More than 10,000 full records, the most that a catalog of cctools can hold. */
const catalogBytesMax = 256 * 1024 ** 2;

export interface ManagerSource {
  /** What is looked for, to end a sentence: `a manager at host:port`. */
  readonly wanted: string;
  /** Those that there are now, in the order in which to try them. Throws RunError. */
  find(signal: AbortSignal): Promise<readonly FoundManager[]>;
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
    find: () => Promise.resolve(managers),
  };
}

export interface CatalogQuery {
  /** The first that answers is believed. */
  readonly catalogs: readonly Address[];
  readonly project: RegExp;
  /** `project` as the user wrote it. */
  readonly projectText: string;
  readonly mode: ConnectionMode | undefined;
  /** Managers without TLS are left out. */
  readonly tlsOnly: boolean;
  readonly debug: (line: string) => void;
}

/** The managers of a catalog whose project name matches; each worker begins at another one. */
export class CatalogManagers implements ManagerSource {
  /** Those that answered last come first. */
  #catalogs: readonly Address[];

  constructor(private readonly query: CatalogQuery) {
    this.#catalogs = query.catalogs;
  }

  get wanted(): string {
    const places = this.query.catalogs.map(showAddress).join(" or ");
    return `a manager with project name "${this.query.projectText}" in the catalog at ${places}`;
  }

  async find(signal: AbortSignal): Promise<readonly FoundManager[]> {
    const { project, mode, tlsOnly, debug } = this.query;
    const records = await this.#records(signal);
    const found = managersAmong(records, project, mode);
    const usable = found.filter(({ tls }) => tls || !tlsOnly);
    debug(`${records.length} records, ${found.length} managers, ${usable.length} of use`);
    if (usable.length === 0 && found.length > 0) {
      throw new RunError(`${found[0]!.label} has no TLS, which --ssl insists on`);
    }
    const start = Math.floor(Math.random() * usable.length);
    return [...usable.slice(start), ...usable.slice(0, start)];
  }

  async #records(signal: AbortSignal): Promise<readonly unknown[]> {
    const troubles: string[] = [];
    for (const catalog of this.#catalogs) {
      const url = `http://${showAddress(catalog)}/query.json`;
      try {
        const records = await query(url, signal);
        this.#catalogs = [catalog, ...this.#catalogs.filter((other) => other !== catalog)];
        return records;
      } catch (error) {
        signal.throwIfAborted();
        troubles.push(`${showAddress(catalog)}: ${messageOf(error)}`);
        this.query.debug(`${url}: ${messageOf(error)}`);
      }
    }
    throw new RunError(`no catalog answers (${troubles.join("; ")})`);
  }
}

async function query(url: string, signal: AbortSignal): Promise<readonly unknown[]> {
  using deadline = new Deadline(catalogMsMax, signal);
  const response = await fetch(url, {
    signal: deadline.signal,
    headers: { accept: "application/json, text/plain", connection: "close" },
  });
  const text = await bodyOf(response);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const records: unknown = JSON.parse(text);
  if (!Array.isArray(records)) throw new Error("the answer is not a list of records");
  return records;
}

async function bodyOf(response: Response): Promise<string> {
  let text = "";
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece;
    if (text.length > catalogBytesMax) throw new Error("the answer is too long");
  }
  return text;
}
