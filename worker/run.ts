/**
 * A worker from start to end: finds its manager, serves it, comes back after a break, and leaves
 * nothing behind.
 */
import { messageOf, RunError } from "../core/errors.ts";
import type { Resources } from "../core/resources.ts";
import { type Backoff, pauseMs } from "../core/worker/backoff.ts";
import type { WorkerIdentity, WorkerLimits } from "../core/worker/machine.ts";
import { delay } from "../io/clock.ts";
import { Link } from "../io/link.ts";
import { Guard } from "./guard.ts";
import { openSpawner } from "./process.ts";
import { detectResources } from "./resources.ts";
import { Session, type SessionParts } from "./session.ts";
import { Workspace } from "./workspace.ts";

export interface WorkerOptions {
  readonly host: string;
  readonly port: number;
  /** What was declared on the command line; the rest is detected. */
  readonly resources: { readonly [K in keyof Resources]?: Resources[K] | undefined };
  /** Where the workspace is made. */
  readonly workdir: string;
  /** Command line that starts this same wqx. */
  readonly wqx: readonly string[];
  readonly version: string;
  readonly limits: WorkerLimits;
  readonly backoff: Backoff;
  /** Without a manager for so long, the worker gives up. */
  readonly connectTimeoutMs: number;
  /** Leave after the first link, however it ended. */
  readonly singleShot: boolean;
  readonly log: (line: string) => void;
}

/** Serves until there is no more work, `signal` fires, or no manager is found in time. */
export async function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  await using workspace = await Workspace.create(options.workdir, options.wqx);
  await using guard = Guard.start(workspace.path);
  await using spawner = openSpawner({ owner: workspace.path });
  const resources = await detectResources(options.resources, workspace.path);
  if (spawner.unmeasured !== null) options.log(`Tasks are not measured: ${spawner.unmeasured}`);
  const parts: SessionParts = {
    workspace,
    spawner,
    guard,
    identity: identify(options.version, resources),
    limits: options.limits,
    log: options.log,
  };
  await serve(options, parts, signal);
}

async function serve(
  options: WorkerOptions,
  parts: SessionParts,
  signal: AbortSignal,
): Promise<void> {
  const { host, port, log } = options;
  const where = `${host}:${port}`;
  let failures = 0;
  let lostMs = performance.now();
  while (!signal.aborted) {
    let link: Link;
    try {
      link = await Link.connect(host, port, signal);
    } catch (error) {
      if (signal.aborted) return;
      const triedMs = performance.now() - lostMs;
      if (options.singleShot || triedMs > options.connectTimeoutMs) {
        const tried = Math.round(triedMs / 1000);
        throw new RunError(
          `Cannot connect to a manager at ${where} (tried for ${tried} s): ${messageOf(error)}`,
        );
      }
      failures++;
      await delay(pauseMs(options.backoff, failures), signal);
      continue;
    }
    const r = parts.identity.resources;
    log(
      `Connected to ${where}: offering ${r.cores} cores, ${r.memoryMb} MB memory, ` +
        `${r.diskMb} MB disk, ${r.gpus} gpus`,
    );
    const end = await new Session(link, parts).run(signal);
    log(`Left ${where}: ${end.why}`);
    if (end.then === "terminate" || options.singleShot) return;
    failures = 0;
    lostMs = performance.now();
    await delay(pauseMs(options.backoff, failures), signal);
  }
}

function identify(version: string, resources: Resources): WorkerIdentity {
  const hostname = Deno.hostname();
  return {
    // Managers of cctools take the name "unknown" for a connection that has not greeted.
    hostname: hostname === "" || hostname === "unknown" ? "worker-host" : hostname,
    os: Deno.build.os === "linux" ? "Linux" : Deno.build.os,
    arch: Deno.build.arch,
    version,
    id: `worker-${crypto.randomUUID().replaceAll("-", "")}`,
    resources,
    features: [],
  };
}
