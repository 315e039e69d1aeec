/**
 * `deno task chaos [--work analysis|tasks] [--minutes N] [--seed S] [--log]`: an analysis or a list
 * of tasks on real processes, while by a schedule from the seed cables are pulled, packets lost,
 * disks full, programs killed and stopped, and the manager killed and resumed twice. Its result has
 * to be that of an undisturbed run, bit for bit, and nothing may be left. Linux, as root, with ip,
 * nft, ss and the programs of util-linux.
 */
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { TempFolder } from "../support/temp.ts";
import { Fleet } from "./fleet.ts";
import { ChaosRun } from "./run.ts";
import { scheduleOf, showSchedule } from "./schedule.ts";
import { type WorkName, workNames, workOf } from "./work.ts";
import { inOwnNamespaces, whyNot, World } from "./world.ts";

const print = (line: string) => {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
};

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "5" },
    work: { type: "string", default: "analysis" },
    log: { type: "boolean", default: false },
    inside: { type: "boolean", default: false },
  },
});

const name = workNames.find((one) => one === values.work);
if (name === undefined) {
  print(`Cannot work at "${values.work}": say one of ${workNames.join(", ")}`);
  Deno.exit(2);
}
if (values.inside) Deno.exit(await inside(name));
const reason = await whyNot();
if (reason !== null) {
  print(`Cannot run: ${reason}`);
  Deno.exit(2);
}
const [program = "", ...words] = inOwnNamespaces;
const self = [Deno.execPath(), "run", "-A", fileURLToPath(import.meta.url)];
const child = new Deno.Command(program, {
  args: [...words, ...self, "--inside", ...Deno.args],
}).spawn();
Deno.exit((await child.status).code);

async function inside(name: WorkName): Promise<number> {
  const [seed, minutes] = [Number(values.seed), Number(values.minutes)];
  const schedule = scheduleOf(seed, minutes * 60_000);
  const work = workOf(name, schedule.durationMs);
  print(showSchedule(schedule).split("\n")[0]!);
  await using folder = await TempFolder.create("wqx-chaos-");
  await using world = await World.create(folder.path);
  await using fleet = await Fleet.create(world, work);
  try {
    const report = await new ChaosRun(fleet, work, schedule, print).run();
    const faults = Object.entries(report.struck).map(([kind, count]) => `${count} ${kind}`);
    print(`Faults: ${faults.join(", ")}; ${report.attempts} attempts at ${report.tasks} tasks`);
    print(
      `The result is that of an undisturbed run, after ${report.resumes} resumes and ` +
        `${(report.convergedMs / 1000).toFixed(1)} s without faults; nothing is left`,
    );
    if (values.log) print(fleet.logs());
    return 0;
  } catch (error) {
    print(`\n${showSchedule(schedule)}\n\n${fleet.logs()}\n`);
    print(error instanceof Error ? error.stack ?? error.message : String(error));
    const options = `--work ${name} --minutes ${minutes} --seed ${seed}`;
    print(`seed ${seed} failed: deno task chaos ${options}`);
    return 1;
  }
}
