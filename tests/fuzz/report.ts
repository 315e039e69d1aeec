/** What a run of the fuzzer says. */
import type { Campaign } from "./engine.ts";
import type { Reached } from "./coverage.ts";

export interface TableRow {
  readonly name: string;
  readonly campaign: Campaign;
  readonly reached: readonly Reached[];
}

export function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** A line a target: inputs, their rate, those kept, and the share of the parser's code that ran. */
export function showTable(rows: readonly TableRow[], seed: number): void {
  print(`${"target".padEnd(20)}${["inputs", "a second", "kept", "code run"].map(cell).join("")}`);
  for (const { name, campaign, reached } of rows) {
    const { inputs, seconds, kept } = campaign;
    const cells = [
      inputs.toLocaleString("en"),
      Math.round(inputs / seconds).toLocaleString("en"),
      String(kept.length),
      share(reached),
    ];
    print(`${name.padEnd(20)}${cells.map(cell).join("")}`);
  }
  const inputs = rows.reduce((sum, { campaign }) => sum + campaign.inputs, 0);
  const findings = rows.reduce((sum, { campaign }) => sum + campaign.findings.length, 0);
  print(`${inputs.toLocaleString("en")} inputs, ${findings} findings, seed ${seed}`);
}

function cell(text: string): string {
  return text.padStart(13);
}

function share(reached: readonly Reached[]): string {
  const sum = (of: (one: Reached) => number) => reached.reduce((total, one) => total + of(one), 0);
  const letters = sum((one) => one.letters);
  return letters === 0 ? "-" : `${(100 * sum((one) => one.ran) / letters).toFixed(1)} %`;
}
