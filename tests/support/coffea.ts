/** Pythons with coffea, and the data that tests feed it. */
import assert from "node:assert/strict";
import { startScript } from "../../core/shell_words.ts";
import { type TestBed, wqxFromSource } from "./wqx.ts";

export const example = new URL("../../examples/coffea/", import.meta.url).pathname;
const here = new URL("../coffea/", import.meta.url).pathname;
const packages = new URL("../../python/", import.meta.url).pathname;

export interface Coffea {
  /** Variable that names its Python. */
  readonly variable: "WQX_TEST_COFFEA" | "WQX_TEST_COFFEA07";
  /** Absolute path of the interpreter; empty where there is none. */
  readonly python: string;
}

export const coffeas: readonly Coffea[] = (["WQX_TEST_COFFEA07", "WQX_TEST_COFFEA"] as const)
  .map((variable) => ({ variable, python: Deno.env.get(variable) ?? "" }));

/** For `needs`. */
export const noCoffea = (variable: string): string => `set ${variable} to a Python that has coffea`;

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script of tests/coffea, or one that is named by its path, to its end. */
export async function runScript(
  { python }: Coffea,
  bed: TestBed,
  script: string,
  ...args: readonly string[]
): Promise<Said> {
  const { code, stdout, stderr } = await new Deno.Command(python, {
    args: [script.startsWith("/") ? script : here + script, ...args],
    cwd: bed.folder.path,
    env: await environmentFor(python, bed),
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** That Python comes first on PATH, finds the packages of this repository, and they find wqx. */
export async function environmentFor(
  python: string,
  bed: TestBed,
): Promise<Record<string, string>> {
  const wqx = await bed.folder.write("bin/wqx", startScript(wqxFromSource));
  await Deno.chmod(wqx, 0o755);
  const folder = python.slice(0, python.lastIndexOf("/"));
  return {
    PATH: `${folder}:${bed.folder.join("bin")}:${Deno.env.get("PATH")}`,
    PYTHONPATH: packages,
    PYTHONDONTWRITEBYTECODE: "1",
    TMPDIR: bed.folder.join("tmp"),
    WQX_BINARY: wqx,
  };
}

/** Files like NanoAOD that were made already, by Python and number of events. */
const made = new Map<string, Uint8Array>();

/** Writes a file like NanoAOD into the bed's folder. */
export async function makeEvents(coffea: Coffea, bed: TestBed, events: number): Promise<string> {
  const path = bed.folder.join("events.root");
  const key = `${coffea.python} ${events}`;
  const before = made.get(key);
  if (before !== undefined) {
    await Deno.writeFile(path, before);
    return path;
  }
  const { code, stderr } = await runScript(
    coffea,
    bed,
    `${example}make_data.py`,
    path,
    String(events),
  );
  assert.equal(code, 0, stderr);
  made.set(key, await Deno.readFile(path));
  return path;
}
