import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

function arena(...args: string[]): { code: number; out: string; err: string } {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", main, ...args],
    env: { NO_COLOR: "1" },
  }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("the arena prints a row for the set that was asked for, and the means", () => {
  const { code, out } = arena(
    ...["allocation", "--set", "four classes"],
    ...["--policy", "adaptive", "--policy", "whole node"],
  );
  assert.equal(code, 0);
  assert.match(out, /four classes\s*│\s*0\.9\d\d \(\d+\)\s*│\s*0\.133 \(0\)/);
  assert.match(out, /whole node\s*│\s*0\.133\s*│\s*0\.23/);
});

Deno.test("the arena refuses what it does not know, in a sentence", () => {
  const cases: [string[], string][] = [
    [["--set", "four clases"], 'There is no set "four clases": did you mean "four classes"?'],
    [["--policy", "adaptve"], 'There is no policy "adaptve": did you mean "adaptive"?'],
    [["alocation"], 'There is no section "alocation": did you mean "allocation"?'],
    [["--trace", "no-such.csv"], "Cannot read the trace no-such.csv: "],
    [["--seed", "x"], '"x" is not a whole number'],
    [["--sed", "1"], "Unknown option '--sed'"],
  ];
  for (const [args, sentence] of cases) {
    const { code, err } = arena(...args);
    assert.equal(code, 2, err);
    assert.ok(err.startsWith(sentence), err);
    assert.equal(err.trim().split("\n").length, 1, err);
  }
});
