/** What a factory prints: as work_queue_factory under that name, a line for each change as wqx. */
import type { Plan } from "../core/factory/plan.ts";
import type { FactorySettings } from "../core/factory/settings.ts";
import type { View } from "../core/factory/view.ts";
import { tableText } from "../core/status/table_layout.ts";
import { tables, tableWidth } from "../core/status/tables.ts";
import type { FactoryOutput } from "../factory/run.ts";
import { outputMode, type Terminal } from "./render.ts";

export function factoryOutput(
  terminal: Terminal,
  options: { readonly json: boolean; readonly quiet: boolean; readonly dryRun: boolean },
  asWorkQueue: boolean,
): FactoryOutput {
  const { stdout, stderr } = terminal;
  const mode = outputMode(options);
  const say = (line: string) => stderr.write(`${line}\n`);
  if (mode === "json") {
    return {
      say,
      ending: say,
      report: (plan, view) => stdout.write(JSON.stringify(jsonOf(plan, view)) + "\n"),
      loaded() {},
    };
  }
  if (mode === "quiet") return { say() {}, ending() {}, report() {}, loaded() {} };
  if (asWorkQueue) {
    return {
      say,
      ending: (line) => stdout.write(`${line}\n`),
      report: (plan, view) => stdout.write(cycleText(plan, view, new Date())),
      loaded: (path, settings) => stdout.write(loadedText(path, settings)),
    };
  }
  let before = "";
  return {
    say: (line) => say(timed(line)),
    ending: (line) => say(timed(line)),
    report(plan) {
      if (options.dryRun) return stdout.write(`${planText(plan)}\n`);
      if (plan.why !== before) say(timed(plan.why));
      before = plan.why;
    },
    loaded: (path) => say(timed(`Settings are those of ${path}`)),
  };
}

function planText({ submit, remove, why }: Plan): string {
  return `Plan: submit ${submit}, remove ${remove.length}\nWhy:  ${why}`;
}

function jsonOf(plan: Plan, view: View): object {
  return {
    type: "plan",
    time: new Date().toISOString(),
    managers: view.managers.length,
    ...plan,
  };
}

function timed(line: string): string {
  return `${clockOf(new Date())} ${line}`;
}

/** A cycle as Work Queue prints it, with its blanks. */
function cycleText(plan: Plan, { managers, foremen }: View, now: Date): string {
  const { submitted, needed, toConnect, submit } = plan;
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("/");
  const rows = [...managers, ...foremen ?? []];
  const width = tableWidth(Deno.env.get("COLUMNS"), null);
  return `${date} ${clockOf(now)}: |submitted: ${submitted} |needed: ${needed} ` +
    `|waiting connection: ${toConnect} |requested: ${submit} \n` +
    `${tableText(tables.statistics.columns, rows, width)}\n`;
}

/** What Work Queue prints of a configuration it has taken; odd as it is, scripts read it. */
export function loadedText(path: string, settings: FactorySettings): string {
  const { tasksPerWorker, cores } = settings;
  const tasks = tasksPerWorker === "cores" ? Math.max(1, cores ?? 1) : tasksPerWorker ?? -1;
  const lines: [string, string | null][] = [
    ["manager-name", settings.managerName ?? "(null)"],
    ["foremen-name", settings.foremenName],
    ["max-workers", String(settings.maxWorkers)],
    ["min-workers", String(settings.minWorkers)],
    ["workers-per-cycle", String(settings.workersPerCycle)],
    ["tasks-per-worker", String(tasks)],
    ["timeout", `${settings.timeoutS} s`],
    ["cores", (cores ?? -1).toFixed(3)],
    ["factory_name", settings.factoryName],
    ["condor-requirements", settings.condorRequirements],
    ["factory-timeout", settings.factoryTimeoutS > 0 ? `${settings.factoryTimeoutS} MB` : null],
    ["memory", settings.memoryMb === null ? null : `${settings.memoryMb} MB`],
    ["disk", settings.diskMb === null ? null : `${settings.diskMb} MB`],
    ["gpus", settings.gpus === null ? null : String(settings.gpus)],
  ];
  const { extraOptions } = settings;
  return `Configuration file '${path}' has been loaded.` +
    lines.flatMap(([key, value]) => value === null ? [] : `${key}: ${value}\n`).join("") +
    (extraOptions === "" ? "\n" : `worker-extra-options: ${extraOptions}\n`);
}

function clockOf(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
