import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { packPrefix } from "../../package/pack.ts";
import { findProgram } from "../../io/programs.ts";
import { noPackaging, packagingPython } from "../support/channel.ts";
import { end, installedPrefix, relocate, run, untar } from "../support/conda_prefix.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const packaging = (name: string) => needs(packagingPython !== null, noPackaging, name);
const specs = ["python", "pip", "relo", "hepmath", "numpy"];

/** Lines `KIND MODE PATH CONTENT` of a tree. */
async function treeOf(folder: string): Promise<Map<string, string>> {
  const lines = await run([
    "sh",
    "-c",
    'cd "$1" && find . -type f -exec sha256sum {} + -o -type l -printf "%l  %p\\n"',
    "sh",
    folder,
  ]);
  return new Map(
    lines.trim().split("\n").map((line) => {
      const at = line.indexOf("  ");
      return [line.slice(at + 2), line.slice(0, at)];
    }),
  );
}

Deno.test({
  ...packaging("an environment packed by wqx and by conda-pack unpacks to the same tree"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, specs);
    await packPrefix(prefix, folder.join("ours.tar.gz"));
    await run([
      `${dirname(packagingPython!)}/conda-pack`,
      ...["-q", "-p", prefix, "-o", folder.join("theirs.tar.gz")],
    ]);
    // Both are unpacked at the same place, one after the other, and the original is gone.
    await Deno.remove(dirname(prefix), { recursive: true });
    const trees = [];
    for (const name of ["ours", "theirs"]) {
      const place = await untar(folder.join(`${name}.tar.gz`), folder.join("place"));
      await relocate(place);
      trees.push(await treeOf(place));
      await Deno.rename(place, folder.join(name));
    }
    const [ours, theirs] = trees as [Map<string, string>, Map<string, string>];
    const different = [...new Set([...ours.keys(), ...theirs.keys()])]
      .filter((path) => ours.get(path) !== theirs.get(path)).sort();
    assert.deepEqual(different, [
      // The scripts that each tool brings, and the list of ours.
      ...["./bin/activate", "./bin/activate.fish", "./bin/conda-unpack"],
      ...["./bin/conda_unpack_progress.py", "./bin/deactivate", "./bin/poncho_package_run"],
      // Theirs starts "env 'python -s'", which is no program.
      "./bin/relo-script",
      ...["./bin/run_in_env", "./conda-meta/wqx-relocate.json"],
    ]);
    const [size, other] = await Promise.all(
      ["ours", "theirs"].map(async (name) => (await Deno.stat(folder.join(`${name}.tar.gz`))).size),
    );
    assert.ok(size! <= other!, `${size} bytes, conda-pack ${other}`);
  },
});

Deno.test({
  ...packaging(
    "an unpacked environment works by source activate, run_in_env and at 200 characters",
  ),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, specs);
    const archive = folder.join("env.tar.gz");
    await packPrefix(prefix, archive);
    await Deno.remove(dirname(prefix), { recursive: true });
    await Deno.remove(folder.join("cache"), { recursive: true });

    const base = folder.join("somewhere-else");
    const long = `${base}/${"x".repeat(199 - base.length)}`;
    await untar(archive, long);
    assert.equal(long.length, 200);
    assert.match(await relocate(long), /binary: .*relo/);
    const before = await treeOf(long);
    assert.equal(await relocate(long), "");
    assert.deepEqual(await treeOf(long), before);
    const use = "source bin/activate && relo-where && relo-chain && pip --version && " +
      'relo-script && echo "$RELO_HOME" && python -c "import numpy; print(numpy.__file__)" && ' +
      'source bin/deactivate && echo "[$CONDA_PREFIX$RELO_HOME] $PATH"';
    for (const shell of [["bash", "-c", use], ["dash", "-c", use.replaceAll("source ", ". ")]]) {
      const told = await run(shell, { HOME: folder.path }, long);
      assert.deepEqual(told.trim().split("\n"), [
        `${long}/share/relo`,
        `${long}/share/relo`,
        `pip 23.2.1 from ${long}/lib/python3.11/site-packages/pip (python 3.11)`,
        `${long} 1`,
        `${long}/share/relo`,
        `${long}/lib/python3.11/site-packages/numpy/__init__.py`,
        "[] /usr/bin:/bin",
      ]);
    }

    // Not relocated yet: run_in_env sees to it, once.
    const fresh = await untar(archive, folder.join("fresh"));
    for (let i = 0; i < 2; i++) {
      const told = await run([`${fresh}/bin/run_in_env`, "relo-where"], {}, folder.path);
      assert.equal(told.trim(), `${fresh}/share/relo`);
    }

    const beyond = `${folder.path}/${"y".repeat(150)}/${"z".repeat(110)}`;
    await untar(archive, beyond);
    const untouched = await treeOf(beyond);
    const failed = await end([`${beyond}/bin/python`, "-B", `${beyond}/bin/conda-unpack`]);
    assert.equal(failed.code, 1);
    assert.match(
      failed.stderr,
      /has \d{3} characters, and compiled files such as .* have room for \d+: unpack into a folder with a shorter path/,
    );
    assert.deepEqual(await treeOf(beyond), untouched);
  },
});

