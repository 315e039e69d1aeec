import assert from "node:assert/strict";
import { RunError } from "../../core/errors.ts";
import { installPackages } from "../../package/install.ts";
import { installPip, pipEnvironment, type PipOptions } from "../../package/pip.ts";
import {
  fileNamesOf,
  noPackaging,
  packagingPython,
  realChannel,
  recordsOf,
} from "../support/channel.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const packaged = (name: string) => needs(packagingPython !== null, noPackaging, name);

const signal = new AbortController().signal;
/** Of all tests here, since they install the same packages. */
const shared = await TempFolder.create();
Deno.test.afterAll(() => shared[Symbol.asyncDispose]());

const withPip = ["python", "packaging", "wheel", "setuptools", "pip"];

interface Bed {
  readonly prefix: string;
  readonly run: (...args: string[]) => Promise<string>;
  readonly options: (more?: Partial<PipOptions>) => PipOptions;
  readonly files: (name: string) => Promise<string[]>;
}

/** A prefix with Python and, offline, a folder of wheels; `tools` are folders of PATH. */
async function bed(
  temp: TempFolder,
  names: readonly string[],
  { tools = "/usr/bin:/bin", more = {} }: { tools?: string; more?: Record<string, string> } = {},
): Promise<Bed> {
  const channel = await realChannel();
  const files = names.map((name) =>
    name === "hepmath" ? "hepmath-1.5-1.conda" : fileNamesOf(channel.dir, [name])[0]!
  );
  const records = await recordsOf(channel.dir, channel.url, files);
  const prefix = temp.join("env");
  const cache = shared.join("cache");
  await installPackages(records, prefix, { cache, platform: "linux-64", signal });
  const env = pipEnvironment(prefix, {
    PATH: tools,
    HOME: temp.join("home"),
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: channel.wheels,
    ...more,
  });
  return {
    prefix,
    async run(...args) {
      const { stdout, stderr, success } = await new Deno.Command(`${prefix}/bin/python`, {
        args,
        env: { HOME: temp.join("home") },
        clearEnv: true,
        stdin: "null",
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout).trim();
    },
    options: (options = {}) => ({ requirements: [], locals: [], env, cache, signal, ...options }),
    async files(name) {
      for await (const entry of Deno.readDir(`${prefix}/conda-meta`)) {
        if (!entry.name.startsWith(`${name}-`)) continue;
        return JSON.parse(await Deno.readTextFile(`${prefix}/conda-meta/${entry.name}`)).files;
      }
      return [];
    },
  };
}

const uvFolder = packagingPython?.replace(/\/[^/]*$/, "") ?? "";

for (const [tool, tools] of [["pip", "/usr/bin:/bin"], ["uv", `${uvFolder}:/usr/bin:/bin`]]) {
  Deno.test({
    ...packaged(`${tool} installs requirements and options as they stand, without byte code`),
    async fn() {
      await using temp = await TempFolder.create();
      const { wheels, pythonMinor } = await realChannel();
      const { prefix, run, options } = await bed(temp, tool === "uv" ? ["python"] : withPip, {
        tools: tools!,
        // What would lead the installer astray, or lose the index that the requirements name.
        more: { PIP_TARGET: temp.join("astray"), PYTHONPATH: "/nowhere", PIP_FIND_LINKS: "" },
      });
      await installPip(
        prefix,
        options({
          requirements: ["--no-index", `--find-links ${wheels}`, "smallpkg<2  # the old one"],
        }),
      );
      assert.equal(await run("-B", "-c", "import smallpkg; print(smallpkg.VERSION)"), "1.0");
      const scripts = await Array.fromAsync(Deno.readDir(`${prefix}/bin`));
      assert.ok(scripts.some(({ name }) => name === "small"));
      const site = `${prefix}/lib/python${pythonMinor}/site-packages`;
      const names = await Array.fromAsync(Deno.readDir(site));
      assert.ok(names.some(({ name }) => name === "smallpkg.py"));
      // The interpreter makes byte code of what it imports; the installer made none.
      assert.ok(!names.some(({ name }) => name === "__pycache__"));
      await assert.rejects(Deno.stat(temp.join("astray")), Deno.errors.NotFound);
    },
  });
}

for (
  const [tool, tools, values] of [
    ["pip", "/usr/bin:/bin", ["1"]],
    // It keeps what it has built, and must not take it for what a changed project is.
    ["uv", `${uvFolder}:/usr/bin:/bin`, ["1", "2"]],
  ] as const
) {
  Deno.test({
    ...packaged(`projects and source archives are built and copied by ${tool}, as they are now`),
    async fn() {
      await using temp = await TempFolder.create();
      const { pythonMinor } = await realChannel();
      const names = tool === "uv" ? ["python"] : withPip;
      const { prefix, run, options } = await bed(temp, names, { tools });
      await temp.write(
        "my proj/pyproject.toml",
        `[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n` +
          `[project]\nname = "mine"\nversion = "1"\ndependencies = ["srcpkg"]\n` +
          `[tool.setuptools]\npy-modules = ["mine"]\n`,
      );
      for (const value of values) {
        await temp.write("my proj/mine.py", `X = ${value}\n`);
        await installPip(prefix, options({ locals: [temp.join("my proj")] }));
        assert.equal(
          await run("-c", "import mine, srcpkg; print(mine.X, srcpkg.VERSION, mine.__file__)"),
          `${value} 1.0 ${prefix}/lib/python${pythonMinor}/site-packages/mine.py`,
        );
      }
    },
  });
}

Deno.test({
  ...packaged("files that pip takes over from a conda package are out of that package's record"),
  async fn() {
    await using temp = await TempFolder.create();
    const { prefix, run, options, files } = await bed(temp, [...withPip, "hepmath", "app"]);
    const before = await files("app");
    const report = await installPip(prefix, options({ requirements: ["hepapp"] }));
    assert.equal(await run("-c", "import app; print(app.FROM)"), "pip");
    assert.deepEqual(report.replaced, [{ name: "app", version: "1.0", by: "hepapp 1.1" }]);
    const after = await files("app");
    assert.deepEqual(
      before.filter((path) => !after.includes(path)).map((path) =>
        path.replace(/.*site-packages\//, "")
      ),
      ["app/__init__.py"],
    );
    assert.deepEqual(
      (await installPip(prefix, options({ requirements: ["hepapp"] }))).replaced,
      [],
    );
  },
});

Deno.test({
  ...packaged("a conda package that pip replaced by another version owns nothing of it any more"),
  async fn() {
    await using temp = await TempFolder.create();
    const { prefix, options, files } = await bed(temp, withPip, {
      more: { PIP_FORCE_REINSTALL: "1" },
    });
    const report = await installPip(prefix, options({ requirements: ["wheel"] }));
    assert.deepEqual(report.replaced.map(({ name }) => name).sort(), ["packaging", "wheel"]);
    assert.match(report.replaced.find(({ name }) => name === "wheel")!.by, /^wheel /);
    const left = await files("wheel");
    // Tests are in neither, and the record keeps nothing that is not there.
    for (const path of left) await Deno.lstat(`${prefix}/${path}`);
    assert.ok(!left.some((path) => path.endsWith("wheel/__init__.py")));
  },
});

Deno.test({
  ...packaged("what pip says when it fails is in the sentence, and all of it in a log"),
  async fn() {
    await using temp = await TempFolder.create();
    const { prefix, options } = await bed(temp, withPip);
    const error = await installPip(prefix, options({ requirements: ["no-such-package"] }))
      .catch((error) => error);
    assert.ok(error instanceof RunError);
    assert.match(error.message, /^Cannot install pip packages: .*no-such-package/);
    const [, log = ""] = /all that it said is in (\S+\.log)$/.exec(error.message) ?? [];
    assert.match(await Deno.readTextFile(log), /No matching distribution found/);
  },
});

Deno.test({
  ...packaged("an environment without pip, without Python, or of another platform is told so"),
  async fn() {
    await using temp = await TempFolder.create();
    const { prefix, options } = await bed(temp, ["python"]);
    const wanted = options({ requirements: ["smallpkg"] });
    await assert.rejects(installPip(prefix, wanted), /there is no pip in the environment/);
    await Deno.mkdir(temp.join("empty"));
    await assert.rejects(installPip(temp.join("empty"), wanted), /there is no Python/);
    await Deno.remove(`${prefix}/bin/python`);
    await Deno.writeTextFile(`${prefix}/bin/python`, "\x7fELF of another machine", { mode: 0o755 });
    await assert.rejects(
      installPip(prefix, wanted),
      (error) => error instanceof RunError && /does not run here/.test(error.message),
    );
  },
});
