/** Accumulators as the rest of wqx uses them: checked, merged, and written as JSON or bytes. */
export { DamagedResultError, decode, encode } from "./accumulator/codec.ts";
export { fromJson, toJson } from "./accumulator/json.ts";
export {
  type Accumulator,
  AccumulatorError,
  checkAccumulator,
  type Item,
  merge,
  mergeAll,
} from "./accumulator/merge.ts";
