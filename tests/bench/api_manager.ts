/**
 * `api_manager.ts TASKS WORKERS`: the same as `wqx_manager.ts`, for tasks that a client submits
 * through the API of a manager in a process of its own.
 */
import { ManagerClient } from "../../io/api_client.ts";
import { wqxFromSource } from "../support/wqx.ts";

const [taskCount, workerCount] = Deno.args.map(Number) as [number, number];
const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

await using client = await ManagerClient.start({ wqx: wqxFromSource, args: ["--quiet"] });
say(`port ${client.port}`);
while ((await client.stats())["workers_init"]! > 0 || client.counts.workers < workerCount) {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
say(`workers ${workerCount}`);
const startedMs = performance.now();
for (let i = 0; i < taskCount; i++) {
  client.submit({ command: "true", options: { cores: 1 } });
}
let left = taskCount;
for await (const { code } of client.results()) {
  if (code !== 0) throw new Error(`A task ended with ${code}`);
  if (--left === 0) break;
}
say(`repeated ${taskCount} ${(performance.now() - startedMs) / 1000}`);
