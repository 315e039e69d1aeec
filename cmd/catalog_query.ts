/** `wqx catalog-query`, also known as `catalog_query` */
import { RunError } from "../core/errors.ts";
import { evaluate } from "../core/jx/eval.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { toJson } from "../core/jx/json.ts";
import { prettyJx, printExpr, printJx } from "../core/jx/print.ts";
import type { JxObject } from "../core/jx/value.ts";
import { parseTimeMs } from "../core/units.ts";
import { CatalogClient, catalogsOf } from "../io/catalog_client.ts";
import { defineCommand, versionOption } from "./cli.ts";
import { httpDebugOptions, openLog } from "./debug_log.ts";
import { catalogsRow, parseExpression } from "./option_values.ts";

export const command = defineCommand({
  name: "catalog-query",
  purpose: "Print records of a catalog, those for which a JX expression is true.",
  usage: ["[options]"],
  examples: [
    ["catalog-query", "all that the catalog knows"],
    ["catalog-query -w 'tasks_waiting>0'", "managers whose tasks wait"],
    ["catalog-query -p project -p port", "a line a record, with these values"],
  ],
  arguments: {},
  options: {
    where: {
      flags: "-w, --where EXPR",
      describe: "only records for which EXPR is true",
      parse: parseExpression,
      common: true,
    },
    output: {
      flags: "-p, --output EXPR",
      describe: "print the value of EXPR for each record, in a column",
      parse: parseExpression,
      repeatable: true,
      common: true,
    },
    catalogs: {
      flags: "-c, --catalog HOST[:PORT],…",
      ...catalogsRow,
      common: true,
    },
    timeout: {
      flags: "-t, --timeout TIME",
      describe: "give up after so long without an answer",
      parse: parseTimeMs,
      default: 60_000,
      defaultShown: "60s",
      common: true,
    },
    json: {
      flags: "    --json",
      describe: "print a line of JSON for each record",
      common: true,
    },
    ...httpDebugOptions,
    version: versionOption,
  },
  async run({ options, terminal: { stdout }, program }) {
    using log = openLog(options, program);
    const debug = (line: string) => log.write("http", line);
    const client = new CatalogClient(catalogsOf(options.catalogs), { debug });
    const patience = { patienceMs: options.timeout, signal: new AbortController().signal };
    let records: readonly JxObject[];
    try {
      records = await client.query(options.where ?? null, patience);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      throw new RunError(`couldn't query catalog: ${error.message}`);
    }
    if (options.json) {
      for (const record of records) stdout.write(JSON.stringify(toJson(record)) + "\n");
    } else if (options.output.length > 0) stdout.write(table(records, options.output));
    else stdout.write(`[\n${records.map(prettyJx).join(",\n")}\n]\n`);
    return 0;
  },
});

/** As catalog_query prints it: a tab after every value, strings in quotes. */
function table(records: readonly JxObject[], columns: readonly JxExpr[]): string {
  const rows = [
    columns.map(printExpr),
    ...records.map((record) => columns.map((column) => printJx(evaluate(column, record)))),
  ];
  return rows.map((row) => row.map((cell) => `${cell}\t`).join("") + "\n").join("");
}
