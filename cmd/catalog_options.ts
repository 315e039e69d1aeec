/** Options of `wqx catalog`: those of catalog_server, with its letters and defaults. */
import { parseCatalogs } from "../core/addresses.ts";
import { tableLimitsDefault } from "../core/catalog/table.ts";
import { UsageError } from "../core/errors.ts";
import { parseCount, parsePorts, parseTimeMs } from "../core/units.ts";
import type { OptionRow, OptionRows } from "./cli.ts";

/** Work Queue's programs ask there. */
export const portDefault = 9097;

const listening = {
  port: {
    flags: "-p, --port PORT",
    describe: "listen there, by UDP too, and on the next port for updates by TCP; 0 is a free one",
    parse: parsePort,
    defaultShown: String(portDefault),
    common: true,
  },
  portFile: {
    flags: "-Z, --port-file FILE",
    describe: "choose a free port and write its number to FILE",
    parse: filled("the name of the file"),
    common: true,
  },
  interface: {
    flags: "-I, --interface ADDRESS",
    describe: "listen only on this address of the machine",
    parse: filled("the address"),
    defaultShown: "all; IPv6 too where CCTOOLS_IP_MODE=AUTO",
    group: "Listening",
  },
  sslPort: {
    flags: "-P, --ssl-port PORT",
    describe: "answer by HTTPS there; needs --ssl-cert and --ssl-key",
    parse: parsePort,
    group: "Listening",
  },
  sslPortFile: {
    flags: "    --ssl-port-file FILE",
    describe: "choose a free port for HTTPS and write its number to FILE",
    parse: filled("the name of the file"),
    group: "Listening",
  },
  sslCert: {
    flags: "-C, --ssl-cert FILE",
    describe: "the certificate (PEM)",
    parse: filled("the name of the file"),
    group: "Listening",
  },
  sslKey: {
    flags: "-K, --ssl-key FILE",
    describe: "its key (PEM)",
    parse: filled("the name of the file"),
    group: "Listening",
  },
} satisfies OptionRows;

const records = {
  lifetime: {
    flags: "-l, --lifetime TIME",
    describe: "forget who has not been heard of for so long",
    parse: parsePositiveTimeMs,
    default: tableLimitsDefault.lifetimeMs,
    defaultShown: "30m",
    common: true,
  },
  history: {
    flags: "-H, --history FOLDER",
    describe: "keep what happened there; a catalog that is started again knows it",
    parse: filled("the name of the folder"),
    defaultShown: "$XDG_STATE_HOME/wqx/catalog",
    common: true,
  },
  updateLog: {
    flags: "-L, --update-log FILE",
    describe: "add each new record to FILE, as a line of JSON",
    parse: filled("the name of the file"),
    group: "Records",
  },
  serverSize: {
    flags: "-M, --server-size SIZE",
    describe: "do not believe storage servers that they are larger; 500G, 2T",
    parse: parseBytes,
    group: "Records",
  },
} satisfies OptionRows;

const answers = {
  timeout: {
    flags: "-T, --timeout TIME",
    describe: "longest time for one answer",
    parse: parsePositiveTimeMs,
    default: 60_000,
    defaultShown: "60s",
    group: "Answers",
  },
  streamingTimeout: {
    flags: "-Q, --streaming-timeout TIME",
    describe: "longest time for a stream: updates of the past, or a page that is kept up to date",
    parse: parsePositiveTimeMs,
    default: 3_600_000,
    defaultShown: "1h",
    group: "Answers",
  },
  maxJobs: {
    flags: "-m, --max-jobs N",
    describe: "work on so many questions into the past at once; others wait",
    parse: (text: string) => parseCount(text, { min: 1 }),
    default: 50,
    group: "Answers",
  },
} satisfies OptionRows;

const presenting = {
  name: {
    flags: "-n, --name NAME",
    describe: "host name under which others find this catalog",
    parse: filled("the name"),
    defaultShown: "that of the machine",
    group: "Other catalogs",
  },
  updateHosts: {
    flags: "-u, --update-host HOST",
    describe: "tell the catalog on HOST[:PORT] of this one",
    parse: (text: string) => parseCatalogs(text),
    defaultShown: "none",
    repeatable: true,
    group: "Other catalogs",
  },
  updateInterval: {
    flags: "-U, --update-interval TIME",
    describe: "how often",
    parse: parsePositiveTimeMs,
    default: 300_000,
    defaultShown: "5m",
    group: "Other catalogs",
  },
} satisfies OptionRows;

const running = {
  background: {
    flags: "-b, --background",
    describe: "leave the terminal as soon as it listens",
    group: "Running",
  },
  pidFile: {
    flags: "-B, --pid-file FILE",
    describe: "with --background, write the number of the process to FILE",
    parse: filled("the name of the file"),
    group: "Running",
  },
  debug: {
    flags: "-d, --debug SUBSYSTEM",
    describe: "log what happens in tcp, udp, http, catalog, or in all",
    parse: filled("the name of the subsystem"),
    repeatable: true,
    group: "Running",
  },
  debugFile: {
    flags: "-o, --debug-file FILE",
    describe: "log there; :stderr and :stdout are the streams",
    parse: filled("the name of the file"),
    default: ":stderr",
    group: "Running",
  },
  debugRotateMax: {
    flags: "-O, --debug-rotate-max BYTES",
    describe: "begin a new log at this size and keep one old; 0 never does",
    parse: parseBytes,
    default: 10n * 1024n ** 2n,
    defaultShown: "10M",
    group: "Running",
  },
  version: { flags: "-v, --version", describe: "print the version", group: "General" },
} satisfies OptionRows;

const ignored = {
  single: {
    flags: "-S, --single",
    describe: "one process answers all questions anyway",
    group: "Taken from scripts, without effect here",
  },
} satisfies OptionRows;

export const catalogOptions = {
  ...listening,
  ...records,
  ...answers,
  ...presenting,
  ...running,
  ...ignored,
} as const satisfies OptionRows;

/** A line for each option given that does nothing here. */
export function ignoredNotes(options: Readonly<Record<string, unknown>>): string[] {
  const rows: Readonly<Record<string, OptionRow>> = ignored;
  return Object.entries(rows).flatMap(([key, { flags, describe }]) =>
    options[key] === true ? [`${/--[a-z-]+/.exec(flags)?.[0]} has no effect here: ${describe}`] : []
  );
}

function filled(what: string): (text: string) => string {
  return (text) => {
    if (text.trim() === "") throw new UsageError(`${what} is empty`);
    return text;
  };
}

/** One port, 0 included. */
function parsePort(text: string): number {
  const { low, high } = parsePorts(text);
  if (low !== high) throw new UsageError(`"${text}" is not a port but a range: one is needed here`);
  return low;
}

function parsePositiveTimeMs(text: string): number {
  const ms = parseTimeMs(text);
  if (ms <= 0) throw new UsageError(`"${text}" is no time to wait: write 90s, 5m or 1h`);
  return ms;
}

function parseBytes(text: string): bigint {
  const [, digits, unit = ""] = /^\s*(\d{1,18})\s*([KMGTP]?)B?\s*$/i.exec(text) ?? [];
  if (digits === undefined) {
    throw new UsageError(`"${text}" is no number of bytes: write 500000, 10M or 2T`);
  }
  return BigInt(digits) * 1024n ** BigInt(" KMGTP".indexOf(unit.toUpperCase() || " "));
}
