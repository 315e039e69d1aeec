import assert from "node:assert/strict";
import process from "node:process";
import { bundleModule, bundleProcessor, wasmBytes } from "../../manager/bundle.ts";
import { wqxCommand } from "../support/task_sandbox.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const api = { key: "wqx.api", names: ["Hist", "axis"] };

/** The folder of an analysis with these files. */
async function analysis(files: Record<string, string>): Promise<TempFolder> {
  const folder = await TempFolder.create();
  for (const [name, text] of Object.entries(files)) await folder.write(name, text);
  return folder;
}

Deno.test("bundleProcessor() gives one module that imports nothing, and what went into it", async () => {
  await using folder = await analysis({
    "processor.ts": `
      import { Hist } from "wqx";
      import { min, type Cut } from "./lib/cuts.ts";
      import { name } from "./names.json" with { type: "json" };
      import { range } from "tinypackage";
      import old from "oldpackage";
      import { join } from "node:path";
      const cut: Cut = { min };
      export default {
        columns: ["nMuon"],
        process: () => ({ [name]: range(old(cut.min)).length, [join("a", "b")]: new Hist([]) }),
      };`,
    "lib/cuts.ts": "export interface Cut { min: number }\nexport const min = 3;",
    "names.json": '{"name": "passed"}',
    "node_modules/tinypackage/package.json":
      '{"name": "tinypackage", "exports": {"import": "./index.mjs"}}',
    "node_modules/tinypackage/index.mjs": "export const range = (n) => Array(n).fill(0);",
    "node_modules/oldpackage/package.json": '{"name": "oldpackage", "main": "main.js"}',
    "node_modules/oldpackage/main.js": 'module.exports = require("./twice");',
    "node_modules/oldpackage/twice.js": "module.exports = (x) => 2 * x;",
  });
  const { code, inputs, postprocess } = await bundleProcessor(
    folder.join("processor.ts"),
    wqxCommand,
  );
  assert.equal(postprocess, false);
  assert.deepEqual([...inputs].sort(), [
    folder.join("lib/cuts.ts"),
    folder.join("names.json"),
    folder.join("node_modules/oldpackage/main.js"),
    folder.join("node_modules/oldpackage/twice.js"),
    folder.join("node_modules/tinypackage/index.mjs"),
    folder.join("processor.ts"),
  ]);
  const text = new TextDecoder().decode(code);
  assert.deepEqual(
    [...text.matchAll(/^import .*/gm)].map(([line]) => line),
    ['import { join } from "node:path";'],
  );

  class Hist {}
  Reflect.set(globalThis, Symbol.for("wqx.api"), { Hist });
  await folder.write("elsewhere/processor.js", text);
  const module = await import(`file://${folder.join("elsewhere/processor.js")}`);
  assert.deepEqual(module.default.process(), { passed: 6, "a/b": new Hist() });
});

Deno.test("bundleProcessor() tells whether there is a postprocess", async () => {
  await using folder = await analysis({
    "processor.js":
      "const p = { columns: [], process: () => 1, postprocess() {} };\nexport { p as default };",
  });
  assert.equal((await bundleProcessor(folder.join("processor.js"), wqxCommand)).postprocess, true);
});

Deno.test("bundleModule() names file, line and column of what it cannot bundle", async (t) => {
  const cases: [string, Record<string, string>, string][] = [
    [
      "a syntax error",
      { "processor.ts": "export default {\n  columns: [],\n" },
      "processor.ts:3:1: Expected identifier but found end of file\n" +
      "  3 | \n" +
      "      ^",
    ],
    [
      "a syntax error in a file that is imported, after letters of several bytes",
      {
        "processor.ts": 'import "./cuts.ts";\nexport default {};',
        "cuts.ts": 'const μμ = "Z"; const 2 = μμ;',
      },
      'cuts.ts:1:23: Expected identifier but found "2"\n' +
      '  1 | const μμ = "Z"; const 2 = μμ;\n' +
      "                            ^",
    ],
    [
      "a file that is not there",
      {
        "processor.ts": '\n  import { cut } from "./kuts.ts";\nexport default cut;',
        "cuts.ts": "",
      },
      'processor.ts:2:23: Cannot find "./kuts.ts": did you mean "./cuts.ts"?\n' +
      '  2 |   import { cut } from "./kuts.ts";\n' +
      "                            ^",
    ],
    [
      "a file without its ending",
      { "processor.ts": 'import "./lib/cuts";\nexport default {};', "lib/cuts.ts": "" },
      'processor.ts:1:8: Cannot find "./lib/cuts": did you mean "./lib/cuts.ts"?',
    ],
    [
      "a package that is not there",
      { "processor.ts": 'import "lodash";\nexport default {};' },
      'processor.ts:1:8: Cannot find "lodash": no such package is installed beside the processor',
    ],
    [
      "a package by its registry",
      { "processor.ts": 'import "npm:lodash@4";\nexport default {};' },
      'processor.ts:1:8: Cannot bundle "npm:lodash@4" from a registry: ',
    ],
    [
      "a name that wqx does not have",
      { "processor.ts": 'import { Hits } from "wqx";\nexport default new Hits();' },
      'processor.ts:1:10: No matching export in "wqx" for import "Hits"',
    ],
    [
      "no default export",
      { "processor.ts": "export const process = () => 1;" },
      "processor.ts:1:1: The module has no default export: " +
      "write export default { columns: […], process(events) { … } }\n" +
      "  1 | export const process = () => 1;\n" +
      "      ^",
    ],
    [
      "a processor that is not there",
      {},
      "processor.ts: ",
    ],
  ];
  for (const [name, files, message] of cases) {
    await t.step(name, async () => {
      await using folder = await analysis(files);
      await assert.rejects(bundleModule(folder.join("processor.ts"), api), (error: Error) => {
        assert.equal(error.name, "UsageError");
        assert.equal(error.message.slice(0, folder.path.length + 1), `${folder.path}/`);
        const told = error.message.slice(folder.path.length + 1);
        assert.equal(told.slice(0, message.length), message);
        return true;
      });
    });
  }
});

