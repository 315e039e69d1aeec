/**
 * `info wqx-ask SECONDS`: a worker says for how long it has heard nothing. A manager of wqx answers
 * with `check`; others pass the line over, as any `info` that they do not know.
 */
export const askKey = "wqx-ask";
