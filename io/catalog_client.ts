/**
 * Asking catalogs, and telling them of oneself, as the programs of cctools do. Questions are HTTP,
 * by `node:http`: cctools' servers end header lines with a bare LF, and `fetch` cannot go past the
 * proxies of the environment. Updates are one record on a TCP connection, or one datagram.
 */
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { request } from "node:http";
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import {
  type Address,
  catalogPortDefault,
  catalogsDefault,
  parseCatalogs,
  showAddress,
} from "../core/addresses.ts";
import { messageOf, naming, RunError } from "../core/errors.ts";
import { matches } from "../core/jx/eval.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { parseJxValue } from "../core/jx/parse.ts";
import { printExpr, printJx } from "../core/jx/print.ts";
import { isJxArray, isJxObject, type JxObject, type JxValue } from "../core/jx/value.ts";
import { parsePort } from "../core/units.ts";
import { delay } from "./clock.ts";
import { Deadline } from "./deadline.ts";

/** Reads a variable of the environment. */
export type Environment = (name: string) => string | undefined;

const processEnv: Environment = (name) => Deno.env.get(name);

/** For one catalog to be reached and to answer, whole, as in cctools. */
const attemptMsMax = 5000;
/** After a round in which no catalog answered; it doubles. */
const pauseMsMin = 1000;
/** More than 10,000 full records, the most that a catalog of cctools can hold. */
const answerBytesMax = 256 * 1024 ** 2;
/** cctools' servers close the connection at a request line of 2048 bytes. */
const targetCharsMax = 2000;
const redirectsMax = 5;

export interface CatalogClientOptions {
  readonly env?: Environment;
  /** For one catalog to answer; only tests want another one. */
  readonly attemptMs?: number;
  readonly debug?: (line: string) => void;
}

export interface Patience {
  /**
   * So long all catalogs are asked again after growing pauses, and no attempt outlasts it. 0: each
   * is asked once, with the time that an attempt may take.
   */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

/** Asks the catalogs of a list; one that failed is asked after the others from then on. */
export class CatalogClient {
  readonly #down = new Set<Address>();
  readonly #env: Environment;
  readonly #attemptMs: number;
  readonly #debug: (line: string) => void;

  constructor(readonly catalogs: readonly Address[], options: CatalogClientOptions = {}) {
    this.#env = options.env ?? processEnv;
    this.#attemptMs = options.attemptMs ?? attemptMsMax;
    this.#debug = options.debug ?? (() => {});
  }

  /**
   * The records for which the filter is true (all without one), of the first catalog that answers.
   * Throws a RunError that says of each why it did not, and the reason of `signal`.
   */
  async query(filter: JxExpr | null, patience: Patience): Promise<readonly JxObject[]> {
    const { patienceMs, signal } = patience;
    const giveUpMs = performance.now() + patienceMs;
    const leftMs = () => giveUpMs - performance.now();
    for (let pauseMs = pauseMsMin;; pauseMs *= 2) {
      const troubles: string[] = [];
      for (const catalog of this.#inOrder()) {
        const attemptMs = patienceMs === 0 ? this.#attemptMs : Math.min(this.#attemptMs, leftMs());
        if (attemptMs <= 0) break;
        try {
          const records = await this.#ask(catalog, filter, attemptMs, signal);
          this.#down.delete(catalog);
          return filter === null ? records : records.filter((record) => matches(filter, record));
        } catch (error) {
          signal.throwIfAborted();
          this.#down.add(catalog);
          this.#debug(`${showAddress(catalog)}: ${messageOf(error)}`);
          troubles.push(`${showAddress(catalog)}: ${messageOf(error)}`);
        }
      }
      if (leftMs() <= pauseMs) throw new RunError(`no catalog answers (${troubles.join("; ")})`);
      await delay(pauseMs, signal);
      signal.throwIfAborted();
    }
  }

  #inOrder(): Address[] {
    const isDown = (catalog: Address) => this.#down.has(catalog);
    return [...this.catalogs.filter((one) => !isDown(one)), ...this.catalogs.filter(isDown)];
  }