Deno.test("bundleModule() shows three errors at most", async () => {
  await using folder = await analysis({
    "processor.ts": [1, 2, 3, 4, 5].map((i) => `import "./missing${i}.ts";\n`).join(""),
  });
  await assert.rejects(bundleModule(folder.join("processor.ts"), api), (error: Error) => {
    assert.equal(error.message.match(/Cannot find/g)?.length, 3);
    return true;
  });
});

Deno.test("bundleProcessor() shows where the default export is that is no processor", async () => {
  await using folder = await analysis({
    "processor.ts": "// Too early.\n\nexport default { columns: [] };\n",
  });
  const path = folder.join("processor.ts");
  await assert.rejects(bundleProcessor(path, wqxCommand), {
    name: "UsageError",
    message: `${path}:3:1: The processor's default export has no "process" function\n` +
      "  3 | export default { columns: [] };\n      ^",
  });
});

Deno.test("bundleProcessor() shows the stack of a module that throws while it loads", async () => {
  await using folder = await analysis({
    "processor.ts": 'import { edges } from "./edges.ts";\nexport default { columns: edges };',
    "edges.ts": "type N = number;\nexport const edges = rising([3, 1]);\n" +
      "function rising(edges: N[]): N[] {\n  throw new Error(`not rising: ${edges}`);\n}",
  });
  const path = folder.join("processor.ts");
  const edges = folder.join("edges.ts");
  await assert.rejects(bundleProcessor(path, wqxCommand), {
    name: "UsageError",
    message: `${path}: Failed in loading the processor: not rising: 3,1\n` +
      `Error: not rising: 3,1\n    at rising (${edges}:4:9)\n    at ${edges}:2:22`,
  });
});

Deno.test("bundleProcessor() stops when it is told to, and leaves no process", async () => {
  await using folder = await TempFolder.create();
  const pidFile = folder.join("pid");
  const path = await folder.write(
    "processor.js",
    `await Deno.writeTextFile(${JSON.stringify(pidFile)}, String(Deno.pid));
     await new Promise((resolve) => setTimeout(resolve, 1e9));
     export default {};`,
  );
  const stop = new AbortController();
  const bundled = bundleProcessor(path, wqxCommand, { signal: stop.signal });
  const pid = await until(() => Deno.readTextFile(pidFile).then(Number, () => null), {
    what: "the module to be loaded",
    timeoutMs: 30_000,
  });
  stop.abort(new Error("told to stop"));
  await assert.rejects(bundled, { message: "told to stop" });
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

Deno.test("bundleProcessor() survives a module that ends its process", async () => {
  await using folder = await analysis({
    "processor.ts": 'console.error("goodbye");\nDeno.exit(7);\nexport default {};',
  });
  const path = folder.join("processor.ts");
  await assert.rejects(bundleProcessor(path, wqxCommand), {
    name: "UsageError",
    message: `Cannot load the processor ${path}: it ended wqx with 7\ngoodbye`,
  });
});

Deno.test("wasmBytes() finds esbuild's WebAssembly", async () => {
  assert.deepEqual(
    [...(await wasmBytes()).subarray(0, 4)],
    [0, ..."asm"].map((c) => typeof c === "string" ? c.charCodeAt(0) : c),
  );
});
