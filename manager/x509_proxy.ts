/** The user's x509 proxy, by which XRootD servers know who asks: which file it is, and its bytes. */
import { join, resolve } from "node:path";
import { type InputFile, isXrootdUrl } from "../core/analysis/spec.ts";
import { messageOf, UsageError } from "../core/errors.ts";
import { resolveFrom } from "./source_file.ts";

/** A proxy has some certificates of 2 kB each. */
const proxyBytesMax = 1024 ** 2;

export interface ProxyWanted {
  /** Of the analysis file. */
  readonly key: string | false | undefined;
  /** Of the command line, which wins: a file, or `none`. */
  readonly option: string | undefined;
  /** Where the name in the analysis file starts. */
  readonly folder: string;
  /** `key`: what is wrong is in the analysis file. */
  complain(key: boolean, text: string): void;
}

/**
 * Absolute path of the proxy that tasks need, or `null`: no file is one of XRootD, none is wanted,
 * or there is none. Without a name it is `$X509_USER_PROXY`, else `x509up_u<uid>` in the temporary
 * folder, as coffea and the client itself have it.
 */
export async function proxyFor(
  files: readonly Pick<InputFile, "source">[],
  { key, option, folder, complain }: ProxyWanted,
): Promise<string | null> {
  const needed = files.some(({ source }) => isXrootdUrl(source));
  if (option === "none" || (option === undefined && key === false)) return null;
  const named = option ?? (key || undefined);
  if (named !== undefined) {
    const path = option === undefined ? resolveFrom(folder, named) : resolve(named);
    const trouble = await troubleWith(path);
    if (trouble !== null) {
      complain(
        option === undefined,
        `${option === undefined ? "" : "--x509-proxy: "}"${named}" ${trouble}; ` +
          "voms-proxy-init makes a proxy",
      );
    }
    return needed && trouble === null ? path : null;
  }
  if (!needed) return null;
  for (const path of usualPlaces()) if (await troubleWith(path) === null) return path;
  return null;
}

function usualPlaces(): string[] {
  const folder = Deno.env.get("TMPDIR") || "/tmp";
  const named = Deno.env.get("X509_USER_PROXY");
  return [...named ? [resolve(named)] : [], join(folder, `x509up_u${Deno.uid()}`)];
}

async function troubleWith(path: string): Promise<string | null> {
  const info = await Deno.stat(path).catch(() => null);
  if (info === null) return "is not there";
  if (!info.isFile || info.size > proxyBytesMax) return "is no proxy";
  return null;
}

/** Throws UsageError. */
export async function readProxy(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read the x509 proxy ${path}: ${messageOf(error)}`);
  }
}
