/** What tasks say for whoever looks for the cause of trouble. */
import { DebugLog } from "../io/log.ts";

/**
 * Adds a line to the file that `WQX_TASK_DEBUG` names in the environment of the worker; `:stderr`
 * is the task's own output.
 */
export function debugLine(subsystem: string, text: string): void {
  const file = Deno.env.get("WQX_TASK_DEBUG");
  if (!file) return;
  try {
    using log = new DebugLog({ subsystems: ["all"], file, rotateBytes: 0, program: "wqx task" });
    log.write(subsystem, text);
  } catch {
    // A file that cannot be written must not end the task that is being looked at.
  }
}
