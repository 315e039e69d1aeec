/** The command line of a worker, as words for /bin/sh, in the order of work_queue_factory's. */
import { type Address, showAddress } from "../addresses.ts";
import { type JoinToken, showJoinToken } from "../pin.ts";
import { quoted } from "../shell_words.ts";
import type { FactorySettings } from "./settings.ts";

/** What stays the same for a run. */
export interface WorkerTerms {
  /** `./work_queue_worker`, or a name that is found where the job runs. */
  readonly program: string;
  /** What the worker is started by, as words for a shell; the last one comes first. */
  readonly wrappers: readonly string[];
  /** `null`: managers are found by name. */
  readonly manager: Address | null;
  /** Of the manager, for workers of wqx, which need no address then; `null`: none. */
  readonly join: JoinToken | null;
  readonly catalogs: readonly Address[];
  /** In the worker's folder. */
  readonly passwordFile: string | null;
  readonly tls: boolean;
  readonly taskWrapper: string | null;
  readonly features: readonly string[];
  /** Of the job. */
  readonly wallTimeS: number | null;
  /** `slot`: HTCondor fills in what the slot has. */
  readonly size: "settings" | "slot";
}

/** Before its job is ended a worker gives back what it has: a twentieth, at most so long. */
const drainSMax = 60;

/** The worker's own limit for a job of so many seconds. */
export function workerWallTimeS(jobS: number): number {
  return Math.max(1, jobS - Math.min(drainSMax, Math.ceil(jobS / 20)));
}

export function workerCommand(terms: WorkerTerms, settings: FactorySettings): string {
  const { manager, join, wallTimeS, passwordFile, taskWrapper } = terms;
  const project = settings.foremenName ?? settings.managerName ?? "";
  const words = [
    ...terms.wrappers.toReversed(),
    terms.program,
    ...(join !== null
      ? ["--join", quoted(showJoinToken(join))]
      : manager === null
      ? ["-M", quoted(project), "-C", quoted(terms.catalogs.map(showAddress).join(","))]
      : [quoted(manager.host), String(manager.port)]),
    "-t",
    String(settings.timeoutS),
    ...(settings.factoryName === null ? [] : ["--from-factory", quoted(settings.factoryName)]),
    ...(passwordFile === null ? [] : ["-P", quoted(passwordFile)]),
    ...sizes(terms, settings),
    ...(wallTimeS === null ? [] : [`--wall-time=${workerWallTimeS(wallTimeS)}`]),
    ...(terms.tls ? ["--ssl"] : []),
    ...(taskWrapper === null ? [] : ["--task-wrapper", quoted(taskWrapper)]),
    settings.extraOptions,
    ...terms.features.flatMap((feature) => ["--feature", quoted(feature)]),
  ];
  return words.filter((word) => word !== "").join(" ");
}

/** Three decimals, as real workers are given their cores. */
function sizes({ size }: WorkerTerms, settings: FactorySettings): string[] {
  const { cores, memoryMb, diskMb, gpus } = settings;
  if (size === "slot") {
    return [
      "--cores=$$([TARGET.Cpus])",
      "--memory=$$([TARGET.Memory])",
      "--disk=$$([TARGET.Disk/1024])",
      ...(gpus !== null && gpus > 0 ? ["--gpus=$$([TARGET.GPUs])"] : []),
    ];
  }
  const given: [string, string | undefined][] = [
    ["--cores", cores?.toFixed(3)],
    ["--memory", memoryMb?.toString()],
    ["--disk", diskMb?.toString()],
    ["--gpus", gpus?.toString()],
  ];
  return given.flatMap(([name, value]) => value === undefined ? [] : [`${name}=${value}`]);
}

/** Requirements of HTCondor that must all hold. */
export function bothRequirements(before: string | null, more: string): string {
  return before === null ? `(${more})` : `(${before} && (${more}))`;
}
