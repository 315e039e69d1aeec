/** Slurm on this machine alone: munged, slurmctld and slurmd with folders and ports of their own. */
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { Daemons, type Engine, freePorts, runProgram, untilEngine, whyNoEngine } from "./engine.ts";

/** The node's size, whatever the machine has. */
export const slurmNode = { cores: 4, memoryMb: 8000 };

export const noSlurm = whyNoEngine([
  "/usr/sbin/munged",
  "/usr/sbin/slurmctld",
  "/usr/sbin/slurmd",
  "/usr/bin/sbatch",
]);

/** Resolves when the node is idle. Disposing of it cancels all jobs and leaves nothing. */
export async function startSlurm(): Promise<Engine> {
  const folder = await TempFolder.create("wqx-slurm-");
  const daemons = new Daemons(folder);
  const env = { SLURM_CONF: folder.join("slurm.conf") };
  const stop = async () => {
    await daemons[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  try {
    await Deno.chmod(folder.path, 0o755); // munged wants to be reached by everybody
    for (const name of ["state", "spool"]) await Deno.mkdir(folder.join(name));
    const key = crypto.getRandomValues(new Uint8Array(128));
    await Deno.writeFile(folder.join("munge.key"), key, { mode: 0o400 });
    await folder.write("slurm.conf", configuration(folder));
    daemons.start([
      "/usr/sbin/munged",
      "--foreground",
      `--key-file=${folder.join("munge.key")}`,
      `--socket=${folder.join("munge.socket")}`,
      `--pid-file=${folder.join("munged.pid")}`,
      `--log-file=${folder.join("munged.log")}`,
      `--seed-file=${folder.join("munged.seed")}`,
    ], {});
    await untilEngine(daemons, "munged", async () => {
      return (await Deno.stat(folder.join("munge.socket"))).isSocket ?? false;
    });
    daemons.start(["/usr/sbin/slurmctld", "-D", "-c"], env);
    daemons.start(["/usr/sbin/slurmd", "-D", "-N", "localhost"], env);
    const run = (...words: string[]) => runProgram(words, env);
    await untilEngine(daemons, "an idle node", async () => {
      return (await run("sinfo", "-h", "-o", "%T")).trim() === "idle";
    });
    return {
      env,
      run,
      async [Symbol.asyncDispose]() {
        try {
          await run("scancel", "--user=root", "--full", "--signal=KILL").catch(() => {});
          await run("scancel", "--user=root");
          await until(async () => (await run("squeue", "-h")).trim() === "", {
            what: "an empty queue",
            timeoutMs: 15_000,
          });
        } finally {
          await stop();
        }
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function configuration(folder: TempFolder): string {
  const [controller, node] = freePorts(2);
  return `ClusterName=wqx
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${controller}
SlurmdPort=${node}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=${folder.join("munge.socket")}
StateSaveLocation=${folder.join("state")}
SlurmdSpoolDir=${folder.join("spool")}
SlurmctldPidFile=${folder.join("slurmctld.pid")}
SlurmdPidFile=${folder.join("slurmd.pid")}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=1
# The node is as large as is said here.
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=2
MinJobAge=60
NodeName=localhost NodeAddr=127.0.0.1 CPUs=${slurmNode.cores} RealMemory=${slurmNode.memoryMb} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
`;
}
