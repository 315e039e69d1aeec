/**
 * `journal_manager.ts TASKS WORKERS MODE`: as wqx_manager.ts, with a line of results for each task,
 * and with MODE a journal of them: -1 none, else a place in `fsyncModes`.
 * Of the CPU time that this took it says `cpu SECONDS`.
 */
import { cpuUsage } from "node:process";
import { printOf } from "../../core/tasklist/records.ts";
import { resultOf } from "../../core/tasklist/result.ts";
import type { ListedTask } from "../../core/tasklist/spec.ts";
import { taskSpecOf } from "../../core/tasklist/build.ts";
import { fsyncModes, JournalFile } from "../../manager/journal.ts";
import { ResultLog } from "../../manager/result_log.ts";
import { Manager } from "../../manager/server.ts";
import { listed } from "../support/tasklist.ts";
import { TempFolder } from "../support/temp.ts";

const [taskCount, workerCount, mode] = Deno.args.map(Number) as [number, number, number];
await using folder = await TempFolder.create("wqx-journal-", Deno.env.get("WQX_BENCH_FOLDER"));
const fsync = fsyncModes[mode];
const journal = fsync === undefined ? null : await JournalFile.open(folder.join("journal"), {
  fsync,
  owner: { note: () => {}, paused: () => {} },
});
const log = await ResultLog.open(
  folder.join("results.jsonl"),
  () => Promise.resolve(true),
  journal === null ? null : { journal, offset: 0, paused: () => {} },
);
const ready = Promise.withResolvers<void>();
const finished = Promise.withResolvers<void>();
const tasks = new Map<number, ListedTask>();
let left = taskCount;
let joined = 0;
const options = { name: "bench", version: "0.0.0", port: { low: 0, high: 0 } };
const manager = Manager.listen(options, {
  attemptEnded() {},
  returned(task, end) {
    const one = tasks.get(task.id)!;
    tasks.delete(task.id);
    log.add(
      resultOf(one, task, end, 0),
      journal === null ? 0 : printOf({ kind: "task", task: one }),
    );
    if (--left === 0) finished.resolve();
  },
  workerJoined() {
    if (++joined === workerCount) ready.resolve();
  },
  workerLeft() {},
  hostBlocked() {},
  tooLarge() {},
  refused() {},
});
const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
say(`port ${manager.port}`);
await ready.promise;
say(`workers ${workerCount}`);
const startedMs = performance.now();
const before = cpuUsage();
for (let id = 1; id <= taskCount; id++) {
  const task = listed(id, [], { request: { cores: 1 } });
  tasks.set(manager.submit(taskSpecOf(task, new Map(), new Map())), task);
}
await finished.promise;
await log.end(new AbortController().signal);
await journal?.[Symbol.asyncDispose]();
const { user, system } = cpuUsage(before);
say(`cpu ${(user + system) / 1e6}`);
say(`repeated ${taskCount} ${(performance.now() - startedMs) / 1000}`);
await folder[Symbol.asyncDispose]();
Deno.exit();
