/** A catalog, a manager by name and a factory on a real engine, as three programs. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import type { Engine } from "./engine.ts";

export interface FactoryCase {
  /** As `-T` names it. */
  readonly name: string;
  /** Ids of the jobs that run or wait. */
  readonly jobs: (engine: Engine) => Promise<readonly string[]>;
  /** Takes a job out as somebody else would. */
  readonly kill: (engine: Engine, id: string) => Promise<unknown>;
}

/** Workers come and go on both sides of the wire within this time, on a machine with much to do. */
const timeoutMs = 60_000;

/** Tasks bring workers, a lost one is replaced, idle ones leave, and a stop leaves nothing. */
export async function factoryWorksOn(engine: Engine, one: FactoryCase): Promise<void> {
  await using bed = await TestBed.create();
  await Deno.chmod(bed.folder.path, 0o755);
  await using catalog = bed.start(["catalog", "-p", "0", "-H", bed.folder.join("history")]);
  const [, catalogPort = ""] = await catalog.says(/listens: \S+:(\d+)/);
  const env = { ...engine.env, CATALOG_HOST: `127.0.0.1:${catalogPort}` };
  await using manager = bed.start(["manager", "-", "--workers", "none", "-M", "engine"], {
    env,
    stdin: "piped",
  });
  await manager.says(/Listening on port (\d+)/);
  await using factory = bed.start(
    ["factory", "-T", one.name, "-M", "engine", "-w", "0", "-W", "3", "-t", "3"]
      .concat("--cores", "1", "--memory", "400", "--interval", "500ms", "--workers-per-cycle", "0"),
    { env },
  );
  const said = () =>
    `; the factory said:\n${factory.stderr}${factory.stdout.slice(-1000)}\n` +
    `the manager: ${manager.stderr.slice(-1000)}`;
  const untilJobs = async (count: number, what: string): Promise<readonly string[]> =>
    await until(async () => {
      const jobs = await one.jobs(engine);
      return jobs.length === count ? jobs : null;
    }, { what, timeoutMs }).catch((error) => {
      throw new Error(error.message + said());
    });

  // Five tasks, three workers at most; each task waits until it may end.
  const go = bed.folder.join("go");
  const task = (n: number) => {
    const command = `echo > ${
      bed.folder.join(`started-${n}`)
    }; until [ -e ${go} ]; do sleep 0.1; done`;
    return `${JSON.stringify({ command })}\n`;
  };
  for (const n of [1, 2, 3, 4, 5]) await manager.write(task(n));
  const three = await untilJobs(3, "three workers in the queue");
  await started(bed, 3).catch((error) => {
    throw new Error(error.message + said());
  });

  // One is taken away: another one comes in its place.
  await one.kill(engine, three[0]!);
  await until(async () => {
    const jobs = await one.jobs(engine);
    return jobs.length === 3 && !jobs.includes(three[0]!);
  }, { what: `a worker in the place of ${three[0]}${said()}`, timeoutMs });

  // All may end: workers without tasks leave, and a task that comes later brings one back.
  await Deno.writeTextFile(go, "");
  await untilResults(manager, 5);
  await untilJobs(0, "the workers to leave");
  await Deno.remove(go);
  await manager.write(task(6));
  await untilJobs(1, "a worker for one task more");

  // A stop takes it out of the queue, whatever it is doing.
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, said());
  await untilJobs(0, "an empty queue");
  manager.signal("SIGTERM");
  await manager.ended;
  catalog.signal("SIGTERM");
  await catalog.ended;
  await bed.clean();
}

async function started(bed: TestBed, count: number): Promise<void> {
  const files = () =>
    [...Deno.readDirSync(bed.folder.path)].filter(({ name }) => name.startsWith("started-"));
  await until(() => files().length >= count, { what: `${count} tasks at work`, timeoutMs });
}

async function untilResults(manager: Wqx, count: number): Promise<void> {
  await until(() => manager.stdout.split("\n").length > count, {
    what: `${count} results`,
    timeoutMs,
  });
}
