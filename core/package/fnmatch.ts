/** Patterns of `--exclude` and `--include`: those of the shell, where `*` stands for `/` too. */
import { UsageError } from "../errors.ts";

/** One option: files that match are left out, or taken back in. */
export interface Filter {
  readonly kind: "exclude" | "include";
  readonly pattern: string;
}

/** Whether a path passes; filters count in their order, the last match decides. */
export function passes(path: string, filters: readonly CompiledFilter[]): boolean {
  let isIn = true;
  for (const { kind, expression } of filters) {
    if (isIn === (kind === "exclude") && expression.test(path)) isIn = !isIn;
  }
  return isIn;
}

export interface CompiledFilter {
  readonly kind: Filter["kind"];
  readonly expression: RegExp;
}

/** Throws UsageError for an empty pattern. */
export function compileFilters(filters: readonly Filter[]): CompiledFilter[] {
  return filters.map(({ kind, pattern }) => {
    if (pattern === "") {
      throw new UsageError(`--${kind} is empty: give a pattern such as "*.a" or "share/doc/*"`);
    }
    return { kind, expression: globExpression(pattern) };
  });
}

/** As Python's fnmatch: `*`, `?`, `[seq]`, `[!seq]`; a bracket without end stands for itself. */
function globExpression(pattern: string): RegExp {
  const source = pattern.replace(
    /(\*+)|(\?)|\[(!?)(\]?[^\]]*)\]|[^*?]/gs,
    (sign, star?: string, any?: string, not?: string, set?: string) => {
      if (star !== undefined) return ".*";
      if (any !== undefined) return ".";
      if (set !== undefined && set !== "") {
        return `[${not === "!" ? "^" : ""}${set.replace(/[\\\]^[]/g, "\\$&")}]`;
      }
      return sign.replace(/[\\^$.|+()[\]{}]/g, "\\$&");
    },
  );
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    throw new UsageError(`Pattern "${pattern}" cannot be: a range in brackets runs backwards`);
  }
}
