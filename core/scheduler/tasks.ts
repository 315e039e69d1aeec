/** Tasks of a manager: what was submitted, in which phase it is, how its attempts went. */
import type { ResourceRequest } from "../analysis/spec.ts";
import type { Wish } from "../allocation/policy.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import type { Exhaustion, Measured } from "../protocol/measured.ts";
import { type ResultCode, resultCode } from "../protocol/messages.ts";
import { type ResourceName, type Resources, wireResources } from "../resources.ts";
import type { Suspicion } from "./suspects.ts";

/** Where an input comes from. */
export type Source =
  /** On the manager's side; a directory with all that is in it. */
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "buffer"; readonly bytes: Uint8Array; readonly mode: number }
  /** The worker fetches it. */
  | { readonly kind: "url"; readonly url: string }
  /** The worker runs it; `%%` stands for the file that it is to make. */
  | { readonly kind: "command"; readonly command: string }
  /** The bytes from `first` to `last` of a local file, both included. */
  | {
    readonly kind: "piece";
    readonly path: string;
    readonly first: number;
    readonly last: number;
  }
  /** Made in the sandbox; nothing is sent. */
  | { readonly kind: "empty directory" };

export interface TaskInput {
  readonly source: Source;
  /** Plain characters `[A-Za-z0-9._-]` only: then every rule of the wire leaves it as it is. */
  readonly cacheName: string;
  readonly sandboxName: string;
  /** Keep it on the worker for other tasks that name the same `cacheName`. */
  readonly cache: boolean;
  /** Not for workers of wqx, which have what it stands for. */
  readonly onlyForeign?: boolean;
}

export interface TaskOutput {
  readonly sandboxName: string;
  readonly cacheName: string;
  /** Local path that receives it. */
  readonly path: string;
  /** `success`: fetched only after exit code 0, and missing it is then a failure. */
  readonly when: "success" | "failure" | "always";
  /** Keep it on the worker, for tasks that have it as a cached input of the same `cacheName`. */
  readonly cache?: boolean;
  /** A file that grows while the task runs; what is new is fetched now and then. */
  readonly watch?: boolean;
}

export interface TaskSpec {
  /**
   * The same for a task of which the same comes under every manager of a run, and for no other: by
   * it a worker gives it to the next manager. One word. Absent: only to the same manager.
   */
  readonly key?: string;
  readonly command: string;
  /** A single word. */
  readonly category: string;
  /** Higher goes first. */
  readonly priority: number;
  readonly request: ResourceRequest;
  readonly inputs: readonly TaskInput[];
  readonly outputs: readonly TaskOutput[];
  /** `NAME=value` each. */
  readonly env: readonly string[];
  /** How often a failed attempt is tried again; lost workers are counted apart. */
  readonly retriesMax: number;
  /** Only workers that announce all of these. */
  readonly features?: readonly string[];
  /** An attempt that runs for longer is killed. */
  readonly wallTimeMs?: number;
  /** Epoch; an attempt that still runs then is killed, one that waits fails. */
  readonly endTimeMs?: number;
  /** Epoch; not dispatched before. */
  readonly notBeforeMs?: number;
  /** Only workers that stay for so long. */
  readonly wallTimeMinMs?: number;
  /** Dispatched more often than that, for whatever reason, it has failed. */
  readonly dispatchesMax?: number;
  /** The command is a function of this coprocess, in the words of the wire. */
  readonly coprocess?: string;
  /**
   * As in Work Queue: a command that ran is a success whatever its exit code, which its owner looks
   * at; and an output that was asked for and is not there is a failure in any case.
   */
  readonly exitCodeIsData?: boolean;
}

/** What was moved for one attempt. */
export interface Moved {
  /** Of the worker's link: "host:port". */
  readonly address: string;
  sentBytes: number;
  /** When the last input had left; `null`: there was none to send. */
  sentMs: number | null;
  /** When the worker reported its end; `null`: it did not. */
  reportedMs: number | null;
  receivedBytes: number;
}

/** It ran, or could not be staged; `why` says it in words. */
export interface Failure {
  readonly kind: "failure";
  readonly code: ResultCode;
  readonly why: string;
  /** Only of one that was ended because it outgrew what it was given. */
  readonly exhausted?: Exhaustion;
}

