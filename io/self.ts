/** How this wqx was started, so that it can start itself again for workers and tasks. */
import { fileURLToPath } from "node:url";

/**
 * The words that start this same wqx: from its source, from where it unpacked itself, or as a
 * compiled executable. Arguments follow; nothing in it depends on the working folder.
 */
export function selfCommand(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  if (import.meta.url.endsWith("/io/self.ts")) {
    const main = fileURLToPath(new URL("../main.ts", import.meta.url));
    return [Deno.execPath(), "run", "--allow-all", main];
  }
  // scripts/start.sh, beside the bundled program.
  return [fileURLToPath(new URL("./wqx", import.meta.url))];
}

/**
 * Puts back what scripts/start.sh has set for Deno itself, so that tasks and workers inherit the
 * environment of the user. To be called once, before anything is started.
 */
export function restoreEnvironment(): void {
  const userDir = Deno.env.get("WQX_USER_DENO_DIR");
  if (userDir === undefined) return;
  if (userDir === "") Deno.env.delete("DENO_DIR");
  else Deno.env.set("DENO_DIR", userDir);
  for (const name of ["WQX_USER_DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_NO_PACKAGE_JSON"]) {
    Deno.env.delete(name);
  }
}
