/** What is done about what a task uses. */

/** `watchdog` measures and enforces; `measure` only measures; `off` does neither. */
export const monitorModes = ["watchdog", "measure", "off"] as const;
export type MonitorMode = typeof monitorModes[number];

/**
 * Variable of a task's environment by which a manager of wqx tells a worker of wqx the mode; for
 * other workers it is a variable like any other.
 */
const variable = "WQX_MONITOR";

export function monitorVariable(mode: MonitorMode): string {
  return `${variable}=${mode}`;
}

/** Of a task's `NAME=value` lines; `off` where none says otherwise. */
export function monitorModeIn(env: readonly string[]): MonitorMode {
  const said = env.findLast((line) => line.startsWith(`${variable}=`))?.slice(variable.length + 1);
  return monitorModes.find((mode) => mode === said) ?? "off";
}
