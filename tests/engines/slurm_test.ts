/** A real Slurm: jobs of the batch system, then a factory that keeps workers on it. */
import type { JobId } from "../../factory/batch/batch_system.ts";
import { needs } from "../support/skip.ts";
import type { Engine } from "./engine.ts";
import { factoryWorksOn } from "./factory_on.ts";
import { type EngineCase, holdsOn } from "./on_engine.ts";
import { noSlurm, slurmNode, startSlurm } from "./slurm.ts";

const slurm: EngineCase = {
  name: "slurm",
  queued: (engine) => engine.run("squeue", "-h"),
  async asked(engine: Engine, id: JobId) {
    const [cores, memory] = (await engine.run("squeue", "-h", "-j", id, "-o", "%C %m")).split(" ");
    return { cores: Number(cores), memoryMb: Number.parseInt(memory!) };
  },
  kill: (engine, id) => engine.run("scancel", "--full", "--signal=KILL", id),
  coresAll: slurmNode.cores,
};

Deno.test({
  ...needs(noSlurm === null, noSlurm ?? "", "a real Slurm runs, shows and removes our jobs"),
  fn: async () => {
    await using engine = await startSlurm();
    await holdsOn(engine, slurm);
  },
});

Deno.test({
  ...needs(noSlurm === null, noSlurm ?? "", "a factory keeps workers on a real Slurm"),
  fn: async () => {
    await using engine = await startSlurm();
    await factoryWorksOn(engine, {
      name: "slurm",
      jobs: async ({ run }) =>
        (await run("squeue", "-h", "-t", "PENDING,RUNNING", "-o", "%i")).match(/\d+/g) ?? [],
      kill: ({ run }, id) => run("scancel", id),
    });
  },
});
