/** A quick contest of `deno task arena`, and the traces that it reads. */
import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import { node, play } from "../arena/contestants.ts";
import { taskSet } from "../arena/task_sets.ts";
import { parseTrace } from "../arena/trace.ts";

/** Least score, and how far below another policy it may be, on 600 tasks. */
const marks: readonly [set: string, least: number, rivals: readonly string[]][] = [
  ["normal 8,000±2,000", 0.57, ["max-seen", "min-waste", "greedy-bucketing"]],
  ["exponential 10,000", 0.37, ["max-seen", "min-waste", "max-throughput"]],
  ["bimodal", 0.54, ["max-seen", "min-waste", "greedy-bucketing"]],
  ["narrow bimodal, shuffled", 0.72, ["min-waste", "exhaustive-bucketing"]],
  ["narrow trimodal, phases", 0.83, ["min-waste", "greedy-bucketing"]],
  ["narrow bimodal, rising", 0.9, ["max-seen"]],
];

Deno.test("adaptive reaches its marks in a short arena and is not behind the others", () => {
  for (const [name, least, rivals] of marks) {
    const { tasks } = taskSet(name, 1, 600);
    const { memory } = play("adaptive", tasks, 1);
    assert.ok(memory >= least, `${name}: ${memory}, and ${least} was expected`);
    for (const rival of rivals) {
      const other = play(rival, tasks, 1).memory;
      assert.ok(memory >= other - 0.02, `${name}: ${memory}, ${rival} has ${other}`);
    }
  }
});

Deno.test("yardsticks: a whole node never fails, the oracle's maximum wastes what it must", () => {
  const { tasks } = taskSet("uniform 10,000–40,000", 1, 600);
  const whole = play("whole node", tasks, 1);
  const oracle = play("oracle maximum", tasks, 1);
  assert.deepEqual([whole.failedTries, oracle.failedTries], [0, 0]);
  assert.ok(Math.abs(whole.memory - 25 / 64) < 0.02, `${whole.memory}`);
  // The first ten tasks get a whole node.
  assert.ok(Math.abs(oracle.memory - 25 / (40 + 24 / 60)) < 0.02, `${oracle.memory}`);
});

Deno.test("the same seed gives the same contest, another one another", () => {
  const score = (seed: number) => {
    const { tasks } = taskSet("bimodal", seed, 300);
    return play("greedy-bucketing", tasks, seed).memory;
  };
  assert.equal(score(3), score(3));
  assert.notEqual(score(3), score(4));
});

const header = "category,cores,memory,disk,wall_time";

Deno.test("a trace is read by the names of its columns, and played", () => {
  const text = `\ufeffwall_time, memory,disk,cores,category,note
12.5,900,40,0.4,"proc, heavy",x
3,100,0,2,merge,

7,950.5,41,1,"proc, heavy",y
`;
  const tasks = parseTrace(text, "t.csv", node);
  assert.deepEqual(tasks, [
    { category: "proc, heavy", cores: 1, memoryMb: 900, diskMb: 40, wallMs: 12_500 },
    { category: "merge", cores: 2, memoryMb: 100, diskMb: 0, wallMs: 3000 },
    { category: "proc, heavy", cores: 1, memoryMb: 950.5, diskMb: 41, wallMs: 7000 },
  ]);
  assert.ok(play("adaptive", tasks, 1).memory > 0);
});

Deno.test("disk that outgrows its allocation costs a try as well", () => {
  const line = (disk: number) => `a,1,100,${disk},10`;
  const lines = [header, ...Array<string>(40).fill(line(50)), line(5000)];
  const tasks = parseTrace(lines.join("\n"), "t.csv", node);
  assert.ok(play("adaptive", tasks, 1).failedTries > 0);
  assert.equal(play("oracle maximum", tasks, 1).failedTries, 0);
});

Deno.test("a trace that cannot be used is refused, with line and column", () => {
  const cases: [string, string][] = [
    ["", "t.csv: there is no task in it"],
    [`${header}\n`, "t.csv: there is no task in it"],
    [
      "category,cores,memory,disk,walltime\n",
      't.csv, line 1: there is no column "wall_time": is it "walltime"?',
    ],
    [
      "a,b\n",
      't.csv, line 1: there is no column "category": it needs category,cores,memory,disk,wall_time',
    ],
    [`${header}\na,1,100,0,1\na,1,1e,0,1\n`, 't.csv, line 3, column memory: "1e" is not a number'],
    [`${header}\na,1,,0,1\n`, 't.csv, line 2, column memory: "" is not a number'],
    [`${header}\na,1,-5,0,1\n`, "t.csv, line 2, column memory: -5 is negative"],
    [
      `${header}\na,1,70000,0,1\n`,
      "t.csv, line 2, column memory: 70000 is more than the 64000 of a node",
    ],
    [`${header}\na,17,7,0,1\n`, "t.csv, line 2, column cores: 17 is more than the 16 of a node"],
    [`${header}\n ,1,7,0,1\n`, "t.csv, line 2, column category: it is empty"],
    [`${header}\na,1,7,0\n`, "t.csv, line 2: it has 4 columns, and the first line has 5"],
    [`${header}\n"a,1,7,0,1\n`, "t.csv, line 2: a quotation mark is not closed"],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseTrace(text, "t.csv", node), (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.message, message);
      return true;
    });
  }
});
