/** Recorded tasks: a CSV file with the columns `category,cores,memory,disk,wall_time`. */
import { CsvError, parse } from "csv-parse/sync";
import { UsageError } from "../../core/errors.ts";
import type { Resources } from "../../core/resources.ts";
import { didYouMean } from "../../core/suggest.ts";
import type { ArenaTask } from "./task_sets.ts";

/** Memory and disk in MB, wall time in seconds. */
const columns = ["category", "cores", "memory", "disk", "wall_time"] as const;
type Column = typeof columns[number];

interface Row {
  readonly record: Readonly<Record<string, string>>;
  readonly info: { readonly lines: number };
}

/**
 * The tasks of a trace in the order of its lines; more columns may be there. Throws a UsageError
 * that names file, line and column of what cannot be read or run on `node`.
 */
export function parseTrace(text: string, file: string, node: Resources): ArenaTask[] {
  const rows = rowsOf(text, file);
  if (rows.length === 0) throw new UsageError(`${file}: there is no task in it`);
  return rows.map(({ record, info: { lines } }) => {
    const refuse = (column: Column, why: string): UsageError =>
      new UsageError(`${file}, line ${lines}, column ${column}: ${why}`);
    const number = (column: Exclude<Column, "category">, most = Infinity): number => {
      const written = record[column]!.trim();
      const value = Number(written);
      if (written === "" || !Number.isFinite(value)) {
        throw refuse(column, `"${written}" is not a number`);
      }
      if (value < 0) throw refuse(column, `${written} is negative`);
      if (value > most) throw refuse(column, `${written} is more than the ${most} of a node`);
      return value;
    };
    const category = record.category!.trim();
    if (category === "") throw refuse("category", "it is empty");
    return {
      category,
      // Part of a core is a core to a scheduler.
      cores: Math.max(1, Math.ceil(number("cores", node.cores))),
      memoryMb: number("memory", node.memoryMb),
      diskMb: number("disk", node.diskMb),
      wallMs: 1000 * number("wall_time"),
    };
  });
}

function rowsOf(text: string, file: string): Row[] {
  const checkHeader = (found: string[]): string[] => {
    const header = found.map((name) => name.trim());
    for (const name of columns) {
      if (header.includes(name)) continue;
      const others = header.filter((other) => !(columns as readonly string[]).includes(other));
      const meant = others.find((other) => didYouMean(other, [name]) !== "");
      const hint = meant === undefined ? `it needs ${columns.join(",")}` : `is it "${meant}"?`;
      throw new UsageError(`${file}, line 1: there is no column "${name}": ${hint}`);
    }
    return header;
  };
  try {
    return parse(text, {
      bom: true,
      columns: checkHeader,
      info: true,
      skip_empty_lines: true,
    }) as unknown as Row[];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new UsageError(`${file}, line ${String(error.lines)}: ${describe(error)}`);
  }
}

/** The two that happen, in words; others as the library says them. */
function describe(error: CsvError): string {
  switch (error.code) {
    case "CSV_RECORD_INCONSISTENT_COLUMNS": {
      const { columns, record } = error as unknown as Record<"columns" | "record", unknown[]>;
      return `it has ${record.length} columns, and the first line has ${columns.length}`;
    }
    case "CSV_QUOTE_NOT_CLOSED":
      return "a quotation mark is not closed";
    default:
      return error.message;
  }
}
