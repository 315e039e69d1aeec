/** Commands that a `noarch: python` package asks for, and the scripts that stand for them. */
import { RunError } from "../errors.ts";
import { shebangBytesMax, shebangFor } from "./placeholder.ts";
import type { Platform } from "./platform.ts";

export interface EntryPoint {
  /** Name in `bin`. */
  readonly command: string;
  /** `package.module` */
  readonly module: string;
  /** `function` or `Class.method` */
  readonly callable: string;
}

/** `info/link.json` (or `package_metadata.json` of old). */
export interface LinkJson {
  readonly noarch: "python" | "generic" | null;
  readonly entryPoints: readonly EntryPoint[];
}

const identifiers = /^[\p{ID_Start}_][\p{ID_Continue}]*(?:\.[\p{ID_Start}_][\p{ID_Continue}]*)*$/u;

/** `cmd = mod:func`. Throws RunError, the end of a sentence, for what would be no such script. */
export function parseEntryPoint(text: string): EntryPoint {
  const [, command = "", module = "", callable = ""] =
    /^\s*([^=]*?)\s*=\s*([^:\s]*)\s*:\s*([^\s[]*)\s*(?:\[[^\]]*\])?\s*$/.exec(text) ?? [];
  const isName = /^[\w][\w.+-]*$/.test(command);
  if (!isName || !identifiers.test(module) || !identifiers.test(callable)) {
    throw new RunError(
      `it has the entry point ${JSON.stringify(text)}, which is not of the form ` +
        `"command = module:function"`,
    );
  }
  return { command, module, callable };
}

/** Throws RunError, the end of a sentence. */
export function parseLinkJson(text: string): LinkJson {
  let noarch: unknown;
  try {
    noarch = (JSON.parse(text) as { noarch?: unknown } | null)?.noarch;
  } catch {
    throw new RunError("its info/link.json is no JSON");
  }
  if (typeof noarch !== "object" || noarch === null) return { noarch: null, entryPoints: [] };
  const { type, entry_points: points } = noarch as { type?: unknown; entry_points?: unknown };
  const list: readonly unknown[] = Array.isArray(points) ? points : [];
  const texts = list.map((one) => typeof one === "string" ? one : JSON.stringify(one));
  return {
    noarch: type === "python" || type === "generic" ? type : null,
    entryPoints: texts.map(parseEntryPoint),
  };
}

/** The script in `bin` that calls the function; ends with a newline. */
export function entryPointScript(
  { module, callable }: EntryPoint,
  prefix: string,
  pythonMinor: string,
  platform: Platform,
): string {
  const program = `${prefix}/bin/python${pythonMinor}`;
  const line = `#!${program}`;
  const bytesMax = platform.startsWith("osx") ? shebangBytesMax.osx : shebangBytesMax.linux;
  const isLong = new TextEncoder().encode(line).length > bytesMax || /\s/.test(prefix);
  const imported = callable.split(".")[0]!;
  return `${isLong ? shebangFor(program, "") : line}
import re
import sys

from ${module} import ${imported}

if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
    sys.exit(${callable}())
`;
}
