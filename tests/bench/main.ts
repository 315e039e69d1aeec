/**
 * `deno task bench [--json] [NAME …]`: runs the function `…Bench` of every `*_bench.ts` beside this
 * file, or of those named (`spawn` for spawn_bench.ts), and prints what they found.
 */
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { BenchRow } from "./row.ts";

/** The function whose name ends in `Bench`, of which each file has one. */
async function load(file: string): Promise<() => Promise<BenchRow[]>> {
  const module: Record<string, unknown> = await import(new URL(file, import.meta.url).href);
  const found = Object.entries(module).find(([name]) => name.endsWith("Bench"))?.[1];
  if (typeof found !== "function") throw new Error(`${file} exports no function named …Bench`);
  return found as () => Promise<BenchRow[]>;
}

function toTable(rows: readonly BenchRow[]): string {
  const table = new Table({
    head: ["", "value", "unit", "ratio"],
    colAligns: ["left", "right", "left", "left"],
    style: { head: [], border: [] },
  });
  for (const { name, value, unit, ratio } of rows) {
    const compared = ratio === undefined ? "" : `${rounded(ratio.value)} × ${ratio.to}`;
    table.push([name, rounded(value), unit, compared]);
  }
  return table.toString();
}

/** Three digits, and whole numbers above. */
function rounded(value: number): string {
  return Math.abs(value) >= 100 ? Math.round(value).toString() : `${Number(value.toPrecision(3))}`;
}

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});
const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
const files = [...Deno.readDirSync(new URL("./", import.meta.url))].map(({ name }) => name)
  .filter((name) => name.endsWith("_bench.ts")).sort();
const wanted = positionals.length === 0 ? files : positionals.map((name) => `${name}_bench.ts`);
const rows: BenchRow[] = [];
for (const file of wanted) {
  if (!files.includes(file)) throw new Error(`There is no tests/bench/${file}`);
  const found = await (await load(`./${file}`))();
  rows.push(...found);
  if (!values.json) print(`${file.replace("_bench.ts", "")}\n${toTable(found)}`);
}
if (values.json) print(JSON.stringify(rows, null, 2));
