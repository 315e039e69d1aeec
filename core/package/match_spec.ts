/**
 * Match specs: how people and channels say which packages they want. All forms that conda takes
 * (`n=1.2`, `c::n >=1,<2 b*`, `n[version='>=1']`) become one, in which only conda's own rule is
 * applied that a single `=` means "and whatever begins so" unless a build follows.
 */
import { UsageError } from "../errors.ts";

export interface MatchSpec {
  /** As it was given. */
  readonly text: string;
  /** Name or URL of the channel, without subdir; as written. */
  readonly channel: string | null;
  readonly subdir: string | null;
  /** In lower case. */
  readonly name: string;
  /** As channels write it: `1.2.*`, `>=1,<2`, `==1.2`; null if any will do. */
  readonly version: string | null;
  /** With `*` for anything, or a regular expression `^…$`. */
  readonly build: string | null;
  /** What else was said in brackets: those of `recordKeys`. */
  readonly keys: ReadonlyMap<string, string>;
}

/** Keys in brackets that a record is compared with, besides version, build, channel and subdir. */
export const recordKeys = ["build_number", "fn", "md5", "sha256"] as const;

const bracketKeys = ["version", "build", "channel", "subdir", ...recordKeys];

const subdirs = /^(?:noarch|(?:linux|osx|win|freebsd|emscripten|wasi|zos)-\w+)$/;

/** One comparison of a version. */
const comparison = /^(?:==|!=|>=|<=|~=|>|<|=)?v?(?:\d+!)?[\w.+*-]+$/;

/** Throws UsageError that says what is wrong with it and what would do. */
export function parseMatchSpec(text: string): MatchSpec {
  const bad = (why: string) => new UsageError(`Cannot read the package "${text}": ${why}`);
  let rest = text.replace(/(?:^|\s)#.*$/, "").trim();
  if (rest === "") throw bad("it is empty");
  if (/^\w+:\/\/\S+\.(?:conda|tar\.bz2)$/.test(rest)) {
    throw bad("it is the URL of one file; name its channel and the package, as in URL::NAME");
  }
  const brackets = new Map<string, string>();
  const bracketed = /^(.*?)\s*\[([^\]]*)\]$/.exec(rest);
  if (bracketed !== null) {
    rest = bracketed[1]!;
    for (const [key, value] of pairs(bracketed[2]!, bad)) brackets.set(key, value);
  }
  const at = rest.indexOf("::");
  const before = at < 0 ? null : channelOf(rest.slice(0, at).trim(), bad);
  if (at >= 0) rest = rest.slice(at + 2).trim();

  const named = /^([A-Za-z0-9_.-]+)(.*)$/.exec(rest);
  if (named === null) throw bad("it must begin with a name, as in numpy >=1.26");
  const [, name = "", wanted = ""] = named;
  if (wanted.startsWith("[")) {
    throw bad("the name is followed by brackets; extras are for pip, so put it among pip's");
  }
  if (wanted.startsWith("*")) throw bad("a name is meant, and not a pattern of names");
  const plain = versionAndBuild(wanted, bad);
  const inBrackets = brackets.get("channel");
  const channel = inBrackets === undefined ? before : channelOf(inBrackets, bad);
  const { version = null, build = null } = {
    ...plain,
    ...brackets.has("version") && { version: versionOf(brackets.get("version")!, false, bad) },
    ...brackets.has("build") && { build: buildOf(brackets.get("build")!, bad) },
  };
  return {
    text,
    channel: channel?.channel ?? null,
    subdir: brackets.get("subdir") ?? channel?.subdir ?? null,
    name: name.toLowerCase(),
    version,
    build,
    keys: new Map([...brackets].filter(([key]) => recordKeys.some((known) => known === key))),
  };
}

/** Name, version and build with blanks between, as in `depends`: what a solver is told. */
export function dependencyText({ name, version, build }: MatchSpec): string {
  const words = build === null ? [version] : [version ?? "*", build];
  return [name, ...words.filter((word) => word !== null)].join(" ");
}

/**
 * The name at the beginning of an entry of `depends` or `constrains`, in lower case; null if there
 * is none, or a channel before it, which records of channels do not have.
 */
