/**
 * Tasks in a packed environment with a real Python: the first one on a cold worker and those that
 * follow, where the worker unpacks the environment and where `poncho_package_run` does it.
 */
import assert from "node:assert/strict";
import type { ResultLine } from "../../core/tasklist/result.ts";
import { packPrefix } from "../../package/pack.ts";
import { packagingPython } from "../support/channel.ts";
import { installedPrefix } from "../support/conda_prefix.ts";
import { TestBed } from "../support/wqx.ts";
import { resultsOf, startTaskList, startWqxWorker } from "../interop/wqx_parts.ts";
import { type BenchRow, median } from "./row.ts";

const taskCount = 21;

/** Imports as an analysis does. */
const script = "import argparse, asyncio, ctypes, json, logging, unittest, numpy\n";

interface Times {
  readonly firstMs: number;
  readonly nextMs: number;
}

export async function environmentBench(): Promise<BenchRow[]> {
  if (packagingPython === null) return [];
  await using bed = await TestBed.create();
  const prefix = await installedPrefix(bed.folder, ["python", "numpy", "relo", "hepmath"]);
  await packPrefix(prefix, bed.folder.join("env.tar.gz"));
  await bed.folder.write("script.py", script);
  const byScript = await times(bed, "--no-native-environments");
  const native = await times(bed);
  const row = (name: string, value: number, to: string, other: number): BenchRow => ({
    name,
    value,
    unit: "ms",
    ratio: { to, value: other / value },
  });
  return [
    { name: "first task, poncho_package_run", value: byScript.firstMs, unit: "ms" },
    row("first task, native", native.firstMs, "faster than the program", byScript.firstMs),
    { name: "next task, poncho_package_run", value: byScript.nextMs, unit: "ms" },
    row("next task, native", native.nextMs, "faster than the program", byScript.nextMs),
  ];
}

/** From when a task was sent to its end. */
async function times(bed: TestBed, ...options: string[]): Promise<Times> {
  const task = {
    command: "python script.py",
    inputs: [{ file: "script.py", cache: true }],
    environment: "env.tar.gz",
    resources: { cores: 2 },
  };
  const { manager, port } = await startTaskList(bed, Array.from({ length: taskCount }, () => task));
  await using _manager = manager;
  await using worker = startWqxWorker(bed, port, ...options);
  assert.equal(await manager.ended, 0, manager.stdout + manager.stderr);
  await worker.ended;
  const [first = NaN, ...rest] = resultsOf(manager).map(took);
  await bed.clean();
  return { firstMs: first, nextMs: median(rest) };
}

function took({ started, ended }: ResultLine): number {
  return Date.parse(ended ?? "") - Date.parse(started ?? "");
}
