import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import denoJson from "../../deno.json" with { type: "json" };
import { selfCommand } from "../../io/self.ts";
import { buildSelfExtracting, wqxOptions } from "../../scripts/build.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const entry = fileURLToPath(new URL("../support/built_program.ts", import.meta.url));

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  words: readonly string[],
  env: Record<string, string>,
  cwd = "/",
): Promise<Ran> {
  const [program = "", ...args] = words;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd,
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", ...env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The test program as a single file, carrying a stand-in for Deno that is quick to unpack. */
async function buildProgram(folder: TempFolder): Promise<string> {
  const deno = await folder.write("deno", `#!/bin/sh\nexec "${Deno.execPath()}" "$@"\n`);
  await Deno.chmod(deno, 0o755);
  const asset = await folder.write("asset.txt", "an asset");
  const output = folder.join("out", "pro gram");
  const built = await buildSelfExtracting({ entry, assets: [asset], output, deno });
  assert.equal(built.bytes, (await Deno.stat(output)).size);
  return output;
}

/** Names in a folder; none if it is not there. */
function namesIn(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name).sort();
  } catch {
    return [];
  }
}

/** Where a program unpacks with this TMPDIR and nothing else set. */
function tempCache(path: string): string {
  return `${path}/wqx-${Deno.uid()}`;
}

Deno.test("a self-extracting program runs from an empty folder with an empty environment", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const TMPDIR = folder.join("tmp"), cwd = folder.join("empty");
  for (const path of [TMPDIR, cwd]) await Deno.mkdir(path);
  const args = ["args", "a b", "", "'\"$HOME\n*", "-x", "--version"];
  assert.deepEqual(await run([program, ...args], { TMPDIR }, cwd), {
    code: 0,
    stdout: JSON.stringify(args.slice(1)) + "\n",
    stderr: "",
  });
  assert.deepEqual(namesIn(cwd), []);
  const [id = "", ...others] = namesIn(tempCache(TMPDIR));
  assert.deepEqual(others, []);
  assert.equal((Deno.statSync(tempCache(TMPDIR)).mode ?? 0) & 0o777, 0o700);

  // Once is enough: what is there is used again, also where the file is named otherwise.
  await Deno.writeTextFile(`${tempCache(TMPDIR)}/${id}/asset.txt`, "still there");
  await Deno.symlink(program, folder.join("link"));
  assert.equal((await run(["./link", "asset"], { TMPDIR }, folder.path)).stdout, '"still there"\n');
  assert.equal((await run(["sh", "link", "lazy"], { TMPDIR }, folder.path)).stdout, '"late"\n');
});

Deno.test("a self-extracting program starts itself, and code that it finds on disk", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const TMPDIR = folder.path;
  const self = JSON.parse((await run([program, "self"], { TMPDIR })).stdout) as string[];
  assert.equal((await run([...self, "args", "x"], {})).stdout, '["x"]\n');
  const module = await folder.write("user code.js", "export default { answer: 42 };");
  const url = new URL(`file://${module.replaceAll(" ", "%20")}`).href;
  assert.equal((await run([program, "import", url], { TMPDIR })).stdout, '{"answer":42}\n');
});

Deno.test("a self-extracting program hands on the environment as the user set it", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const TMPDIR = folder.path;
  for (const env of [{ TMPDIR }, { TMPDIR, DENO_DIR: folder.join("mine") }]) {
    const seen = JSON.parse((await run([program, "environment"], env)).stdout);
    // The shell sets PWD, and some set these too.
    for (const name of ["PWD", "OLDPWD", "SHLVL", "_"]) delete seen[name];
    assert.deepEqual(seen, { PATH: "/usr/bin:/bin", ...env });
  }
});

Deno.test("self-extracting programs that start at once unpack to one whole folder", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const ran = await Promise.all(
    Array.from({ length: 12 }, (_, i) => run([program, "args", `${i}`], { TMPDIR: folder.path })),
  );
  assert.deepEqual(
    ran,
    ran.map((_, i) => ({ code: 0, stdout: `["${i}"]\n`, stderr: "" })),
  );
  assert.equal(namesIn(tempCache(folder.path)).length, 1);
});

Deno.test("a self-extracting program unpacks to the first cache folder that will do", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const TMPDIR = folder.join("tmp"), HOME = folder.join("home"), XDG_CACHE_HOME = folder.join("x");
  await Deno.mkdir(TMPDIR);
  const places = () => [
    namesIn(`${XDG_CACHE_HOME}/wqx`).length,
    namesIn(`${HOME}/.cache/wqx`).length,
    namesIn(tempCache(TMPDIR)).length,
  ];
  // Not even root can make a folder there.
  const readOnly = "/proc/self";
  assert.equal((await run([program, "lazy"], { HOME: readOnly, TMPDIR })).code, 0);
  assert.deepEqual(places(), [0, 0, 1]);
  await Deno.remove(tempCache(TMPDIR), { recursive: true });
  assert.equal(
    (await run([program, "lazy"], { XDG_CACHE_HOME: "relative", HOME, TMPDIR })).code,
    0,
  );
  assert.deepEqual(places(), [0, 1, 0]);
  await Deno.remove(HOME, { recursive: true });
  assert.equal((await run([program, "lazy"], { XDG_CACHE_HOME, HOME, TMPDIR })).code, 0);
  assert.deepEqual(places(), [1, 0, 0]);

  const nowhere = await run([program, "lazy"], {
    XDG_CACHE_HOME: readOnly,
    HOME: readOnly,
    TMPDIR: readOnly,
  });
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /^wqx: cannot unpack itself into any of\n {2}\/proc\/self\/wqx\n/);
  assert.match(nowhere.stderr, /Set XDG_CACHE_HOME to a folder of your own with \d+ MB free/);
});

