/**
 * A process whose main thread, as in a worker, starts both tasks and children of its own in
 * sessions of their own; prints how those children ended. Argument: an empty folder.
 */
import { openSpawner } from "../../worker/process.ts";

const [folder = ""] = Deno.args;
const ended: (string | number)[] = [];
{
  await using spawner = openSpawner({ owner: folder });
  const task = async () => {
    const env = { PATH: "/usr/bin:/bin" };
    const request = { command: "true", cwd: folder, env, outputPath: `${folder}/output` };
    await (await spawner.spawn(request)).exited;
  };
  const own = (script: string) =>
    new Deno.Command("/bin/sh", { args: ["-c", script], stdin: "null", detached: true }).spawn();
  await task();
  const sleeping = own("exec sleep 1000");
  for (let i = 0; i < 20; i++) {
    const ending = own(`exit ${i}`);
    await task();
    ended.push((await ending.status).code);
  }
  sleeping.kill("SIGTERM");
  const { signal, code } = await sleeping.status;
  ended.push(signal ?? code);
}
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(ended)));
