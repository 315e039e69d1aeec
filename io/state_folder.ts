/** Where programs keep what they know between two starts. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** `$XDG_STATE_HOME/wqx`, or `~/.local/state/wqx`; it need not be there. */
export function stateFolder(): string {
  const given = Deno.env.get("XDG_STATE_HOME") ?? "";
  // A relative one is to be passed over (XDG Base Directory Specification).
  return join(isAbsolute(given) ? given : join(homedir(), ".local/state"), "wqx");
}
