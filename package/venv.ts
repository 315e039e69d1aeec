/**
 * Packs a virtual environment of Python together with its interpreter, so that it runs where
 * neither is. Python finds its standard library beside its program; what remains to be done is that
 * the program finds its own shared library there, by a run path from itself.
 */
import { dirname, relative, resolve } from "node:path";
import { RunError } from "../core/errors.ts";
import { elfLinks, withRunPath } from "../core/package/elf.ts";
import { passes } from "../core/package/fnmatch.ts";
import { few, type PlannedFile, sourceOfByteCode } from "../core/package/pack_plan.ts";
import {
  isOfCLibrary,
  isPackedOfLibrary,
  isPackedOfVenv,
  isSystemFolder,
  parseVenvSettings,
  venvVersion,
} from "../core/package/venv.ts";
import { isFolder, readSitePackages } from "./conda_prefix.ts";
import { listFolder } from "./listing.ts";
import { editableWarnings, filtersOf, type PackOptions, spellings, writeOptions } from "./pack.ts";
import { examine, type PackReport, writeMembers } from "./pack_members.ts";

/** The interpreter that a virtual environment was made from. */
interface BasePython {
  /** Its program, without links. */
  readonly program: string;
  /** `3.11`, `3.13t`. */
  readonly version: string;
  readonly prefix: string;
  /** Folder of the standard library. */
  readonly library: string;
}

/**
 * Writes an archive of the virtual environment with its Python to `out`. Throws RunError for what
 * cannot be moved, and says why.
 */
export async function packVenv(
  venv: string,
  out: string,
  options: PackOptions = {},
): Promise<PackReport> {
  const folder = resolve(venv);
  const writing = writeOptions(out, options);
  const filters = filtersOf(options);
  const base = findBase(folder);
  const sitePackages = `lib/python${base.version}/site-packages`;
  if (!isFolder(`${folder}/${sitePackages}`)) {
    throw new RunError(`${folder} has no ${sitePackages}: make the virtual environment anew`);
  }
  const entries = (await listFolder(folder, options.signal)).filter((one) =>
    isPackedOfVenv(one.path)
  );
  const { owners, editable } = readSitePackages(folder, sitePackages, entries);
  const warnings = editableWarnings(editable, options.ignoreEditable === true);
  const there = new Set(entries.map(({ path }) => path));
  const own = entries.filter(({ path }) => {
    const source = sourceOfByteCode(path);
    return source === null || there.has(source);
  }).map(({ path }): PlannedFile => ({
    path,
    source: `${folder}/${path}`,
    treatment: { type: "search" },
    owner: owners.get(path) ?? null,
  }));
  const python = await pythonFiles(base, sitePackages, options.signal);
  const taken = new Set(own.map(({ path }) => path));
  const files = [...own, ...python.files.filter(({ path }) => !taken.has(path))]
    .filter(({ path }) => passes(path, filters)).sort((a, b) => a.path < b.path ? -1 : 1);
  const isBase = new Set(python.files);
  const basePrefixes = isSystemPrefix(base.prefix) ? [] : spellings(base.prefix);
  const name = `python${base.version}`;
  const links = ["bin/python", "bin/python3"].map((path) => ({
    entry: { path, kind: "link" as const, mode: 0o777, target: name },
    source: null,
    bytes: 0,
    owner: "python",
    edit: null,
  }));
  const library64 = {
    entry: { path: "lib64", kind: "link" as const, mode: 0o777, target: "lib" },
    source: null,
    bytes: 0,
    owner: null,
    edit: null,
  };
  const distPackages = python.isDebian
    ? [{
      // Debian's Python looks for packages under this name where it is no virtual environment.
      entry: {
        path: `lib/${name}/dist-packages`,
        kind: "link" as const,
        mode: 0o777,
        target: "site-packages",
      },
      source: null,
      bytes: 0,
      owner: "python",
      edit: null,
    }]
    : [];
  if (python.system.length > 0) {
    warnings.push(
      `Workers must have these libraries of the system, which Python here uses: ` +
        `${few(python.system)}; a Python by "uv python install" or conda brings its own`,
    );
  }
  return await writeMembers(resolve(out), async () => {
    const examined = await examine(files, {
      prefixes: [...spellings(folder), ...basePrefixes],
      edit: (file) => {
        const patched = python.runPaths.get(file.path);
        return patched === undefined || !isBase.has(file)
          ? null
          : (bytes) => withRunPath(bytes, elfLinks(bytes)!, patched) ?? bytes;
      },
      // Python and its modules know where they were made, and do not look there.
      isHarmless: (file) => isBase.has(file),
      ...options.signal && { signal: options.signal },
    });
    const members = [...examined.members, ...links, library64, ...distPackages]
      .sort((a, b) => a.entry.path < b.entry.path ? -1 : 1);
    return { ...examined, members, warnings: [...warnings, ...examined.warnings] };
  }, writing);
}

