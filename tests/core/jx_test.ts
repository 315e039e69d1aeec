import assert from "node:assert/strict";
import fc from "fast-check";
import { evaluate, evaluateWithDefines, matches } from "../../core/jx/eval.ts";
import { JxError, type JxExpr } from "../../core/jx/expr.ts";
import { fromJson, toJson } from "../../core/jx/json.ts";
import { JxSyntaxError, parseJx, parseJxValue, parseWholeJx } from "../../core/jx/parse.ts";
import { prettyJx, printExpr, printJx } from "../../core/jx/print.ts";
import type { JxValue } from "../../core/jx/value.ts";
import { jxExpr, jxValue } from "../support/jx.ts";

function syntaxError(text: string, parse: (text: string) => unknown = parseJx): string {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof JxSyntaxError, String(error));
    return error.message;
  }
  assert.fail(`was accepted: ${text}`);
}

function valueOf(text: string, context: ReadonlyMap<string, JxExpr> = new Map()): string {
  return printJx(evaluate(parseJx(text), context));
}

Deno.test("integers keep 64 bits, and beyond them the greatest", () => {
  assert.equal(parseJx("9007199254740993"), 9007199254740993n);
  assert.equal(parseJx("9223372036854775808"), 9223372036854775807n);
  assert.equal(parseJx("-5"), -5n);
  assert.equal(parseJx("010"), 10n);
  assert.equal(parseJx("5.0"), 5);
});

Deno.test("of equal keys the first counts", () => {
  assert.deepEqual(parseJx('{"a":1,"b":2,"a":3}'), new Map([["a", 1n], ["b", 2n]]));
});

Deno.test("what follows a value is not read, but for one token", () => {
  assert.equal(parseJx('1 "rest" @'), 1n);
  assert.equal(syntaxError("1 @"), "parse error: line 1: invalid character: @");
  assert.equal(parseJx("1; @"), 1n);
  assert.equal(parseWholeJx("1;"), 1n);
  assert.equal(syntaxError("1; 2", parseWholeJx), "parse error: line 1: unexpected token: 2");
});

Deno.test("records are constants", () => {
  assert.deepEqual(parseJxValue('[{"a":-1.5}] tail'), [new Map([["a", -1.5]])]);
  for (const text of ["1+1", "x", "[x]", '{"a":f(1)}', "[1 for x in [1]]", 'error("x")', "{1:2}"]) {
    assert.equal(
      syntaxError(text, parseJxValue),
      "parse error: line 1: a constant must stand here, without names and operators",
    );
  }
});

Deno.test("records are read however others print bytes beyond ASCII and infinite doubles", () => {
  assert.equal(
    parseJxValue('"caf\\uffffffc3\\uffffffa9\\uffffffe2\\uffffff82\\uffffffac!"'),
    "café€!",
  );
  assert.equal(parseJxValue('"\\uffffffc3"'), "\ufffd");
  assert.equal(parseJxValue('"caf\\u00e9 \\ud83d\\ude00"'), "café 😀");
  assert.equal(parseJxValue('"é"'), "é");
  assert.deepEqual(parseJxValue("[inf,-inf,nan]"), [Infinity, -Infinity, NaN]);
  assert.equal(printJx([Infinity, -Infinity, NaN]), "[inf,-inf,nan]");
  assert.equal(
    syntaxError('"\\uffffffc3"'),
    "parse error: line 1: unsupported unicode escape string: ffff",
  );
  assert.equal(valueOf("inf"), 'error("on line 1, inf: undefined symbol")');
});

Deno.test("a value is printed without blanks, and never with an escape above 007f", () => {
  const value: JxValue = new Map<string, JxValue>([
    ["a", [1n, 1.5, 1, 1e300, 0.1, true, null]],
    ['q"\\', "\b\f\n\r\t\u0001\u007f é 😀"],
    ["e", new Map()],
  ]);
  assert.equal(
    printJx(value),
    '{"a":[1,1.5,1,1e+300,0.1,true,null],' +
      '"q\\"\\\\":"\\b\\f\\n\\r\\t\\u0001\\u007f é 😀","e":{}}',
  );
});

