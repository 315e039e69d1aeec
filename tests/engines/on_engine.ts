/** What holds of every real engine, asked of the batch system that speaks to it. */
import assert from "node:assert/strict";
import type { BatchSystem, JobId, JobStatus, WorkerJob } from "../../factory/batch/batch_system.ts";
import { openBatchSystem } from "../../factory/batch/mod.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import type { Engine } from "./engine.ts";

export interface EngineCase {
  /** As `-T` names it. */
  readonly name: string;
  /** All that the queue has, one job a line; empty if there is none. */
  readonly queued: (engine: Engine) => Promise<string>;
  /** What the queue says of the cores and memory (MB) of a job. */
  readonly asked: (engine: Engine, id: JobId) => Promise<{ cores: number; memoryMb: number }>;
  /** Takes a job out as somebody else would, so that it gets no word. */
  readonly kill: (engine: Engine, id: JobId) => Promise<unknown>;
  /** The whole machine, so that one job more has to wait. */
  readonly coresAll: number;
}

const signal = new AbortController().signal;
/** Engines look at their queue every second or so. */
const timeoutMs = 30_000;

/** Opens the batch system as the factory would, with a scratch folder in `folder`. */
export async function openOn(
  engine: Engine,
  name: string,
  folder: TempFolder,
): Promise<BatchSystem> {
  const scratch = folder.join("scratch");
  await Deno.mkdir(scratch, { recursive: true });
  return openBatchSystem(name, {
    scratch,
    batchOptions: "",
    requirements: () => null,
    hostsBlocked: () => [],
    autosize: () => false,
    extra: {},
    env: { ...Deno.env.toObject(), ...engine.env, CORES: "64" },
    note: () => {},
  });
}

const job = (command: string, cores: number, memoryMb: number): WorkerJob => ({
  command,
  inputs: [],
  env: { NAME: "it's me" },
  request: { cores, memoryMb, diskMb: null, gpus: null, wallTimeS: 600 },
  name: "wqx-engine",
});

/** A job's whole life on the engine; one test, because an engine takes seconds to start. */
export async function holdsOn(engine: Engine, one: EngineCase): Promise<void> {
  await using folder = await TempFolder.create("wqx-on-");
  await Deno.chmod(folder.path, 0o755);
  const system = await openOn(engine, one.name, folder);
  await system.check(signal);
  const statusOf = async (id: JobId): Promise<JobStatus> =>
    (await system.status([id], signal)).get(id)!;
  const untilPhase = <P extends JobStatus["phase"]>(id: JobId, phase: P) =>
    until(async () => {
      const status = await statusOf(id);
      return status.phase === phase ? status as JobStatus & { phase: P } : null;
    }, { what: `${id} to be ${phase}`, timeoutMs });

  // A worker that prints, waits for leave, and ends.
  const go = folder.join("go");
  const waiting = 'echo "cores=$CORES $NAME"; pwd; ' +
    `until [ -e ${go} ]; do sleep 0.1; done; exit 7`;
  const first = await system.submit(job(waiting, 2, 500), signal);
  const running = await untilPhase(first, "running");
  assert.ok(running.host !== null);
  assert.deepEqual(await one.asked(engine, first), { cores: 2, memoryMb: 500 });
  await Deno.writeTextFile(go, "");
  const ended = await untilPhase(first, "ended");
  assert.equal(ended.exitCode, 7);
  const printed = `cores= it's me / ${folder.join("scratch")}`;
  assert.equal(ended.why, `its worker ended with exit code 7; it last printed: ${printed}`);

  // One that takes all there is, and one that has to wait for it.
  const large = await system.submit(job("exec sleep 300", one.coresAll, 500), signal);
  await untilPhase(large, "running");
  const small = await system.submit(job("exec sleep 300", 1, 500), signal);
  assert.equal((await statusOf(small)).phase, "pending");
  assert.deepEqual([...await system.find("wqx-engine", signal)].sort(), [large, small].sort());

  // Somebody else takes the first out: the second gets its place.
  await one.kill(engine, large);
  const killed = await untilPhase(large, "ended");
  assert.equal(killed.exitCode, null, JSON.stringify(killed));
  await untilPhase(small, "running");

  // Removing leaves nothing, whatever state they are in.
  const late = await system.submit(job("exec sleep 300", one.coresAll, 500), signal);
  await system.remove([small, late, large, first], signal);
  await until(async () => (await one.queued(engine)).trim() === "", {
    what: "an empty queue",
    timeoutMs,
  });
  assert.equal((await untilPhase(small, "ended")).exitCode, null);
  assert.equal((await untilPhase(late, "ended")).exitCode, null);
  assert.deepEqual(await system.find("wqx-engine", signal), []);
}
