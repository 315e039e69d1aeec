/**
 * What a processor imports as `wqx`.
 *
 * @example
 * ```ts
 * import { axis, Hist, type Processor } from "wqx";
 *
 * export default {
 *   columns: ["nMuon"],
 *   process(events) {
 *     const muons = new Hist([axis.integer(0, 10, { name: "n", label: "Muons" })]);
 *     return { events: events.length, muons: muons.fill({ n: events.flat("nMuon") }) };
 *   },
 * } satisfies Processor;
 * ```
 */
export { type Accumulator } from "../core/accumulator.ts";
export type { ChunkMetadata, Column, FlatColumn, JaggedColumn } from "../core/columns.ts";
export * as axis from "../core/histogram/axis.ts";
export { Hist, type HistOptions } from "../core/histogram/hist.ts";
export {
  type BigIntColumn,
  type BigIntLists,
  Events,
  type NumberColumn,
  type NumberLists,
} from "./events.ts";
export { type Processor } from "./processor.ts";
