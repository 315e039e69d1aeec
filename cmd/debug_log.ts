/** The log of `-d`, `-o` and `--debug-rotate-max`, which most programs of cctools have. */
import { messageOf, UsageError } from "../core/errors.ts";
import { DebugLog } from "../io/log.ts";
import type { ValueRow } from "./cli.ts";
import { filled, parseBytes } from "./option_values.ts";

const group = "Finding the cause of trouble";

interface SubsystemsRow extends ValueRow {
  readonly parse: (text: string) => string;
  readonly repeatable: true;
}

interface FileRow extends ValueRow {
  readonly parse: (text: string) => string;
  readonly default: string;
}

interface BytesRow extends ValueRow {
  readonly parse: (text: string) => number;
  readonly default: number;
}

/** `describe`: which subsystems there are. */
export function debugOptions(
  describe: string,
): { readonly debug: SubsystemsRow; readonly debugFile: FileRow } {
  return {
    debug: {
      flags: "-d, --debug SUBSYSTEM",
      describe,
      parse: filled("the name of the subsystem"),
      repeatable: true,
      group,
    },
    debugFile: {
      flags: "-o, --debug-file FILE",
      describe: "log there; :stderr and :stdout are the streams",
      parse: filled("the name of the file"),
      default: ":stderr",
      group,
    },
  };
}

/** Of commands that talk to catalogs and do little else. */
export const httpDebugOptions = debugOptions("log what happens in http, or in all");

/** For commands that run for long; the letter is not the same in all of them. */
export function rotateOption(flags: string): BytesRow {
  return {
    flags,
    describe: "begin a new log at this size and keep one old; 0 never does",
    parse: parseBytes,
    default: 10 * 1024 ** 2,
    defaultShown: "10M",
    group,
  };
}

export interface DebugLogWanted {
  readonly debug: readonly string[];
  readonly debugFile: string;
  /** Bytes; 0: the log grows for ever. */
  readonly debugRotateMax?: number;
}

/** Throws a UsageError if the file cannot be written. */
export function openLog(wanted: DebugLogWanted, program: string): DebugLog {
  const { debug: subsystems, debugFile: file, debugRotateMax: rotateBytes = 0 } = wanted;
  try {
    return new DebugLog({ subsystems, file, rotateBytes, program });
  } catch (error) {
    throw new UsageError(`Cannot write the log to ${file}: ${messageOf(error)}`);
  }
}
