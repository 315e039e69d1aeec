/** `wqx status`, also known as `work_queue_status`: managers, their tasks and workers. */
import { showAddress } from "../core/addresses.ts";
import { RunError, UsageError } from "../core/errors.ts";
import { matches } from "../core/jx/eval.ts";
import { toJson } from "../core/jx/json.ts";
import { printJx } from "../core/jx/print.ts";
import type { JxObject } from "../core/jx/value.ts";
import { tableText } from "../core/status/table_layout.ts";
import { managerTree, type TableName, tables, tableWidth } from "../core/status/tables.ts";
import { type ArgumentsOf, defineCommand, type Given, type OptionsOf } from "./cli.ts";
import { openLog } from "./debug_log.ts";
import type { Stream } from "./render.ts";
import { addressOf, Asking } from "./status_asking.ts";
import { chosenTable, statusOptions } from "./status_options.ts";

const positional = {
  host: { name: "HOST", describe: "ask the manager there, not a catalog", optional: true },
  port: { name: "PORT", describe: "its port, 9123 if not given", optional: true },
} as const;

type Options = OptionsOf<typeof statusOptions>;
type Where = ArgumentsOf<typeof positional>;

/** Called by this name, it is what it says, and nothing moves. */
const originalName = "work_queue_status";

export const command = defineCommand({
  name: "status",
  purpose: "Show managers, their tasks, workers and categories: live on a terminal, as tables or " +
    "JSON elsewhere.",
  usage: ["[HOST [PORT]] [options]", "-M NAME [options]"],
  examples: [
    ["status", "all that the catalog knows, live"],
    ["status -M demo", "the manager that the catalog knows as demo"],
    ["status head-node 9123 --once", "one manager, asked directly, as tables"],
    ["status -T head-node 9123", "its tasks, as work_queue_status prints them"],
  ],
  arguments: positional,
  options: statusOptions,
  async run(given) {
    const { options, terminal, program } = given;
    const chosen = chosenTable(options);
    const original = program === originalName;
    if (original) refuseAsOriginal(options, given.arguments, chosen);
    else if (options.project !== undefined && given.arguments.host !== undefined) {
      throw new UsageError("A manager is given by -M NAME or by HOST PORT: one of them will do");
    }
    using log = openLog(options, program);
    const stopping = new AbortController();
    const asking = await Asking.prepare(options, stopping.signal, {
      warn: (line) => terminal.stderr.write(`${line}\n`),
      debug: (line) => log.write("http", line),
    });
    if (chosen !== null || original || options.verbose) {
      return await printTable(chosen ?? "statistics", asking, given);
    }
    return await showOwn(asking, given, stopping);
  },
});

/** What its own command line does not take. */
function refuseAsOriginal(options: Options, { host }: Where, chosen: TableName | null): void {
  const table = chosen ?? "statistics";
  if (tables[table].directOnly && host === undefined) {
    throw new UsageError("Options -A, -T and -W need an explicit manager to query.");
  }
  if (options.project !== undefined && table !== "statistics") {
    throw new UsageError(
      "Option -M,--project-name can only be used together with -Q,--statistics",
    );
  }
}

// Tables of work_queue_status

async function printTable(
  name: TableName,
  asking: Asking,
  { options, arguments: { host, port }, terminal: { stdout } }: Given<
    typeof statusOptions,
    typeof positional
  >,
): Promise<number> {
  const { question, columns, directOnly } = tables[name];
  const address = addressOf(host, port);
  const direct = address !== null || directOnly;
  const all = direct
    ? await asking.ask(address === null ? await asking.only() : asking.at(address), question)
    : await asking.records(options.where ?? null);
  const { where, project } = options;
  // A catalog has chosen already; of a manager's answer nobody has.
  const records = direct && where !== undefined
    ? all.filter((record) => matches(where, record))
    : all;
  if (options.json) writeJson(records, stdout);
  else if (!options.verbose) {
    const pattern = project?.pattern ?? null;
    const shown = direct ? records : managerTree(records, pattern);
    stdout.write(tableText(columns, shown, widthOf(stdout)));
  } else if (direct) stdout.write(printJx(records));
  else stdout.write(`[\n${records.map(printJx).join(",\n")}\n]\n`);
  return 0;
}

function widthOf(stdout: Stream): number {
  return tableWidth(Deno.env.get("COLUMNS"), stdout.isTTY ? stdout.columns : null);
}

function writeJson(records: readonly JxObject[], stdout: Stream): void {
  for (const record of records) stdout.write(JSON.stringify(toJson(record)) + "\n");
}

// Our own

async function showOwn(
  asking: Asking,
  { options, arguments: { host, port }, terminal }: Given<typeof statusOptions, typeof positional>,
  stopping: AbortController,
): Promise<number> {
  const address = addressOf(host, port);
  const { Watched } = await import("./status_watched.ts");
  const manager = address === null ? null : asking.at(address);
  const source = address === null ? asking.source : showAddress(address);
  const watched = new Watched(asking, {
    source,
    manager,
    pattern: options.project?.pattern ?? null,
    where: options.where ?? null,
  });
  const { stdout } = terminal;
  if (stdout.isTTY && Deno.stdin.isTerminal() && !options.once && !options.json) {
    const { showLive } = await import("./status_view.ts");
    return await showLive(watched, { stdout, intervalMs: options.interval, stopping });
  }
  const data = await watched.look(null, true);
  // Of a look that is the only one, trouble is a failure.
  if (data.trouble !== null) throw new RunError(data.trouble);
  if (options.json) writeJson([...data.managers, ...data.factories], stdout);
  else {
    const { onceText } = await import("./status_once.ts");
    stdout.write(onceText(data, stdout));
  }
  const wanted = options.project;
  if (wanted !== undefined && data.managers.length === 0) {
    throw new RunError(`No manager "${wanted.text}" is in the catalog`);
  }
  return 0;
}
