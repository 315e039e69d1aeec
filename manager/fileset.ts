/**
 * Datasets as an analysis names them (files, patterns, URLs, list files, coffea filesets) → the
 * input files of the run, each checked to be there.
 */
import { glob } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { type InputFile, isXrootdUrl } from "../core/analysis/spec.ts";
import { UsageError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { type DatasetYaml, filesetSchema, type FileTree } from "./analysis_schema.ts";
import { check, label } from "./schema.ts";
import {
  nearestFile,
  type Path,
  type Problems,
  readText,
  resolveFrom,
  SourceFile,
} from "./source_file.ts";

export type SendFiles = "auto" | "always" | "never";

export interface FilesetContext {
  readonly source: SourceFile;
  /** Relative names start here. */
  readonly folder: string;
  /** Of files for which nothing else is said. */
  readonly tree: string;
  readonly send: SendFiles;
  readonly problems: Problems;
}

export interface Fileset {
  /** By dataset and, within, in the order in which the analysis names them. */
  readonly files: readonly InputFile[];
  readonly datasets: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** A fileset of 100,000 long names has 15 MB. */
const filesetBytesMax = 64 * 1024 ** 2;

/** Files looked for at once: enough to hide the latency of a network file system. */
const lookupsMax = 64;

/** What the processor is told of a chunk anyway, under these names. */
const reservedMetadata = ["dataset", "file", "tree", "start", "stop"];

/** Resolves `datasets`; what is wrong is added to the problems, and the rest returned. */
export async function readFileset(
  datasets: string | Readonly<Record<string, DatasetYaml>>,
  context: FilesetContext,
): Promise<Fileset> {
  const base: Path = ["datasets"];
  if (typeof datasets === "string") {
    const place = placeOf(context, base);
    const loaded = await loadFileset(datasets, place, context);
    return loaded === null
      ? { files: [], datasets: new Map() }
      : await readDatasets(loaded.data, [], { ...context, source: loaded.source });
  }
  return await readDatasets(datasets, base, context);
}

async function readDatasets(
  datasets: Readonly<Record<string, DatasetYaml>>,
  base: Path,
  context: FilesetContext,
): Promise<Fileset> {
  const offsetOf = (name: string) => context.source.offsetOf([...base, name], "key");
  // Objects put keys that look like numbers first: the text has the order that was meant.
  const names = Object.keys(datasets).sort((a, b) => offsetOf(a) - offsetOf(b));
  if (names.length === 0) placeOf(context, base).complain("there are no datasets");
  const files: InputFile[] = [];
  const metadata = new Map<string, Readonly<Record<string, unknown>>>();
  for (const name of names) {
    const read = await readDataset(name, datasets[name] ?? {}, [...base, name], context);
    files.push(...read.files);
    metadata.set(name, read.metadata);
  }
  return { files, datasets: metadata };
}

interface Dataset {
  readonly files: readonly InputFile[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

async function readDataset(
  name: string,
  yaml: DatasetYaml,
  path: Path,
  context: FilesetContext,
): Promise<Dataset> {
  const metadata = yaml.metadata ?? {};
  for (const key of reservedMetadata.filter((key) => key in metadata)) {
    placeOf(context, [...path, "metadata", key], "key")
      .complain(`metadata cannot be called "${key}": a chunk has a ${key} of its own`);
  }
  if (yaml.files?.kind === "one" && /\.json$/i.test(yaml.files.name)) {
    const place = placeOf(context, filesPath(context, path));
    return await datasetFromFileset(name, yaml.files.name, place, metadata, context);
  }
  const entries = await entriesOf(yaml, path, context);
  if (entries === null) return { files: [], metadata };
  const matches = await resolveAll(entries, context);
  const files = withoutRepeats(matches).map(({ entry, file, source }): InputFile => ({
    dataset: name,
    file,
    source,
    send: isSent(entry.name, context.send),
    tree: entry.tree ?? yaml.tree ?? context.tree,
  }));
  return { files, metadata };
}

/** coffea's rule for `auto`: relative names travel, absolute ones are on a shared file system. */
function isSent(name: string, send: SendFiles): boolean {
  if (isUrl(name) || send === "never") return false;
  return send === "always" || !/^(\/|~\/)/.test(name);
}

function isUrl(name: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(name);
}

/** A file named in the analysis as one finds it from where the command is run. */
function shownName(name: string, { source }: FilesetContext): string {
  return isAbsolute(name) || name.startsWith("~/") ? name : join(dirname(source.shown), name);
}

/** Where a file is named: what problems point at. */
interface Place {
  /** `analysis.yaml:4:7`. */
  shown(): string;
  complain(text: string): void;
}

function placeOf(context: FilesetContext, path: Path, at: "value" | "key" = "value"): Place {
  const { source, problems } = context;
  // Looked up when asked for: most files are in order, and a fileset has many.
  const offset = () => source.offsetOf(path, at);
  return {
    shown: () => `${source.shown}:${source.placeOf(offset())}`,
    complain: (text) => source.report(problems, offset(), `${label(path)}${text}`),
  };
}

/** A file, pattern or URL as it is named somewhere. */
interface Entry {
  readonly name: string;
  readonly tree?: string | undefined;
  readonly place: Place;
}

/** `files:` may be left out around a text, a list, and {file: tree}. */
function filesPath(context: FilesetContext, path: Path): Path {
  const inner = [...path, "files"];
  return context.source.offsetOf(inner) === context.source.offsetOf(path) ? path : inner;
}

/** The names in the dataset, list files opened; `null` if there are none, which is a problem. */
async function entriesOf(
  yaml: DatasetYaml,
  path: Path,
  context: FilesetContext,
): Promise<readonly Entry[] | null> {
  const where = filesPath(context, path);
  const named: Entry[] = [];
  if (yaml.list !== undefined) {
    named.push({ name: `@${yaml.list}`, place: placeOf(context, [...path, "list"]) });
  }
  switch (yaml.files?.kind) {
    case "one":
      named.push({ name: yaml.files.name, place: placeOf(context, where) });
      break;
    case "list":
      yaml.files.names.forEach((name, i) =>
        named.push({ name, place: placeOf(context, [...where, i]) })
      );
      break;
    case "trees":
      for (const [name, fileTree] of Object.entries(yaml.files.trees)) {
        const place = placeOf(context, [...where, name], "key");
        checkSteps(fileTree, place);
        named.push({ name, tree: fileTree.tree, place });
      }
  }
  if (named.length === 0) {
    placeOf(context, where).complain("there are no files in this dataset");
    return null;
  }
  const entries: Entry[] = [];
  for (const entry of named) {
    entries.push(...entry.name.startsWith("@") ? await readList(entry, context) : [entry]);
  }
  return entries;
}

/** Chunks are cut anew, so that steps are of no use; but they must not leave events out. */
function checkSteps({ steps, entries }: FileTree, place: Place): void {
  if (steps === undefined) return;
  const gap = steps.some(([start], i) => start !== (steps[i - 1]?.[1] ?? 0));
  const stop = steps.at(-1)?.[1] ?? 0;
  if (gap || (entries !== undefined && stop < entries)) {
    place.complain("its steps leave events out, which is not supported: use maxchunks instead");
  }
}

/** A list file: a name a line; blank lines and what follows `#` do not count. */
async function readList(entry: Entry, context: FilesetContext): Promise<readonly Entry[]> {
  const name = entry.name.slice(1);
  const shown = shownName(name, context);
  let text: string;
  try {
    const path = resolveFrom(context.folder, name);
    text = await readText(path, shown, "the list", filesetBytesMax);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    entry.place.complain(error.message);
    return [];
  }
  const entries = text.split(/\r?\n/).flatMap((line, i): Entry[] => {
    const name = line.replace(/(^|\s)#.*$/, "").trim();
    if (name === "") return [];
    const place = `${i + 1}:${line.indexOf(name) + 1}`;
    return [{
      name,
      place: {
        shown: () => `${shown}:${place}`,
        complain: (text) => context.problems.add({ file: shown, place, order: i, text }),
      },
    }];
  });
  if (entries.length === 0) entry.place.complain(`the list "${shown}" names no files`);
  return entries;
}

/** A file that is there. */
interface Match {
  readonly entry: Entry;
  readonly file: string;
  readonly source: string;
}

async function resolveAll(entries: readonly Entry[], context: FilesetContext): Promise<Match[]> {
  const matches: Match[] = [];
  for (let i = 0; i < entries.length; i += lookupsMax) {
    const group = entries.slice(i, i + lookupsMax).map((entry) => resolve(entry, context));
    matches.push(...(await Promise.all(group)).flat());
  }
  return matches;
}

async function resolve(entry: Entry, { folder }: FilesetContext): Promise<readonly Match[]> {
  const { name, place } = entry;
  if (isUrl(name)) return resolveUrl(entry);
  const path = resolveFrom(folder, name);
  const info = await Deno.stat(path).catch(() => null);
  if (info?.isFile) return [{ entry, file: name, source: path }];
  if (info?.isDirectory) {
    place.complain(`"${name}" is a folder: name its files, as in "${trimSlash(name)}/*.root"`);
    return [];
  }
  if (/[*?[{]/.test(name)) return await resolvePattern(entry, folder);
  place.complain(`there is no file "${name}"${await nearestFile(path, name)}`);
  return [];
}

function resolveUrl(entry: Entry): readonly Match[] {
  const { name, place } = entry;
  if (isXrootdUrl(name)) return resolveXrootd(entry);
  if (!/^https?:/i.test(name)) {
    place.complain(
      `"${name}" cannot be read: files come from disk, over http and https, or from XRootD (root://)`,
    );
  } else if (!URL.canParse(name)) {
    place.complain(`"${name}" is not a URL`);
  } else if (name.includes("*")) {
    place.complain(`"${name}" is a pattern, and a web server does not list its files: name each`);
  } else {
    return [{ entry, file: name, source: name }];
  }
  return [];
}

/** Whether the file is there is for its first task to find out: the manager may have no client. */
function resolveXrootd(entry: Entry): readonly Match[] {
  const { name, place } = entry;
  const [, host = "", path = ""] = /^\w+:\/\/([^/]*)(.*)$/s.exec(name) ?? [];
  if (host === "" || /^\/*$/.test(path)) {
    place.complain(`"${name}" names no file of a server, as in root://host:1094//path/file.root`);
  } else if (path.includes("*")) {
    const folder = path.replace(/^\/+/, "/").replace(/\/[^/]*\*.*$/s, "") || "/";
    place.complain(
      `"${name}" is a pattern, and these are not looked up on XRootD servers: name each file; ` +
        `"xrdfs ${host} ls ${folder}" lists them`,
    );
  } else {
    return [{ entry, file: name, source: name }];
  }
  return [];
}

async function resolvePattern(entry: Entry, folder: string): Promise<readonly Match[]> {
  const { name, place } = entry;
  const pattern = name.startsWith("~/") ? resolveFrom(folder, name) : name;
  const found = (await Array.fromAsync(glob(pattern, { cwd: folder }))).sort();
  const matches: Match[] = [];
  for (const file of found) {
    const source = resolveFrom(folder, file);
    const info = await Deno.stat(source).catch(() => null);
    if (info === null) place.complain(`"${file}" is a link to a file that is not there`);
    else if (info.isFile) matches.push({ entry, file, source });
  }
  if (found.length === 0) place.complain(`no file matches "${name}"`);
  else if (matches.length === 0) place.complain(`"${name}" matches folders only`);
  return matches;
}

function trimSlash(name: string): string {
  return name.replace(/\/+$/, "");
}

/** A file that is read twice would count its events twice. */
function withoutRepeats(matches: readonly Match[]): Match[] {
  const seen = new Map<string, Match>();
  for (const match of matches) {
    const key = `${match.source}\n${match.entry.tree ?? ""}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, match);
    else {
      match.entry.place.complain(
        `"${match.file}" is in this dataset already (${first.entry.place.shown()})`,
      );
    }
  }
  return [...seen.values()];
}

interface LoadedFileset {
  readonly source: SourceFile;
  readonly data: Readonly<Record<string, DatasetYaml>>;
}

async function loadFileset(
  name: string,
  place: Place,
  context: FilesetContext,
): Promise<LoadedFileset | null> {
  const { folder, problems } = context;
  try {
    const path = resolveFrom(folder, name);
    const shown = shownName(name, context);
    const source = await SourceFile.read(path, shown, "the fileset", filesetBytesMax, problems);
    if (source === null) return null;
    const data = check(filesetSchema, source.data, source, [], problems);
    return data && { source, data };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    place.complain(error.message);
    return null;
  }
}

/** `DY: fileset.json`: the dataset of that name in the file, or the only one that is there. */
async function datasetFromFileset(
  name: string,
  file: string,
  place: Place,
  metadata: Readonly<Record<string, unknown>>,
  context: FilesetContext,
): Promise<Dataset> {
  const loaded = await loadFileset(file, place, context);
  if (loaded === null) return { files: [], metadata };
  const names = Object.keys(loaded.data);
  const key = Object.hasOwn(loaded.data, name) ? name : names.length === 1 ? names[0] : undefined;
  const yaml = key === undefined ? undefined : loaded.data[key];
  if (key === undefined || yaml === undefined) {
    const hint = didYouMean(name, names) || `: it has ${names.join(", ") || "none"}`;
    place.complain(`"${basename(file)}" has no dataset "${name}"${hint}`);
    return { files: [], metadata };
  }
  const read = await readDataset(name, yaml, [key], { ...context, source: loaded.source });
  return { files: read.files, metadata: { ...read.metadata, ...metadata } };
}
