/**
 * The rules of the code base that a machine can check, read from the files as they stand:
 * who imports whom, what the core must not touch, where processes and foreign code are allowed.
 */
import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import denoJson from "../deno.json" with { type: "json" };
import pureJson from "./pure.json" with { type: "json" };

const root = fileURLToPath(new URL("../", import.meta.url));
const longestFileLines = 600;

interface SourceFile {
  /** From the root of the checkout. */
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly specifier: string;
  /** Path from the root, or null for what is not part of the checkout. */
  readonly target: string | null;
  /** Between `import` and `from`: `{ a, b }`, `* as c`, or nothing. */
  readonly names: string;
}

/** Left out: what others made, what is generated, and recorded texts. */
const skippedFolders = new Set([".git", "dist", "node_modules", "tests/golden"]);

function* walk(folder: string): Generator<SourceFile> {
  for (const { name, isDirectory } of Deno.readDirSync(join(root, folder))) {
    const path = normalize(join(folder, name));
    if (isDirectory && !skippedFolders.has(path) && !name.endsWith(".tmp")) yield* walk(path);
    if (!isDirectory && /\.(ts|js|json|md|sh|py|yaml|yml|html|css)$|^run$/.test(name)) {
      yield { path, text: Deno.readTextFileSync(join(root, path)) };
    }
  }
}

const files = [...walk(".")].sort((a, b) => a.path < b.path ? -1 : 1);
const modules = files.filter(({ path }) => path.endsWith(".ts"));
const importMap = new Map(
  Object.entries(denoJson.imports).filter(([, to]) => to.startsWith("./")).map((
    [name, to],
  ) => [name, normalize(to)]),
);