Deno.test("a self-extracting program takes no half of itself for whole", async () => {
  await using folder = await TempFolder.create();
  const program = await buildProgram(folder);
  const TMPDIR = folder.path;
  await run([program, "lazy"], { TMPDIR });
  const [id = ""] = namesIn(tempCache(TMPDIR));
  await Deno.remove(`${tempCache(TMPDIR)}/${id}/deno`);
  assert.equal((await run([program, "lazy"], { TMPDIR })).stdout, '"late"\n');
  assert.deepEqual(namesIn(tempCache(TMPDIR)), [id]);
  await Deno.remove(tempCache(TMPDIR), { recursive: true });

  const whole = await Deno.readFile(program);
  // Damage in the archive, which follows the script.
  const script = new TextDecoder("latin1").decode(whole).indexOf("\nexit 1\n") + 8;
  const middle = Math.floor((script + whole.length) / 2);
  const damages: Record<string, Uint8Array> = {
    "half of it": whole.subarray(0, middle),
    "all but the last byte": whole.subarray(0, -1),
    "a byte changed": whole.map((byte, i) => i === middle ? byte ^ 0xff : byte),
  };
  for (const [name, bytes] of Object.entries(damages)) {
    const damaged = folder.join("damaged");
    await Deno.writeFile(damaged, bytes, { mode: 0o755 });
    const { code, stderr } = await run([damaged, "lazy"], { TMPDIR });
    assert.equal(code, 1, name);
    assert.match(stderr, /cannot unpack itself[^]*gzip: /, name);
    assert.deepEqual(namesIn(tempCache(TMPDIR)), [], name);
  }
});

Deno.test({
  ...needs(
    Deno.uid() === 0,
    "only root can give a folder to another user",
    "a self-extracting program runs nothing that another user may have put there",
  ),
  async fn() {
    await using folder = await TempFolder.create();
    const program = await buildProgram(folder);
    const TMPDIR = folder.path, cache = tempCache(TMPDIR);
    const attempt = () => run([program, "asset"], { TMPDIR });
    assert.equal((await attempt()).stdout, '"an asset"\n');
    const [id = ""] = namesIn(cache);
    await Deno.writeTextFile(`${cache}/${id}/asset.txt`, "planted");
    assert.equal((await attempt()).stdout, '"planted"\n');

    await Deno.chown(cache, 12345, 12345);
    assert.equal((await attempt()).code, 1, "another user's folder");
    await Deno.chown(cache, 0, 0);
    await Deno.chmod(cache, 0o777);
    assert.equal((await attempt()).code, 1, "a folder that all can write into");
    await Deno.chmod(cache, 0o700);
    await Deno.rename(cache, folder.join("elsewhere"));
    await Deno.symlink(folder.join("elsewhere"), cache);
    assert.equal((await attempt()).code, 1, "a link");
    await Deno.remove(cache);
    await Deno.rename(folder.join("elsewhere"), cache);
    await Deno.chown(`${cache}/${id}/deno`, 12345, 12345);
    assert.equal((await attempt()).stdout, '"an asset"\n', "unpacked again");
  },
});

Deno.test("selfCommand() starts wqx from its source, wherever it is started", async () => {
  await using folder = await TempFolder.create();
  const home = Deno.env.get("HOME") ?? "/";
  const { stdout, stderr } = await run(
    [...selfCommand(), "--version"],
    { HOME: home },
    folder.path,
  );
  assert.equal(stdout, `wqx ${denoJson.version}\n`, stderr);
  assert.deepEqual(namesIn(folder.path), []);
});

Deno.test("dist/wqx runs from an empty folder with an empty environment", async () => {
  await using folder = await TempFolder.create();
  const output = folder.join("wqx"), cwd = folder.join("empty"), TMPDIR = folder.join("tmp");
  for (const path of [cwd, TMPDIR]) await Deno.mkdir(path);
  await buildSelfExtracting(wqxOptions(output));
  const ran = await run([output, "--version"], { TMPDIR }, cwd);
  assert.deepEqual(ran, { code: 0, stdout: `wqx ${denoJson.version}\n`, stderr: "" });
  assert.deepEqual(namesIn(cwd), []);
});
