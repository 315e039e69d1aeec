/** Every limit of the manager, with its unit and its reason. */
export interface Limits {
  /** Silence after which a worker is asked `check`. Work Queue's keepalive interval. */
  readonly keepaliveIntervalMs: number;
  /** Time to answer `check`, and to greet after connecting. Work Queue's keepalive timeout. */
  readonly keepaliveTimeoutMs: number;
  /** Least time that any transfer is given. Work Queue's minimum transfer timeout. */
  readonly transferMsMin: number;
  /** A transfer may be so many times slower than the usual rate. Work Queue's outlier factor. */
  readonly transferOutlierFactor: number;
  /** Bytes a second, where no transfer was measured yet. Work Queue's default transfer rate. */
  readonly transferRateDefault: number;
  /** So long a task that a worker still has is kept for who may submit it. */
  readonly offeredMsMax: number;
  /** Attempts that may end with their worker before the task is held to be the cause. */
  readonly lossesMax: number;
  /** Dispatches per turn, so that a long queue does not keep the links waiting. */
  readonly dispatchMax: number;
  /** Failures in a row on one host, while others succeed, after which it gets no tasks. */
  readonly hostFailuresMax: number;
  /** How long such a host gets none. Work Queue's block time for slow workers. */
  readonly hostBlockedMs: number;
  /** A host that had no room for a task gets none for so long: others, or time, may help. */
  readonly noRoomMs: number;
  /** Successes of a category before its average says what is slow. Work Queue's fast abort. */
  readonly stragglerSuccessesMin: number;
}

export const defaultLimits: Limits = {
  keepaliveIntervalMs: 120_000,
  keepaliveTimeoutMs: 30_000,
  transferMsMin: 60_000,
  transferOutlierFactor: 10,
  transferRateDefault: 1024 ** 2,
  // A run that goes on submits what was under way first; and room must not stay idle for long.
  offeredMsMax: 60_000,
  // Preemption is everyday business in batch systems; a task that outlives 20 workers is not.
  lossesMax: 20,
  dispatchMax: 256,
  hostFailuresMax: 10,
  hostBlockedMs: 900_000,
  noRoomMs: 10_000,
  stragglerSuccessesMin: 10,
};
