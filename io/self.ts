/** How this wqx was started, so that it can start itself again for workers and tasks. */
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Set by scripts/launcher.sh, and by the scripts of `wqx links`. */
const startedVariable = "WQX_STARTED_AS";

/** Read while it is there: `restoreEnvironment` takes it away. */
const startedPath = Deno.env.get(startedVariable) ?? null;

/** The path or name by which this wqx was called, or `null` if Deno was called to run it. */
export function startedAs(): string | null {
  return Deno.build.standalone ? process.argv0 : startedPath;
}

/**
 * The single file that this wqx is, to which a link would start it again under another name, or
 * `null` if it was started otherwise; then `selfCommand` is what there is.
 */
export function selfExecutable(): string | null {
  if (Deno.build.standalone) return Deno.execPath();
  return runsFromSource || startedPath === null ? null : resolve(startedPath);
}

const runsFromSource = import.meta.url.endsWith("/io/self.ts");

/**
 * The words that start this same wqx: from its source, from where it unpacked itself, or as a
 * compiled executable. Arguments follow; nothing in it depends on the working folder.
 */
export function selfCommand(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  if (runsFromSource) {
    const main = fileURLToPath(new URL("../main.ts", import.meta.url));
    return [Deno.execPath(), "run", "--allow-all", main];
  }
  // scripts/start.sh, beside the bundled program.
  return [fileURLToPath(new URL("./wqx", import.meta.url))];
}

/**
 * Puts back what the starting scripts have set for Deno and for us, so that tasks and workers
 * inherit the environment of the user. To be called once, before anything is started.
 */
export function restoreEnvironment(): void {
  Deno.env.delete(startedVariable);
  const userDir = Deno.env.get("WQX_USER_DENO_DIR");
  if (userDir === undefined) return;
  if (userDir === "") Deno.env.delete("DENO_DIR");
  else Deno.env.set("DENO_DIR", userDir);
  for (const name of ["WQX_USER_DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_NO_PACKAGE_JSON"]) {
    Deno.env.delete(name);
  }
}