/** One try of a task on one worker. */
export interface Attempt {
  readonly worker: WorkerId;
  readonly host: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly box: Resources;
  readonly ending:
    | { readonly kind: "success" }
    | Failure
    /** The worker went away. */
    | { readonly kind: "lost"; readonly why: string }
    | { readonly kind: "canceled" };
  /** Exit code or signal; `null` if the command did not run to its end. */
  readonly exitCode: number | null;
  /** Of the command; 0 if it did not run to its end. */
  readonly wallMs: number;
  /** `null` where the worker does not say. */
  readonly measured: Measured | null;
  /** What it printed, cut to what the manager keeps. */
  readonly printed: Uint8Array;
  readonly moved: Readonly<Moved>;
}

/** How a task as a whole ended; the story is in its attempts. */
export type TaskEnd =
  | { readonly kind: "success" }
  | Failure
  | { readonly kind: "canceled" };

/** A task's block on one worker. */
export interface Copy {
  readonly worker: WorkerId;
  readonly box: Resources;
  readonly sinceMs: number;
  /** Cached name of what `wqx monitor` writes of it; `null` where the task was sent as it is. */
  readonly summary: string | null;
  /** The worker had it of an earlier link. */
  readonly kept?: true;
  readonly moved: Moved;
}

export type Phase =
  | { readonly name: "waiting" }
  /** One copy, or two while a straggler is being overtaken: the first result wins. */
  | { readonly name: "running"; readonly copies: readonly Copy[] }
  /** The command ended; its outputs are under way to us. */
  | { readonly name: "retrieving"; readonly copy: Copy; readonly report: Report }
  | { readonly name: "done"; readonly end: TaskEnd };

/** What a worker reported of an attempt, completed while its outputs arrive. */
export interface Report {
  status: number;
  exitCode: number;
  wallMs: number;
  measured: Measured | null;
  printed: Uint8Array;
  /** Answers still to come, the captured output included. */
  owed: number;
  /** First thing that went wrong while retrieving. */
  trouble: { readonly code: ResultCode; readonly why: string } | null;
}

export interface Task {
  readonly id: TaskId;
  readonly spec: TaskSpec;
  phase: Phase;
  readonly attempts: Attempt[];
  /** Once it has outgrown a box: what it asks for since. Until then, what its category says. */
  wish: Wish | null;
  /** `null`: it was not lost with its worker since an attempt of it came to an end. */
  suspicion: Suspicion | null;
}

/** Legal transitions; every change of phase goes through `Scheduler` and is checked against it. */
export const nextPhases: Record<Phase["name"], readonly Phase["name"][]> = {
  waiting: ["running", "done"],
  running: ["running", "waiting", "retrieving", "done"],
  retrieving: ["waiting", "done"],
  done: [],
};

/** The resource of which an attempt had too little; `null` if a larger box would not have helped. */
export function outgrew({ ending }: Pick<Attempt, "ending">): ResourceName | null {
  const exhausted = ending.kind === "failure" ? ending.exhausted : undefined;
  const [name = null] = wireResources.find(([, word]) => word === exhausted?.resource) ?? [];
  return name;
}

/** An attempt that had too little of something says nothing against its worker or its task. */
export function hasFailed(attempt: Pick<Attempt, "ending">): boolean {
  return attempt.ending.kind === "failure" && outgrew(attempt) === null;
}

/** Workers on which the task itself failed; it is tried elsewhere while there is an elsewhere. */
export function failedOn(task: Task): ReadonlySet<WorkerId> {
  return new Set(task.attempts.filter(hasFailed).map((a) => a.worker));
}

/**
 * What the last attempt, which did not succeed, means for the task: `null` is "once more". Of those
 * that outgrew their box, the category decides.
 */
export function verdict(
  task: Task,
  last: Attempt,
  limits: { readonly lossesMax: number },
): TaskEnd | null {
  switch (last.ending.kind) {
    case "failure":
      return task.attempts.filter(hasFailed).length <= task.spec.retriesMax ? null : last.ending;
    case "lost": {
      const losses = task.attempts.filter(({ ending }) => ending.kind === "lost").length;
      if (losses <= limits.lossesMax) return null;
      const why = `its worker went away ${losses} times, at last because ${last.ending.why}`;
      return { kind: "failure", code: resultCode.maxRetries, why };
    }
    case "success":
    case "canceled":
      return last.ending;
  }
}