  /** All records are asked for where the catalog cannot read the question. */
  async #ask(
    catalog: Address,
    filter: JxExpr | null,
    attemptMs: number,
    signal: AbortSignal,
  ): Promise<readonly JxObject[]> {
    using deadline = new Deadline(attemptMs, signal);
    const base = `http://${showAddress(catalog)}`;
    const asked = filter === null ? null : `/query/${base64(printExpr(filter))}`;
    if (asked !== null && asked.length <= targetCharsMax) {
      try {
        return recordsOf(await this.#get(new URL(asked, base), deadline.signal));
      } catch (error) {
        if (!(error instanceof NotUnderstood)) throw error;
        this.#debug(`${base}${asked}: ${error.message}; asking for all records`);
      }
    }
    return recordsOf(await this.#get(new URL("/query.json", base), deadline.signal));
  }

  /** By the first proxy of HTTP_PROXY that gives an answer; without the variable, directly. */
  async #get(url: URL, signal: AbortSignal): Promise<string> {
    const agent = this.#env("HTTP_USER_AGENT");
    const headers = { "user-agent": `Mozilla/5.0 (compatible; wqx${agent ? ` ${agent}` : ""})` };
    const troubles: string[] = [];
    for (const proxy of proxiesOf(this.#env("HTTP_PROXY"))) {
      try {
        return await follow(url, { proxy, headers, signal });
      } catch (error) {
        if (error instanceof NotUnderstood) throw error;
        signal.throwIfAborted();
        troubles.push(proxy === null ? messageOf(error) : `${messageOf(error)} (by ${proxy.host})`);
      }
    }
    throw new Error(troubles.join(", "));
  }
}

/** The catalog is there, but cannot make sense of the question, or we of its answer. */
class NotUnderstood extends Error {}

interface Way {
  /** `null`: directly. */
  readonly proxy: URL | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** `http://host:port;DIRECT`; an entry that is neither is left out. */
function proxiesOf(text: string | undefined): (URL | null)[] {
  const words = (text ?? "").split(";").map((word) => word.trim()).filter((word) => word !== "");
  if (words.length === 0) return [null];
  const proxies = words.flatMap((word) => {
    if (word === "DIRECT") return [null];
    const url = URL.parse(word);
    return url?.protocol === "http:" ? [url] : [];
  });
  if (proxies.length > 0) return proxies;
  throw new Error(`HTTP_PROXY is "${text}"; write http://host:port, or DIRECT for none`);
}

/** The body at the end of at most so many redirections. */
async function follow(start: URL, way: Way): Promise<string> {
  let url = start;
  for (let i = 0; i <= redirectsMax; i++) {
    const answer = await get(url, way);
    if (typeof answer === "string") return answer;
    url = answer;
  }
  throw new Error(`it redirects more than ${redirectsMax} times`);
}

/** The body, or where to look for it. */
function get(url: URL, { proxy, headers, signal }: Way): Promise<string | URL> {
  const { promise, resolve, reject } = Promise.withResolvers<string | URL>();
  const { hostname, port } = proxy ?? url;
  const asked = request({
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? 80 : Number(port),
    path: proxy === null ? url.pathname : url.href,
    headers: { ...headers, host: url.host },
    agent: false, // a connection for each question, closed after it
    insecureHTTPParser: true,
    signal,
  }, (response) => {
    const { statusCode = 0, headers: { location } } = response;
    const next = location === undefined ? null : URL.parse(location, url);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    response.on("data", (piece: Uint8Array) => {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > answerBytesMax) asked.destroy(new Error("its answer is too long"));
    });
    response.on("error", reject);
    response.on("end", () => {
      if (statusCode === 200) resolve(new TextDecoder().decode(Buffer.concat(pieces)));
      else if ([301, 302, 303, 307].includes(statusCode) && next?.protocol === "http:") {
        resolve(next);
      } else if (statusCode === 400 || statusCode === 404) {
        reject(new NotUnderstood(`HTTP status ${statusCode}`));
      } else reject(new Error(`HTTP status ${statusCode}`));
    });
  });
  asked.on("error", (error) => reject(signal.aborted ? signal.reason : error));
  asked.end();
  return promise;
}

/** Throws {@link NotUnderstood}. What is no record in the list is left out. */
function recordsOf(text: string): readonly JxObject[] {
  let answer: JxValue;
  try {
    answer = parseJxValue(text);
  } catch (error) {
    const records = readableLines(text);
    if (records.length > 0) return records;
    throw new NotUnderstood(`its answer cannot be read: ${messageOf(error)}`);
  }
  if (!isJxArray(answer)) throw new NotUnderstood("its answer is not a list of records");
  return answer.filter(isJxObject);
}

/** Catalogs write a record a line: one that nobody can read must not hide the others. */
function readableLines(text: string): JxObject[] {
  return text.split("\n").flatMap((line) => {
    try {
      const record = line.startsWith("{") ? parseJxValue(line.replace(/,\r?$/, "")) : null;
      return isJxObject(record ?? undefined) ? [record as JxObject] : [];
    } catch {
      return [];
    }
  });
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** A host that is slower is left out, as in cctools. */
const updateMsMax = 15_000;
const updateBytesDefault = 1200;

export interface UpdateOptions {
  readonly signal: AbortSignal;
  readonly env?: Environment;
  /** Sent in its place where the record is too long for a datagram. */
  readonly lean?: JxObject;
}

/**
 * Sends a record to all catalogs, by TCP, or by UDP where CATALOG_UPDATE_PROTOCOL says so. Resolves
 * with what went wrong at some of them; throws a RunError if it could be sent to none.
 */
export async function sendUpdate(
  catalogs: readonly Address[],
  record: JxObject,
  { signal, env = processEnv, lean }: UpdateOptions,
): Promise<readonly string[]> {
  const udp = env("CATALOG_UPDATE_PROTOCOL")?.toLowerCase() === "udp";
  const payload = udp
    ? await datagramOf(record, lean, Number(env("CATALOG_UPDATE_LIMIT")) || updateBytesDefault)
    : streamOf(record, lean);
  const sent = catalogs.map(async (catalog) => {
    using deadline = new Deadline(updateMsMax, signal);
    try {
      if (udp) await sendDatagram(catalog, payload);
      else await sendStream(catalog, payload, deadline.signal);
      return null;
    } catch (error) {
      signal.throwIfAborted();
      return `${showAddress(catalog)}: ${messageOf(error)}`;
    }
  });
  const troubles = (await Promise.all(sent)).filter((trouble) => trouble !== null);
  if (troubles.length < catalogs.length) return troubles;
  throw new RunError(`no catalog takes the update (${troubles.join("; ")})`);
}

/** Catalogs read until the end, and answer nothing. */
async function sendStream(
  { host, port }: Address,
  payload: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  using conn = await Deno.connect({ hostname: host, port: port + 1, signal });
  const close = () => conn.close();
  signal.addEventListener("abort", close);
  try {
    for (let at = 0; at < payload.length;) at += await conn.write(payload.subarray(at));
  } finally {
    signal.removeEventListener("abort", close);
  }
}

async function sendDatagram({ host, port }: Address, payload: Uint8Array): Promise<void> {
  const { address, family } = await lookup(host);
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) =>
      socket.send(payload, port, address, (error) => error === null ? resolve() : reject(error))
    );
  } finally {
    socket.close();
  }
}

