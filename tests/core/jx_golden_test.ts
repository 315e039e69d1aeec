/**
 * What expressions come to. Each file of tests/golden/jx has an expression a line (`lines.jx`: a
 * paragraph); beside it is what jx2json of cctools 8.0.0 gives, but for what ARCHITECTURE.md lists.
 */
import { evaluateWithDefines } from "../../core/jx/eval.ts";
import { JxSyntaxError, parseJx } from "../../core/jx/parse.ts";
import { printJx } from "../../core/jx/print.ts";
import { matchesGolden } from "../support/golden.ts";

const folder = new URL("../golden/jx/", import.meta.url);

function outcome(text: string): string {
  try {
    return printJx(evaluateWithDefines(parseJx(text), new Map()));
  } catch (error) {
    if (error instanceof JxSyntaxError) return error.message;
    throw error;
  }
}

for (const name of ["operators", "functions", "syntax", "scopes", "lines"]) {
  Deno.test(`expressions of ${name}.jx come to what ${name}.out says`, async () => {
    const text = await Deno.readTextFile(new URL(`${name}.jx`, folder));
    const cases = text.trimEnd().split(name === "lines" ? "\n\n" : "\n");
    const results = cases.map((expr) => `${expr}\n    ${outcome(expr)}\n`);
    await matchesGolden(`jx/${name}.out`, results.join(name === "lines" ? "\n" : ""));
  });
}
