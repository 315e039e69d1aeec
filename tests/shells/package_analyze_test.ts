import assert from "node:assert/strict";
import { findProgram } from "../../io/programs.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { TestBed } from "../support/wqx.ts";

const python = Deno.env.get("WQX_TEST_PYTHON") ?? "python3";
const hasPython = "path" in findProgram(python, Deno.env.get("PATH") ?? "");
const withPython = (name: string) => needs(hasPython, "there is no Python", name);

const fit = `
import os, helper
import toy.part
from . import near
try:
    import absent
except ImportError:
    absent = None
def late():
    import cv9
`;

/** Two distributions as pip would install them, which PYTHONPATH leads to. */
async function installed(): Promise<{ folder: TempFolder; env: Record<string, string> }> {
  const folder = await TempFolder.create();
  const write = async (name: string, version: string, files: readonly string[]) => {
    const info = `site/${name}-${version}.dist-info`;
    await folder.write(
      `${info}/METADATA`,
      `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    );
    await folder.write(`${info}/RECORD`, files.map((file) => `${file},,\n`).join(""));
    // It would be the end of the test if this were run.
    for (const file of files) await folder.write(`site/${file}`, "raise SystemExit(9)\n");
  };
  await write("Toy_Package", "1.2.3", ["toy/__init__.py", "toy/part.py"]);
  await write("opencv9", "9.8.7.6", ["cv9.cpython-311-x86_64-linux-gnu.so"]);
  await folder.write("work/fit.py", fit);
  await folder.write("work/helper.py", "raise SystemExit(9)\n");
  return { folder, env: { PYTHONPATH: folder.join("site") } };
}

Deno.test({
  ...withPython("wqx package analyze writes a specification, and runs nothing of the user's"),
  async fn() {
    await using bed = await TestBed.create();
    const { folder, env } = await installed();
    await using _folder = folder;
    const run = (...words: string[]) =>
      bed.run(["package", "analyze", "--python", python, ...words], { env });
    const out = folder.join("spec.json");
    const whole = await run(folder.join("work/fit.py"), out);
    assert.equal(whole.code, 0, whole.stderr);
    const { conda } = JSON.parse(await Deno.readTextFile(out));
    assert.deepEqual(conda.dependencies.at(-1), {
      pip: ["Toy_Package==1.2.3", "opencv9==9.8.7.6"],
    });
    assert.match(conda.dependencies.join(), /python=\d+\.\d+\.\d+/);
    assert.match(whole.stderr, /absent is not installed, and .*fit\.py can do without it/);
    assert.match(whole.stderr, /to be sent as input files of tasks: helper, near/);

    const top = await run("--toplevel", "--versions", "minor", folder.join("work/fit.py"));
    assert.deepEqual(JSON.parse(top.stdout).conda.dependencies.at(-1), {
      pip: ["Toy_Package==1.2.*"],
    });
    const late = await run("--function", "late", "--versions", "none", folder.join("work/fit.py"));
    assert.deepEqual(JSON.parse(late.stdout).conda.dependencies.at(-1), { pip: ["opencv9"] });

    const notebook = await folder.write(
      "work/n.ipynb",
      JSON.stringify({ cells: [{ cell_type: "code", source: ["%time\n", "import toy\n"] }] }),
    );
    const cells = await run(notebook, "-");
    assert.deepEqual(JSON.parse(cells.stdout).conda.dependencies.at(-1), {
      pip: ["Toy_Package==1.2.3"],
    });
  },
});

Deno.test({
  ...withPython("wqx package analyze says what is wrong with what it is given"),
  async fn() {
    await using bed = await TestBed.create();
    const { folder, env } = await installed();
    await using _folder = folder;
    const bad = await folder.write("bad.py", "x = 1\ndef f(:\n");
    const unknown = await folder.write("unknown.py", "import nothing_of_that_name\n");
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[bad], 1, /Cannot read .*bad\.py: line 2 is no Python 3\.\d+\.\d+: invalid syntax/],
      [[unknown], 1, /imported as nothing_of_that_name \(.*unknown\.py, line 1\): nothing/],
      [[folder.join("none.py")], 2, /none\.py: there is no such file/],
      [[unknown, "--function", "f"], 2, /There is no function f in /],
      [[unknown, "--function", "f", "--toplevel"], 2, /exclude each other/],
      [[unknown, "--python", "no-python"], 2, /Cannot run no-python .*choose one with --python/],
      [[unknown, "--versions", "exat"], 2, /did you mean "exact"/],
      [[unknown, "--pkg-mapping", "x"], 2, /write MODULE=PACKAGE/],
      [[], 2, /Missing FILE/],
    ];
    for (const [words, code, message] of cases) {
      const ended = await bed.run(["package", "analyze", "--python", python, ...words], { env });
      assert.match(ended.stderr, message);
      assert.equal(ended.code, code, ended.stderr);
    }
  },
});