/** The gzip members of an archive: each begins with the same bytes, and nothing else with them. */
function pieces(bytes: Uint8Array): Set<string> {
  const text = Buffer.from(bytes).toString("latin1");
  return new Set(text.split("\x1f\x8b\x08\0\0\0\0\0").slice(1));
}

Deno.test({
  ...packaging("the same environment gives the same bytes, and a changed file alters few pieces"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, specs);
    const pack = async (name: string) => {
      await packPrefix(prefix, folder.join(name));
      return await Deno.readFile(folder.join(name));
    };
    const first = await pack("one.tar.gz");
    assert.deepEqual(await pack("two.tar.gz"), first);
    const site = `${prefix}/lib/python3.11/site-packages`;
    await Deno.writeTextFile(`${site}/added.py`, "x = 1\n");
    const [before, after] = [pieces(first), pieces(await pack("three.tar.gz"))];
    const altered = [...after].filter((piece) => !before.has(piece));
    const changedBytes = altered.reduce((sum, piece) => sum + piece.length, 0);
    assert.ok(before.size > 20, `${before.size} pieces`);
    assert.ok(altered.length <= 2, `${altered.length} of ${after.size} pieces`);
    assert.ok(changedBytes < first.length / 10, `${changedBytes} of ${first.length} bytes`);
  },
});

Deno.test({
  ...packaging("without the package cache, compiled files get their placeholder back"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, ["relo", "python"]);
    await packPrefix(prefix, folder.join("with.tar.gz"));
    await Deno.remove(folder.join("cache"), { recursive: true });
    const { warnings } = await packPrefix(prefix, folder.join("without.tar.gz"));
    assert.deepEqual(warnings, []);
    const trees = [];
    for (const name of ["with", "without"]) {
      trees.push(await treeOf(await untar(folder.join(`${name}.tar.gz`), folder.join(name))));
    }
    assert.deepEqual(trees[1], trees[0]);
  },
});

const original = findProgram("poncho_package_run", Deno.env.get("PATH") ?? "");

Deno.test({
  ...needs(
    packagingPython !== null && "path" in original,
    packagingPython === null ? noPackaging : "no poncho_package_run of cctools on PATH",
    "an archive runs under cctools' poncho_package_run: alone, shared, at once, after a bad copy",
  ),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, ["relo", "python"]);
    const archive = folder.join("env.tar.gz");
    await packPrefix(prefix, archive);
    await Deno.remove(dirname(prefix), { recursive: true });
    const program = "path" in original ? original.path : "";
    await underRunner(folder, archive, program);
  },
});

Deno.test({
  ...packaging("an archive runs under its own poncho_package_run, with the options of cctools'"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await installedPrefix(folder, ["relo", "python"]);
    const archive = folder.join("env.tar.gz");
    await packPrefix(prefix, archive);
    await Deno.remove(dirname(prefix), { recursive: true });
    await run(["tar", "-xf", archive, "-C", folder.path, "bin/poncho_package_run"]);
    const program = folder.join("bin/poncho_package_run");
    await underRunner(folder, archive, program);
    const blank = folder.join("with a blank");
    const told = await run(
      [program, "-e", archive, "-u", blank, "--", "relo-where"],
      {},
      folder.path,
    );
    assert.match(told, /with a blank\/share\/relo\n$/);
    const failures: [string[], RegExp][] = [
      [[], /-e ENVIRONMENT is missing/],
      [["-e", folder.join("none"), "true"], /there is no .*none/],
      [["-e", folder.path, "true"], /cannot activate/],
    ];
    for (const [args, message] of failures) {
      const { code, stdout } = await end([program, ...args], {}, folder.path);
      assert.equal(code, 1);
      assert.match(stdout, message);
    }
  },
});

/** What Work Queue and coffea ask of the program. */
async function underRunner(folder: TempFolder, archive: string, program: string): Promise<void> {
  const cwd = folder.path;
  const call = (args: readonly string[]) => end([program, "-e", archive, ...args], {}, cwd);
  const alone = await call(["--", "relo-where"]);
  assert.match(alone.stdout, /\/share\/relo\n$/, alone.stderr);
  const gone = alone.stdout.trim().split("\n").at(-1)!;
  await assert.rejects(Deno.stat(gone), Deno.errors.NotFound);

  const shared = folder.join("shared");
  const four = await Promise.all(
    Array.from(
      { length: 4 },
      (_, i) =>
        call([
          "--unpack-to",
          shared,
          "python",
          "-c",
          `import sys; print(sys.prefix); sys.exit(${i})`,
        ]),
    ),
  );
  for (const [i, { code, stdout }] of four.entries()) {
    assert.equal(code, i);
    assert.ok(stdout.endsWith(`${shared}\n`), stdout);
  }
  assert.equal((await call(["-u", shared, "no-such-program-here"])).code, 127);
  assert.equal((await call(["-u", shared, "sh", "-c", "kill -9 $$"])).code, 137);
  assert.equal((await call(["-d", "-u", shared])).code, 0);

  const target = folder.join("retried");
  const cut = folder.join("cut.tar.gz");
  const whole = await Deno.readFile(archive);
  await Deno.writeFile(cut, whole.subarray(0, whole.length >> 1));
  const failed = await end([program, "-e", cut, "-u", target, "true"], {}, cwd);
  assert.notEqual(failed.code, 0);
  const again = await call(["-u", target, "relo-where"]);
  assert.equal(again.code, 0, again.stdout + again.stderr);
}
