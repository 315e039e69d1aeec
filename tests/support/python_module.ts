/** Programs on the Python module of this repository, each with workers of its own. */
import assert from "node:assert/strict";
import { environmentFor } from "./coffea.ts";
import { findPython, type FoundPython } from "./python.ts";
import { TestBed, type Wqx } from "./wqx.ts";

const programs = new URL("../python/programs/", import.meta.url).pathname;

export const moduleWants = ["cloudpickle"] as const;

/** The Python of the tests with what the module may need; absolute path. */
export function modulePython(): FoundPython {
  return findPython(moduleWants);
}

/** A program of tests/python/programs, running. No catalog hears of it unless one is given. */
export async function startProgram(
  bed: TestBed,
  python: string,
  name: string,
  { args = [], env = {} }: {
    readonly args?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<Wqx> {
  const own = await environmentFor(python, bed);
  return bed.start([programs + name, ...args], {
    command: [python],
    env: { ...own, CATALOG_HOST: "127.0.0.1:9", ...env },
  });
}

/** Runs it to its end, which has to be a good one; nothing may be left afterwards. */
export async function runProgram(
  python: string,
  name: string,
  args: readonly string[] = [],
): Promise<Wqx> {
  await using bed = await TestBed.create();
  await using program = await startProgram(bed, python, name, { args });
  const code = await program.ended;
  assert.equal(code, 0, `${program.stdout}\n${program.stderr}`);
  await bed.clean();
  return program;
}
