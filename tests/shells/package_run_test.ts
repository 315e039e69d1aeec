import assert from "node:assert/strict";
import { relocationsPath, writeRelocations } from "../../core/package/relocations.ts";
import { findProgram } from "../../io/programs.ts";
import { activationOf } from "../../package/activate.ts";
import { isReady, markerName } from "../../package/unpack.ts";
import { wrapperScript } from "../support/environment.ts";
import { needs } from "../support/skip.ts";
import { environmentMembers, type Member, writeArchive } from "../support/tar.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const placeholder = `/placeholder/${"x".repeat(100)}`;
const members: readonly Member[] = [
  {
    path: relocationsPath,
    text: writeRelocations([{ path: "share/where", placeholder, mode: "text" }]),
  },
  ...environmentMembers,
  { path: "share/where", text: placeholder },
  { path: "bin/where", text: '#!/bin/sh\ncat "$CONDA_PREFIX/share/where"\n', mode: 0o755 },
  { path: "bin/conda-unpack", text: "#!/bin/sh\nexit 1\n", mode: 0o755 },
];

Deno.test("wqx package run: output, input, exit code, signals and PATH are the command's own", async () => {
  await using bed = await TestBed.create();
  const archive = await writeArchive(bed.folder.join("env"), members);
  const env = { WQX_CACHE: bed.folder.join("cache") };
  const run = (...words: string[]) => bed.run(["package", "run", archive, ...words], { env });

  const hello = await run("--", "hello", "a b");
  assert.equal(hello.code, 0, hello.stderr);
  const prefix = /^hello from (\S+): a b\n$/.exec(hello.stdout)?.[1] ?? "";
  assert.ok(prefix.startsWith(bed.folder.join("cache/environments/")), hello.stdout);
  assert.ok(isReady(prefix));
  const where = await run("where");
  assert.equal(where.stdout, prefix, where.stderr);
  assert.equal((await run("--", "sh", "-c", "exit 41")).code, 41);
  assert.equal((await run("--", "sh", "-c", "kill -9 $$")).code, -1);

  const missing = await run("--", "nothing-of-that-name");
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /Cannot run "nothing-of-that-name" in env: no program of that name/);
  assert.match(
    (await run()).stderr,
    /Missing COMMAND: the usage is wqx package run ENV -- COMMAND/,
  );
  assert.match((await run("-x", "--", "hello")).stderr, /Unknown option "-x"/);

  await using cat = bed.start(["package", "run", archive, "cat"], { env, stdin: "piped" });
  await cat.write("through\n");
  await cat.says(/through/);
  await cat.closeInput();
  assert.equal(await cat.ended, 0);
  await bed.clean();
});

Deno.test("four at once unpack once; what runs is not removed; list and clean", async () => {
  await using bed = await TestBed.create();
  const archive = await writeArchive(bed.folder.join("env"), members);
  const env = { WQX_CACHE: bed.folder.join("cache") };
  const runs = await Promise.all(
    [1, 2, 3, 4].map(() => bed.run(["package", "run", "-d", archive, "where"], { env })),
  );
  assert.deepEqual(new Set(runs.map(({ code }) => code)), new Set([0]));
  assert.equal(new Set(runs.map(({ stdout }) => stdout)).size, 1);

  await using waiting = bed.start(
    ["package", "run", archive, "--", "sh", "-c", "echo on; read _"],
    {
      env,
      stdin: "piped",
    },
  );
  await waiting.says(/on/);
  const clean = (...options: string[]) =>
    bed.run(["package", "clean", "--all", ...options], { env });
  assert.match((await clean()).stderr, /Nothing to remove/);
  const list = await bed.run(["package", "list", "--json"], { env });
  const listed = JSON.parse(list.stdout);
  assert.deepEqual([listed.kind, listed.from], ["environment", archive]);
  await waiting.write("\n");
  await waiting.closeInput();
  assert.equal(await waiting.ended, 0, waiting.stderr);

  assert.match((await clean("--dry-run")).stderr, /would be removed/);
  assert.ok(isReady(listed.path));
  assert.match((await clean("--older-than", "1d")).stderr, /exclude each other/);
  const kept = await bed.run(["package", "clean", "--older-than", "1d"], { env });
  assert.match(kept.stderr, /Nothing to remove/);
  assert.match((await clean()).stdout, new RegExp(`environment +${listed.name} .*${archive}`));
  assert.ok(!isReady(listed.path));
  assert.match((await bed.run(["package", "list"], { env })).stderr, /Nothing is kept in/);
  await bed.clean();
});

