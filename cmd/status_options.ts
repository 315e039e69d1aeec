/**
 * Options of `wqx status`: those of Work Queue's status with its letters and defaults, and a few of
 * our own. Keys of the tables are those of `tables` in the core.
 */
import { UsageError } from "../core/errors.ts";
import type { TableName } from "../core/status/tables.ts";
import { parseTimeMs } from "../core/units.ts";
import { type OptionRows, versionOption } from "./cli.ts";
import { httpDebugOptions, rotateOption } from "./debug_log.ts";
import {
  catalogsRow,
  filled,
  parseExpression,
  parseProject,
  timeAtLeast,
} from "./option_values.ts";

const tableGroup = "Tables of work_queue_status";

/** Faster looks cost managers more than they tell people. */
const intervalMsMin = 200;

/** Where managers are found, and how they are asked. */
export const askingOptions = {
  project: {
    flags: "-M, --project-name REGEX",
    describe: "managers whose whole project name matches, found in the catalog",
    parse: parseProject,
    common: true,
  },
  catalogs: {
    flags: "-C, --catalog HOST[:PORT],…",
    ...catalogsRow,
    common: true,
  },
  password: {
    flags: "-P, --password FILE",
    describe: "the file with the password of the managers that are asked",
    parse: filled("the name of the file"),
    common: true,
  },
  ssl: { flags: "    --ssl", describe: "speak TLS with managers", common: true },
  timeout: {
    flags: "-t, --timeout TIME",
    describe: "give up after so long without an answer",
    parse: parseTimeMs,
    default: 30_000,
    defaultShown: "30s",
    group: "Asking",
  },
} satisfies OptionRows;

export const statusOptions = {
  ...askingOptions,
  once: { flags: "    --once", describe: "print tables and end, also on a terminal", common: true },
  json: {
    flags: "    --json",
    describe: "print records as JSON, a line each, and end",
    common: true,
  },
  interval: {
    flags: "    --interval TIME",
    describe: "look anew so often",
    parse: timeAtLeast(intervalMsMin),
    default: 2000,
    defaultShown: "2s",
    common: true,
  },
  where: {
    flags: "    --where EXPR",
    describe: "only records for which the JX expression is true",
    parse: parseExpression,
    group: "Asking",
  },
  statistics: {
    flags: "-Q, --statistics",
    describe: "managers and their tasks",
    group: tableGroup,
  },
  tasks: { flags: "-T, --tasks", describe: "tasks of one manager", group: tableGroup },
  workers: { flags: "-W, --workers", describe: "workers of one manager", group: tableGroup },
  ableWorkers: {
    flags: "-A, --able-workers",
    describe: "categories of one manager, and the workers that could run their largest task",
    group: tableGroup,
  },
  resources: {
    flags: "-R, --resources",
    describe: "what the workers of managers have, and how much of it is in use",
    group: tableGroup,
  },
  capacity: {
    flags: "    --capacity",
    describe: "how many workers managers could feed",
    group: tableGroup,
  },
  verbose: {
    flags: "-l, --verbose",
    describe: "records as the manager or catalog writes them, in place of the table",
    group: tableGroup,
  },
  ...httpDebugOptions,
  debugRotateMax: rotateOption("-O, --debug-rotate-max BYTES"),
  version: versionOption,
} satisfies OptionRows;

type TableSwitches = Readonly<Record<TableName, boolean>>;

const letters: Readonly<Record<TableName, string>> = {
  statistics: "-Q",
  tasks: "-T",
  workers: "-W",
  ableWorkers: "-A",
  resources: "-R",
  capacity: "--capacity",
};

/** The table that is asked for; `null`: none. Throws a UsageError for two at once. */
export function chosenTable(options: TableSwitches): TableName | null {
  const chosen = (Object.keys(letters) as TableName[]).filter((name) => options[name]);
  const [first, second] = chosen;
  if (second !== undefined) {
    throw new UsageError(
      `${letters[first!]} and ${letters[second]} are mutually exclusive: one table at a time`,
    );
  }
  return first ?? null;
}