function findBase(venv: string): BasePython {
  let text: string;
  try {
    text = Deno.readTextFileSync(`${venv}/pyvenv.cfg`);
  } catch {
    throw new RunError(
      isFolder(`${venv}/conda-meta`)
        ? `${venv} is a conda environment: pack it with --from-prefix`
        : `${venv} is no virtual environment of Python: it has no pyvenv.cfg`,
    );
  }
  const settings = parseVenvSettings(text);
  if (settings.get("include-system-site-packages")?.toLowerCase() === "true") {
    throw new RunError(
      `${venv} uses packages of the system's Python: make it without --system-site-packages, and ` +
        "install what it needs into it",
    );
  }
  const home = settings.get("home") ?? "";
  const told = venvVersion(settings);
  const names = ["python", "python3", ...told === null ? [] : [`python${told}`]];
  const inVenv = names.flatMap((name) => realPathOf(`${venv}/bin/${name}`) ?? [])
    .filter((path) => !spellings(venv).some((own) => path.startsWith(`${own}/`)));
  const ofHome = names.reverse().flatMap((name) => realPathOf(`${home}/${name}`) ?? []);
  for (const program of [...inVenv, ...ofHome]) {
    const prefix = dirname(dirname(program));
    const [, named] = /^python(\d+\.\d+t?)$/.exec(program.slice(dirname(program).length + 1)) ?? [];
    const version = named ?? told;
    if (version === null) continue;
    const library = ["lib", "lib64"].map((lib) => `${prefix}/${lib}/python${version}`)
      .find((folder) => realPathOf(`${folder}/os.py`) !== null);
    if (library !== undefined) return { program, version, prefix, library };
  }
  throw new RunError(
    `The Python that ${venv} was made from is not there, or is no CPython with its library beside ` +
      `it (home = ${home || "not told"}): make the virtual environment anew`,
  );
}

function realPathOf(path: string): string | null {
  try {
    return Deno.realPathSync(path);
  } catch {
    return null;
  }
}

/** A prefix that the whole system shares: its path in a file need not mean Python's place. */
function isSystemPrefix(prefix: string): boolean {
  return ["/", "/usr", "/usr/local"].includes(prefix);
}

interface PythonFiles {
  readonly files: readonly PlannedFile[];
  /** New run paths, by path in the archive. */
  readonly runPaths: ReadonlyMap<string, string>;
  /** Names of libraries that come from the system. */
  readonly system: readonly string[];
  readonly isDebian: boolean;
}

