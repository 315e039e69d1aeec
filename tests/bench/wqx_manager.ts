/**
 * `wqx_manager.ts TASKS WORKERS [QUEUED]`: a manager that submits `QUEUED` tasks (as many as
 * `TASKS` by default) once `WORKERS` are there, and stops when `TASKS` of them are back. It prints
 * `port N`, `workers WORKERS`, then `queued QUEUED BYTES SECONDS`, which is heap for each and the
 * time from the last submission, and `repeated TASKS SECONDS` with the time from the first.
 */
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { Manager } from "../../manager/server.ts";

const [taskCount, workerCount, queuedCount = taskCount] = Deno.args.map(Number) as [number, number];

/** Each its own, as tasks of a list are. */
function doNothing(): TaskSpec {
  return {
    command: "true",
    category: "default",
    priority: 0,
    request: { cores: 1 },
    inputs: [],
    outputs: [],
    env: [],
    retriesMax: 0,
  };
}

/** Bytes in use, after a collection where the command line allows it. */
function heapBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Deno.memoryUsage().heapUsed;
}

const ready = Promise.withResolvers<void>();
const finished = Promise.withResolvers<void>();
let left = taskCount;
let joined = 0;
const options = { name: "bench", version: "0.0.0", port: { low: 0, high: 0 } };
const manager = Manager.listen(options, {
  attemptEnded() {},
  returned(_task, end) {
    if (end.kind !== "success") finished.reject(new Error(`A task ended with ${end.kind}`));
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
const before = heapBytes();
const startedMs = performance.now();
// Nothing is sent before this turn ends.
for (let i = 0; i < queuedCount; i++) manager.submit(doNothing());
const submittedMs = performance.now();
const bytesEach = (heapBytes() - before) / queuedCount;
const measuredMs = performance.now() - submittedMs;
await finished.promise;
const endedMs = performance.now() - measuredMs;
say(`queued ${queuedCount} ${bytesEach} ${(endedMs - submittedMs) / 1000}`);
say(`repeated ${taskCount} ${(endedMs - startedMs) / 1000}`);
Deno.exit();
