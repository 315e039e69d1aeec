/** Every limit of the manager, with its unit and its reason. */
export interface Limits {
  /** Silence after which a worker is asked `check`. Work Queue's keepalive interval. */
  readonly keepaliveIntervalMs: number;
  /** Time to answer `check`, and to greet after connecting. Work Queue's keepalive timeout. */
  readonly keepaliveTimeoutMs: number;
  /** Attempts that may end with their worker before the task is held to be the cause. */
  readonly lossesMax: number;
  /** Dispatches per turn, so that a long queue does not keep the links waiting. */
  readonly dispatchMax: number;
}

export const defaultLimits: Limits = {
  keepaliveIntervalMs: 120_000,
  keepaliveTimeoutMs: 30_000,
  // Preemption is everyday business in batch systems; a task that outlives 20 workers is not.
  lossesMax: 20,
  dispatchMax: 256,
};
