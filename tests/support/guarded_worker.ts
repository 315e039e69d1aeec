/**
 * A stand-in for a worker that is killed: starts a guard and tasks that try to outlive it, prints
 * a line when all of them run, and waits for ever. Arguments: workspace, `exact` or `plain`.
 */
import { Guard } from "../../worker/guard.ts";
import { openSpawner } from "../../worker/process.ts";

const [workspace = "", kind] = Deno.args;
const guard = Guard.start(workspace);
const spawner = openSpawner({ owner: workspace, exact: kind === "exact" });
const commands = [
  "sleep 1000 & (sleep 1000; true) & touch ready; wait",
  "setsid sleep 1000 & touch ready; wait",
  "nohup sleep 1000 & touch ready; exec sleep 1000",
  // Their environment hides the mark; the first stays in the group, the second in the session.
  "env -i sleep 1000 & touch ready; wait",
  "bash -c 'set -m; env -i sleep 1000 & touch ready; wait'",
];
for (const [i, command] of commands.entries()) {
  const cwd = `${workspace}/t.${i}`;
  await Deno.mkdir(cwd);
  const env = { PATH: "/usr/bin:/bin" };
  const task = await spawner.spawn({ command, cwd, env, outputPath: `${workspace}/output.${i}` });
  guard.add(task.group);
}
const ended = await spawner.spawn({
  command: "true",
  cwd: workspace,
  env: {},
  outputPath: `${workspace}/output`,
});
guard.add(ended.group);
await ended.exited;
guard.remove(ended.group);
await Deno.mkdir(`${workspace}/locked/inner`, { recursive: true });
await Deno.chmod(`${workspace}/locked`, 0o500);
await Deno.stdout.write(new TextEncoder().encode(`guard ${guard.pid}\n`));
await new Promise(() => setInterval(() => {}, 1000));