Deno.test("one that is killed in the middle leaves nothing that is used", async () => {
  await using bed = await TestBed.create();
  const many = Array.from({ length: 4000 }, (_, i) => ({ path: `lib/f${i}`, text: `${i}` }));
  const archive = await writeArchive(bed.folder.join("env"), [...members, ...many]);
  const env = { WQX_CACHE: bed.folder.join("cache") };
  const store = bed.folder.join("cache/environments");
  const names = () => {
    try {
      return [...Deno.readDirSync(store)].map(({ name }) => name);
    } catch {
      return [];
    }
  };
  {
    await using killed = bed.start(["package", "run", archive, "where"], { env });
    await until(() => names().some((name) => name.endsWith(".partial")), { what: "its start" });
    killed.signal("SIGKILL");
    await killed.ended;
  }
  assert.ok(!names().some((name) => /^[0-9a-f]+$/.test(name)), names().join());
  const after = await bed.run(["package", "run", archive, "where"], { env });
  assert.equal(after.code, 0, after.stderr);
  assert.equal([...Deno.readDirSync(`${after.stdout}/lib`)].length, many.length);
  assert.ok(!names().some((name) => name.endsWith(".partial")));
});

Deno.test("a folder that was only untarred is relocated once", async () => {
  await using bed = await TestBed.create();
  const archive = await writeArchive(bed.folder.join("env.tar.gz"), members);
  const folder = bed.folder.join("untarred");
  await Deno.mkdir(folder);
  await new Deno.Command("tar", { args: ["-xf", archive, "-C", folder] }).output();
  for (const _ of [1, 2]) {
    const where = await bed.run(["package", "run", folder, "where"]);
    assert.equal(where.stdout, folder, where.stderr);
  }
  assert.ok(isReady(folder));

  const program = bed.folder.join("untarred/bin/conda-unpack");
  for (const name of [markerName, relocationsPath]) await Deno.remove(`${folder}/${name}`);
  await Deno.writeTextFile(program, "#!/bin/sh\necho no luck >&2\nexit 1\n");
  const failed = await bed.run(["package", "run", folder, "where"]);
  assert.match(failed.stderr, /have yet to be told where they are.* failed .*: no luck/);
  assert.equal(failed.code, 1);
});

/** As `wqx links` makes it. */
function poncho(bed: TestBed, ...args: string[]): Promise<Wqx & { code: number }> {
  return bed.run(args, { env: { WQX_STARTED_AS: "/usr/bin/poncho_package_run" } });
}

Deno.test("as poncho_package_run it keeps that program's words, exit codes and folders", async () => {
  await using bed = await TestBed.create();
  const archive = await writeArchive(bed.folder.join("env"), members);
  const line = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d poncho_package_run\(\d+\): /;

  const temporary = await poncho(bed, "-e", archive, "--", "sh", "-c", 'where; exit "$0"', "5");
  assert.equal(temporary.code, 5);
  assert.match(temporary.stdout, /^\/\S+\/tmp\/wqx-environment-\w+$/);
  await assert.rejects(Deno.stat(temporary.stdout), Deno.errors.NotFound);

  const folder = bed.folder.join("there");
  const kept = await poncho(bed, "-d", "-e", archive, "-u", folder, "-w", "5", "where");
  assert.equal(kept.stdout.split("\n").at(-1), folder);
  for (const said of kept.stdout.split("\n").slice(0, -1)) assert.match(said, line);
  assert.ok(isReady(folder));

  const unknown = await poncho(bed, "-e", archive, "--fast", "hello");
  assert.deepEqual([unknown.code, unknown.stdout], [127, ""]);
  const nothing = await poncho(bed, "--", "hello");
  assert.equal(nothing.code, 1);
  assert.match(nothing.stdout, /: Missing ENV/);
  assert.equal((await poncho(bed, "-e", archive)).code, 0);
  const cut = bed.folder.join("cut");
  await Deno.writeFile(cut, (await Deno.readFile(archive)).subarray(0, 200));
  const broken = await poncho(bed, "-e", cut, "-u", bed.folder.join("cut-env"), "hello");
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, line);
  assert.match(broken.stdout, /cut off/);
  assert.match((await poncho(bed, "--help-env-creation")).stdout, /wqx package create SPEC/);
  await bed.clean();
});

