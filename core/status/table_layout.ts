/**
 * Tables as Work Queue's status prints them, to the last blank: scripts cut them by columns.
 * Some columns share what the window has beyond their sum; of those that do not fit, the last go.
 */
import { printJx } from "../jx/print.ts";
import { type JxObject, numberOf } from "../jx/value.ts";

export interface TableColumn {
  /** Of the record. */
  readonly key: string;
  readonly title: string;
  readonly align: "left" | "right";
  /** Characters; of a column that grows, the least. */
  readonly width: number;
  readonly grows?: boolean;
  /** The value is MB and shown as whole GB. */
  readonly gigabytes?: boolean;
}

/** What a record says nothing of. */
const unknown = "???";

/** The head and a line a record, each of whose cells is followed by a blank. */
export function tableText(
  columns: readonly TableColumn[],
  records: readonly JxObject[],
  width: number,
): string {
  const shown = laidOut(columns, width);
  const line = (textOf: (column: TableColumn) => string) =>
    shown.map(({ column, width }) => `${fitted(textOf(column), column, width)} `).join("") + "\n";
  const head = line(({ title }) => title.toUpperCase());
  return head + records.map((record) => line((column) => cellOf(record, column))).join("");
}

interface Laid {
  readonly column: TableColumn;
  readonly width: number;
}

/** A column is shown while one character of the window is left after it, the first one always. */
function laidOut(columns: readonly TableColumn[], windowWidth: number): Laid[] {
  const total = columns.reduce((sum, { width }) => sum + width + 1, 0);
  const growing = columns.filter(({ grows }) => grows).length;
  const extra = growing === 0 ? 0 : Math.floor(Math.max(0, windowWidth - total) / growing);
  let left = Math.min(total, windowWidth);
  const shown: Laid[] = [];
  for (const [i, column] of columns.entries()) {
    if (i > 0) left -= column.width + 1;
    if (left < 1) break;
    shown.push({ column, width: column.width + (column.grows ? extra : 0) });
  }
  return shown;
}

/** Numbers keep their last digits, words their first letters. */
function fitted(text: string, { align }: TableColumn, width: number): string {
  const letters = [...text];
  return align === "left"
    ? letters.slice(0, width).join("") + " ".repeat(Math.max(0, width - letters.length))
    : " ".repeat(Math.max(0, width - letters.length)) +
      letters.slice(Math.max(0, letters.length - width)).join("");
}

function cellOf(record: JxObject, { key, gigabytes }: TableColumn): string {
  if (gigabytes) return wholeGigabytes(Math.trunc(numberOf(record, key)));
  const value = record.get(key);
  if (value === undefined) return unknown;
  return printable(typeof value === "string" ? value : printJx(value));
}

/** To one decimal, of which the whole part is shown: 1,000 MB are 1, 500 MB are 0. */
function wholeGigabytes(mb: number): string {
  return (mb / 1024).toFixed(1).split(".")[0]!;
}

/** Records are what strangers sent: none of it may steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
