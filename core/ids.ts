/** Ids that are not any string or number. */

/** One link of a manager; a worker that reconnects gets a new one. */
export type WorkerId = string & { readonly __brand: "WorkerId" };
export const workerId = (text: string): WorkerId => text as WorkerId;

/** Positive, growing by 1 from 1 in each manager, as on the wire. */
export type TaskId = number & { readonly __brand: "TaskId" };
export const taskId = (id: number): TaskId => id as TaskId;
