/**
 * Options of a run; keys are those of `Overrides`. They win over the file, but what a task of a
 * list says of itself wins over them.
 */
import { modes, parseMode } from "../core/allocation/mod.ts";
import { UsageError } from "../core/errors.ts";
import { type MonitorMode, monitorModes } from "../core/monitor/mode.ts";
import { didYouMean } from "../core/suggest.ts";
import { parseCount, parsePorts, parseSizeMb } from "../core/units.ts";
import { parseWorkers } from "../manager/schema.ts";
import type { OptionRows } from "./cli.ts";

const atLeastOne = (text: string) => parseCount(text, { min: 1 });
const atLeastNone = (text: string) => parseCount(text, { min: 0 });

export const overrideOptions = {
  output: {
    flags: "    --output FOLDER",
    describe: "write results here",
    defaultShown: "NAME-output",
    parse: (text: string) => {
      if (text === "") throw new UsageError("the name of the folder is empty");
      return text;
    },
    common: true,
  },
  workers: {
    flags: "    --workers N",
    describe: 'start N workers on this machine; "none" waits for others',
    defaultShown: "1, with all cores",
    parse: parseWorkers,
    common: true,
  },
  port: {
    flags: "-p, --port PORT",
    describe: "listen on PORT, or on the first free one of LOW:HIGH; 0 takes any",
    defaultShown: "0",
    parse: parsePorts,
    common: true,
  },
  chunkSize: {
    flags: "    --chunksize N",
    describe: "events in a chunk",
    defaultShown: "100000",
    parse: atLeastOne,
    common: true,
  },
  chunksMax: {
    flags: "    --maxchunks N",
    describe: "process N chunks of each dataset at most, to try an analysis out",
    parse: atLeastOne,
    common: true,
  },
  skipBadFiles: {
    flags: "    --skip-bad-files",
    describe: "leave files out that cannot be read, and list them in report.json",
    common: true,
  },
  x509Proxy: {
    flags: "    --x509-proxy FILE",
    describe: "send this proxy along with files of XRootD; none: send none",
    defaultShown: "$X509_USER_PROXY or x509up_uUID",
    parse: (text: string) => text,
    group: "Tasks",
  },
  retries: {
    flags: "    --retries N",
    describe: "try a failed task N times again",
    defaultShown: "5; in a list of tasks 0",
    parse: atLeastNone,
    group: "Tasks",
  },
  cores: {
    flags: "    --cores N",
    describe: "cores of a task",
    parse: atLeastOne,
    group: "Tasks",
  },
  memoryMb: {
    flags: "    --memory SIZE",
    describe: "memory of a task; a bare number is MB",
    parse: parseSizeMb,
    group: "Tasks",
  },
  diskMb: {
    flags: "    --disk SIZE",
    describe: "disk space of a task; a bare number is MB",
    parse: parseSizeMb,
    group: "Tasks",
  },
  gpus: {
    flags: "    --gpus N",
    describe: "GPUs of a task",
    parse: atLeastNone,
    group: "Tasks",
  },
  resourceMode: {
    flags: "    --resource-mode MODE",
    describe: `how much tasks are given: ${modes.join(", ")}`,
    defaultShown: "adaptive",
    parse: parseMode,
    group: "Tasks",
  },
  monitor: {
    flags: "    --monitor MODE",
    describe:
      '"watchdog" ends tasks that use more than they were given, "measure" only measures, ' +
      '"off" does neither; given, workers that are not of wqx are sent the monitor',
    defaultShown: "watchdog; measure with --resource-mode fixed",
    parse: parseMonitorMode,
    group: "Tasks",
  },
} satisfies OptionRows;

function parseMonitorMode(text: string): MonitorMode {
  const mode = monitorModes.find((one) => one === text);
  if (mode !== undefined) return mode;
  const hint = didYouMean(text, monitorModes) || `: it can be ${monitorModes.join(", ")}`;
  throw new UsageError(`"${text}" is not a way to monitor${hint}`);
}
