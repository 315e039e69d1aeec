/** All of a fleet on real batch engines. */
import { runFleet } from "../support/fleet.ts";
import { needs } from "../support/skip.ts";
import { noGridEngine, startGridEngine } from "./gridengine.ts";
import { noSlurm, startSlurm } from "./slurm.ts";

const config = `{
  "manager-name": "hal",
  "max-workers": 2,
  "min-workers": 0,
  "cores": 1,
  "memory": cores * 1024,
  "disk": cores * 2048
}
`;

Deno.test({
  ...needs(noSlurm === null, noSlurm ?? "", "a fleet of named manager and factory runs on Slurm"),
  async fn() {
    await using engine = await startSlurm();
    const { env } = engine;
    const queued = () => engine.run("squeue", "-h");
    await runFleet({ batchType: "slurm", config, cores: 1, env, queued });
  },
});

Deno.test({
  ...needs(
    noGridEngine === null,
    noGridEngine ?? "",
    "a fleet of named manager and factory runs on Grid Engine",
  ),
  async fn() {
    await using engine = await startGridEngine();
    const { env } = engine;
    const queued = () => engine.run("qstat");
    await runFleet({ batchType: "sge", config, cores: 1, env, queued });
  },
});
