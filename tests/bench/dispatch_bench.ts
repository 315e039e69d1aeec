/**
 * How many tasks a second does a manager get done: by workers that finish at once, and by a real
 * worker, beside processes that are merely started?
 */
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { Manager } from "../../manager/server.ts";
import { Wqx } from "../support/wqx.ts";
import type { BenchRow } from "./row.ts";

const fakeTasks = 20_000;
const realTasks = 2_000;

const doNothing: TaskSpec = {
  command: "true",
  category: "default",
  priority: 0,
  request: { cores: 1 },
  inputs: [],
  outputs: [],
  env: [],
  retriesMax: 0,
};

export async function dispatchBench(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const count of [1, 10, 100]) {
    const value = await rate(fakeTasks, count, (port) => {
      const script = new URL("./fake_workers.ts", import.meta.url).pathname;
      const command = [Deno.execPath(), "run", "--allow-net", "--no-check", script];
      return new Wqx([String(port), String(count), "8"], { command });
    });
    rows.push({ name: `manager, ${count} fake 8-core worker(s)`, value, unit: "tasks/s" });
  }
  const spawns = await bareSpawns();
  rows.push({ name: "sh -c true, 2 at once", value: spawns, unit: "1/s" });
  const value = await rate(realTasks, 1, (port) => {
    return new Wqx(["worker", "127.0.0.1", String(port), "--cores", "2"]);
  });
  const ratio = { to: "sh -c true, 2 at once", value: value / spawns };
  rows.push({ name: "one real 2-core worker, true", value, unit: "tasks/s", ratio });
  return rows;
}

/** Tasks a second, from the first dispatch to the last return, all workers being there. */
async function rate(
  tasks: number,
  workers: number,
  start: (port: number) => Wqx,
): Promise<number> {
  const finished = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  let left = tasks;
  let joined = 0;
  await using manager = Manager.listen({
    name: "bench",
    version: "0.0.0",
    port: { low: 0, high: 0 },
  }, {
    attemptEnded() {},
    returned(_task, end) {
      if (end.kind !== "success") finished.reject(new Error(`A task ended with ${end.kind}`));
      if (--left === 0) finished.resolve();
    },
    workerJoined() {
      if (++joined === workers) ready.resolve();
    },
    workerLeft() {},
    refused() {},
    hostBlocked() {},
  });
  await using worker = start(manager.port);
  await Promise.race([
    ready.promise,
    worker.ended.then(() => Promise.reject(new Error(`No worker: ${worker.stderr}`))),
  ]);
  const startedMs = performance.now();
  for (let i = 0; i < tasks; i++) manager.submit(doNothing);
  await finished.promise;
  return tasks / (performance.now() - startedMs) * 1000;
}

async function bareSpawns(): Promise<number> {
  let left = realTasks;
  const startedMs = performance.now();
  const options: Deno.CommandOptions = { args: ["-c", "true"], stdin: "null", stdout: "null" };
  await Promise.all([1, 2].map(async () => {
    while (left-- > 0) await new Deno.Command("/bin/sh", options).spawn().status;
  }));
  return realTasks / (performance.now() - startedMs) * 1000;
}
