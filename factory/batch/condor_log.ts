/**
 * HTCondor's user log, of which the factory reads what was added: events of some lines each, ended
 * by a line of three dots. Numbers of events: condor_event.h, as its manual lists them.
 */
import type { JobStatus } from "./batch_system.ts";

const head = /^(\d{3}) \((\d+)\.\d+\.\d+\) (?:\d+\/\d+|\d+-\d+-\d+) \d+:\d+:\d+\S* ?(.*)$/;

/** The jobs of one log, by cluster, as its events tell. */
export class CondorLog {
  readonly #jobs = new Map<string, JobStatus>();
  readonly #schedds = new Map<string, string>();
  #rest = "";

  status(cluster: string): JobStatus | null {
    return this.#jobs.get(cluster) ?? null;
  }

  /** Name of the schedd that took the job, if the log tells. */
  schedd(cluster: string): string | null {
    return this.#schedds.get(cluster) ?? null;
  }

  /** Takes what was appended; half an event waits for its other half. */
  feed(text: string): void {
    const events = (this.#rest + text).split(/^\.\.\.\r?\n/m);
    this.#rest = events.pop() ?? "";
    for (const event of events) this.#take(event);
  }

  #take(event: string): void {
    const [first = "", ...more] = event.split("\n");
    const found = head.exec(first);
    if (found === null) return;
    const [, kind = "", padded = "", text = ""] = found;
    const cluster = String(Number(padded)); // 41 is written 041
    if (kind === "000") {
      const alias = /\balias=([^&>\s]+)/.exec(text)?.[1];
      if (alias !== undefined) this.#schedds.set(cluster, alias);
    }
    const details = more.map((line) => line.trim()).filter((line) => line !== "");
    const status = statusAfter(kind, text, details, this.#jobs.get(cluster) ?? null);
    if (status !== null) this.#jobs.set(cluster, status);
  }
}

function statusAfter(
  kind: string,
  text: string,
  details: readonly string[],
  before: JobStatus | null,
): JobStatus | null {
  if (before?.phase === "ended") return null;
  const why = details[0] ?? null;
  const running: JobStatus = { phase: "running", host: hostIn(text), sinceEpochS: null };
  switch (kind) {
    case "000": // submitted
      return { phase: "pending", why: null };
    case "001": // executing
      return running;
    case "004": // evicted
      return { phase: "pending", why: "evicted from its machine" };
    case "005": // terminated
      return terminated(details);
    case "007": // shadow exception
    case "024": // reconnect failed
      return { phase: "pending", why: why ?? text };
    case "009": // aborted
      return { phase: "ended", exitCode: null, why: `removed from the queue${behind(why)}` };
    case "010": // suspended
      return { phase: "held", why: "suspended" };
    case "011": // unsuspended
      return before?.phase === "held" ? running : null;
    case "012": // held
      return { phase: "held", why: why ?? "held" };
    case "013": // released
      return { phase: "pending", why: null };
    default:
      return null;
  }
}

function terminated(details: readonly string[]): JobStatus {
  const text = details.join(" ");
  const code = /Normal termination \(return value (-?\d+)\)/.exec(text)?.[1];
  if (code !== undefined) {
    return {
      phase: "ended",
      exitCode: Number(code),
      why: `its worker ended with exit code ${code}`,
    };
  }
  const signal = /Abnormal termination \(signal (\d+)\)/.exec(text)?.[1];
  return {
    phase: "ended",
    exitCode: null,
    why: signal === undefined ? "it terminated" : `its worker was ended by signal ${signal}`,
  };
}

/** `… host: <10.0.0.7:9618?alias=node7&…>`, or a name alone. */
function hostIn(text: string): string | null {
  return /\balias=([^&>\s]+)/.exec(text)?.[1] ?? /host: <?([^:>?\s]+)/.exec(text)?.[1] ?? null;
}

function behind(why: string | null): string {
  return why === null ? "" : ` (${why})`;
}
