/** Options of `wqx catalog`: those of catalog_server, with its letters and defaults. */
import { parseCatalogs } from "../core/addresses.ts";
import { tableLimitsDefault } from "../core/catalog/table.ts";
import { UsageError } from "../core/errors.ts";
import { parseCount, parsePortOrAny, parseTimeMs } from "../core/units.ts";
import { type OptionRows, versionOption } from "./cli.ts";
import { debugOptions, rotateOption } from "./debug_log.ts";
import { filled, ignoredGroup, parseBytes } from "./option_values.ts";

/** Work Queue's programs ask there. */
export const portDefault = 9097;

const listening = {
  port: {
    flags: "-p, --port PORT",
    describe: "listen there, by UDP too, and on the next port for updates by TCP; 0 is a free one",
    parse: parsePortOrAny,
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
  token: {
    flags: "    --token FILE",
    describe: "show pages and the JSON interface only to who knows the token in FILE, 16 letters " +
      "or more: ?token=… in the address once; questions of Work Queue's programs need none",
    parse: filled("the name of the file"),
    group: "Listening",
  },
  sslPort: {
    flags: "-P, --ssl-port PORT",
    describe: "answer by HTTPS there; needs --ssl-cert and --ssl-key",
    parse: parsePortOrAny,
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
  ...debugOptions("log what happens in tcp, udp, http, catalog, or in all"),
  debugRotateMax: rotateOption("-O, --debug-rotate-max BYTES"),
  version: versionOption,
} satisfies OptionRows;

/** Taken from scripts. */
export const ignoredOptions = {
  single: {
    flags: "-S, --single",
    describe: "one process answers all questions anyway",
    group: ignoredGroup,
  },
} satisfies OptionRows;

export const catalogOptions = {
  ...listening,
  ...records,
  ...answers,
  ...presenting,
  ...running,
  ...ignoredOptions,
} as const satisfies OptionRows;

function parsePositiveTimeMs(text: string): number {
  const ms = parseTimeMs(text);
  if (ms <= 0) throw new UsageError(`"${text}" is no time to wait: write 90s, 5m or 1h`);
  return ms;
}
