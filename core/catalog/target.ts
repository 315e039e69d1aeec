/** Targets of requests → what is asked of the catalog. */
import type { Format } from "./formats.ts";

/** A question that catalog_server answers too; all else is a page or not there. */
export type Question =
  | {
    readonly kind: "records";
    readonly format: Format;
    /** Base64 of a JX expression; `null`: all records. */
    readonly filter: string | null;
    /** Seconds since 1970, for what was there then; `null`: now. */
    readonly atS: number | null;
  }
  | {
    readonly kind: "updates";
    /** Seconds since 1970. */
    readonly fromS: number;
    readonly toS: number;
    readonly filter: string;
  };

/** `null` if the path asks for nothing that is known here. */
export function questionOf(path: string): Question | null {
  const updates = /^\/updates\/(\d{1,12})\/(\d{1,12})\/(.+)$/.exec(path);
  if (updates !== null) {
    const [, from, to, filter] = updates;
    return { kind: "updates", fromS: Number(from), toS: Number(to), filter: filter! };
  }
  const [, at, rest = ""] = /^(?:\/history\/(\d{1,12}))?(\/.*)$/.exec(path) ?? [];
  const atS = at === undefined ? null : Number(at);
  const format = /^\/query\.(json|text|newclassads)$/.exec(rest)?.[1] as Format | undefined;
  if (format !== undefined) return { kind: "records", format, filter: null, atS };
  // A slash is a letter of base64, so the filter is all that follows.
  const filter = /^\/query\/(.+)$/.exec(rest)?.[1];
  return filter === undefined ? null : { kind: "records", format: "json", filter, atS };
}

/** The text of a filter, or `null` if that is no base64 of UTF-8. */
export function decodeFilter(base64: string): string | null {
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return null;
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
