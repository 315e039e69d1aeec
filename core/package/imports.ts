/**
 * From what Python files import to the specification of an environment: which installed package
 * each import comes from, and how it is written down. What is installed and imported is told by
 * package/scripts/imports.py.
 */
import { RunError, UsageError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import { normalizedName } from "./requirement.ts";

export interface ImportStatement {
  /** As the file was named. */
  readonly source: string;
  readonly line: number;
  /** Dotted; of `from a import b, c` these are `a.b` and `a.c`, which may be no modules. */
  readonly modules: readonly string[];
  /** `from . import x`. */
  readonly relative: boolean;
  /** The code goes on without it: it catches ImportError, or is for type checkers only. */
  readonly optional: boolean;
}

export interface InstalledConda {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  /** URL with or without subdir, or a name. */
  readonly channel: string;
  /** Dotted, up to three parts. */
  readonly modules: readonly string[];
}

export interface InstalledPip {
  readonly name: string;
  readonly version: string;
  readonly modules: readonly string[];
  /** Folder of the working copy that is installed in its place. */
  readonly editable: string | null;
}

/** What package/scripts/imports.py says. */
export interface PythonReport {
  /** Of the interpreter: `3.11.7`. */
  readonly version: string;
  readonly imports: readonly ImportStatement[];
  readonly faults: readonly { source: string; line: number; message: string }[];
  readonly hasFunction: boolean;
  /** Modules that come with Python. */
  readonly standard: readonly string[];
  readonly conda: readonly InstalledConda[];
  readonly pip: readonly InstalledPip[];
}

/** How versions are written: with conda's build, as installed, its first two numbers, not at all. */
export const versionStyles = ["build", "exact", "minor", "none"] as const;
export type VersionStyle = (typeof versionStyles)[number];

export interface AnalyzeWishes {
  readonly versions: VersionStyle;
  /** Package by name of the module: for what cannot be told from what is installed. */
  readonly mapping: ReadonlyMap<string, string>;
  /** Packages wanted although nothing imports them. */
  readonly extra: readonly string[];
  /** Whether a module of this name lies beside the file that imports it. */
  readonly isLocal: (module: string, source: string) => boolean;
}

export interface Analysis {
  /** Keys sorted, to be printed as JSON. */
  readonly spec: {
    readonly conda: {
      readonly channels: readonly string[];
      readonly dependencies: readonly (string | { readonly pip: readonly string[] })[];
    };
  };
  /** Modules of the user's own project, which have to travel as input files. */
  readonly local: readonly string[];
  readonly notes: readonly string[];
}

type Owner =
  | { readonly kind: "conda"; readonly package: InstalledConda }
  | { readonly kind: "pip"; readonly package: InstalledPip };

/** Throws RunError with a sentence that names what no installed package has. */
export function analyze(report: PythonReport, wishes: AnalyzeWishes): Analysis {
  const owners = new Owners(report);
  const standard = new Set(report.standard);
  const used = new Map<string, Owner>(), local = new Set<string>(), notes = new Set<string>();
  const unknown = new Map<string, string>();
  const use = (owner: Owner) => used.set(`${owner.kind} ${owner.package.name}`, owner);
  for (const statement of report.imports) {
    const { source, line, modules, relative, optional } = statement;
    for (const module of modules) {
      const [top = ""] = module.split(".");
      if (relative) {
        local.add(top);
        continue;
      }
      const mapped = wishes.mapping.get(top);
      if (mapped !== undefined) {
        use(owners.named(mapped) ?? notInstalled(`--pkg-mapping ${top}=${mapped}`, mapped));
      } else if (standard.has(top)) {
        continue;
      } else if (wishes.isLocal(top, source)) {
        local.add(top);
      } else {
        const found = owners.of(module);
        found.forEach(use);
        if (found.length > 0) continue;
        if (optional) notes.add(`${top} is not installed, and ${source} can do without it`);
        else if (!unknown.has(top)) unknown.set(top, `${source}, line ${line}`);
      }
    }
  }
  if (unknown.size > 0) {
    const named = [...unknown].map(([module, where]) => `${module} (${where})`).join(", ");
    throw new RunError(
      `Cannot tell which packages are imported as ${named}: nothing that is installed here has ` +
        "them; install them, or name their packages with --pkg-mapping MODULE=PACKAGE",
    );
  }
  for (const name of wishes.extra) {
    use(owners.named(name) ?? notInstalled(`--extra-pkg ${name}`, name));
  }
  for (const name of ["python", "pip"]) {
    const owner = owners.named(name);
    if (owner?.kind === "conda") use(owner);
  }
  return {
    spec: specOf([...used.values()], report, wishes.versions),
    local: [...local].sort(),
    notes: [...notes],
  };
}

function notInstalled(option: string, name: string): never {
  throw new RunError(`Cannot take "${option}": no package ${name} is installed here`);
}

/** Installed packages by what can be imported of them. */
class Owners {
  readonly #byModule = new Map<string, Owner[]>();
  readonly #byName = new Map<string, Owner>();

  constructor({ conda, pip }: PythonReport) {
    const all: Owner[] = [
      ...conda.map((one): Owner => ({ kind: "conda", package: one })),
      ...pip.map((one): Owner => ({ kind: "pip", package: one })),
    ];
    for (const owner of all) {
      const name = normalizedName(owner.package.name);
      if (!this.#byName.has(name)) this.#byName.set(name, owner);
      for (const module of owner.package.modules) {
        const known = this.#byModule.get(module);
        if (known === undefined) this.#byModule.set(module, [owner]);
        else known.push(owner);
      }
    }
  }

  named(name: string): Owner | undefined {
    return this.#byName.get(normalizedName(name));
  }

  /** Several where packages share a namespace and the import does not say which part of it. */
  of(module: string): readonly Owner[] {
    const parts = module.split(".").slice(0, 3);
    for (let count = parts.length; count > 0; count--) {
      const found = this.#byModule.get(parts.slice(0, count).join("."));
      if (found === undefined) continue;
      const own = found.filter((owner) =>
        normalizedName(owner.package.name) === normalizedName(parts[0]!)
      );
      return found.length > 1 && own.length > 0 ? own : found;
    }
    const named = this.named(parts[0]!);
    return named === undefined ? [] : [named];
  }
}

function specOf(
  owners: readonly Owner[],
  { version, conda }: PythonReport,
  style: VersionStyle,
): Analysis["spec"] {
  const fromConda = owners.flatMap((owner) =>
    owner.kind === "conda" ? [condaSpec(owner.package, style)] : []
  );
  const fromPip = owners.flatMap((owner) =>
    owner.kind === "pip" ? [pipRequirement(owner.package, style)] : []
  );
  const has = (name: string) => conda.some((one) => one.name === name);
  // Of a Python that is not conda's, what stands for it there.
  if (!has("python")) fromConda.push(versioned("python", "=", version, style));
  if (!has("pip") && fromPip.length > 0) fromConda.push("pip");
  const pip = fromPip.filter((line) => !/^pip(?:[=<>~!]|$)/.test(line)).sort();
  return {
    conda: {
      channels: channelsOf(conda),
      dependencies: [...fromConda.sort(), ...pip.length > 0 ? [{ pip }] : []],
    },
  };
}

function condaSpec({ name, version, build }: InstalledConda, style: VersionStyle): string {
  return style === "build" && build !== ""
    ? `${name}=${version}=${build}`
    : versioned(name, "=", version, style);
}

function pipRequirement({ name, version, editable }: InstalledPip, style: VersionStyle): string {
  // Its working copy is taken, whatever version that has by then; a local part (+cpu) no index has.
  if (editable !== null) return name;
  return versioned(name, "==", version.replace(/\+.*$/, ""), style);
}

function versioned(name: string, sign: string, version: string, style: VersionStyle): string {
  switch (style) {
    case "none":
      return name;
    case "minor": {
      const [, minor] = /^(\d+\.\d+)\./.exec(version) ?? [];
      if (minor === undefined) return name + sign + version;
      return name + sign + minor + (sign === "==" ? ".*" : "");
    }
    default:
      return name + sign + version;
  }
}

/** Those that most packages are from come first. */
function channelsOf(conda: readonly InstalledConda[]): string[] {
  const counts = new Map<string, number>();
  for (const { channel } of conda) {
    const name = channel.replace(/\/+$/, "").replace(
      /\/(?:noarch|(?:linux|osx|win)-[\w]+)$/,
      "",
    ).replace(/^https:\/\/conda\.anaconda\.org\//, "");
    if (name !== "") counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const names = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)!);
  return names.length > 0 ? names : ["conda-forge"];
}

/** As poncho prints it: keys sorted, four spaces. */
export function printSpec(spec: Analysis["spec"]): string {
  return JSON.stringify(spec, null, 4) + "\n";
}

/** Cell magics whose cell is Python all the same. */
const pythonMagics = /^%%(?:time|timeit|capture|prun|python3?|memit)\b/;

/**
 * The code cells of a Jupyter notebook as one Python file, without what is IPython's own. Throws
 * UsageError, the end of a sentence, for what is no notebook.
 */
export function notebookCode(text: string): string {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    throw new UsageError("it is no notebook: it is not JSON");
  }
  if (!isRecord(whole) || !Array.isArray(whole.cells)) {
    throw new UsageError("it is no notebook of version 4: it has no cells");
  }
  return whole.cells.flatMap((cell: unknown) => {
    if (!isRecord(cell) || cell.cell_type !== "code") return [];
    const { source } = cell;
    const lines: readonly unknown[] = Array.isArray(source) ? source : [source];
    return [pythonOfCell(lines.filter((line) => typeof line === "string").join(""))];
  }).join("\n");
}

function pythonOfCell(source: string): string {
  const lines = source.split("\n");
  const [first = ""] = lines;
  if (first.startsWith("%%")) {
    if (!pythonMagics.test(first)) return "";
    lines[0] = "";
  }
  return lines.map((line) => {
    const [, indent = "", rest = ""] = /^(\s*)(.*)$/.exec(line) ?? [];
    const isMagic = /^(?:!|%{1,2}[a-zA-Z])/.test(rest) ||
      /^\??[\w.]+\?{1,2}$/.test(rest) && rest.includes("?");
    const isAssigned = /^[\w., ]+=\s*(?:!|%\w)/.test(rest);
    return isMagic || isAssigned ? `${indent}pass` : line;
  }).join("\n") + "\n";
}
