import assert from "node:assert/strict";
import { noPackaging, packagingPython, serveChannel } from "../support/channel.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { CreateBed } from "./create_bed.ts";

function test(name: string, fn: (bed: CreateBed) => Promise<void>): void {
  Deno.test({
    ...needs(packagingPython !== null, noPackaging, name),
    fn: async () => {
      await using bed = await CreateBed.create();
      await fn(bed);
    },
  });
}

/** Nothing under a final name, and no folder in which an environment was made. */
function assertNothingMade(bed: CreateBed): void {
  assert.deepEqual(bed.names().filter((name) => /tar|lock|\.wqx/.test(name)), []);
  assert.deepEqual(bed.names("cache", "b"), []);
  assert.deepEqual(bed.names("tmp"), []);
}

const create = ["create", "env.json", "env.tar.gz"];

function conda(...dependencies: string[]) {
  return { conda: { channels: ["main"], dependencies } };
}

test("a command line that cannot be is refused before anything is done", async (bed) => {
  await bed.write("env.json", conda("generic"));
  const usage = "the usage is wqx package create SPEC OUT.tar.gz [options]";
  const cases: [string[], string][] = [
    [[], `Missing SPEC: ${usage}`],
    [["env.json"], `Missing OUT.tar.gz: ${usage}`],
    [["env.json", "no/env.tar.gz"], "Cannot write no/env.tar.gz: there is no folder "],
    [["env.json", "tmp"], "Cannot write tmp: it is a folder"],
    [["env.json", "env.zip"], "wqx writes no .zip: name the archive .tar.gz"],
    [["env.jsn", "a.tar"], 'Cannot read the specification "env.jsn": there is no such file'],
    [["--from-lock", "a", "--from-venv", "b", "c"], "Give one of --from-lock and --from-venv"],
    [["--from-lock", "a", "b", "c"], 'Unexpected argument "c": with --from-lock there is no SPEC'],
    [["--from-lock", "env.json", "b.tar"], "env.json: this is no lock of wqx"],
    [["env.json", "a.tar", "--override-channels"], "--override-channels leaves no channel"],
    [["env.json", "a.tar", "--platform", "linux64"], 'is no platform: did you mean "linux-64"?'],
    [["env.json", "a.tar", "--glibc", "new"], '--glibc: "new" is no version: write it like 2.28'],
  ];
  for (const [args, message] of cases) {
    const { stderr } = await bed.run(["create", ...args], { code: 2 });
    assert.ok(stderr.includes(message), `${args.join(" ")}: ${stderr}`);
  }
  assertNothingMade(bed);
});

test("mistakes of a specification are told by line", async (bed) => {
  await bed.write("env.yml", "channels: [main]\ndependancies:\n  - python\npinned:\n  conda: 3\n");
  const { stderr } = await bed.run(["create", "env.yml", "env.tar.gz"], { code: 2 });
  assert.equal(
    stderr,
    'env.yml:2:1: unknown key "dependancies": did you mean "dependencies"?\n' +
      'env.yml:5:10: pinned.conda: "3" is not a mapping\n',
  );
});

test("stdin is read as a specification, and its mistakes too", async (bed) => {
  await using wqx = bed.start(["create", "-", "--dry-run"], { stdin: "piped" });
  await wqx.write("{conda: [a]}");
  await wqx.closeInput();
  assert.equal(await wqx.ended, 2);
  assert.match(wqx.stderr, /^stdin:1:9: conda: a list is not a mapping\n/);
});

test("packages that conflict and packages that are not there are named", async (bed) => {
  await bed.write("env.json", conda("plotter", "oldfit"));
  const conflict = await bed.run(create, { code: 1 });
  assert.match(conflict.stderr, /plotter/);
  assert.match(conflict.stderr, /oldfit/);
  assert.match(conflict.stderr, /hepmath/);
  await bed.write("env.json", conda("hepmth"));
  const missing = await bed.run(create, { code: 1 });
  assert.match(missing.stderr, /"?hepmth"?.*hepmath/s);
  assertNothingMade(bed);
});

test("a package of pip that is not there is told in pip's words", async (bed) => {
  await bed.write("env.json", { ...conda("python", "pip"), pip: ["smallpkg==9"] });
  const { stderr } = await bed.run(create, { code: 1 });
  assert.match(stderr, /Cannot install pip packages: .*smallpkg==9/);
  await bed.write("env.json", { ...conda("python", "pip"), pip: ["./nowhere"] });
  const local = await bed.run(create, { code: 1 });
  assert.match(local.stderr, /nowhere/);
  assertNothingMade(bed);
});