function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text);
  const found = [
    ...code.matchAll(/^\s*(?:import|export)\s+(?:type\s+)?([^;"']*?)\s*from\s+"([^"]+)"/gm),
    ...code.matchAll(/^\s*import\s+()"([^"]+)"/gm),
    ...code.matchAll(/\bimport\(()\s*"([^"]+)"/g),
  ];
  return found.map(([, names = "", specifier = ""]) => ({
    specifier,
    target: specifier.startsWith(".")
      ? normalize(join(dirname(path), specifier))
      : importMap.get(specifier) ?? null,
    names,
  }));
}

/** Code as `deno fmt` leaves it: a comment follows a blank or begins a line. */
function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, " ");
  return text.replace(/(?<=^|[\s(,{[])\/\*[^]*?\*\//g, blank).replace(/(?<=^|\s)\/\/.*$/gm, blank);
}

/** What runs: comments and the text of strings are blanked out, templates are not. */
function codeOnly(text: string): string {
  return withoutComments(text).replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""');
}

/** Every place where a pattern occurs, as `FILE:LINE: WHAT`. */
function places(path: string, text: string, pattern: RegExp, what: string): string[] {
  return text.split("\n").flatMap((line, i) => {
    const found = pattern.exec(line);
    return found === null ? [] : [`${path}:${i + 1}: ${found[0].trim()}: ${what}`];
  });
}

function assertNone(problems: readonly string[]): void {
  assert.ok(problems.length === 0, `\n${problems.join("\n")}`);
}

/** Each may import those after it; those of one line never one another. */
const layers: readonly (readonly string[])[] = [
  ["main.ts"],
  ["cmd"],
  ["manager", "worker", "analysis", "factory", "catalog"],
  ["package"],
  ["io"],
  ["core"],
];

function layerOf(path: string): { name: string; depth: number } {
  const name = path.split("/")[0]!;
  return { name, depth: layers.findIndex((layer) => layer.includes(name)) };
}

Deno.test("imports go from main to cmd to the shells to io to core, and never back", () => {
  const problems: string[] = [];
  for (const file of modules) {
    const from = layerOf(file.path);
    for (const { target, specifier } of importsOf(file)) {
      if (target === null || target === "deno.json") continue;
      const to = layerOf(target);
      const allowed = from.depth < 0
        // Tests, scripts and examples stand outside, and nothing inside needs them.
        ? to.depth >= 0 || file.path.startsWith("tests/") || from.name === to.name
        : from.name === to.name || to.depth > from.depth;
      if (!allowed) problems.push(`${file.path}: must not import ${specifier} (${target})`);
    }
  }
  assertNone(problems);
});

/** Of node's modules: the same for the same bytes, on every machine. */
const pureNames: Readonly<Record<string, readonly string[]>> = {
  "node:crypto": ["createHash", "createHmac", "timingSafeEqual"],
  "node:zlib": ["crc32"],
};

Deno.test("core imports only itself, hashes, and the packages that tests/pure.json lists", () => {
  const pure = new Map(Object.entries(pureJson.imports));
  const problems: string[] = [];
  for (const file of modules.filter(({ path }) => path.startsWith("core/"))) {
    for (const { specifier, target, names } of importsOf(file)) {
      const pureHere = pureNames[specifier] ?? [];
      const named = names.replace(/[\s{}]/g, "").split(",");
      const hash = named.every((name) => pureHere.includes(name));
      if (target === null && !hash && !pure.has(specifier)) {
        problems.push(`${file.path}: must not import ${specifier}`);
      }
    }
  }
  const versions: Readonly<Record<string, string>> = denoJson.imports;
  for (const [name, version] of pure) {
    if (versions[name] !== version) problems.push(`tests/pure.json: ${name} is not ${version}`);
  }
  assertNone(problems);
});

/** Clock, chance, timers, waiting, output: the same inputs must give the same outputs. */
const impure = new RegExp(
  [
    /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\b/,
    /\bMath\.random\b|\bcrypto\.|\brandomUUID\b|\brandomBytes\b/,
    /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/,
    /\basync\b|\bawait\b|\bnew Promise\b|\bPromise\.\w+/,
    /\bconsole\b|\bDeno\b|(?<![.\w])process\.|\bfetch\(/,
  ].map((part) => part.source).join("|"),
);

Deno.test("core uses no clock, chance, timer, promise, console or system", () => {
  assertNone(
    modules.filter(({ path }) => path.startsWith("core/")).flatMap(({ path, text }) =>
      places(path, codeOnly(text), impure, "the core is pure; let a shell hand it in")
    ),
  );
});

/** Folders end with a slash. */
const mayStartProcesses = [
  "worker/process.ts",
  "worker/warm_python.ts",
  "worker/guard.ts",
  "worker/monitored_command.ts", // `wqx monitor`: in the terminal of who calls it
  "manager/local_workers.ts",
  "manager/bundle.ts", // `wqx task bundle`: the user's code may throw, hang, or take 200 MB
  "analysis/command.ts", // `processor: {command: …}`, inside a task of its own
  "factory/batch/",
  "package/",
  "io/xrdcp.ts", // the client's own program, where its library is not
  "io/api_client.ts", // the manager that a client owns
  "cmd/background.ts", // a command that leaves the terminal
  "scripts/",
  "tests/",
];

/** Else only in io/libc.ts. */
const mayCallForeignCode = [
  "io/libc.ts",
  "io/xrootd_thread.ts", // waits for servers, in a thread that must import nothing
];

Deno.test("foreign code is called in io/libc.ts, and processes start where the rule says", () => {
  const problems: string[] = [];
  for (const { path, text } of modules) {
    const code = codeOnly(text);
    if (!mayCallForeignCode.includes(path)) {
      const ffi = /\bDeno\.(?:dlopen|Unsafe\w+)/;
      problems.push(...places(path, code, ffi, "calls of C belong into io/libc.ts"));
    }
    if (!mayStartProcesses.some((allowed) => path.startsWith(allowed))) {
      const command = /\bDeno\.(?:Command|spawn\w*)\b|\bchild_process\b/;
      problems.push(...places(path, code, command, "no place to start processes"));
    }
    if (!path.startsWith("tests/") && importsOf({ path, text }).some(isFastCheck)) {
      problems.push(`${path}: fast-check belongs into tests/`);
    }
    if (path !== "main.ts" && !/^(scripts|tests)\//.test(path)) {
      const exit = /\bDeno\.exit\b/;
      problems.push(...places(path, code, exit, "only main.ts ends the process"));
    }
  }
  assertNone(problems);
});

function isFastCheck({ specifier }: Import): boolean {
  return specifier === "fast-check";
}

Deno.test("every module is imported by another one, or is one that people start", () => {
  const started =
    /^(main\.ts|scripts\/build\.ts|tests\/run\.ts|examples\/.*|.*_(?:bench|test)\.ts|.*\/main\.ts)$/;
  const used = new Set<string>();
  for (const file of modules) {
    for (const { target } of importsOf(file)) if (target !== null) used.add(target);
    // Started as a process of its own, by its path from here: "./x.ts", "../support/x.ts", "x.ts".
    for (const [, path = ""] of file.text.matchAll(/"((?:\.{1,2}\/)*[\w/]+\.ts)"/g)) {
      used.add(normalize(join(dirname(file.path), path)));
    }
  }
  for (const target of importMap.values()) used.add(target);
  assertNone(
    modules.filter(({ path }) => !started.test(path) && !used.has(path)).map(({ path }) =>
      `${path}: nobody imports it`
    ),
  );
});

Deno.test("tests are where the test command looks for them", () => {
  const found = modules.filter(({ path }) => path.endsWith("_test.ts"));
  const stray = found.filter(({ path }) => !/^tests\/(?:[a-z0-9]+\/)?\w+_test\.ts$/.test(path));
  assertNone(stray.map(({ path }) => `${path}: tests belong into tests/ or a folder in it`));
});

Deno.test(`no file is longer than ${longestFileLines} lines`, () => {
  const problems: string[] = [];
  for (const { path, text } of files.filter(({ path }) => /\.(ts|sh|py|css|html)$/.test(path))) {
    const lines = text.split("\n").length - 1;
    if (lines > longestFileLines) problems.push(`${path}: ${lines} lines; split it`);
  }
  assertNone(problems);
});

/** Written so that this file does not contain them. */
const forbidden: readonly (readonly [RegExp, string])[] = [
  [/(?<=^|["'`\s(=])\/(?:w[o]rk|r[o]ot)(?=\/)/, "a path of one machine"],
  [/(?<=^|["'`\s(=/])\/(?:h[o]me|Us[e]rs)\/(?!user\b|me\b|\$)\w+/, "a path of one machine"],
  [/registry\.n[p]mjs|\bp[y]pi\.org|pythonh[o]sted|deb\.d[e]bian|\bj[s]r\.io/, "a registry's host"],
  [/\bcrates\.i[o]\b|dl\.d[e]no\.land|proxy\.g[o]lang/, "a registry's host"],
];

Deno.test("no file names a machine's own paths or a registry's host", () => {
  assertNone(
    files.flatMap(({ path, text }) =>
      path === "deno.lock"
        ? []
        : forbidden.flatMap(([pattern, what]) =>
          places(path, text, pattern, `${what} has no place in the repository`)
        )
    ),
  );
});
