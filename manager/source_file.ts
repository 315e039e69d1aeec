/**
 * A YAML or JSON file that remembers where each of its values stands, and the list of what is
 * wrong with it. JSON is read as YAML, which contains it, so that both give places.
 */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from "yaml";
import { basename, dirname, join } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggest.ts";
import { formatSizeMb } from "../core/units.ts";

/** Keys and indices from the top of the file to a value. */
export type Path = readonly PropertyKey[];

/** What is wrong with the files of a run; all of it is found before anything is reported. */
export class Problems {
  readonly #found: Problem[] = [];
  readonly #known = new Set<string>();

  add(problem: Problem): void {
    const line = lineOf(problem);
    if (!this.#known.has(line)) this.#found.push(problem);
    this.#known.add(line);
  }

  /** A problem of the command line, or one that names its place itself. */
  addBare(text: string): void {
    this.add({ file: "", place: "", order: 0, text });
  }

  get count(): number {
    return this.#found.length;
  }

  /** Throws a UsageError with a line for each problem, if there is any. */
  throwIfAny(): void {
    if (this.#found.length > 0) throw new UsageError(this.lines().join("\n"));
  }

  /** `FILE:LINE:COLUMN: TEXT` each, in the order of the text; not too many. */
  lines(): string[] {
    const files = [...new Set(this.#found.map((problem) => problem.file))];
    const sorted = this.#found.toSorted((a, b) =>
      files.indexOf(a.file) - files.indexOf(b.file) || a.order - b.order
    );
    const lines = sorted.slice(0, problemsShownMax).map(lineOf);
    const more = sorted.length - lines.length;
    if (more > 0) lines.push(`and ${more} more problems`);
    return lines;
  }
}

interface Problem {
  readonly file: string;
  /** `line:column`. */
  readonly place: string;
  /** Grows with the place in the file: problems are shown in the order of its text. */
  readonly order: number;
  readonly text: string;
}

function lineOf({ file, place, text }: Problem): string {
  return file === "" ? text : `${file}:${place}: ${text}`;
}

/** More are noise: a list of files with a wrong folder name has one mistake, not thousands. */
const problemsShownMax = 20;

/** Aliases may stand for this many nodes in all; beyond, the file is an "anchor bomb". */
const aliasCountMax = 1_000;

/** Reads a text file; `what` names its role in the sentence that says why it cannot be read. */
export async function readText(
  path: string,
  shown: string,
  what: string,
  bytesMax: number,
): Promise<string> {
  let bytes: Uint8Array;
  try {
    const info = await Deno.stat(path);
    if (info.isDirectory) {
      throw new UsageError(`Cannot read ${what} "${shown}": it is a folder; name a file in it`);
    }
    if (info.size > bytesMax) {
      const size = formatSizeMb(info.size / 1024 ** 2);
      throw new UsageError(
        `Cannot read ${what} "${shown}": it has ${size}, and the most is ` +
          formatSizeMb(bytesMax / 1024 ** 2),
      );
    }
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw error instanceof UsageError ? error : await unreadable(path, shown, what, error);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // Not UTF-8: said below.
  }
  throw new UsageError(`Cannot read ${what} "${shown}": it is not a text file in UTF-8`);
}

/** The sentence for a file that cannot be opened. */
export async function unreadable(
  path: string,
  shown: string,
  what: string,
  error: unknown,
): Promise<UsageError> {
  const why = isMissing(error)
    ? `there is no such file${await nearestFile(path, shown)}`
    : messageOf(error);
  return new UsageError(`Cannot read ${what} "${shown}": ${why}`);
}

/** `: did you mean "…"?` with the nearest name in the folder of a file that is not there. */
export async function nearestFile(path: string, shown: string): Promise<string> {
  try {
    const names = await Array.fromAsync(Deno.readDir(dirname(path)), (entry) => entry.name);
    const folder = shown.slice(0, shown.length - basename(shown).length);
    const found = nearest(basename(shown), names);
    return found === null ? "" : `: did you mean "${folder}${found}"?`;
  } catch (error) {
    if (!isMissing(error)) return "";
    const parent = dirname(path);
    const there = await exists(dirname(parent));
    return there && parent !== dirname(parent) ? `, and no folder "${dirname(shown)}"` : "";
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

export class SourceFile {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #problems: Problems;
  /** The values of the file as plain objects and lists. */
  readonly data: unknown;

  private constructor(
    /** As messages show it. */
    readonly shown: string,
    text: string,
    problems: Problems,
    private readonly firstLine: number,
  ) {
    this.#problems = problems;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      merge: true,
      prettyErrors: false,
      // Else it warns on stderr, of keys that are lists: their name here is their text.
      logLevel: "error",
      // The parser's own search for repeated keys is quadratic; ours is below.
      uniqueKeys: false,
    });
    let last = -1;
    for (const { code, message, pos } of this.#document.errors) {
      // What follows at the same place is of the parser's making.
      if (pos[0] !== last) this.#add(pos[0], plainWords[code] ?? `this is not YAML: ${message}`);
      last = pos[0];
    }
    for (const { message, pos } of this.#document.warnings) this.#add(pos[0], message);
    const sound = this.#document.errors.length + this.#document.warnings.length === 0;
    if (sound) this.#findRepeatedKeys();
    this.data = sound ? this.#toPlain() : null;
  }

  /**
   * `null` if the text is not YAML: the problems then say why.
   * Throws a UsageError if the file cannot be read.
   */
  static async read(
    path: string,
    shown: string,
    what: string,
    bytesMax: number,
    problems: Problems,
  ): Promise<SourceFile | null> {
    const text = await readText(path, shown, what, bytesMax);
    return SourceFile.parse(text, shown, problems);
  }

  /** The same for a text that was read already, or a part of one that begins at `firstLine`. */
  static parse(
    text: string,
    shown: string,
    problems: Problems,
    firstLine = 1,
  ): SourceFile | null {
    const before = problems.count;
    const source = new SourceFile(shown, text, problems, firstLine);
    return problems.count === before ? source : null;
  }

  /** Notes what is wrong at an offset. */
  report(problems: Problems, offset: number, text: string): void {
    const order = (this.firstLine - 1) * 2 ** 32 + offset;
    problems.add({ file: this.shown, place: this.placeOf(offset), order, text });
  }

  /** `line:column`, both from 1. */
  placeOf(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${Math.max(1, line) + this.firstLine - 1}:${Math.max(1, col)}`;
  }

  /** Where a value or its key starts; for one that is not there, the nearest that contains it. */
  offsetOf(path: Path, at: "value" | "key" = "value"): number {
    let node: Node | null = this.#document.contents;
    let offset = node?.range?.[0] ?? 0;
    for (const [depth, key] of path.entries()) {
      const step = stepInto(this.#document, node, key);
      if (step === null) break;
      const start = at === "key" && depth === path.length - 1 ? step.key : step.value;
      offset = (start ?? step.value ?? step.key)?.range?.[0] ?? offset;
      node = step.value;
    }
    return offset;
  }

  #add(offset: number, text: string): void {
    this.report(this.#problems, offset, text);
  }

  #findRepeatedKeys(): void {
    visit(this.#document, {
      Map: (_, map) => {
        const seen = new Set<string>();
        for (const { key } of map.items as Pair[]) {
          if (!isScalar(key) || key.value === "<<") continue;
          const name = String(key.value);
          if (seen.has(name)) this.#add(key.range?.[0] ?? 0, `"${name}" is given twice`);
          seen.add(name);
        }
      },
    });
  }

  #toPlain(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: aliasCountMax });
    } catch (error) {
      const text = messageOf(error);
      const bomb = /excessive alias/i.test(text);
      this.#add(0, bomb ? `its aliases stand for more than ${aliasCountMax} values` : text);
      return null;
    }
  }
}

/** What physicists do wrong most, in their words; for the rest the parser's are good. */
const plainWords: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "this line is indented with a tab: YAML takes blanks only",
  BAD_SCALAR_START: "a text that starts with this character must stand in quotes",
  BLOCK_AS_IMPLICIT_KEY: 'there is a second ": " in this line: a text with ": " needs quotes',
  MULTIPLE_DOCS: 'there is a second document after "---": a file has one',
};

interface Step {
  readonly key: Node | null;
  readonly value: Node | null;
}

function stepInto(document: Document, from: Node | null, key: PropertyKey): Step | null {
  const node = isAlias(from) ? from.resolve(document) ?? null : from;
  if (!isCollection(node)) return null;
  if (!isMap(node)) {
    const item = node.items[Number(key)];
    return isNode(item) ? { key: null, value: item } : null;
  }
  return stepByKey(document, node, String(key));
}

function stepByKey(document: Document, map: YAMLMap, name: string): Step | null {
  let merged: Step | null = null;
  for (const { key, value } of map.items) {
    const label = isScalar(key) ? String(key.value) : null;
    const child = isNode(value) ? value : null;
    if (label === name) return { key: isNode(key) ? key : null, value: child };
    if (label === "<<") merged ??= stepInto(document, child, name);
  }
  return merged;
}

/** Where a name in a file leads: absolute and `~/` names as they are, others from `folder`. */
export function resolveFrom(folder: string, name: string): string {
  if (name.startsWith("~/")) return join(Deno.env.get("HOME") ?? "/", name.slice(2));
  return name.startsWith("/") ? name : join(folder, name);
}