export function nameOfDependency(text: string): string | null {
  const found = /^\s*([A-Za-z0-9_.-]+)(?=$|[\s=<>!~[|,])/.exec(text);
  return found === null || /::|\bchannel\s*=/.test(text) ? null : found[1]!.toLowerCase();
}

/** Whether it is no package but a fact about a machine: `__glibc`. */
export function isVirtual(name: string): boolean {
  return name.startsWith("__");
}

type Refusal = (why: string) => UsageError;

function channelOf(text: string, bad: Refusal): { channel: string; subdir: string | null } {
  if (text === "") throw bad("there is no channel before ::");
  const path = text.replace(/\/+$/, "");
  const last = path.slice(path.lastIndexOf("/") + 1);
  if (last === path || !subdirs.test(last)) return { channel: path, subdir: null };
  return { channel: path.slice(0, -last.length).replace(/\/+$/, ""), subdir: last };
}

function* pairs(text: string, bad: Refusal): Generator<readonly [string, string]> {
  // A value in quotes may have commas in it.
  const pair = /\s*(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|([^,'"]*?))\s*(?:,|$)/y;
  while (pair.lastIndex < text.length) {
    const from = pair.lastIndex;
    const found = pair.exec(text);
    if (found === null) {
      throw bad(`in brackets stand pairs like build='py311*', not "${text.slice(from)}"`);
    }
    const [, key = "", single, double, bare] = found;
    if (!bracketKeys.includes(key)) {
      throw bad(`nothing is known of "${key}"; in brackets may stand ${bracketKeys.join(", ")}`);
    }
    const value = single ?? double ?? bare ?? "";
    if (value === "") throw bad(`"${key}" in brackets has no value`);
    yield [key, value];
  }
}

/** What follows the name: ` >=1,<2 b`, `=1.2=b`, `==1.2`. */
function versionAndBuild(
  text: string,
  bad: Refusal,
): { version: string | null; build: string | null } {
  // `>= 1 , <2` is `>=1,<2`: what is left of blanks parts the version from the build.
  const words = text.trim().replace(/([=<>!~,|(])\s+/g, "$1").replace(/\s+([,|)])/g, "$1")
    .split(/\s+/);
  if (words[0] === "") return { version: null, build: null };
  if (words.slice(1).some((word) => /^[<>=!~]/.test(word))) {
    throw bad("versions are joined by a comma, as in >=1,<2");
  }
  if (words.length > 2) throw bad("after the name come a version and a build, and no more");
  let [version = "", build] = words;
  const split = /^(.*[^=!<>~,|])=([^=].*)$/.exec(version);
  if (split !== null && build === undefined) [, version = "", build] = split;
  else if (split !== null) throw bad("it has two builds");
  return {
    version: versionOf(version, build === undefined, bad),
    build: build === undefined ? null : buildOf(build, bad),
  };
}

/** With `fuzzy`, `=1.2` is `1.2.*`; without, which is where a build follows, `==1.2`. */
function versionOf(text: string, fuzzy: boolean, bad: Refusal): string | null {
  const bare = text.replace(/\s+/g, "");
  if (bare === "*" || bare === "=*" || bare === "==*") return null;
  if (/^\^.*\$$/.test(bare)) return bare;
  return bare.split(/([,|])/).map((part, i) => {
    if (i % 2 === 1) return part;
    const [, open = "", middle = "", close = ""] = /^(\(*)([^()]*)(\)*)$/.exec(part) ?? [];
    if (!comparison.test(middle)) {
      throw bad(
        `"${part}" in "${text}" is no version; one is written like 1.2.*, >=1.2,<2 or ~=1.4`,
      );
    }
    return `${open}${comparisonOf(middle, fuzzy)}${close}`;
  }).join("");
}

function comparisonOf(text: string, fuzzy: boolean): string {
  const [, operator = "", version = ""] = /^([=!<>~]*)(.*)$/.exec(text) ?? [];
  if (operator === "=" && fuzzy) return version.endsWith("*") ? version : `${version}.*`;
  if (operator === "" || operator === "=") return version.includes("*") ? version : `==${version}`;
  return text;
}

function buildOf(text: string, bad: Refusal): string | null {
  if (text === "*") return null;
  if (!/^[\w.*+][\w.*+!]*$/.test(text) && !/^\^\S+\$$/.test(text)) {
    throw bad(`"${text}" is no build; one is written like py311*, or as a regular expression ^…$`);
  }
  return text;
}
