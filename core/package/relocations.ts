/**
 * Which files of an environment archive hold a stand-in for the prefix, to be replaced where it is
 * unpacked. An archive by wqx says so in `conda-meta/wqx-relocate.json`, its first member, so that
 * files can be relocated while they are extracted; one by conda-pack in its `bin/conda-unpack`.
 */
import { RunError } from "../errors.ts";
import { isRecord } from "../is_record.ts";

export interface Relocation {
  /** From the root of the archive. */
  readonly path: string;
  /** Text that stands for the prefix in this file. */
  readonly placeholder: string;
  /** Of a binary file the C strings keep their length. */
  readonly mode: "text" | "binary";
}

/** Where an archive by wqx tells of its relocations. */
export const relocationsPath = "conda-meta/wqx-relocate.json";

/** Where every archive in conda-pack's layout has its script, the last member. */
export const condaUnpackPath = "bin/conda-unpack";

const formatVersion = 1;

/** Text of `conda-meta/wqx-relocate.json`: paths by placeholder and mode, in order. */
export function writeRelocations(relocations: readonly Relocation[]): string {
  const groups = Map.groupBy(relocations, ({ placeholder, mode }) => `${mode} ${placeholder}`);
  const replacements = [...groups.keys()].sort().map((key) => {
    const [first, ...rest] = groups.get(key)!;
    const paths = [first!, ...rest].map(({ path }) => path).sort();
    return { mode: first!.mode, placeholder: first!.placeholder, paths };
  });
  return JSON.stringify({ version: formatVersion, replacements }, null, 1) + "\n";
}

/**
 * Reads `conda-meta/wqx-relocate.json`. Throws RunError naming what is wrong: not JSON, a newer
 * version, a path that leaves the archive.
 */
export function parseRelocations(text: string): Relocation[] {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    throw trouble("it is no JSON");
  }
  if (!isRecord(whole) || typeof whole.version !== "number") throw trouble("it has no version");
  if (whole.version !== formatVersion) {
    throw trouble(`it is of version ${whole.version}, this wqx knows ${formatVersion}; update wqx`);
  }
  if (!Array.isArray(whole.replacements)) throw trouble("it has no list of replacements");
  return whole.replacements.flatMap((group: unknown) => {
    if (!isRecord(group) || !Array.isArray(group.paths)) {
      throw trouble("a replacement has no paths");
    }
    return group.paths.map((path: unknown) => checked(path, group.placeholder, group.mode));
  });
}

function trouble(what: string): RunError {
  return new RunError(`Cannot read ${relocationsPath} of the archive: ${what}`);
}

function checked(path: unknown, placeholder: unknown, mode: unknown): Relocation {
  if (mode !== "text" && mode !== "binary") {
    throw trouble(`mode ${JSON.stringify(mode)} is neither text nor binary`);
  }
  if (typeof placeholder !== "string" || placeholder === "") {
    throw trouble("a placeholder is empty");
  }
  if (typeof path !== "string" || !isInside(path)) {
    throw trouble(`${JSON.stringify(path)} is no path inside the archive`);
  }
  return { path, placeholder, mode };
}

function isInside(path: string): boolean {
  return path !== "" && !path.startsWith("/") && !path.includes("\0") &&
    !path.split("/").includes("..");
}

/**
 * Relocations in the `_prefix_records` list of conda-pack's `bin/conda-unpack`, which is Python:
 * tuples of three string literals. Without such a list there are none. Throws RunError where the
 * list is not of that form; nothing is evaluated.
 */
export function parseCondaUnpack(text: string): Relocation[] {
  const start = /^_prefix_records\s*=\s*\[/m.exec(text);
  if (start === null) return [];
  const reader = new LiteralReader(text, start.index + start[0].length);
  const found: Relocation[] = [];
  while (!reader.takes("]")) {
    reader.expect("(");
    const path = reader.string();
    reader.expect(",");
    const placeholder = reader.string();
    reader.expect(",");
    const mode = reader.string();
    reader.takes(",");
    reader.expect(")");
    found.push(checked(path, placeholder, mode));
    if (!reader.takes(",")) {
      reader.expect("]");
      break;
    }
  }
  return found;
}

const oneLetterEscapes: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
};

/** Reads what Python's `repr` makes of strings, and the punctuation between them. */
class LiteralReader {
  constructor(private readonly text: string, private at: number) {}

  takes(sign: string): boolean {
    const blanks = /(?:\s|#.*)*/y;
    blanks.lastIndex = this.at;
    this.at += blanks.exec(this.text)![0].length;
    if (!this.text.startsWith(sign, this.at)) return false;
    this.at += sign.length;
    return true;
  }

  expect(sign: string): void {
    if (!this.takes(sign)) throw this.#trouble(`expected ${sign}`);
  }

  string(): string {
    const quote = this.takes("'") ? "'" : this.takes('"') ? '"' : null;
    if (quote === null) throw this.#trouble("expected a string");
    let value = "";
    for (;;) {
      const sign = this.text[this.at++];
      if (sign === undefined || sign === "\n") throw this.#trouble("a string has no end");
      if (sign === quote) return value;
      value += sign === "\\" ? this.#escaped() : sign;
    }
  }

  #escaped(): string {
    const number = /x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})/y;
    number.lastIndex = this.at;
    const found = number.exec(this.text);
    if (found !== null) {
      this.at += found[0].length;
      return String.fromCodePoint(parseInt(found[0].slice(1), 16));
    }
    const value = oneLetterEscapes[this.text[this.at++] ?? ""];
    if (value === undefined) throw this.#trouble("unknown escape in a string");
    return value;
  }

  #trouble(what: string): RunError {
    const line = this.text.slice(0, this.at).split("\n").length;
    return new RunError(
      `Cannot read the relocations in ${condaUnpackPath} of the archive: line ${line}: ${what}`,
    );
  }
}
