import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Hist } from "wqx";
import { needs } from "../support/skip.ts";
import { addProcessor, chunkJob, failTask, resultOf, runTask } from "../support/task_sandbox.ts";
import { TempFolder } from "../support/temp.ts";

const dimuon = new URL("../../examples/dimuon/", import.meta.url);

Deno.test("a processor that throws fails with its own files and lines, and none of wqx", async () => {
  await using folder = await TempFolder.create();
  await folder.write(
    "analysis/lib μ/cuts.ts",
    `export interface Cut { min: number }

export function passes(cut: Cut, pt: number): boolean {
  if (cut.min > 5) throw new RangeError("no cut above 5 GeV: " + cut.min);
  return pt > cut.min;
}
`,
  );
  const path = await addProcessor(
    folder,
    `import { Hist, type Events } from "wqx";
import { passes } from "./lib μ/cuts.ts";

type Unused = { readonly [key: string]: Hist };

export default {
  columns: ["MET_pt"],
  process(events: Events) {
    return [...events.flat("MET_pt")].filter((pt) => passes({ min: 7 }, pt)).length;
  },
};
`,
  );
  const fault = await failTask(folder.path, await chunkJob());
  assert.equal(fault.whose, "processor");
  assert.equal(fault.message, "Failed in process(): no cut above 5 GeV: 7");
  assert.deepEqual(fault.stack?.split("\n"), [
    "RangeError: no cut above 5 GeV: 7",
    `    at passes (${folder.join("analysis/lib μ/cuts.ts")}:4:26)`,
    `    at ${path}:9:54`,
    `    at Object.process (${path}:9:39)`,
  ]);
});

Deno.test("an error inside wqx shows where the user's code called it, and causes follow", async () => {
  await using folder = await TempFolder.create();
  const path = await addProcessor(
    folder,
    `export default {
  columns: ["MET_pt"],
  process(events) {
    try {
      return events.flat("MET_phi").length;
    } catch (cause) {
      throw new Error("while counting", { cause });
    }
  },
};`,
  );
  const { stack } = await failTask(folder.path, await chunkJob());
  assert.deepEqual(stack?.split("\n"), [
    "Error: while counting",
    `    at Object.process (${path}:7:13)`,
    'Caused by: ColumnError: Column "MET_phi" was not read: did you mean "MET_pt"? ' +
    'If not, add it to the processor\'s "columns"',
    `    at Object.process (${path}:5:21)`,
  ]);
});

Deno.test("what a processor does wrong is said in a sentence", async (t) => {
  const cases: [string, string, RegExp][] = [
    [
      "returns nothing",
      "process() {}",
      /^process\(\) returned nothing: return an accumulator, or null for nothing to add$/,
    ],
    [
      "returns a function",
      "process: () => () => 1",
      /^process\(\) did not return an accumulator: Cannot merge the result: it is a function; /,
    ],
    [
      "returns what cannot be merged, deep inside",
      "process: () => ({ cuts: { when: new Date() } })",
      /^process\(\) did not return an accumulator: Cannot merge cuts\.when: it is a Date; /,
    ],
    [
      "throws what is no Error",
      'process() { throw "no luck" }',
      /^Failed in process\(\): no luck$/,
    ],
    [
      "rejects",
      'async process() { await null; throw new Error("too late") }',
      /^Failed in process\(\): too late$/,
    ],
    [
      "leaves a rejected promise behind",
      `async process() {
         Promise.reject(new Error("nobody waits"));
         await new Promise((resolve) => setTimeout(resolve, 60_000));
         return 1;
       }`,
      /^Failed in process\(\): nobody waits$/,
    ],
  ];
  for (const [name, member, message] of cases) {
    await t.step(name, async () => {
      await using folder = await TempFolder.create();
      await folder.write("processor.js", `export default { columns: [], ${member} };`);
      const fault = await failTask(folder.path, await chunkJob());
      assert.equal(fault.whose, "processor");
      assert.match(fault.message, message);
    });
  }
});

Deno.test("a default export that is no processor is told by what it lacks", async (t) => {
  const cases: [string, string][] = [
    ["3", 'must be an object with "columns" and "process", it is a number'],
    ["{ columns: [] }", 'has no "process" function'],
    [
      "{ columns: [], process: 3 }",
      'has a "process" that is a number: it must be a function of the events',
    ],
    [
      "{ process() {} }",
      'must list the columns to read, as in columns: ["nMuon", "Muon_*"]; its "columns" is undefined',
    ],
    [
      "{ columns: [3], process() {} }",
      'must list the columns to read, as in columns: ["nMuon", "Muon_*"]; its "columns" is an array',
    ],
    [
      "{ columns: [], process() {}, postprocess: {} }",
      'has a "postprocess" that is an object: it must be a function',
    ],
  ];
  for (const [value, what] of cases) {
    await t.step(value, async () => {
      await using folder = await TempFolder.create();
      await folder.write("processor.js", `export default ${value};`);
      assert.deepEqual(await failTask(folder.path, await chunkJob()), {
        whose: "processor",
        message: `The processor's default export ${what}`,
      });
    });
  }
});

