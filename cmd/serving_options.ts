/** Options on how a manager serves its workers; keys are those of `ServingOptions`. */
import { parseConnectionMode } from "../core/catalog/selection.ts";
import { UsageError } from "../core/errors.ts";
import type { OptionRows } from "./cli.ts";

const group = "Workers";
const found = "Being found";
const path = (text: string) => text;

/** Catalogs of cctools make any other letter unreadable, and the records of all others with it. */
const plainName = /^[\x20-\x7e]{1,200}$/;

export const servingOptions = {
  project: {
    flags: "-M, --manager-name NAME",
    describe: "advertise the manager in the catalog under this project name, by which workers, " +
      "factories and wqx status find it",
    parse: projectName,
    common: true,
  },
  catalogs: {
    flags: "-C, --catalog HOST[:PORT],…",
    describe: "with -M, the catalogs to tell; the port is CATALOG_PORT, else 9097",
    parse: (text: string) => text,
    defaultShown: "those of Notre Dame",
    env: "CATALOG_HOST",
    group: found,
  },
  preferredConnection: {
    flags: "    --preferred-connection MODE",
    describe: "with -M, workers connect by_ip, by_hostname or by_apparent_ip",
    parse: parseConnectionMode,
    defaultShown: "by_ip",
    group: found,
  },
  portFile: {
    flags: "-Z, --port-file FILE",
    describe: "write the port that the manager listens on to FILE",
    parse: path,
    group: found,
  },
  password: {
    flags: "-P, --password FILE",
    describe: "workers have to know the password in FILE; all of it counts, a line end too",
    parse: path,
    group,
  },
  ssl: {
    flags: "    --ssl",
    describe: "nothing but TLS; workers of Work Queue take --ssl as well",
    group,
  },
  plain: {
    flags: "    --plain",
    describe: "no TLS, not even for workers of wqx that ask for it",
    group,
  },
  sslKey: { flags: "    --ssl-key FILE", describe: "TLS with this key (PEM)", parse: path, group },
  sslCert: {
    flags: "    --ssl-cert FILE",
    describe: "the certificate (PEM) of --ssl-key",
    parse: path,
    group,
  },
  fastAbort: {
    flags: "-F, --fast-abort FACTOR",
    describe: "a task FACTOR times slower than the average of its category gets a second copy on " +
      "another worker; the first result wins",
    parse: factor,
    group,
  },
} satisfies OptionRows;

function projectName(text: string): string {
  const name = text.trim();
  if (plainName.test(name)) return name;
  throw new UsageError(`"${text}" is no project name: it is plain letters, 1 to 200 of them`);
}

function factor(text: string): number {
  const value = Number(text);
  if (!(value > 1 && Number.isFinite(value))) {
    throw new UsageError(`"${text}" is not a factor above 1, such as 2.5`);
  }
  return value;
}