Deno.test("doubles are printed as by printf %.16g", () => {
  const cases: readonly (readonly [number, string])[] = [
    [1e15, "1000000000000000"],
    [1e16, "1e+16"],
    [123456789012345680, "1.234567890123457e+17"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [-0, "-0"],
    [0.1 + 0.2, "0.3"],
    [5e-324, "4.940656458412465e-324"],
    [-2.5e-10, "-2.5e-10"],
    [9.999999999999999e22, "9.999999999999999e+22"],
  ];
  for (const [value, text] of cases) assert.equal(printJx(value), text);
});

Deno.test("printed expressions have every operator in parentheses", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["(1+2)*3", "(1+2)*3"],
    ["1+2*3", "1+(2*3)"],
    ["a or (b and c)", "a or (b and c)"],
    ["a or b and c", "(a or b) and c"],
    ["10-5-2", "10-(5-2)"],
    ["not (port==4)", "not (port==4)"],
    ["not port==4", "(not port)==4"],
    ["-x", "-x"],
    ["- -x", "-(-x)"],
    ["1 - -1", "1-(-1)"],
    ["[x for x in range(3) if x > 1 for y in z]", "[x for x in range(3) if x>1 for y in z]"],
    ['{"k"+i: i for i in l}', '{"k"+i:i for i in l}'],
    ["x[1:]", "x[1:]"],
    ["(x+y)[:-1]", "(x+y)[:-1]"],
    ["a.len()", "len(a)"],
    ['x["a"][0]', 'x["a"][0]'],
    ["error(x)", "error(x)"],
    ["3/2.0", "3/2.0"],
    ["[1.0,{}]+x", "[1.0,{}]+x"],
    ["x<1e21", "x<1e+21"],
    ["x<0.30000000000000004", "x<0.30000000000000004"],
    ["-1e999<x", "(-1e999)<x"],
  ];
  for (const [text, printed] of cases) {
    assert.equal(printExpr(parseJx(text)), printed);
    assert.equal(printExpr(parseJx(printed)), printed);
  }
});

Deno.test("for people, a value has a line for each field, two blanks a level", () => {
  assert.equal(
    prettyJx(parseJxValue('{"a":1,"b":[1,{"c":null}],"d":{},"e":[]}')),
    `
{
  "a":1,
  "b":
    [
      1,
      
      {
        "c":null
      }
    ],
  "d":
    {
    },
  "e":
    [
    ]
}`,
  );
});

Deno.test("a filter matches only where it comes to true", () => {
  const record = new Map<string, JxValue>([["type", "wq_master"], ["port", 9123n], ["none", null]]);
  const cases: readonly (readonly [string, boolean])[] = [
    ['type=="wq_master"', true],
    ['type=="wq_master" and port<1000', false],
    ["port", false],
    ["missing==1", false],
    ['type=="wq_master" or missing==1', true],
    ['like(type, "^wq_(master|manager)$")', true],
    ["none==null", true],
    ["true", true],
  ];
  for (const [filter, expected] of cases) {
    assert.equal(matches(parseJx(filter), record), expected, filter);
  }
});

Deno.test("symbols are looked up late, and definitions given win over those of the text", () => {
  const context = new Map<string, JxExpr>([["a", parseJx("b*2")], ["b", 3n]]);
  assert.equal(valueOf("a", context), "6");
  assert.equal(valueOf("[a for b in [1,2]]", context), "[2,4]");
  const workflow = parseJx('{"define":{"n":2,"m":n},"x":m}');
  assert.equal(
    printJx(evaluateWithDefines(workflow, new Map([["n", 5n]]))),
    '{"define":{"n":2,"m":5},"x":5}',
  );
});

Deno.test("files and hosts are asked only by functions handed in", () => {
  const expr = parseJx('listdir("/tmp")');
  assert.equal(
    printJx(evaluate(expr, new Map())),
    'error("function listdir on line 1: external functions disabled")',
  );
  const outside = new Map([["listdir", (path: string): JxValue => [path, "b"]]]);
  assert.equal(printJx(evaluate(expr, new Map(), { outside })), '["/tmp","b"]');
  const wrong = evaluate(parseJx("listdir(1)"), new Map(), { outside });
  assert.equal(
    printJx(wrong),
    'error("function listdir on line 0: one string argument is required")',
  );
});

