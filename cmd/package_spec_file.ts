/** Specifications and locks as files: read, checked, and complained about by line. */
import { dirname, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { messageOf, naming, RunError, UsageError } from "../core/errors.ts";
import { lockData, type PackageLock, readLock } from "../core/package/lock.ts";
import { isOption } from "../core/package/requirement.ts";
import { type PackageSpec, readSpec } from "../core/package/spec.ts";
import { Problems, readText, resolveFrom, SourceFile } from "../manager/source_file.ts";
import { label } from "../manager/schema.ts";

/** A larger one is no list of packages. */
const specBytesMax = 4 * 1024 ** 2;
/** A lock of 2,000 packages has 2 MB. */
const lockBytesMax = 64 * 1024 ** 2;

export interface SpecFile {
  readonly spec: PackageSpec;
  /** Relative names in it are from here. */
  readonly folder: string;
  readonly notes: readonly string[];
}

/** Reads a specification, JSON or YAML, `-` from stdin; throws a UsageError with all its mistakes. */
export async function readSpecFile(path: string): Promise<SpecFile> {
  const fromStdin = path === "-";
  const shown = fromStdin ? "stdin" : path;
  const text = fromStdin
    ? await new Response(Deno.stdin.readable).text()
    : await readText(resolve(path), path, "the specification", specBytesMax);
  const problems = new Problems();
  const source = SourceFile.parse(text, shown, problems);
  problems.throwIfAny();
  if (source === null) throw new UsageError(`${shown}: it is empty`);
  const { spec, mistakes, notes } = readSpec(source.data);
  for (const { path, at, text } of mistakes) {
    const named = at === "key" ? "" : label(path);
    source.report(problems, source.offsetOf(path, at), `${named}${text}`);
  }
  problems.throwIfAny();
  const folder = fromStdin ? Deno.cwd() : dirname(resolve(path));
  return { spec: await expanded(spec, folder, new Set()), folder, notes };
}

/** Puts the lines of `-r FILE` in the place of that line. */
async function expanded(
  spec: PackageSpec,
  folder: string,
  seen: Set<string>,
): Promise<PackageSpec> {
  const pip: string[] = [], locals = [...spec.locals];
  for (const line of spec.pip) {
    const name = /^(?:-r|--requirement)[\s=]+(.+)$/.exec(line)?.[1]?.trim();
    if (name === undefined) {
      pip.push(line);
      continue;
    }
    const path = resolveFrom(folder, name.replace(/^file:(?:\/\/)?/, ""));
    if (seen.has(path)) throw new UsageError(`${name} requires itself by -r`);
    const text = await readText(path, name, "the requirements", specBytesMax);
    const lines = text.replaceAll(/\\\n/g, " ").split("\n")
      .map((line) => line.replace(/(?:^|\s)#.*$/, "").trim()).filter((line) => line !== "");
    const read = naming(name, () => {
      const { spec, mistakes } = readSpec({ pip: lines });
      if (mistakes[0] !== undefined && lines.length > 0) throw new UsageError(mistakes[0].text);
      return spec;
    });
    const inner = await expanded(read, dirname(path), new Set([...seen, path]));
    pip.push(...inner.pip.filter((line) => isOption(line) || !pip.includes(line)));
    locals.push(...inner.locals.map((local) => resolveFrom(dirname(path), local)));
  }
  return { ...spec, pip, locals };
}

/** Reads a lock; throws a UsageError that names the file and what is wrong with it. */
export async function readLockFile(path: string): Promise<PackageLock> {
  const text = await readText(resolve(path), path, "the lock", lockBytesMax);
  return naming(path, () => {
    let data: unknown;
    try {
      data = parse(text, { maxAliasCount: 0 });
    } catch (error) {
      throw new UsageError(`this is neither YAML nor JSON: ${messageOf(error)}`);
    }
    return readLock(data);
  });
}

/** Writes a lock, beside its place first; JSON where the name ends so, else YAML. */
export async function writeLockFile(path: string, lock: PackageLock): Promise<void> {
  const data = lockData(lock);
  const text = path.endsWith(".json")
    ? JSON.stringify(data, null, 1) + "\n"
    : stringify(data, { aliasDuplicateObjects: false, lineWidth: 0 });
  const partial = `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
  try {
    await Deno.writeTextFile(partial, text);
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {}); // it was not even begun
    throw new RunError(`Cannot write the lock ${path}: ${messageOf(error)}`);
  }
}
