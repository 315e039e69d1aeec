import assert from "node:assert/strict";
import { checkArchive } from "../../package/check.ts";
import { packVenv } from "../../package/venv.ts";
import { noPackaging, packagingPython } from "../support/channel.ts";
import { end, run, untar } from "../support/conda_prefix.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const packaging = (name: string) => needs(packagingPython !== null, noPackaging, name);

/** A virtual environment in the folder that has numpy, of the Python of the packaging tools. */
async function venvWithNumpy(folder: TempFolder, base = packagingPython!): Promise<string> {
  const venv = folder.join("venv");
  await run([base, "-m", "venv", "--without-pip", venv]);
  const from = "import numpy, os; print(os.path.dirname(os.path.dirname(numpy.__file__)))";
  const source = (await run([packagingPython!, "-c", from])).trim();
  const site = (await Array.fromAsync(Deno.readDir(`${venv}/lib`)))
    .map(({ name }) => `${venv}/lib/${name}/site-packages`)[0]!;
  const names = (await Array.fromAsync(Deno.readDir(source))).map(({ name }) => name)
    .filter((name) => name.startsWith("numpy"));
  await run(["cp", "-r", ...names.map((name) => `${source}/${name}`), site]);
  const script = `#!${venv}/bin/python\nimport numpy\nprint(numpy.arange(4).sum())\n`;
  await Deno.writeTextFile(`${venv}/bin/sums`, script, { mode: 0o755 });
  await Deno.mkdir(`${venv}/share`);
  await Deno.writeTextFile(`${venv}/share/kernel.json`, `{"argv": ["${venv}/bin/python"]}\n`);
  return venv;
}

/** Every file in memory of a Python that has imported numpy, where it is not the system's. */
const mapped = "import numpy, sys; print(sys.prefix); " +
  "[print(line.split()[-1]) for line in open('/proc/self/maps') if '/' in line]";

const debian = "/usr/bin/python3";
const interpreters: readonly [string, boolean, string, () => string][] = [
  ["the packaging tools'", packagingPython !== null, noPackaging, () => packagingPython!],
  [
    "the system's",
    packagingPython !== null && await sameVersion(debian),
    `${debian} is not of the packaging tools' version, for which numpy is there`,
    () => debian,
  ],
];

async function sameVersion(python: string): Promise<boolean> {
  const ask = async (path: string) =>
    (await end([path, "-c", "import sys, venv; print(sys.version_info[:2])"])).stdout;
  try {
    return packagingPython !== null && await ask(python) === await ask(packagingPython);
  } catch {
    return false; // not there
  }
}

for (const [whose, ok, reason, base] of interpreters) {
  Deno.test({
    ...needs(ok, reason, `a virtual environment of ${whose} Python runs where neither is`),
    fn: async () => {
      await using folder = await TempFolder.create();
      const venv = await venvWithNumpy(folder, base());
      const archive = folder.join("env.tar.gz");
      await packVenv(venv, archive);
      await Deno.rename(venv, folder.join("away"));
      const place = await untar(archive, folder.join("place"));
      const bare = { PATH: "/nowhere" };
      await run([`${place}/bin/python`, `${place}/bin/conda-unpack`], bare);
      const [prefix, ...files] = (await run([`${place}/bin/python`, "-c", mapped], bare))
        .trim().split("\n");
      assert.equal(prefix, place);
      const home = files.filter((path) =>
        !/^\/(?:usr\/lib|lib|etc|dev|usr\/share)/.test(path) && !path.startsWith(`${place}/`)
      );
      assert.deepEqual(home, []);
      assert.ok(files.some((path) => path.startsWith(`${place}/`) && path.includes("numpy")));
      const use = "source bin/activate && sums && cat share/kernel.json";
      const told = await run(["bash", "-c", use], {}, place);
      assert.equal(told, `6\n{"argv": ["${place}/bin/python"]}\n`);
      const runner = [`${place}/bin/poncho_package_run`, "-e", archive, "-u", folder.join("u")];
      assert.equal(await run([...runner, "--", "sums"], {}, folder.path), "6\n");
    },
  });
}

Deno.test({
  ...packaging("a check imports every module at another place, and names those that fail"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const venv = folder.join("venv");
    await run([packagingPython!, "-m", "venv", "--without-pip", venv]);
    const site = (await Array.fromAsync(Deno.readDir(`${venv}/lib`)))
      .map(({ name }) => `${venv}/lib/${name}/site-packages`)[0]!;
    const modules = {
      fine: "import json",
      broken: "raise ValueError('first\\nno such setting')",
      missing: "import not_there_at_all",
      leaving: "import sys; sys.exit(3)",
      crashing: "import os; os.kill(os.getpid(), 9)",
      leaning: `import sys; sys.path.append("${folder.path}/venv/extra"); import elsewhere`,
    };
    for (const [name, text] of Object.entries(modules)) {
      await Deno.writeTextFile(`${site}/${name}.py`, text + "\n");
    }
    const archive = folder.join("env.tar.gz");
    await packVenv(venv, archive);
    await Deno.mkdir(`${venv}/extra`);
    await Deno.writeTextFile(`${venv}/extra/elsewhere.py`, "x = 1\n");
    const options = { original: venv, folder: folder.path };
    const { imported, failures } = await checkArchive(archive, options);
    assert.deepEqual(imported, ["fine"]);
    assert.deepEqual(failures.map(({ module, why }) => `${module}: ${why}`), [
      "broken: ValueError: no such setting",
      "crashing: it ends Python by signal 9",
      // The path in the module was given the new place, where that folder is not.
      "leaning: ModuleNotFoundError: No module named 'elsewhere'",
      "leaving: SystemExit: 3",
      "missing: ModuleNotFoundError: No module named 'not_there_at_all'",
    ]);
    const left = (await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name);
    assert.deepEqual(left.sort(), ["env.tar.gz", "venv"]);
  },
});

Deno.test("what is no virtual environment, or cannot be moved, is refused in words", async () => {
  await using folder = await TempFolder.create();
  const out = folder.join("env.tar.gz");
  const cases: [string, Record<string, string>, RegExp][] = [
    ["plain", { "x.txt": "" }, /plain is no virtual environment of Python: it has no pyvenv\.cfg/],
    [
      "conda",
      { "conda-meta/history": "" },
      /conda is a conda environment: pack it with --from-pre/,
    ],
    [
      "system",
      { "pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = true\n" },
      /uses packages of the system's Python: make it without --system-site-packages/,
    ],
    [
      "orphan",
      { "pyvenv.cfg": "home = /no/such/place\nversion = 3.11.7\n" },
      /The Python that .*orphan was made from is not there.*home = \/no\/such\/place/,
    ],
    [
      "empty",
      {
        "pyvenv.cfg": `home = ${folder.path}/base/bin\nversion = 3.11.7\n`,
        "../base/bin/python3.11": "",
        "../base/lib/python3.11/os.py": "",
      },
      /empty has no lib\/python3\.11\/site-packages: make the virtual environment anew/,
    ],
  ];
  for (const [name, files, message] of cases) {
    for (const [path, text] of Object.entries(files)) await folder.write(`${name}/${path}`, text);
    await assert.rejects(packVenv(folder.join(name), out), { name: "RunError", message });
  }
  await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
});
