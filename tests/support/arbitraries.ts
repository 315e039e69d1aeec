/** Random histograms and accumulators for property tests. */
import fc from "fast-check";
import type { Accumulator } from "../../core/accumulator.ts";
import * as axis from "../../core/histogram/axis.ts";
import type { Axis } from "../../core/histogram/axis.ts";
import type { FillValues } from "../../core/histogram/columns.ts";
import { Hist, type HistOptions } from "../../core/histogram/hist.ts";

/** Exactly added in any order: integers, as doubles. */
const exactNumber = fc.integer({ min: -1000, max: 1000 });
const anyNumber = fc.oneof(fc.double(), exactNumber);
const word = fc.constantFrom(
  "DY",
  "tt",
  "W",
  "QCD",
  "data",
  "",
  'ü$"<&',
  "__proto__",
  "uhi_schema",
);
const key = fc.oneof(word, fc.constantFrom("$set", "$number", "$$", "a b", "0"));

function anyAxis(name: string): fc.Arbitrary<Axis> {
  const flow = fc.record({
    name: fc.constant(name),
    underflow: fc.boolean(),
    overflow: fc.boolean(),
  });
  const texts = fc.record({
    name: fc.constant(name),
    label: word,
    unit: fc.constantFrom("", "GeV"),
  });
  return fc.oneof(
    fc.tuple(fc.integer({ min: 1, max: 5 }), flow).map(([bins, f]) => axis.regular(bins, -1, 2, f)),
    fc.tuple(fc.uniqueArray(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 5 }), flow)
      .map(([edges, f]) => axis.variable(edges.sort((a, b) => a - b).map((e) => e / 4), f)),
    flow.map((f) => axis.integer(-2, 3, f)),
    texts.map((t) => axis.category(["DY", "tt"], t)),
    texts.map((t) => axis.category([], { ...t, growth: true })),
  );
}

const axes: fc.Arbitrary<Axis[]> = fc.integer({ min: 1, max: 3 })
  .chain((n) => fc.tuple(...["x", "y", "z"].slice(0, n).map(anyAxis)));

/** How often to fill, and with what: `fillsOf(axes, storage)` fit a histogram over these axes. */
function fillsOf(all: readonly Axis[], weight: fc.Arbitrary<number> | null) {
  const value = fc.oneof(
    fc.integer({ min: -10, max: 10 }).map((i) => i / 4),
    fc.constantFrom(NaN, Infinity, -Infinity, -0),
    fc.double(),
  );
  const columns = (length: number): fc.Arbitrary<Record<string, FillValues>> => {
    const many = { minLength: length, maxLength: length };
    return fc.record({
      ...Object.fromEntries(all.map((a) => [
        a.name,
        a.type === "category"
          ? fc.oneof(word, fc.array(word, many))
          : fc.oneof(fc.array(value, many), fc.array(value, many).map((v) => Float64Array.from(v))),
      ])),
      ...(weight === null ? {} : { weight: fc.array(weight, many) }),
    });
  };
  return fc.integer({ min: 0, max: 6 }).chain(columns);
}

export interface HistCase {
  readonly axes: Axis[];
  readonly options: HistOptions;
  readonly fills: Record<string, FillValues>[];
}

/** Axes, storage and some fills; weights are integers, so that sums do not depend on order. */
export const histCase: fc.Arbitrary<HistCase> = fc.tuple(
  axes,
  fc.constantFrom("count", "weighted", "double" as const),
  word,
  fc.constantFrom(true, false, undefined),
).chain(([all, storage, label, log]) =>
  fc.record({
    axes: fc.constant(all),
    options: fc.constant({ storage, label, ...(log === undefined ? {} : { log }) } as HistOptions),
    fills: fc.array(fillsOf(all, storage === "count" ? null : exactNumber), {
      minLength: 3,
      maxLength: 3,
    }),
  })
);

/** A histogram filled with all the given columns. */
export function filled({ axes, options }: HistCase, fills: HistCase["fills"]): Hist {
  const hist = new Hist(axes, options);
  for (const fill of fills) hist.fill(fill);
  return hist;
}

/** Columns of some length, cut in two; single values go to both. */
export function cutColumns(
  fill: Record<string, FillValues>,
  at: number,
): [Record<string, FillValues>, Record<string, FillValues>] {
  const part = (start: number, stop?: number) =>
    Object.fromEntries(
      Object.entries(fill).map(([name, values]) => [
        name,
        Array.isArray(values) || ArrayBuffer.isView(values)
          ? (values as number[]).slice(start, stop)
          : values,
      ]),
    );
  return [part(0, at), part(at)];
}

/** What a list may hold, and what is only kept. */
const item = fc.oneof(
  anyNumber,
  word,
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(),
  fc.array(anyNumber, { maxLength: 3 }),
  fc.dictionary(key, anyNumber, { maxKeys: 3, noNullPrototype: true }),
);

const intArrays = fc.constantFrom(Int16Array, Int32Array, Float32Array, Float64Array);

/**
 * Accumulators of one random shape, `count` of them: they merge, and their sums are exact.
 * Any of them, or any part, may be nothing.
 */
export function mergeable(count: number): fc.Arbitrary<Accumulator[]> {
  return shape(3).chain((one) => fc.array(one, { minLength: count, maxLength: count }));
}

function shape(depth: number): fc.Arbitrary<fc.Arbitrary<Accumulator>> {
  const leaves: fc.Arbitrary<fc.Arbitrary<Accumulator>>[] = [
    fc.constant(exactNumber),
    fc.constant(fc.bigInt()),
    fc.constant(fc.array(item, { maxLength: 20 })),
    fc.constant(fc.array(anyNumber, { maxLength: 40 })),
    fc.constant(fc.array(fc.oneof(word, exactNumber, fc.bigInt())).map((all) => new Set(all))),
    fc.tuple(intArrays, fc.integer({ min: 0, max: 5 })).map(([Type, length]) =>
      fc.array(exactNumber, { minLength: length, maxLength: length })
        .map((all) => Type.from(all))
    ),
    fc.integer({ min: 0, max: 3 }).map((length) =>
      fc.array(fc.bigInt({ min: -1000n, max: 1000n }), { minLength: length, maxLength: length })
        .map((all) => BigInt64Array.from(all))
    ),
    histCase.map((one) => fc.subarray(one.fills).map((fills) => filled(one, fills))),
  ];
  if (depth > 0) {
    leaves.push(
      fc.uniqueArray(key, { maxLength: 4 }).chain((keys) =>
        fc.tuple(...keys.map(() => shape(depth - 1))).map((shapes) =>
          fc.tuple(...shapes.map((one) => fc.option(one, { nil: undefined, freq: 4 })))
            .map((values) =>
              Object.fromEntries(
                keys.map((name, i) => [name, values[i]]).filter(([, value]) => value !== undefined),
              ) as Accumulator
            )
        )
      ),
    );
  }
  return fc.oneof(...leaves).map((one) => fc.option(one, { freq: 8 }));
}

/** One accumulator of any shape, floats and what JSON cannot write included. */
export const anyAccumulator: fc.Arbitrary<Accumulator> = fc.oneof(
  anyNumber,
  fc.array(anyNumber, { minLength: 10, maxLength: 30 }),
  fc.array(fc.oneof(anyNumber, fc.bigInt())).map((all) => new Set(all)),
  fc.float64Array(),
  fc.float32Array(),
  fc.uint8Array(),
  fc.bigUint64Array(),
  mergeable(1).map(([one]) => one ?? null),
);
