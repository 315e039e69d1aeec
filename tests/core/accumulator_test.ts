import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Accumulator,
  AccumulatorError,
  checkAccumulator,
  DamagedResultError,
  decode,
  encode,
  fromJson,
  merge,
  mergeAll,
  toJson,
} from "../../core/accumulator.ts";
import * as axis from "../../core/histogram/axis.ts";
import { Hist } from "../../core/histogram/hist.ts";
import { anyAccumulator, mergeable } from "../support/arbitraries.ts";

const x = axis.integer(0, 2, { name: "x" });

Deno.test("each kind of accumulator merges in its own way", () => {
  const cases: [Accumulator, Accumulator, Accumulator][] = [
    [1, 2.5, 3.5],
    [2n ** 60n, 1n, 2n ** 60n + 1n],
    [[1, "a"], [{ b: 2 }], [1, "a", { b: 2 }]],
    [new Set(["a", "b"]), new Set(["c", "a"]), new Set(["a", "b", "c"])],
    [Float32Array.of(1, 2), Float32Array.of(0.5, 1), Float32Array.of(1.5, 3)],
    [BigInt64Array.of(1n), BigInt64Array.of(-3n), BigInt64Array.of(-2n)],
    [new Hist([x]).fill({ x: 0 }), new Hist([x]).fill({ x: 1 }), new Hist([x]).fill({ x: [0, 1] })],
    [{ a: 1, b: { c: [1] } }, { b: { c: [2], d: 4 }, e: 5 }, {
      a: 1,
      b: { c: [1, 2], d: 4 },
      e: 5,
    }],
    [{ a: null, b: undefined }, { a: 1, b: 2 }, { a: 1, b: 2 }],
    [null, 3, 3],
    [[1], undefined, [1]],
    [undefined, undefined, null],
  ];
  for (const [a, b, sum] of cases) assert.deepEqual(merge(a, b), sum);
  assert.deepEqual(Object.keys(merge({ b: 1, a: 1 }, { c: 1, a: 1 }) as object), ["b", "a", "c"]);
  assert.equal(mergeAll([]), null);
  assert.equal(mergeAll([1, null, 2, 3]), 6);
});

Deno.test("merging is associative, keeps order, and changes neither side", () => {
  fc.assert(fc.property(mergeable(3), ([a, b, c]) => {
    const before = encode([a ?? null, b ?? null]);
    assert.deepEqual(merge(merge(a, b), c), merge(a, merge(b, c)));
    assert.deepEqual(encode([a ?? null, b ?? null]), before);
  }));
});

Deno.test("sums of floats depend on the grouping by rounding only", () => {
  const positive = fc.double({ min: 0, max: 1e9, noNaN: true });
  fc.assert(fc.property(positive, positive, positive, (a, b, c) => {
    const [left, right] = [merge(merge(a, b), c) as number, merge(a, merge(b, c)) as number];
    assert.ok(Math.abs(left - right) <= 2 * Number.EPSILON * left);
  }));
});

Deno.test("accumulators that do not fit are refused, and the key is named", () => {
  const cases: [Accumulator, Accumulator, RegExp][] = [
    [1, [1], /^Cannot merge the result: a number meets a list$/],
    [{ a: { b: 1 } }, { a: { b: 1n } }, /^Cannot merge a\.b: a number meets a bigint$/],
    [
      { "m > 60": new Set() },
      { "m > 60": {} },
      /^Cannot merge \["m > 60"\]: a set meets an object/,
    ],
    [{ a: Int8Array.of(1) }, { a: Int16Array.of(1) }, /a: a Int8Array meets a Int16Array/],
    [{ a: Int8Array.of(1) }, { a: Int8Array.of(1, 2) }, /a Int8Array of 1 meets one of 2 elements/],
    [
      { a: Int8Array.of(0, 100) },
      { a: Int8Array.of(0, 28) },
      /a\[1\]: 100 \+ 28 does not fit into/,
    ],
    [
      { a: BigInt64Array.of(2n ** 63n - 1n) },
      { a: BigInt64Array.of(1n) },
      /does not fit into a BigInt64Array/,
    ],
    [
      { h: new Hist([x]) },
      { h: new Hist([axis.integer(0, 3, { name: "x" })]) },
      /^Cannot merge h: the axis "x" has bins 2 on one side and 3 on the other$/,
    ],
    [{ a: "s" as never }, { a: "t" as never }, /^Cannot merge a: it is a string/],
  ];
  for (const [a, b, message] of cases) {
    assert.throws(() => merge(a, b), { name: "AccumulatorError", message });
  }
});