/** Program, standard library and shared libraries of an interpreter at their places. */
async function pythonFiles(
  base: BasePython,
  sitePackages: string,
  signal: AbortSignal | undefined,
): Promise<PythonFiles> {
  const name = `python${base.version}`;
  const planned = (path: string, source: string): PlannedFile => ({
    path,
    source,
    treatment: { type: "search" },
    owner: "python",
  });
  const listed = (await listFolder(base.library, signal))
    .filter(({ path, kind }) => kind !== "folder" && isPackedOfLibrary(path));
  const there = new Set(listed.map(({ path }) => path));
  const library = listed.filter(({ path }) => {
    const source = sourceOfByteCode(path);
    return source === null || there.has(source);
  }).map(({ path }) => planned(`lib/${name}/${path}`, `${base.library}/${path}`));
  const program = planned(`bin/${name}`, base.program);
  const compiled = [program, ...library.filter(({ path }) => /\.so$/.test(path))];
  const shared = sharedLibraries(compiled, base.prefix);
  const libraries = [...shared.bundled].map(([file, source]) => planned(`lib/${file}`, source));
  const runPaths = new Map<string, string>();
  for (const file of [...compiled, ...libraries]) {
    const bytes = Deno.readFileSync(file.source);
    const links = elfLinks(bytes);
    const needsOwn = links?.needed.some((one) => shared.bundled.has(one)) ?? false;
    if (links === null || !needsOwn) continue;
    const up = relative(dirname(file.path), "lib");
    const runPath = up === "" ? "$ORIGIN" : `$ORIGIN/${up}`;
    if (links.runPath?.split(":").includes(runPath)) continue;
    if (withRunPath(bytes, links, runPath) !== null) runPaths.set(file.path, runPath);
    else if (file === program) {
      throw new RunError(
        `${base.program} cannot be moved: it needs ${[...shared.bundled.keys()].join(", ")}, and ` +
          'its run path has no room for a new one; use a Python by "uv python install", or one ' +
          "built without --enable-shared",
      );
    }
  }
  const site = Deno.readTextFileSync(`${base.library}/site.py`);
  return {
    files: [program, ...library, ...libraries, ...bareLibraries(base, shared.bundled, planned)],
    runPaths,
    system: [...shared.system].sort(),
    isDebian: site.includes("dist-packages") && sitePackages.endsWith("site-packages"),
  };
}

/** `libpython3.so` too: modules for any Python 3 may be linked with it. */
function bareLibraries(
  { prefix }: BasePython,
  bundled: ReadonlyMap<string, string>,
  planned: (path: string, source: string) => PlannedFile,
): PlannedFile[] {
  const path = `${prefix}/lib/libpython3.so`;
  const isWanted = !isSystemPrefix(prefix) && bundled.size > 0 && !bundled.has("libpython3.so") &&
    realPathOf(path) !== null;
  return isWanted ? [planned("lib/libpython3.so", path)] : [];
}

/** Shared libraries that compiled files need: those from folders of their own, and the system's. */
function sharedLibraries(
  compiled: readonly PlannedFile[],
  prefix: string,
): { readonly bundled: Map<string, string>; readonly system: Set<string> } {
  const bundled = new Map<string, string>();
  const system = new Set<string>();
  const sources = compiled.map(({ source }) => source);
  for (const source of sources) {
    const links = elfLinks(Deno.readFileSync(source));
    const folders = (links?.runPath?.split(":") ?? []).map((folder) =>
      folder.replace(/\$(?:ORIGIN|\{ORIGIN\})/, dirname(source))
    );
    // Where the linker looks by settings of the system, as of /usr/local.
    if (prefix === "/usr/local") folders.push("/usr/local/lib");
    for (const needed of links?.needed ?? []) {
      if (bundled.has(needed) || isOfCLibrary(needed)) continue;
      const found = folders.map((folder) => realPathOf(`${folder}/${needed}`))
        .find((path) =>
          path !== null && (!isSystemFolder(dirname(path)) || needed.startsWith("libpython"))
        );
      if (found === undefined || found === null) system.add(needed);
      else {
        bundled.set(needed, found);
        sources.push(found);
      }
    }
  }
  for (const name of bundled.keys()) system.delete(name);
  return { bundled, system };
}
