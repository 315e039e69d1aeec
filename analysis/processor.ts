/** What a user's module must export, and how a task loads it. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Accumulator, checkAccumulator } from "../core/accumulator.ts";
import { messageOf } from "../core/errors.ts";
import type { Events } from "./events.ts";
import { TaskFailure } from "./failure.ts";
import { callUser } from "./user_code.ts";

/**
 * A processor: the default export of the module that an analysis names.
 *
 * @example
 * ```ts
 * import { axis, Hist, type Processor } from "wqx";
 *
 * export default {
 *   columns: ["MET_pt"],
 *   process(events) {
 *     const met = new Hist([axis.regular(50, 0, 200, { name: "met", label: "MET [GeV]" })]);
 *     return { events: events.length, met: met.fill({ met: events.flat("MET_pt") }) };
 *   },
 * } satisfies Processor;
 * ```
 */
export interface Processor {
  /** Names of the columns to read; `*` stands for any run of characters (`Muon_*`). */
  readonly columns: readonly string[];
  /**
   * Called once a chunk, on a worker. What it returns is merged with what the other chunks gave,
   * in any order: numbers, sets, histograms, arrays, and objects of these.
   */
  process(events: Events): Accumulator | Promise<Accumulator>;
  /**
   * Called once at the end of the run, with everything merged. What it returns takes the place of
   * the accumulator; if it returns nothing, the accumulator stays, with the changes made to it.
   */
  postprocess?(accumulator: Accumulator): Accumulator | void | Promise<Accumulator | void>;
}

/** Where a bundled processor finds the `wqx` that runs it; `manager/bundle.ts` writes the import. */
export const apiKey = "wqx.api";

/**
 * Loads the bundled module `name` of the working folder and checks its shape.
 * Throws TaskFailure, the processor's fault, if loading throws or the shape is wrong.
 */
export async function loadProcessor(name: string): Promise<Processor> {
  Reflect.set(globalThis, Symbol.for(apiKey), await import("./mod.ts"));
  const url = pathToFileURL(join(Deno.cwd(), name)).href;
  const module = await callUser("loading the processor", name, () => import(url));
  return checkProcessor(Reflect.get(module as object, "default"));
}

/** The default export of a user's module as a Processor; throws TaskFailure naming what is wrong. */
function checkProcessor(value: unknown): Processor {
  if (typeof value !== "object" || value === null) {
    throw wrong(`must be an object with "columns" and "process", it is ${kindOf(value)}`);
  }
  const { columns, process, postprocess } = value as { [K in keyof Processor]?: unknown };
  if (process === undefined) throw wrong('has no "process" function');
  if (typeof process !== "function") {
    throw wrong(`has a "process" that is ${kindOf(process)}: it must be a function of the events`);
  }
  if (!Array.isArray(columns) || columns.some((name) => typeof name !== "string")) {
    throw wrong(
      `must list the columns to read, as in columns: ["nMuon", "Muon_*"]; ` +
        `its "columns" is ${kindOf(columns)}`,
    );
  }
  if (postprocess !== undefined && typeof postprocess !== "function") {
    throw wrong(`has a "postprocess" that is ${kindOf(postprocess)}: it must be a function`);
  }
  return value as Processor;
}

function wrong(what: string): TaskFailure {
  return new TaskFailure({ whose: "processor", message: `The processor's default export ${what}` });
}

/** What the user's `by` returned, if it can be merged; throws TaskFailure naming the part if not. */
export function checked(returned: unknown, by: string): Accumulator {
  try {
    if (returned !== undefined) return checkAccumulator(returned);
  } catch (error) {
    throw new TaskFailure({
      whose: "processor",
      message: `${by} did not return an accumulator: ${messageOf(error)}`,
    }, { cause: error });
  }
  throw new TaskFailure({
    whose: "processor",
    message: `${by} returned nothing: return an accumulator, or null for nothing to add`,
  });
}

/** `a number`, `undefined`, `an array`: for messages about values that are not what they should be. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
