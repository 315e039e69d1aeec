/** Names the hosts on which workers run that no manager has ever heard of. */
import { formatDuration } from "../units.ts";
import type { JobId } from "./job.ts";

export interface RunningJob {
  readonly id: JobId;
  /** `null`: the batch system does not say. */
  readonly host: string | null;
  readonly sinceMs: number;
}

export interface Sighting {
  /** Jobs that have run for longer than a worker takes to connect. */
  readonly overdue: readonly RunningJob[];
  /** Workers connected at all managers, whoever started them. */
  readonly connected: number;
  /** Host names of those workers; `null`: managers do not say. */
  readonly hosts: readonly string[] | null;
}

export interface Finding {
  readonly jobs: readonly JobId[];
  /** A sentence. */
  readonly text: string;
}

/** Findings of one cycle that are worth a line; more hosts are counted. */
const hostsShownMax = 10;

/**
 * A finding for each host with overdue jobs from which fewer workers are connected than jobs run.
 * Where managers do not name hosts, one for all of them, if none or some are not connected.
 */
export function unconnectedHosts(
  { overdue, connected, hosts }: Sighting,
  nowMs: number,
): Finding[] {
  if (overdue.length === 0) return [];
  if (hosts === null) {
    return connected >= overdue.length ? [] : [withoutNames(overdue, connected, nowMs)];
  }
  const workersAt = countBy(hosts, shortName);
  const jobsAt = Map.groupBy(overdue, ({ host }) => host === null ? "" : shortName(host));
  const suspicious = [...jobsAt].filter(([host, jobs]) =>
    (host === "" ? connected : workersAt.get(host) ?? 0) < jobs.length
  );
  const findings = suspicious.slice(0, hostsShownMax).map(([host, jobs]) => {
    const workers = host === "" ? connected : workersAt.get(host) ?? 0;
    return { jobs: jobs.map(({ id }) => id), text: atHost(jobs, workers, nowMs) };
  });
  const rest = suspicious.slice(hostsShownMax).flatMap(([, jobs]) => jobs);
  if (rest.length === 0) return findings;
  const more = `${rest.length} more jobs run on ${suspicious.length - hostsShownMax} other hosts ` +
    `from which no worker has connected`;
  return [...findings, { jobs: rest.map(({ id }) => id), text: more }];
}

function atHost(jobs: readonly RunningJob[], workers: number, nowMs: number): string {
  const host = jobs[0]!.host ?? "a host that the batch system does not name";
  const heard = workers === 0
    ? "no worker from there has connected to a manager"
    : `only ${workers} worker${workers === 1 ? "" : "s"} from there ${
      workers === 1 ? "is" : "are"
    } connected`;
  return `On ${host} ${runs(jobs, nowMs)}, but ${heard}: look whether that host reaches the ` +
    `manager's port and can start the worker`;
}

function withoutNames(jobs: readonly RunningJob[], connected: number, nowMs: number): Finding {
  const hosts = [...new Set(jobs.map(({ host }) => host ?? "a host without a name"))];
  const shown = hosts.slice(0, hostsShownMax).join(", ") +
    (hosts.length > hostsShownMax ? ` and ${hosts.length - hostsShownMax} more` : "");
  const heard = connected === 0
    ? "no worker has connected to a manager"
    : `only ${connected} worker${connected === 1 ? " is" : "s are"} connected`;
  return {
    jobs: jobs.map(({ id }) => id),
    text: `Of ours ${runs(jobs, nowMs)} on ${shown}, but ${heard}`,
  };
}

function runs(jobs: readonly RunningJob[], nowMs: number): string {
  const oldestMs = Math.min(...jobs.map(({ sinceMs }) => sinceMs));
  const ids = jobs.slice(0, 3).map(({ id }) => id).join(", ") + (jobs.length > 3 ? ", …" : "");
  const since = formatDuration(nowMs - oldestMs);
  return jobs.length === 1
    ? `job ${ids} has run for ${since}`
    : `${jobs.length} jobs (${ids}) have run for up to ${since}`;
}

/** Batch systems and workers write a host with or without its domain. */
function shortName(host: string): string {
  return host.toLowerCase().split(".")[0]!;
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}
