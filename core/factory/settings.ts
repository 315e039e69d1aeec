/** What a factory keeps to, from its command line and, at any time later, its configuration file. */

/** Every one of these may change while the factory runs. */
export interface FactorySettings {
  /** Regular expression that the whole project name must match; `null`: the manager has an address. */
  readonly managerName: string | null;
  /** Regular expression of the foremen that get the workers; `null`: the managers get them. */
  readonly foremenName: string | null;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Most jobs handed in and not yet connected; 0: no limit. */
  readonly workersPerCycle: number;
  /**
   * Tasks that a worker is to have at once. `cores`: as many as a worker has cores, one where that
   * is not known, as in cctools once a configuration was read. `null`: not looked at, as in cctools
   * without one.
   */
  readonly tasksPerWorker: number | "cores" | null;
  /** The size of one worker; `null`: what the machine has. */
  readonly cores: number | null;
  readonly memoryMb: number | null;
  readonly diskMb: number | null;
  readonly gpus: number | null;
  /** After which a worker without tasks leaves. */
  readonly timeoutS: number;
  /** After which a factory without managers ends; 0: never. */
  readonly factoryTimeoutS: number;
  /** Whether no more workers are started than the managers say that they can feed. */
  readonly capacity: boolean;
  /** Whether workers are as large as the slot that they get (condor, k8s). */
  readonly autosize: boolean;
  /** Name by which managers and other factories know this one. */
  readonly factoryName: string | null;
  /** Appended to the worker's command line, as words for a shell. */
  readonly extraOptions: string;
  /** An expression of HTCondor. */
  readonly condorRequirements: string | null;
}

/** Those of work_queue_factory. */
export const settingsDefault: FactorySettings = {
  managerName: null,
  foremenName: null,
  minWorkers: 5,
  maxWorkers: 100,
  workersPerCycle: 5,
  tasksPerWorker: null,
  cores: null,
  memoryMb: null,
  diskMb: null,
  gpus: null,
  timeoutS: 300,
  factoryTimeoutS: 0,
  capacity: false,
  autosize: false,
  factoryName: null,
  extraOptions: "",
  condorRequirements: null,
};

/** Tasks that a worker is counted for; `null`: tasks are not divided by it. */
export function tasksPerWorkerOf(settings: FactorySettings): number | null {
  const { tasksPerWorker, cores } = settings;
  return tasksPerWorker === "cores" ? Math.max(1, cores ?? 1) : tasksPerWorker;
}
