/** Options on how a manager serves its workers; keys are those of `ServingOptions`. */
import { UsageError } from "../core/errors.ts";
import type { OptionRows } from "./cli.ts";

const group = "Workers";
const path = (text: string) => text;

export const servingOptions = {
  password: {
    flags: "-P, --password FILE",
    describe: "workers have to know the password in FILE; all of it counts, a line end too",
    parse: path,
    group,
  },
  ssl: {
    flags: "    --ssl",
    describe: "TLS with a certificate made for this run; workers take --ssl as well",
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

function factor(text: string): number {
  const value = Number(text);
  if (!(value > 1 && Number.isFinite(value))) {
    throw new UsageError(`"${text}" is not a factor above 1, such as 2.5`);
  }
  return value;
}
