/** wqx itself, as it is sent to workers that are not of wqx. */
import type { MonitorProgram } from "../core/scheduler/foreign_monitor.ts";
import type { Source } from "../core/scheduler/tasks.ts";
import { startScript } from "../core/shell_words.ts";
import { selfExecutable } from "../io/self.ts";

/**
 * The single file, if this wqx is one; from its source a script that starts it, which other
 * machines can only run if they see the same folders.
 */
export function wqxAsInput(command: readonly string[]): Source {
  const path = selfExecutable();
  if (path !== null) return { kind: "file", path };
  const bytes = new TextEncoder().encode(startScript(command));
  return { kind: "buffer", bytes, mode: 0o755 };
}

/** For tasks that are to be monitored there. */
export function monitorProgram(command: readonly string[]): MonitorProgram {
  const source = wqxAsInput(command);
  const bytes = source.kind === "file" ? Deno.statSync(source.path).size : 0;
  return { source, diskMb: Math.ceil(bytes / 1024 ** 2) };
}
