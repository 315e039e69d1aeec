/** Options on runs that were not finished. */
import { resolve } from "node:path";
import type { Resuming } from "../manager/analysis_journal.ts";
import { fsyncModes, parseFsync } from "../manager/journal.ts";
import { UsageError } from "../core/errors.ts";
import type { OptionRows, OptionsOf } from "./cli.ts";

const group = "Unfinished runs";

/** As a folder that was given with --output. */
const folder = (text: string) => {
  if (text === "") throw new UsageError("the name of the folder is empty");
  return resolve(text);
};

export const resumeOptions = {
  resume: {
    flags: "    --resume RUN",
    describe: "go on with the unfinished run in the folder RUN; FILE need not be given",
    parse: folder,
    common: true,
  },
  onlyMissing: {
    flags: "    --only-missing RUN",
    describe: "the same, also with what failed for good or was left out",
    parse: folder,
    group,
  },
  accumulateNow: {
    flags: "    --accumulate-now RUN",
    describe: "merge what an analysis has so far into RUN/so-far, whether it is running or not",
    parse: folder,
    group,
  },
  fresh: {
    flags: "    --fresh",
    describe: "begin anew, although the output folder holds an unfinished run",
    group,
  },
  fsync: {
    flags: "    --fsync MODE",
    describe: `when results are brought to disk: ${fsyncModes.join(", ")}; a power cut loses ` +
      "what was not",
    parse: parseFsync,
    defaultShown: "interval",
    group,
  },
} satisfies OptionRows;

export type ResumeOptions = OptionsOf<typeof resumeOptions>;

/** Options that say something of this command only, not of the run. */
const ofCommand = ["json", "quiet", "help", "helpAll", "noColor", "api", "output"];
/** Files, relative to where the command is run. */
const paths = ["password", "sslKey", "sslCert", "portFile", "x509Proxy"];

/** What a resume of the run is to know of this command line. */
export function remembered(options: object): Record<string, unknown> {
  const entries = Object.entries(options).filter(([key, value]) =>
    value !== undefined && value !== false && !(key in resumeOptions) && !ofCommand.includes(key)
  );
  return Object.fromEntries(entries.map(([key, value]) => {
    const isPath = paths.includes(key) && typeof value === "string" && value !== "none";
    return [key, isPath ? resolve(value) : value];
  }));
}

/** What was said when the run began; what is said now wins. */
export function recalled<O extends object>(options: O, before: Record<string, unknown>): O {
  const given = Object.entries(options).filter(([, value]) =>
    value !== undefined && value !== false
  );
  return { ...options, ...before, ...Object.fromEntries(given) };
}

export function resumingOf(
  how: Resuming["how"],
  { fsync, ...options }: Pick<ResumeOptions, "fsync">,
): Resuming {
  return { how, fsync: fsync ?? "interval", options: remembered(options) };
}
