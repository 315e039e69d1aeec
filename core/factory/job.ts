/** Jobs of a batch system as the factory thinks of them. */

/** As the batch system prints it. */
export type JobId = string & { readonly __brand: "JobId" };

/** What a job asks for; `null`: nothing is said of it. */
export interface JobRequest {
  readonly cores: number | null;
  readonly memoryMb: number | null;
  readonly diskMb: number | null;
  readonly gpus: number | null;
  readonly wallTimeS: number | null;
}

export type JobStatus =
  /** In the queue; `why` as the system says it, such as `Priority`; `null`: it does not say. */
  | { readonly phase: "pending"; readonly why: string | null }
  | { readonly phase: "running"; readonly host: string | null; readonly sinceEpochS: number | null }
  /** Kept from running by the system or its owner until somebody acts. */
  | { readonly phase: "held"; readonly why: string }
  /** `exitCode` is `null` where a signal, a limit or the operator ended it, or nobody knows. */
  | { readonly phase: "ended"; readonly exitCode: number | null; readonly why: string };
