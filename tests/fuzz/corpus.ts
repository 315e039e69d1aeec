/**
 * Inputs worth keeping, a text file for each target: one input a line, as a JSON text whose letters
 * are its bytes, so that a difference can be read.
 */

const folder = new URL("corpus/", import.meta.url);

function fileOf(target: string): URL {
  return new URL(`${target}.txt`, folder);
}

/** Empty for a target that has none yet. */
export function readCorpus(target: string): Uint8Array[] {
  try {
    const lines = Deno.readTextFileSync(fileOf(target)).split("\n");
    return lines.filter((line) => line !== "").map(bytesShown);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Short ones first, so that the file stays as it is where nothing is new. */
export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const lines = inputs.map(shown).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  Deno.writeTextFileSync(fileOf(target), lines.map((line) => `${line}\n`).join(""));
}

export function shown(input: Uint8Array): string {
  return JSON.stringify(Array.from(input, (byte) => String.fromCharCode(byte)).join(""))
    // deno-lint-ignore no-control-regex -- everything else than ASCII is escaped
    .replace(/[^\x00-\x7e]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
}

/** The inverse of {@link shown}. */
export function bytesShown(line: string): Uint8Array {
  return Uint8Array.from(JSON.parse(line) as string, (letter) => letter.charCodeAt(0));
}