const realPoncho = findProgram("poncho_package_run", Deno.env.get("PATH") ?? "");

for (const peer of ["the script of wqx", "cctools'"] as const) {
  const name = `poncho_package_run (${peer}) and wqx share a folder, both ways`;
  Deno.test({
    ...needs(peer !== "cctools'" || "path" in realPoncho, "no poncho_package_run on PATH", name),
    async fn() {
      await using bed = await TestBed.create();
      const archive = await writeArchive(bed.folder.join("env"), [
        ...members.slice(1, -1),
        { path: "bin/conda-unpack", text: unpackScript, mode: 0o755 },
      ]);
      let script = "path" in realPoncho ? realPoncho.path : "";
      if (peer !== "cctools'") {
        script = await bed.folder.write("poncho_package_run", wrapperScript);
        await Deno.chmod(script, 0o755);
      }
      const folder = bed.folder.join("shared");
      const theirs = () =>
        new Deno.Command(script, {
          args: ["-e", archive, "-u", folder, "--", "where"],
          cwd: bed.folder.path,
        }).output().then(({ stdout }) => new TextDecoder().decode(stdout));
      const ours = () =>
        poncho(bed, "-e", archive, "-u", folder, "--", "where").then(({ stdout }) => stdout);
      const found = await Promise.all([theirs(), ours(), theirs(), ours()]);
      assert.deepEqual(found, Array(4).fill(folder));
      // The one who unpacked ran it once; after that the marker kept the others from it.
      assert.equal(Deno.readTextFileSync(`${folder}/count`), "unpacked\n");
      assert.ok([...Deno.readDirSync(folder)].some(({ name }) => name === markerName));
    },
  });
}

const unpackScript = `#!/bin/sh
cd "$(dirname "$0")/.." || exit 1
echo unpacked >>count
printf %s "$PWD" >share/where
`;

Deno.test("activationOf() tells what scripts of an environment set and unset, and runs them once", async () => {
  await using folder = await TempFolder.create();
  const prefix = folder.path;
  await folder.write("bin/activate", "CONDA_PREFIX=…");
  const script = 'export LINES="one\ntwo=2"\nunset GONE\necho noise\nexport N=${N:-0}1\n';
  await folder.write("etc/conda/activate.d/10.sh", `${script}echo x >>"$CONDA_PREFIX/count"\n`);
  await folder.write("etc/conda/activate.d/20.sh", 'export SEEN="$LINES"\n');
  await folder.write("etc/conda/activate.d/30.fish", "not for bash");
  await folder.write("poncho/set_env", "export DATA=$1/poncho/data/DATA\n");
  const env = { PATH: "/usr/bin:/bin", GONE: "x", KEPT: "y", PYTHONPATH: "/mine" };
  const expected = {
    PATH: `${prefix}/bin:/usr/bin:/bin`,
    CONDA_PREFIX: prefix,
    PYTHONPATH: null,
    LINES: "one\ntwo=2",
    SEEN: "one\ntwo=2",
    N: "01",
    GONE: null,
    DATA: `${prefix}/poncho/data/DATA`,
  };
  assert.deepEqual(await activationOf(prefix, env), expected);
  assert.deepEqual(await activationOf(prefix, env), expected);
  assert.equal(Deno.readTextFileSync(`${prefix}/count`), "x\n");

  await folder.write("etc/conda/activate.d/40.sh", "echo no licence; exit 4\n");
  const other = { ...env, PATH: "/bin:/usr/bin" };
  await assert.rejects(activationOf(prefix, other), /Cannot activate .*no licence/);
  await Deno.remove(folder.join("etc"), { recursive: true });
  await folder.write("bin/activate", "export MINE=yes\n");
  await folder.write("poncho/set_env", 'export DATA="$1/$KEPT"\n');
  const own = await activationOf(prefix, other);
  assert.deepEqual(own, { MINE: "yes", DATA: `${prefix}/y`, PYTHONPATH: null });
});
