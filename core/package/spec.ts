/**
 * What an environment shall contain, read from what people have: the specifications of poncho, in
 * their old and new forms, and conda's `environment.yml`. Both come as plain values, parsed from
 * JSON or YAML; what is wrong with them is told by path, so that a shell can name the line.
 */
import { UsageError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import { didYouMean } from "../suggest.ts";
import { parseMatchSpec } from "./match_spec.ts";
import { isLocalPath, isOption, requirementName } from "./requirement.ts";

/** A repository whose files travel along; `export NAME=…` names the folder. */
export interface GitSource {
  readonly name: string;
  readonly remote: string;
  /** Branch, tag or commit; `null` is the default branch. */
  readonly ref: string | null;
}

/** A download that travels along. */
export interface HttpSource {
  readonly name: string;
  readonly url: string;
  /** `tar`: unpacked into a folder. */
  readonly type: "file" | "tar";
  readonly compression: "gzip" | null;
  /** Lower-case hex; what the bytes must have. */
  readonly sha256?: string;
}

/** What an environment shall contain, whichever form it was written in. */
export interface PackageSpec {
  readonly name: string | null;
  /** As written; `null`: those of the settings. */
  readonly channels: readonly string[] | null;
  /** Match specs of conda packages. */
  readonly dependencies: readonly string[];
  /** Lines of a requirements file without local paths: requirements and options of pip. */
  readonly pip: readonly string[];
  /** Folders of Python projects to be installed, as written. */
  readonly locals: readonly string[];
  readonly pinned: ReadonlyMap<string, string>;
  /** Set at activation. */
  readonly variables: ReadonlyMap<string, string>;
  readonly git: readonly GitSource[];
  readonly http: readonly HttpSource[];
}

/** Something wrong, and where it stands. */
export interface SpecMistake {
  readonly path: readonly (string | number)[];
  /** Whether the key or the value at the end of the path is wrong. */
  readonly at: "key" | "value";
  readonly text: string;
}

export interface SpecReading {
  /** Of no use where there are mistakes. */
  readonly spec: PackageSpec;
  readonly mistakes: readonly SpecMistake[];
  /** What was taken otherwise than somebody might expect. */
  readonly notes: readonly string[];
}

const topKeys = [
  "name",
  "prefix",
  "channels",
  "dependencies",
  "conda",
  "pip",
  "pinned",
  "variables",
  "git",
  "http",
];
const condaKeys = ["channels", "dependencies", "packages", "pip"];
const gitKeys = ["remote", "ref"];
const httpKeys = ["url", "type", "compression", "sha256"];

/** Reads a specification; never throws. */
export function readSpec(data: unknown): SpecReading {
  return new Reader().read(data);
}

type Path = readonly (string | number)[];

class Reader {
  readonly #mistakes: SpecMistake[] = [];
  readonly #notes: string[] = [];
  readonly #dependencies: string[] = [];
  readonly #pip: string[] = [];
  readonly #locals: string[] = [];

  read(data: unknown): SpecReading {
    const top = this.#mapping(data, [], topKeys);
    const conda = top.conda === undefined ? {} : this.#mapping(top.conda, ["conda"], condaKeys);
    const channels = top.channels === undefined
      ? this.#channels(conda.channels, ["conda", "channels"])
      : this.#channels(top.channels, ["channels"]);
    for (const key of ["channels", "dependencies"]) {
      if (top[key] === undefined || conda[key] === undefined) continue;
      this.#wrong([key], "key", `"${key}" stands here and in "conda" too: keep one of them`);
    }
    this.#condaList(top.dependencies, ["dependencies"]);
    this.#condaList(conda.dependencies, ["conda", "dependencies"]);
    if (conda.dependencies === undefined) {
      this.#condaList(conda.packages, ["conda", "packages"]);
    } else if (conda.packages !== undefined) {
      this.#notes.push('"conda.packages" is not read, because "conda.dependencies" is there');
    }
    this.#pipList(conda.pip, ["conda", "pip"]);
    this.#pipList(top.pip, ["pip"]);
    const spec: PackageSpec = {
      name: top.name === undefined ? null : this.#text(top.name, ["name"]),
      channels,
      dependencies: this.#dependencies,
      pip: this.#pip,
      locals: this.#locals,
      pinned: this.#pinned(top.pinned),
      variables: this.#texts(top.variables, ["variables"], variableName),
      git: this.#git(top.git),
      http: this.#http(top.http),
    };
    const empty = spec.dependencies.length + spec.pip.length + spec.locals.length +
        spec.git.length + spec.http.length === 0;
    if (empty && this.#mistakes.length === 0) {
      this.#wrong([], "value", "it names no packages: list them under conda: dependencies");
    }
    return { spec, mistakes: this.#mistakes, notes: this.#notes };
  }

  #channels(value: unknown, path: Path): string[] | null {
    if (value === undefined) return null;
    // Says that channels of the settings shall not be added, which never happens here.
    return this.#list(value, path)
      .map((item, i) => this.#text(item, [...path, i]))
      .filter((channel) => channel !== "nodefaults");
  }

  #condaList(value: unknown, path: Path): void {
    if (value === undefined) return;
    for (const [i, item] of this.#list(value, path).entries()) {
      if (isRecord(item)) {
        const { pip } = this.#mapping(item, [...path, i], ["pip"]);
        this.#pipList(pip, [...path, i, "pip"]);
      } else {
        this.#dependency(this.#text(item, [...path, i]), [...path, i]);
      }
    }
  }

  #dependency(line: string, path: Path): void {
    try {
      if (line !== "") parseMatchSpec(line);
      this.#dependencies.push(line);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#wrong(path, "value", error.message);
    }
  }

  #pipList(value: unknown, path: Path): void {
    if (value === undefined) return;
    for (const [i, item] of this.#list(value, path).entries()) {
      this.#pipLine(this.#text(item, [...path, i]), [...path, i]);
    }
  }

  #pipLine(line: string, path: Path): void {
    const editable = /^(?:-e|--editable)(?:\s+|=)(.+)$/.exec(line)?.[1]?.trim();
    const what = editable ?? line;
    if (isLocalPath(what)) {
      this.#locals.push(what);
    } else if (editable === undefined && isOption(line) || requirementName(what) !== null) {
      this.#pip.push(what);
    } else if (line !== "") {
      this.#wrong(path, "value", `"${line}" is no requirement of pip: write name, or name>=1.2`);
    }
    if (editable === undefined) return;
    this.#notes.push(`"${line}" is installed as a copy: what changes in it later does not travel`);
  }

  #pinned(value: unknown): Map<string, string> {
    if (value === undefined) return new Map();
    const { conda } = this.#mapping(value, ["pinned"], ["conda"]);
    return this.#texts(conda, ["pinned", "conda"], /./);
  }

  #texts(value: unknown, path: Path, names: RegExp): Map<string, string> {
    if (value === undefined) return new Map();
    const found = new Map<string, string>();
    for (const [name, item] of Object.entries(this.#mapping(value, path))) {
      if (!names.test(name)) this.#badName(name, [...path, name]);
      // YAML would make 1.1 of 1.10.
      const number = typeof item === "number";
      if (number) this.#wrong([...path, name], "value", `write ${item} in quotes: it is a text`);
      else found.set(name, this.#text(item, [...path, name]));
    }
    return found;
  }

  #git(value: unknown): GitSource[] {
    return this.#sources(value, "git", gitKeys, "remote", (name, remote, entry, path) => ({
      name,
      remote,
      ref: entry.ref === undefined ? null : this.#text(entry.ref, [...path, "ref"]),
    }));
  }

  #http(value: unknown): HttpSource[] {
    return this.#sources(value, "http", httpKeys, "url", (name, url, entry, path) => {
      const type = this.#word(entry.type, [...path, "type"], ["file", "tar"]);
      const compression = this.#word(entry.compression, [...path, "compression"], ["gzip"]);
      const hash = entry.sha256 === undefined
        ? null
        : this.#text(entry.sha256, [...path, "sha256"]).toLowerCase();
      if (hash !== null && !/^[0-9a-f]{64}$/.test(hash)) {
        this.#wrong([...path, "sha256"], "value", `"${hash}" is no SHA-256: it has 64 hex digits`);
      }
      const source = { name, url, type: type ?? "file", compression };
      return hash === null ? source : { ...source, sha256: hash };
    });
  }

  #sources<T>(
    value: unknown,
    key: string,
    known: readonly string[],
    from: string,
    make: (name: string, from: string, entry: Record<string, unknown>, path: Path) => T,
  ): T[] {
    if (value === undefined) return [];
    return Object.entries(this.#mapping(value, [key])).flatMap(([name, item]) => {
      const path = [key, name];
      if (!variableName.test(name)) this.#badName(name, path);
      const entry = this.#mapping(item, path, known);
      if (entry[from] === undefined) {
        this.#wrong(path, "key", `"${name}" does not say where it comes from: add "${from}"`);
        return [];
      }
      return [make(name, this.#text(entry[from], [...path, from]), entry, path)];
    });
  }

  #badName(name: string, path: Path): void {
    this.#wrong(path, "key", `"${name}" cannot be the name of a variable: use A-Z, 0-9 and "_"`);
  }

  #word<const W extends string>(value: unknown, path: Path, words: readonly W[]): W | null {
    if (value === undefined) return null;
    const found = words.find((word) => word === value);
    if (found === undefined) {
      this.#wrong(path, "value", `${shown(value)} is not one of ${words.join(", ")}`);
    }
    return found ?? null;
  }

  #mapping(value: unknown, path: Path, known?: readonly string[]): Record<string, unknown> {
    if (!isRecord(value)) {
      this.#wrong(path, "value", `${shown(value)} is not a mapping`);
      return {};
    }
    for (const key of Object.keys(value)) {
      if (known === undefined || known.includes(key)) continue;
      const hint = didYouMean(key, known) || `: the keys are ${known.join(", ")}`;
      this.#wrong([...path, key], "key", `unknown key "${key}"${hint}`);
    }
    return value;
  }

  #list(value: unknown, path: Path): readonly unknown[] {
    if (Array.isArray(value)) return value;
    this.#wrong(path, "value", `${shown(value)} is not a list`);
    return [];
  }

  #text(value: unknown, path: Path): string {
    if (typeof value === "string" && value.trim() !== "") return value.trim();
    this.#wrong(path, "value", value === "" ? "this is empty" : `${shown(value)} is not a text`);
    return "";
  }

  #wrong(path: Path, at: "key" | "value", text: string): void {
    this.#mistakes.push({ path, at, text });
  }
}

/** What shells and Python take for the name of a variable. */
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;

function shown(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a mapping" : `"${value}"`;
}
