/** The batch systems by the names that `-T` knows: a row each. */
import { UsageError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import type { BatchContext, BatchSystem } from "./batch_system.ts";
import { openCluster } from "./cluster.ts";
import { openCondor } from "./condor.ts";
import { openDryrun } from "./dryrun.ts";
import { openFlux } from "./flux.ts";
import { gridEngine } from "./gridengine.ts";
import { openKubernetes } from "./kubernetes.ts";
import { openLocal } from "./local.ts";
import { lsf } from "./lsf.ts";
import { moab, pbs, torque } from "./pbs.ts";
import { openScriptQueue } from "./script_queue.ts";
import { slurm } from "./slurm.ts";

type Open = (context: BatchContext) => BatchSystem;

const systems: Readonly<Record<string, Open>> = {
  local: openLocal,
  slurm: (context) => openScriptQueue(slurm, context),
  uge: (context) => openScriptQueue(gridEngine, context),
  condor: openCondor,
  pbs: (context) => openScriptQueue(pbs, context),
  torque: (context) => openScriptQueue(torque, context),
  moab: (context) => openScriptQueue(moab, context),
  lsf: (context) => openScriptQueue(lsf, context),
  cluster: openCluster,
  flux: openFlux,
  kubernetes: openKubernetes,
  dryrun: openDryrun,
};

/** Other names for them, as people and earlier versions of cctools say. */
export const batchSystemAliases: Readonly<Record<string, string>> = {
  sge: "uge",
  gridengine: "uge",
  htcondor: "condor",
  k8s: "kubernetes",
  "dry-run": "dryrun",
};

/** As help shows them; the aliases are left out. */
export const batchSystemNames: readonly string[] = Object.keys(systems);

/** The name that stands for itself or for an alias; throws UsageError for one that nobody knows. */
export function batchSystemName(given: string): string {
  const word = given.toLowerCase();
  const name = batchSystemAliases[word] ?? word;
  if (Object.hasOwn(systems, name)) return name;
  const known = [...batchSystemNames, ...Object.keys(batchSystemAliases)];
  throw new UsageError(
    `Unknown batch system "${given}"${
      didYouMean(given, known) || `: it may be ${batchSystemNames.join(", ")}`
    }`,
  );
}

/** Nothing is run or asked yet; what is missing, `check` tells. Throws UsageError for the name. */
export function openBatchSystem(name: string, context: BatchContext): BatchSystem {
  return systems[batchSystemName(name)]!(context);
}
