/** A workflow for Makeflow whose result can be told beforehand. */
import type { TempFolder } from "../support/temp.ts";

const branchCount = 99;

/** One rule makes the numbers, two of each branch square and double one, the last sums up. */
export const ruleCount = 2 * branchCount + 2;

const numbers = Array.from({ length: branchCount }, (_, i) => i + 1);

/** What `total` holds at the end. */
export const expectedTotal = numbers.reduce((sum, n) => sum + 2 * n * n, 0);

/** Writes `work.makeflow` and the files it needs; every input and output travels. */
export async function writeWorkflow(folder: TempFolder): Promise<string> {
  const square = await folder.write(
    "square",
    '#!/bin/sh\nn=$(sed -n "$2p" "$1")\necho $((n * n))\n',
  );
  await Deno.chmod(square, 0o755);
  await folder.write("limit", `${branchCount}\n`);
  const rules = [
    rule(["numbers"], ["limit"], 'seq 1 "$(cat limit)" > numbers'),
    ...numbers.flatMap((n) => [
      rule([`square.${n}`], ["square", "numbers"], `./square numbers ${n} > square.${n}`),
      rule(
        [`double.${n}`],
        [`square.${n}`],
        `echo $((2 * $(cat square.${n}))) > double.${n}`,
      ),
    ]),
    rule(
      ["total"],
      numbers.map((n) => `double.${n}`),
      "cat double.* | awk '{ sum += $1 } END { print sum }' > total",
    ),
  ];
  return await folder.write("work.makeflow", rules.join("\n"));
}

/** Makeflow takes `$` for its own variables. */
function rule(outputs: readonly string[], inputs: readonly string[], command: string): string {
  return `${outputs.join(" ")}: ${inputs.join(" ")}\n\t${command.replaceAll("$", "\\$")}\n`;
}
