/** JX: what is printed parses, and whatever parses comes to a value or an error. */
import assert from "node:assert/strict";
import { evaluateWithDefines, matches } from "../../../core/jx/eval.ts";
import type { JxExpr } from "../../../core/jx/expr.ts";
import { JxSyntaxError, parseJx, parseJxValue, parseWholeJx } from "../../../core/jx/parse.ts";
import { prettyJx, printExpr, printJx } from "../../../core/jx/print.ts";
import { isJxObject } from "../../../core/jx/value.ts";
import { orRefused, type Target, textOf } from "../target.ts";

const words = [
  ..."range format join len items keys values basename dirname ceil floor select project schema like"
    .split(" "),
  ..."for in if not and or null true false where let error template escape listdir fetch env".split(
    " ",
  ),
  ..."== != <= >= < > + - * / % ? : . [ ] { } ( ) , @ # // \" ' \\u00e9 \\ 1e308 0x10".split(" "),
  ..."9223372036854775807 -9223372036854775808 %d %s %5.2f %e".split(" "),
  "range(100000)",
  "x for y in range(5) if ",
];

const folder = new URL("../../golden/jx/", import.meta.url);
const golden = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
  name.endsWith(".jx")
)
  .sort().flatMap((name) => Deno.readTextFileSync(new URL(name, folder)).split("\n"))
  .filter((line) => line !== "");

export const jxTargets: readonly Target[] = [
  {
    name: "jx",
    code: ["core/jx/"],
    words,
    seeds: golden,
    lengthMax: 600,
    run(bytes) {
      const text = textOf(bytes);
      orRefused(() => parseWholeJx(text), JxSyntaxError);
      for (const parse of [parseJx, parseJxValue]) {
        const expr = orRefused(() => parse(text), JxSyntaxError);
        if (expr === null) continue;
        const printed = printExpr(expr);
        assert.equal(printExpr(parse(printed)), printed);
        const value = evaluateWithDefines(expr, new Map<string, JxExpr>([["x", expr], ["y", 2n]]), {
          stepsMax: 20_000,
        });
        printJx(value);
      }
    },
  },
  {
    name: "jx-filter",
    code: ["core/jx/eval.ts", "core/jx/functions.ts", "core/jx/operators.ts"],
    words,
    seeds: ['type=="wq_master" && port > 9000', "a.b[0] + len(c)", ...golden],
    lengthMax: 400,
    run(bytes) {
      const text = textOf(bytes);
      const expr = orRefused(() => parseJx(text), JxSyntaxError);
      if (expr === null) return;
      matches(expr, record);
      const value = orRefused(() => parseJxValue(text), JxSyntaxError);
      if (value !== null && isJxObject(value)) {
        assert.equal(printJx(parseJxValue(prettyJx(value))), printJx(value));
      }
    },
  },
];

const record = new Map(
  Object.entries({ type: "wq_master", port: 9123n, a: "b", c: [1n, 2.5, "x"] }),
);
