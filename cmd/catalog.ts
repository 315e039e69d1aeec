/** `wqx catalog`, also known as `catalog_server` */
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { tableLimitsDefault } from "../core/catalog/table.ts";
import { type Address, isLoopback, showAddress } from "../core/addresses.ts";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import type { JxObject } from "../core/jx/value.ts";
import { CatalogServer } from "../catalog/serve.ts";
import { CatalogStore } from "../catalog/store.ts";
import { sendUpdate } from "../io/catalog_client.ts";
import { ignoring, type NumberedSignal, stopSignal } from "../io/signals.ts";
import { readToken } from "../io/handshake.ts";
import { stateFolder } from "../io/state_folder.ts";
import { readIdentity, type TlsIdentity } from "../io/tls_identity.ts";
import { Background, startInBackground } from "./background.ts";
import { catalogOptions, ignoredOptions, portDefault } from "./catalog_options.ts";
import { defineCommand, type OptionsOf } from "./cli.ts";
import { version } from "./commands.ts";
import { openLog } from "./debug_log.ts";
import { ignoredNotes } from "./option_values.ts";

const stoppingSignals: readonly NumberedSignal[] = ["SIGTERM", "SIGINT", "SIGQUIT"];

type Options = OptionsOf<typeof catalogOptions>;

export const command = defineCommand({
  name: "catalog",
  purpose: "Know who runs: managers and factories tell it, workers and people ask it.",
  usage: ["[options]"],
  examples: [
    ["catalog", `listen on port ${portDefault}, for this machine and all others`],
    ["catalog -p 9500 -H history", "elsewhere, with its history in the folder history"],
  ],
  arguments: {},
  options: catalogOptions,
  async run({ options, terminal, program }) {
    const asOriginal = program === "catalog_server";
    const history = options.history ??
      (asOriginal ? "catalog.history" : join(stateFolder(), "catalog"));
    const background = Background.here();
    if (options.background && background === null) {
      // What has been said already need not be said again by the second process.
      const pid = await startInBackground(["catalog", ...Deno.args.slice(asOriginal ? 0 : 1)]
        .concat("--history", resolve(history)));
      if (options.pidFile !== undefined) writeFile(options.pidFile, String(pid));
      return 0;
    }
    const hostname = hostnameOf(options);
    const tls = await tlsOf(options);
    using log = openLog(options, program);
    const note = (line: string) => {
      log.write("catalog", line);
      if (background === null) terminal.stderr.write(`${line}\n`);
    };
    ignoredNotes(ignoredOptions, options).forEach(note);
    const token = options.token === undefined ? null : await readToken(options.token, note);
    using stop = stopSignal({
      signals: stoppingSignals,
      withParent: false,
      reason: (name) => name,
    });
    using _hangup = ignoring("SIGHUP");
    const startedMs = Date.now();
    using store = await CatalogStore.open({
      history,
      limits: { ...tableLimitsDefault, lifetimeMs: options.lifetime },
      serverBytesMax: options.serverSize === undefined ? null : BigInt(options.serverSize),
      updateLog: options.updateLog ?? null,
      nowMs: Date.now,
      note,
    });
    const name = options.name ?? Deno.hostname();
    await using server = await CatalogServer.start({
      store,
      facts: { name, version, startedMs, lifetimeMs: options.lifetime, nowMs: Date.now },
      hostname,
      port: options.port ?? (options.portFile === undefined ? portDefault : 0),
      tls,
      token,
      timeoutMs: options.timeout,
      streamTimeoutMs: options.streamingTimeout,
      historyJobsMax: options.maxJobs,
      debug: (subsystem, line) => log.write(subsystem, line),
      note,
    });
    if (options.portFile !== undefined) writeFile(options.portFile, `${server.port}\n`);
    if (options.sslPortFile !== undefined) writeFile(options.sslPortFile, `${server.tlsPort}\n`);
    background?.ready();
    const here = showAddress({ host: name, port: server.port });
    if (!asOriginal) {
      welcome(here, server.tlsPort, resolve(history)).forEach(note);
      if (token === null && !isLoopback(hostname)) note(openPages);
    }
    await using _advertising = advertise(
      options.updateHosts.flat(),
      options.updateInterval,
      selfRecord(here, server.port, startedMs),
      note,
    );
    await stopped(stop.signal);
    return 0;
  },
});

const openPages =
  "Everybody who can reach it sees its pages: --token FILE lets in those who know " +
  "what is in FILE, -I 127.0.0.1 nobody from elsewhere.";

/** What to type next. */
function welcome(here: string, tlsPort: number | null, history: string): string[] {
  return [
    `The catalog listens: http://${here}/${tlsPort === null ? "" : ` (HTTPS on port ${tlsPort})`}`,
    `  managers  wqx manager ANALYSIS.yaml -M NAME -C ${here}`,
    `  workers   wqx worker -M NAME -C ${here}`,
    `  look      wqx status -C ${here}`,
    `Its history is in ${history}. Ctrl-C stops it.`,
  ];
}

async function tlsOf(
  { sslPort, sslPortFile, sslKey: key, sslCert: certificate }: Options,
): Promise<{ readonly port: number; readonly identity: TlsIdentity } | null> {
  const asked = sslPort !== undefined || sslPortFile !== undefined;
  if (!asked && key === undefined && certificate === undefined) return null;
  if (key === undefined || certificate === undefined) {
    throw new UsageError("HTTPS needs both a certificate (--ssl-cert) and its key (--ssl-key)");
  }
  if (!asked) throw new UsageError("Say on which port to answer by HTTPS: --ssl-port PORT");
  return { port: sslPort ?? 0, identity: await readIdentity(key, certificate) };
}

function hostnameOf({ interface: address }: Options): string {
  if (address !== undefined) return address;
  const mode = (Deno.env.get("CCTOOLS_IP_MODE") || "IPV4").toUpperCase();
  if (mode === "IPV4") return "0.0.0.0";
  if (mode === "AUTO" || mode === "IPV6") return "::";
  throw new UsageError(`environment CCTOOLS_IP_MODE: "${mode}" is none of AUTO, IPV4 and IPV6`);
}

function writeFile(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text);
  } catch (error) {
    throw new RunError(`Cannot write ${path}: ${messageOf(error)}`);
  }
}

/** What other catalogs are told of this one. */
function selfRecord(here: string, port: number, startedMs: number): JxObject {
  return new Map<string, string | bigint>([
    ["type", "catalog"],
    ["version", version],
    ["owner", userInfo().username],
    ["starttime", BigInt(Math.floor(startedMs / 1000))],
    ["port", BigInt(port)],
    ["url", `http://${here}`],
  ]);
}

/** Tells those catalogs now and again; trouble is said once, until one of them listens again. */
function advertise(
  catalogs: readonly Address[],
  everyMs: number,
  record: JxObject,
  note: (line: string) => void,
): AsyncDisposable {
  const ending = new AbortController();
  let troubled = false;
  const tell = async () => {
    try {
      await sendUpdate(catalogs, record, { signal: ending.signal });
      troubled = false;
    } catch (error) {
      if (!troubled && !ending.signal.aborted) note(messageOf(error));
      troubled = true;
    }
  };
  if (catalogs.length === 0) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  let telling = tell();
  const timer = setInterval(() => telling = tell(), everyMs);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      ending.abort();
      await telling;
    },
  };
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
