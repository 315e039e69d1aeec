/** Finding managers and asking them, for `wqx status` and `wqx explain`. */
import { type Address, showAddress } from "../core/addresses.ts";
import {
  allOf,
  anyOf,
  factoriesOnly,
  type FoundManager,
  isManager,
  managersAmong,
  managersOnly,
} from "../core/catalog/selection.ts";
import { naming, RunError, UsageError } from "../core/errors.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { integerOf, type JxObject, stringOf } from "../core/jx/value.ts";
import { explainFromRecords } from "../core/status/explain_records.ts";
import { explainQuestion, type ManagerQuestion, type Subject } from "../core/status/questions.ts";
import { printable } from "../core/status/table_layout.ts";
import { parsePort } from "../core/units.ts";
import type { TextPattern } from "../core/posix_regex.ts";
import { CatalogClient, catalogsOf } from "../io/catalog_client.ts";
import { readPasswordFile } from "../io/handshake.ts";
import { askManager, type ManagerQueryOptions } from "../io/manager_query.ts";

/** Work Queue's, where a host is given without a port. */
const portDefault = 9123;

/** What the command line says of it. */
export interface AskingOptions {
  readonly project: { readonly text: string; readonly pattern: TextPattern } | undefined;
  readonly catalogs: string | undefined;
  readonly password: string | undefined;
  readonly ssl: boolean;
  readonly timeout: number;
}

/** Throws a UsageError that names what is wrong. */
export function addressOf(host: string | undefined, port: string | undefined): Address | null {
  if (host === undefined) return null;
  const [, name, joined] = /^([^:]+):(\d+)$/.exec(host) ?? [];
  if (port === undefined && name !== undefined) return { host: name, port: parsePort(joined!) };
  return { host, port: port === undefined ? portDefault : naming("PORT", () => parsePort(port)) };
}

export class Asking {
  readonly #client: CatalogClient;

  private constructor(
    private readonly options: AskingOptions,
    private readonly password: Uint8Array | null,
    private readonly signal: AbortSignal,
    debug: (line: string) => void,
  ) {
    this.#client = new CatalogClient(catalogsOf(options.catalogs), { debug });
  }

  /** Reads the password file; throws a UsageError for what cannot be used. */
  static async prepare(
    options: AskingOptions,
    signal: AbortSignal,
    { warn, debug }: { warn: (line: string) => void; debug: (line: string) => void },
  ): Promise<Asking> {
    const { password } = options;
    const content = password === undefined ? null : await readPasswordFile(password, warn);
    return new Asking(options, content, signal, debug);
  }

  /** The catalogs, as people are told of them. */
  get source(): string {
    return `catalog ${this.#client.catalogs.map(showAddress).join(", ")}`;
  }

  /**
   * Records of managers, or of what `types` lets through, for which `where` is true.
   * Throws a RunError if no catalog answers within the time limit, or at once if `once`.
   */
  async records(
    where: JxExpr | null,
    { types = managersOnly, once = false }: { types?: JxExpr; once?: boolean } = {},
  ): Promise<readonly JxObject[]> {
    const filter = where === null ? types : allOf(where, types);
    const patienceMs = once ? 0 : this.options.timeout;
    try {
      return await this.#client.query(filter, { patienceMs, signal: this.signal });
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      throw new RunError(`failed to query catalog server: ${error.message}`, { cause: error });
    }
  }

  /** Managers and factories. Throws as `records`, having asked each catalog once. */
  everybody(where: JxExpr | null): Promise<readonly JxObject[]> {
    return this.records(where, { types: anyOf(managersOnly, factoriesOnly), once: true });
  }

  /** The one manager that is meant; throws a RunError if none or several match. */
  async only(): Promise<FoundManager> {
    const { project, ssl } = this.options;
    if (project === undefined) throw new UsageError("Which manager? Give HOST PORT, or -M NAME");
    const records = await this.records(null);
    const found = managersAmong(records, project.pattern, undefined);
    const [first] = found;
    if (first === undefined) {
      const names = [...new Set(records.map((record) => stringOf(record, "project") ?? "?"))];
      const known = names.length === 0
        ? "it knows no manager"
        : `it knows ${names.slice(0, namesMax).map((name) => `"${printable(name)}"`).join(", ")}` +
          (names.length > namesMax ? " and others" : "");
      throw new RunError(`No manager "${project.text}" is in the catalog: ${known}`);
    }
    if (found.length > 1) {
      const places = found.map(({ label }) => `  ${printable(label)}\n`).join("");
      throw new RunError(
        `${found.length} managers match "${project.text}":\n${places}` +
          "Give HOST PORT of the one that is meant",
      );
    }
    return { ...first, tls: first.tls || ssl };
  }

  /** The manager at an address, spoken to as the command line says. */
  at(address: Address): FoundManager {
    return { label: showAddress(address), addresses: [address], tls: this.options.ssl };
  }

  /** The manager of a record; `null` if it gives no place to connect to. */
  of(record: JxObject): FoundManager | null {
    const named = new Map(record).set("project", stringOf(record, "project") ?? "?");
    const [found] = isManager(record) ? managersAmong([named], /(?:)/, undefined) : [];
    return found === undefined ? null : { ...found, tls: found.tls || this.options.ssl };
  }

  /** Asks at each of its addresses in turn. Throws the RunError of the last. */
  async ask(
    { addresses, tls, pin }: FoundManager,
    question: ManagerQuestion | ReturnType<typeof explainQuestion>,
  ): Promise<readonly JxObject[]> {
    const { timeout: timeoutMs } = this.options;
    const how: ManagerQueryOptions = {
      tls,
      pin,
      password: this.password,
      timeoutMs,
      signal: this.signal,
    };
    let trouble: unknown = new RunError("The manager gives no address");
    for (const address of addresses) {
      try {
        return await askManager(address, question, how);
      } catch (error) {
        if (!(error instanceof RunError)) throw error;
        trouble = this.#withAdvice(error, tls);
      }
    }
    throw trouble;
  }

  /** A paragraph. Managers that are not of wqx are explained from what their records say. */
  async explain(manager: FoundManager, subject: Subject): Promise<string> {
    let refused: unknown;
    try {
      const [answer] = await this.ask(manager, explainQuestion(subject));
      const text = answer === undefined ? null : stringOf(answer, "text");
      if (text !== null) return printable(text);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      refused = error;
    }
    try {
      const [queue] = await this.ask(manager, "queue_status");
      const tasks = await this.ask(manager, "task_status");
      const workers = await this.ask(manager, "worker_status");
      return printable(
        explainFromRecords(subject, { queue: queue ?? new Map(), tasks, workers }).text,
      );
    } catch (error) {
      // The first refusal says better what is wrong.
      throw error instanceof RunError ? refused ?? error : error;
    }
  }

  /** What would do, where it can be guessed. */
  #withAdvice(error: RunError, tls: boolean): RunError {
    if (!error.message.startsWith("couldn't read from")) return error;
    const ways = [
      ...this.password === null ? ["with a password it needs --password FILE"] : [],
      ...tls ? [] : ["with TLS it needs --ssl"],
    ];
    if (ways.length === 0) return error;
    return new RunError(`${error.message} (${ways.join("; ")})`, { cause: error });
  }
}

/** In an answer about a name that is wrong. */
const namesMax = 10;

/** Managers first come, first shown, by name. */
export function byProject(records: readonly JxObject[]): JxObject[] {
  const name = (record: JxObject) => stringOf(record, "project") ?? "";
  return records.toSorted((a, b) =>
    name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : integerOf(a, "port") - integerOf(b, "port")
  );
}
