/** Where everything that `wqx package` keeps between runs lies. */
import { join } from "node:path";

/**
 * The folder of the cache, absolute: `WQX_CACHE`, else `wqx` in `XDG_CACHE_HOME`, else in `~/.cache`.
 * It need not exist.
 */
export function cacheFolder(env: Readonly<Record<string, string>> = Deno.env.toObject()): string {
  const { WQX_CACHE, XDG_CACHE_HOME, HOME } = env;
  if (WQX_CACHE) return absolute(WQX_CACHE);
  if (XDG_CACHE_HOME?.startsWith("/")) return join(XDG_CACHE_HOME, "wqx");
  return join(HOME || "/tmp", ".cache", "wqx");
}

/** Downloaded archives and extracted packages, within the cache. */
export function packagesFolder(cache: string): string {
  return join(cache, "packages");
}

/** Environments that are unpacked on this machine, within the cache. */
export function environmentsFolder(cache: string): string {
  return join(cache, "environments");
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : join(Deno.cwd(), path);
}