test("a damaged package, and a channel that stops for good, leave nothing behind", async (bed) => {
  const damaged = serveChannel(bed.channel.dir, { corrupt: /generic.*conda$/ });
  const stopping = serveChannel(bed.channel.dir, {
    status: { path: /generic.*conda$/, status: 404, times: 1000 },
  });
  await using _servers = {
    async [Symbol.asyncDispose]() {
      await damaged[Symbol.asyncDispose]();
      await stopping[Symbol.asyncDispose]();
    },
  };
  for (
    const [url, said] of [[damaged.url, /sha-?256|checksum|hash/i], [stopping.url, /404/]] as const
  ) {
    await bed.write("env.json", { conda: { channels: [url], dependencies: ["generic"] } });
    const { stderr } = await bed.run(create, { code: 1 });
    assert.match(stderr, said);
    assert.match(stderr, /generic-1\.0-0\.conda/);
    assertNothingMade(bed);
  }
});

test("a download that breaks off goes on where it was", async (bed) => {
  await using server = serveChannel(bed.channel.dir, {
    cut: { path: /generic.*conda$/, afterBytes: 100, times: 1 },
  });
  await bed.write("env.json", { conda: { channels: [server.url], dependencies: ["generic"] } });
  await bed.run(create);
  assert.ok(server.requests.some(({ range }) => range === "bytes=100-"));
});

test("a project that changed since the lock, or is none, is refused", async (bed) => {
  await bed.project("ana", "1.0");
  await bed.write("env.json", { ...conda("python", "pip", "setuptools", "wheel"), pip: ["./ana"] });
  await bed.run([...create, "--lock", "env.lock.yml"]);
  await bed.project("ana", "1.1");
  const again = ["create", "--from-lock", "env.lock.yml", "again.tar.gz"];
  const { stderr } = await bed.run(again, { code: 1 });
  assert.match(stderr, /Cannot make what the lock says: \S*ana has changed since/);
  await bed.write("env.json", { ...conda("python", "pip"), pip: ["./tmp"] });
  const none = await bed.run(create, { code: 1 });
  assert.match(none.stderr, /there is no pyproject\.toml and no setup\.py in it/);
});

test("two that make the same at once both succeed, with the same bytes", async (bed) => {
  await bed.write("env.json", conda("python", "greeter"));
  const [one, two] = await Promise.all([
    bed.run(["create", "env.json", "one.tar.gz"]),
    bed.run(["create", "env.json", "two.tar.gz"]),
  ]);
  assert.ok(one.stdout !== "" && two.stdout !== "");
  assert.equal(await bed.sha256("one.tar.gz"), await bed.sha256("two.tar.gz"));
  assert.deepEqual(bed.names("cache", "b"), []);
});

test("Ctrl-C leaves nothing behind, and what a kill leaves the next one removes", async (bed) => {
  await bed.write("env.json", { ...conda("python", "pip"), pip: ["smallpkg"] });
  const begun = async () =>
    await until(() => bed.names("cache", "b").length === 1, { what: "the folder of a build" });
  {
    await using wqx = bed.start(create);
    await begun();
    wqx.signal("SIGINT");
    assert.equal(await wqx.ended, 130);
    assert.match(wqx.stderr, /Stopped; nothing was made\.\n$/);
    assertNothingMade(bed);
  }
  {
    await using wqx = bed.start(create);
    await begun();
    wqx.signal("SIGKILL");
    await wqx.ended;
  }
  await bed.run(create);
  assert.deepEqual(bed.names("cache", "b"), []);
});

async function run(...words: string[]): Promise<boolean> {
  return (await new Deno.Command(words[0]!, { args: words.slice(1) }).output()).success;
}

/** A file system of a few MB, where one may be made. */
async function mountSmall(folder: string): Promise<AsyncDisposable | null> {
  const mounted = Deno.uid() === 0 &&
    await run("mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", folder);
  if (!mounted) return null;
  return {
    async [Symbol.asyncDispose]() {
      await run("umount", folder);
    },
  };
}

async function mayMount(): Promise<boolean> {
  await using folder = await TempFolder.create("wqx-mount-");
  await using mounted = await mountSmall(folder.path);
  return mounted !== null;
}

Deno.test({
  ...needs(
    packagingPython !== null && await mayMount(),
    packagingPython === null ? noPackaging : "a small file system cannot be mounted here",
    "a full disk is said so, and nothing is left",
  ),
  fn: async () => {
    await using bed = await CreateBed.create();
    const small = bed.folder.join("small");
    await Deno.mkdir(small);
    await using _small = await mountSmall(small);
    await bed.write("env.json", conda("python"));
    const { stderr } = await bed.run(create, { code: 1, env: { WQX_CACHE: small } });
    assert.match(
      stderr,
      /Cannot make env\.tar\.gz: the disk is full; room is needed in \S*small and/,
    );
    assert.deepEqual(bed.names().filter((name) => /tar/.test(name)), []);
    assert.deepEqual(bed.names("small", "b"), []);
  },
});