/** cctools' catalogs take no more, and cannot read the rest without its end. */
const streamBytesMax = 1024 ** 2 - 1;

function streamOf(record: JxObject, lean: JxObject | undefined): Uint8Array {
  const payload = encode(record);
  return payload.length > streamBytesMax && lean !== undefined ? encode(lean) : payload;
}

/** What a compressed update begins with. */
const compressedMark = 0x1a;

/** The record if it is short, else compressed, else the lean one, if there is one. */
async function datagramOf(
  record: JxObject,
  lean: JxObject | undefined,
  bytesMax: number,
): Promise<Uint8Array> {
  const plain = encode(record);
  if (plain.length <= bytesMax) return plain;
  const stream = await promisify(deflate)(plain);
  if (lean !== undefined && stream.length + 1 > bytesMax) return encode(lean);
  const marked = new Uint8Array(stream.length + 1);
  marked[0] = compressedMark;
  marked.set(stream, 1);
  return marked;
}

/**
 * In plain letters only: cctools' catalogs write any other as an escape that their own clients
 * refuse, so that one such record makes all the others unreadable for everybody.
 */
function encode(record: JxObject): Uint8Array {
  return new TextEncoder().encode(printJx(record).replace(/\P{ASCII}/gu, "?"));
}

/**
 * The catalogs of `--catalog` or CATALOG_HOST, else those of Work Queue; the port of an entry
 * without one is CATALOG_PORT, else 9097. Throws a UsageError that says where the wrong text stands.
 */
export function catalogsOf(option: string | undefined, env: Environment = processEnv): Address[] {
  const portText = env("CATALOG_PORT");
  const port = portText
    ? naming("environment CATALOG_PORT", () => parsePort(portText))
    : catalogPortDefault;
  // Factories pass an empty list where they were given none.
  const text = option?.trim();
  if (text) return naming("--catalog", () => parseCatalogs(text, port));
  const hosts = env("CATALOG_HOST")?.trim() || catalogsDefault;
  return naming("environment CATALOG_HOST", () => parseCatalogs(hosts, port));
}