const tooMuch = /evaluating takes more than 2000000 steps|nested more than 500 deep/;
const bombs: readonly string[] = [
  "range(1000000000000)",
  "range(0,1,9223372036854775807) + range(9223372036854775806)",
  "[1 for a in range(1000) for b in range(1000) for c in range(1000)]",
  `{"define":{${
    Array.from({ length: 60 }, (_, i) => `"s${i + 1}":s${i}+s${i}`).join(",")
  },"s0":"ab"},"x":s60}`,
  `[${"[y,y] for y in [".repeat(50)}1${"]".repeat(50)}]`,
  `{"define":{"a":b,"b":a},"x":a}`,
  `{"define":{"a":1+a},"x":a}`,
  `{"define":{"a":[a,a]},"x":a}`,
  `[x ${"for x in [1] ".repeat(100_000)}]`,
  'join([join(["abcdefgh" for i in range(1000)]) for j in range(1000)])+'.repeat(9) + '""',
  `len([like(join(["aaaaaaaaaaaaaaaa" for i in range(2000)]),"(a*)*(a*)*(a*)*b") for k in range(100)])`,
];

Deno.test("what would take for ever, or all memory, comes to an error", async (t) => {
  for (const bomb of bombs) {
    await t.step(bomb.slice(0, 50), () => {
      const value = evaluateWithDefines(parseJx(bomb), new Map());
      assert.ok(value instanceof JxError);
      assert.match(value.message, tooMuch);
    });
  }
});

Deno.test("text nested too deeply is refused, whatever it nests", () => {
  const deep = 100_000;
  for (
    const text of [
      "[".repeat(deep),
      '{"a":'.repeat(deep),
      "(".repeat(deep),
      "-".repeat(deep) + "1",
      "not ".repeat(deep) + "x",
      "1+".repeat(deep) + "1",
      "x" + "[0]".repeat(deep),
      "x" + ".f()".repeat(deep),
      "f(".repeat(deep),
      "[1 for x in ".repeat(deep),
    ]
  ) {
    assert.match(
      syntaxError(text),
      /^parse error: line 1: values are nested more than (200|450) deep$/,
    );
  }
});

Deno.test("what is nested as deeply as may be is evaluated and printed", () => {
  const texts = [
    `${"[".repeat(190)}x${"]".repeat(190)}`,
    `${"1+".repeat(190)}x`,
    `${"(".repeat(190)}x${")".repeat(190)}`,
    `${"[y for y in [".repeat(90)}x${"]]".repeat(90)}`,
    `${"len(".repeat(90)}x${")".repeat(90)}`,
  ];
  for (const text of texts) {
    const expr = parseJx(text);
    printJx(evaluate(expr, new Map([["x", 1n]])));
    assert.equal(printExpr(parseJx(printExpr(expr))), printExpr(expr));
  }
});

Deno.test("values go to JSON and back", () => {
  const value = parseJxValue('{"a":[1,1.5,null,true,"é"],"__proto__":{"b":-1}}');
  assert.equal(JSON.stringify(toJson(value)), '{"a":[1,1.5,null,true,"é"],"__proto__":{"b":-1}}');
  assert.deepEqual(fromJson(JSON.parse(JSON.stringify(toJson(value)))), value);
  assert.equal(toJson(Infinity), null);
  assert.deepEqual(
    fromJson({ a: undefined, b: 2 ** 60, c: 3n }),
    new Map<string, JxValue>([
      ["b", 2 ** 60],
      ["c", 3n],
    ]),
  );
  assert.throws(() => fromJson(() => 0), { message: "a function has no form in JX" });
});

Deno.test("property: a value comes back from its text, compact or for people", () => {
  fc.assert(fc.property(jxValue, (value) => {
    assert.deepEqual(parseJxValue(printJx(value)), value);
    assert.deepEqual(parseJx(prettyJx(value)), value);
    assert.deepEqual(parseJxValue(JSON.stringify(toJson("text"))), "text");
  }));
});

Deno.test("property: an expression comes back from its text, and means the same", () => {
  fc.assert(fc.property(jxExpr, (expr) => {
    const printed = printExpr(expr);
    const again = parseJx(printed);
    assert.equal(printExpr(again), printed);
    const context = new Map<string, JxExpr>([["a", 2n], ["b", "text"], ["x", [1n, 2n]]]);
    assert.equal(printJx(evaluate(again, context)), printJx(evaluate(expr, context)));
  }));
});