Deno.test("process may be async, and what it prints goes to the task's output", async () => {
  await using folder = await TempFolder.create();
  await folder.write(
    "processor.js",
    `export default {
       columns: [],
       async process(events) {
         console.log("chunk at", events.metadata.start);
         return await Promise.resolve(events.length);
       },
     };`,
  );
  assert.equal(await resultOf(folder.path, await chunkJob()), 200);
  assert.match((await runTask(folder.path, await chunkJob())).stdout, /^chunk at 100$/m);
});

Deno.test("the demo's processor fills what its cutflow counts", async () => {
  await using folder = await TempFolder.create();
  await addProcessor(folder, await Deno.readTextFile(new URL("processor.ts", dimuon)));
  const metadata = { weight: 0.5 };
  const result = await resultOf(
    folder.path,
    await chunkJob({ start: 0, stop: 4000, metadata }),
  ) as {
    runs: Record<string, Set<number>>;
    cutflow: Record<string, Record<string, number>>;
    spectrum: Hist;
    z: Hist;
    muons: { pt: Hist; eta: Hist };
    met: Hist;
  };
  assert.deepEqual(result.runs, { simulation: new Set([1]) });
  const cuts = result.cutflow["simulation"]!;
  assert.equal(cuts["all"], 4000);
  assert.ok(cuts["two muons"]! < 4000 && cuts["two muons"]! > cuts["opposite charge"]!);
  // The window lies open, its histogram takes 60 GeV in; no pair is at 60 exactly.
  assert.equal(result.z.sum(), 0.5 * cuts["60 < m < 120 GeV"]!);
  assert.equal(result.spectrum.sum({ flow: true }), cuts["opposite charge"]);
  assert.equal(result.muons.pt.sum({ flow: true }), result.muons.eta.sum({ flow: true }));
  assert.equal(result.met.sum({ flow: true }), 4000);
  // Most simulated pairs come from a Z.
  assert.ok(cuts["60 < m < 120 GeV"]! > 0.8 * cuts["opposite charge"]!);
});

Deno.test({
  ...needs(Deno.build.os !== "windows", "needs /bin/sh", "a command is a processor too"),
  async fn() {
    await using folder = await TempFolder.create();
    await Deno.copyFile(
      fileURLToPath(new URL("command_processor.sh", dimuon)),
      folder.join("command_processor.sh"),
    );
    const processor = { command: "sh command_processor.sh" };
    const job = await chunkJob({ processor });
    assert.deepEqual(await resultOf(folder.path, job), {
      chunks: { simulation: 1 },
      events: { simulation: 200 },
      files: new Set(["dimuon_b.root"]),
    });
    const { outcome } = await runTask(folder.path, job);
    assert.deepEqual(outcome, { ok: true, kind: "process", events: 200, bytesRead: 0 });
  },
});

Deno.test({
  ...needs(
    Deno.build.os !== "windows",
    "needs /bin/sh",
    "a command that fails or leaves no accumulator is named with its exit code",
  ),
  async fn(t) {
    const cases: [string, string][] = [
      ["echo lost >&2; exit 3", "ended with exit code 3"],
      ["kill -9 $$", "was killed by SIGKILL"],
      [
        "no-such-program",
        "ended with exit code 127",
      ],
      [
        "true",
        "ended with exit code 0 but left no result.json: " +
        'write the accumulator, as JSON, to "$WQX_RESULT"',
      ],
      [
        'echo \'{"all": 1\' > "$WQX_RESULT"',
        "ended with exit code 0, but its result.json is no accumulator: ",
      ],
      [
        'echo \'{"all": {"$set": 3}}\' > "$WQX_RESULT"',
        "ended with exit code 0, but its result.json is no accumulator: Cannot read all: ",
      ],
    ];
    for (const [command, how] of cases) {
      await t.step(command, async () => {
        await using folder = await TempFolder.create();
        const job = await chunkJob({ processor: { command } });
        const { whose, message } = await failTask(folder.path, job);
        assert.equal(whose, "processor");
        const start = `The command ${JSON.stringify(command)} ${how}`;
        assert.equal(message.slice(0, start.length), start);
      });
    }
  },
});
