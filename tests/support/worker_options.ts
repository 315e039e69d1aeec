/** A worker within the process of a test, for what no option of the program says. */
import { listedManagers } from "../../worker/find_manager.ts";
import type { WorkerOptions } from "../../worker/run.ts";
import type { ScriptedManager } from "./scripted_manager.ts";
import type { TestBed } from "./wqx.ts";

/** Of a worker of that manager, with its workspace in the bed. */
export function workerOptions(
  manager: ScriptedManager,
  bed: TestBed,
  options: Partial<WorkerOptions> = {},
): WorkerOptions {
  return {
    managers: listedManagers([{ host: "127.0.0.1", port: manager.port }], false),
    protocol: undefined,
    password: null,
    ipMode: "IPV4",
    resources: { diskMb: 100 },
    features: [],
    os: undefined,
    arch: undefined,
    factory: null,
    workdir: bed.folder.path,
    symlinks: true,
    taskWrapper: undefined,
    warmPython: true,
    nativeEnvironments: true,
    coprocess: null,
    wqx: ["wqx"],
    version: "1.2.3",
    limits: { idleTimeoutMs: 60_000 },
    backoff: { minMs: 10, maxMs: 10 },
    connectTimeoutMs: 60_000,
    wallTimeMs: null,
    volatileAfterMs: () => null,
    singleShot: false,
    log: () => {},
    debug: () => {},
    ...options,
  };
}