Deno.test("checkAccumulator names the place and the type that cannot be merged", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["again"] = cyclic;
  const cases: [unknown, string, RegExp][] = [
    ["text", "", /the result: it is a string; .*\(put strings into an array or a Set\)/],
    [{ a: { b: () => 1 } }, "a.b", /a\.b: it is a function; an accumulator is a number, array/],
    [{ when: new Date(0) }, "when", /it is a Date/],
    [{ m: new Map() }, "m", /it is a Map/],
    [{ done: true }, "done", /it is a boolean/],
    [{ list: [1, [undefined]] }, "list[1][0]", /Cannot keep list\[1\]\[0\]: it is undefined; use/],
    [{ list: [{ at: new Date(0) }] }, "list[0].at", /it is a Date/],
    [{ s: new Set([[1]]) }, "s", /the Set holds a list; strings, numbers and bigints/],
    [{ u: new Uint8ClampedArray(1) }, "u", /it is a Uint8ClampedArray/],
    [Promise.resolve(1), "", /it is a Promise/],
  ];
  for (const [value, path, message] of cases) {
    assert.throws(() => checkAccumulator(value), (error) => {
      assert.ok(error instanceof AccumulatorError);
      assert.equal(error.path, path);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => checkAccumulator(cyclic), /nested deeper than 100 levels; does it contain/);
});

Deno.test("fromJson reads what toJson wrote", () => {
  fc.assert(fc.property(anyAccumulator, (one) => {
    assert.deepEqual(fromJson(JSON.parse(JSON.stringify(toJson(one)))), one);
  }));
});

Deno.test("the JSON form is as documented", () => {
  const value = {
    n: 1,
    bad: [NaN, -Infinity, -0],
    id: 2n ** 64n,
    set: new Set(["a", 1]),
    typed: Float32Array.of(0.5, NaN),
    wide: BigInt64Array.of(-1n),
    "$key": 1,
    "uhi_schema": 2,
    "$uhi_schema": 3,
    nothing: undefined,
  };
  const json = {
    n: 1,
    bad: [{ $number: "NaN" }, { $number: "-Infinity" }, { $number: "-0" }],
    id: { $bigint: "18446744073709551616" },
    set: { $set: ["a", 1] },
    typed: { $typed: "Float32Array", values: [0.5, { $number: "NaN" }] },
    wide: { $typed: "BigInt64Array", values: ["-1"] },
    "$$key": 1,
    "$uhi_schema": 2,
    "$$uhi_schema": 3,
    nothing: null,
  };
  assert.deepEqual(toJson(value), json);
  assert.deepEqual(fromJson(json), { ...value, nothing: null });
  assert.deepEqual(fromJson({ values: [1], $typed: "Int8Array" }), Int8Array.of(1));
});

Deno.test("fromJson refuses what no accumulator is written as, and names the place", () => {
  const cases: [unknown, RegExp][] = [
    ["text", /^Cannot merge the result: it is a string/],
    [{ a: { b: true } }, /^Cannot merge a\.b: it is a boolean/],
    [{ a: { $set: 3 } }, /^Cannot read a: \$set is an array, got 3$/],
    [{ a: { $set: [[1]] } }, /^Cannot merge a: the Set holds a list/],
    [{ a: { $number: "one" } }, /\$number is NaN, Infinity, -Infinity or -0, got "one"/],
    [{ a: { $bigint: "1.5" } }, /\$bigint is a string of digits, got "1\.5"/],
    [
      { a: { $typed: "Float16Array", values: [] } },
      /\$typed is one of Int8Array, .* "Float16Array"/,
    ],
    [{ a: { $typed: "Int8Array" } }, /needs "values", an array of numbers/],
    [{ a: { $typed: "Int8Array", values: ["1"] } }, /has "1" for number 0/],
    [{ a: { $typed: "Int8Array", values: [300] } }, /cannot hold 300 in a Int8Array/],
    [{ a: { $typed: "Int8Array", values: [{ $number: "NaN" }] } }, /cannot hold .* in a Int8Array/],
    [{ a: { $typed: "Int8Array", values: [], more: 1 } }, /"\$typed" stands beside more/],
    [{ a: { $what: 1 } }, /"\$what" is none of \$number, .*; for a key write "\$\$what"/],
    [{ a: { $list: [0, 1] } }, /"\$list" is none of/],
    [{ a: [{ uhi_schema: 2 }] }, /^Cannot read a\[0\]: uhi_schema must be 1, got 2$/],
  ];
  for (const [json, message] of cases) {
    assert.throws(() => fromJson(json), { name: "AccumulatorError", message });
  }
});

Deno.test("decode reads what encode wrote", () => {
  fc.assert(fc.property(anyAccumulator, (one) => {
    assert.deepEqual(decode(encode(one)), one);
  }));
});

Deno.test("a histogram costs 8 bytes a cell, and arrays of any width stand side by side", () => {
  const hist = new Hist([axis.regular(9998, 0, 1, { name: "x" })]).fill({ x: [0.5] });
  const bytes = encode({ hist });
  assert.ok(bytes.length < 80_000 + 500);
  const mixed = { a: Uint8Array.of(1, 2, 3), b: Float64Array.of(4), c: Array(20).fill(5), d: [6] };
  assert.deepEqual(decode(encode(mixed)), mixed);
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert.deepEqual(decode(shifted.subarray(3)), { hist });
});

Deno.test("a cut or changed partial result is refused", () => {
  const bytes = encode({ hist: new Hist([x]).fill({ x: [0, 1] }), list: [1, "two"] });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decode(bytes.subarray(0, length)), DamagedResultError);
  }
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at]! ^= 1;
    assert.throws(() => decode(changed), DamagedResultError);
  }
  const cases: [Uint8Array, RegExp][] = [
    [new TextEncoder().encode("{}"), /^Cannot read a partial result: it does not start with "wqx/],
    [bytes.subarray(0, 40), /it was cut off after 40 bytes, within its header/],
    [bytes.subarray(0, 100), new RegExp(`it has 100 bytes, but was written with ${bytes.length}`)],
    [bytes.with(-1, 7), /its \d+ bytes are not those that were written/],
  ];
  for (const [damaged, message] of cases) {
    assert.throws(() => decode(damaged), { name: "DamagedResultError", message });
  }
});
