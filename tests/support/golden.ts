/** Texts that a person has looked at once, kept under tests/golden. */
import assert from "node:assert/strict";

const folder = new URL("../golden/", import.meta.url);

/** Compares with `tests/golden/NAME`; with GOLDEN=update in the environment, rewrites it instead. */
export async function matchesGolden(name: string, actual: string): Promise<void> {
  const file = new URL(name, folder);
  if (Deno.env.get("GOLDEN") === "update") return await Deno.writeTextFile(file, actual);
  const expected = await Deno.readTextFile(file).catch(() => {
    throw new Error(`tests/golden/${name} is missing: make it with GOLDEN=update, and look at it`);
  });
  assert.equal(actual, expected, `tests/golden/${name} differs: GOLDEN=update accepts the change`);
}
