/**
 * All of a fleet as a user runs it: a catalog, an analysis found by its name with a password, a
 * factory that brings its workers, and those who look at it all.
 */
import assert from "node:assert/strict";
import { until } from "./until.ts";
import { demo, readJson, TestBed, type Wqx } from "./wqx.ts";

export interface FleetCase {
  /** As `-T` names it. */
  readonly batchType: string;
  /** The factory's configuration. */
  readonly config: string;
  /** Cores that each of its workers offers. */
  readonly cores: number;
  /** For the programs of the batch system. */
  readonly env?: Readonly<Record<string, string>>;
  /** While all is there and busy: somebody opens the pages of the catalog. */
  readonly visit?: (catalogUrl: string) => Promise<void>;
  /** At the end nothing may be left in the queue. */
  readonly queued?: () => Promise<string>;
}

const timeoutMs = 60_000;

/** Of the demo's processor, whose every chunk waits until a file is there. */
function gated(go: string): string {
  return `import demo from ${JSON.stringify(`${demo}/processor.ts`)};
const isThere = (path: string) => { try { return Deno.statSync(path).isFile; } catch { return false; } };
const pause = new Int32Array(new SharedArrayBuffer(4));
export default {
  ...demo,
  process(events) {
    while (!isThere(${JSON.stringify(go)})) Atomics.wait(pause, 0, 0, 50);
    return demo.process(events);
  },
};
`;
}

/** Workers come by name and password, everybody shows the same, and a stop leaves nothing. */
export async function runFleet(
  { batchType, config, cores, env = {}, visit, queued }: FleetCase,
): Promise<void> {
  await using bed = await TestBed.create();
  const { folder } = bed;
  await Deno.chmod(folder.path, 0o755);
  const go = folder.join("go");
  await folder.write("processor.ts", gated(go));
  await folder.write("password.txt", "open sesame\n");
  await Deno.chmod(folder.join("password.txt"), 0o600);
  await folder.write("factory.jx", config);
  const analysis = (await Deno.readTextFile(`${demo}/analysis.yaml`))
    .replaceAll("data/", `${demo}/data/`);
  await folder.write("analysis.yaml", analysis);

  await using catalog = bed.start(["catalog", "-p", "0", "-H", folder.join("history")]);
  const [, port = ""] = await catalog.says(/listens: \S+:(\d+)/);
  const at = { ...env, CATALOG_HOST: `127.0.0.1:${port}` };
  const secret = ["--password", folder.join("password.txt")];
  await using factory = bed.start(
    ["factory", "-T", batchType, "-P", "password.txt", "-C", "factory.jx", "--interval", "500ms"],
    { env: at },
  );
  await using manager = bed.start(
    ["manager", "analysis.yaml", "-M", "hal", ...secret, "--workers", "none", "--output", "out"],
    { env: at },
  );
  const said = () =>
    `; the factory said:\n${factory.stderr}${factory.stdout.slice(-1500)}\n` +
    `the manager: ${manager.stderr.slice(-1500)}`;
  await manager.says(/Listening on port (\d+)/);

  // The catalog's view: the manager, its workers, the factory that feeds it.
  const hal = await until(async () => {
    const [row] = await status(bed, at, "--once", "-M", "hal", ...secret);
    return (row?.["workers"] as number) > 0 ? row! : null;
  }, { what: `a worker of "hal"${said()}`, timeoutMs });
  assert.equal(hal["project"], "hal");
  const url = `http://127.0.0.1:${port}`;
  const factories = await until(async () => {
    const { rows } = await (await fetch(`${url}/api/v1/factories`)).json();
    return rows.length > 0 ? rows : null;
  }, { what: "the factory in the catalog", timeoutMs });
  assert.equal(factories.length, 1);
  await visit?.(url);

  // The manager's own view, which takes the password.
  const workers = await until(async () => {
    const rows = await status(bed, at, "-W", "-M", "hal", ...secret);
    return rows.length > 0 ? rows : null;
  }, { what: `the workers of "hal"${said()}`, timeoutMs });
  assert.equal(workers[0]!["cores_total"], cores);
  const explained = await bed.run(["explain", "-M", "hal", ...secret], { env: at });
  assert.equal(explained.code, 0, explained.stderr);
  assert.match(explained.stdout, /task/);
  const refused = await bed.run(["status", "-W", "-M", "hal"], { env: at });
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(refused.stderr, /password/);

  await Deno.writeTextFile(go, "");
  assert.equal(await manager.ended, 0, said());
  const { events } = await readJson(folder.join("out/report.json"));
  assert.equal(events.processed, 160_000);
  await until(async () => (await status(bed, at, "--once", "-M", "hal")).length === 0, {
    what: "the end of the manager in the catalog",
    timeoutMs,
  });

  await stop(factory, said);
  const scratch = folder.join(`wq-factory-${Deno.uid()}`);
  for (const { name } of Deno.readDirSync(scratch)) {
    const files = [...Deno.readDirSync(`${scratch}/${name}`)].map((file) => file.name);
    assert.ok(!files.includes("pwfile"), "no copy of the password stays");
  }
  if (queued !== undefined) {
    await until(async () => (await queued()) === "", { what: "an empty queue", timeoutMs });
  }
  await stop(catalog, said);
  await bed.clean();
}

async function stop(program: Wqx, said: () => string): Promise<void> {
  program.signal("SIGTERM");
  assert.equal(await program.ended, 0, said());
}

/** The objects of `wqx status --json`; none if it cannot be had now. */
async function status(
  bed: TestBed,
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<Record<string, unknown>[]> {
  const { code, stdout } = await bed.run(["status", "--json", ...args], { env });
  if (code !== 0) return [];
  return stdout.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}
