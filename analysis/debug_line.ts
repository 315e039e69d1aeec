/** What a task says for whoever looks for the cause of trouble. */

/** Writes a line to the task's own output if `WQX_DEBUG` is set in its environment. */
export function debugLine(text: string): void {
  if (!Deno.env.get("WQX_DEBUG")) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`wqx task: ${text}\n`));
}
