/** The log of `-d`, `-o` and `--debug-rotate-max`, which most programs of cctools have. */
import { messageOf, UsageError } from "../core/errors.ts";
import { DebugLog } from "../io/log.ts";
import type { OptionRows } from "./cli.ts";

/** For commands that talk to catalogs and do little else. */
export const debugOptions = {
  debug: {
    flags: "-d, --debug SUBSYSTEM",
    describe: "log what happens in http, or in all",
    parse: (text: string) => text,
    repeatable: true,
    group: "Finding the cause of trouble",
  },
  debugFile: {
    flags: "-o, --debug-file FILE",
    describe: "log there; :stderr and :stdout are the streams",
    parse: (text: string) => text,
    default: ":stderr",
    group: "Finding the cause of trouble",
  },
} satisfies OptionRows;

export interface DebugLogWanted {
  readonly debug: readonly string[];
  readonly debugFile: string;
  /** Bytes; 0: the log grows for ever. */
  readonly debugRotateMax?: number;
}

/** Throws a UsageError if the file cannot be written. */
export function openLog(wanted: DebugLogWanted, program: string): DebugLog {
  const { debug, debugFile, debugRotateMax = 0 } = wanted;
  try {
    return new DebugLog({
      subsystems: debug,
      file: debugFile,
      rotateBytes: debugRotateMax,
      program,
    });
  } catch (error) {
    throw new UsageError(`Cannot write the log to ${debugFile}: ${messageOf(error)}`);
  }
}
