/** Our own parts, and a real catalog, as the tests beside this file start them. */
import assert from "node:assert/strict";
import type { ResultLine } from "../../core/tasklist/result.ts";
import { deadPort } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import type { TestBed, Wqx } from "../support/wqx.ts";

/** A worker with 1,000 MB of memory and disk that leaves for good when let go. */
export function startWqxWorker(bed: TestBed, port: number, ...args: string[]): Wqx {
  return bed.start([
    ...["worker", "127.0.0.1", String(port), "--single-shot", "--cores", "2"],
    ...["--memory", "1000", "--disk", "1000", ...args],
  ]);
}

/** A manager that waits for workers to run a list of tasks, and its port. */
export async function startTaskList(
  bed: TestBed,
  tasks: readonly Readonly<Record<string, unknown>>[],
  ...args: string[]
): Promise<{ manager: Wqx; port: number }> {
  const text = tasks.map((task) => `${JSON.stringify(task)}\n`).join("");
  await bed.folder.write("tasks.jsonl", text);
  const manager = bed.start(
    ["manager", "tasks.jsonl", "--workers", "none", "--port", "0", "--output", "run", ...args],
  );
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return { manager, port: Number(port) };
}

/** What the manager printed so far of its tasks. */
export function resultsOf(manager: Wqx): ResultLine[] {
  return manager.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** A real catalog, on a free port that it writes to `catalog-port`; it tells nobody of itself. */
export function startCatalogServer(bed: TestBed): Wqx {
  return bed.start(
    ["-Z", "catalog-port", "-H", "history", "-I", "127.0.0.1", "-u", `127.0.0.1:${deadPort()}`],
    { command: ["catalog_server"] },
  );
}

/** The port that a program writes to a file as soon as it listens. */
export async function portIn(bed: TestBed, file: string, program: Wqx): Promise<number> {
  return await until(async () => {
    if (!program.running) assert.fail(program.stdout + program.stderr);
    const text = await Deno.readTextFile(bed.folder.join(file)).catch(() => "");
    return text.endsWith("\n") ? Number(text) : null;
  }, { what: `the port in ${file}`, timeoutMs: 30_000 });
}
