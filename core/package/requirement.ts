/** Requirements as pip takes them: which package a line names, and what else a line may be. */

/** The name as an index compares it (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`. */
export function normalizedName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

/**
 * The name that a requirement (PEP 508, or a URL with `#egg=`) begins with, as written and without
 * extras; `""` for a URL that does not tell it, `null` for what is no requirement.
 */
export function requirementName(line: string): string | null {
  if (/^(?:(?:git|hg|svn|bzr)\+)?[a-z]+:\/\//i.test(line)) {
    return /[#&]egg=([^&[]+)/.exec(line)?.[1] ?? "";
  }
  const [, name, rest = ""] = nameAndRest.exec(line) ?? [];
  if (name === undefined) return null;
  return rest === "" || /^(?:[<>=!~;@#(]|\[|--hash)/.test(rest) ? name : null;
}

const nameAndRest = /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$/s;

/** Whether a line is the path of a folder or a file on this machine. */
export function isLocalPath(line: string): boolean {
  return /^(?:\.{1,2}(?:$|\/|\[)|\/|~\/|file:\/\/)/.test(line);
}

/** Whether a line is an option of pip (`--index-url URL`). */
export function isOption(line: string): boolean {
  return line.startsWith("-");
}
