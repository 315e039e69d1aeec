import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { RunError, UsageError } from "../../core/errors.ts";
import { mayFit } from "../../core/package/version_bounds.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import { solveEnvironment, type SolveOptions, type SolveProgress } from "../../package/solver.ts";
import { SolverThread } from "../../package/solver_thread.ts";
import { buildSelfExtracting, wqxOptions } from "../../scripts/build.ts";
import { noPackaging, packagingPython, realChannel } from "../support/channel.ts";
import { ChannelServer, randomCase, record, writeFolder } from "../support/repodata_channel.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const glibc = { name: "__glibc", version: "2.28", build: "0" };

const first = [
  record("python", "3.11.7", ["__glibc >=2.17", "pip"]),
  record("python", "3.12.1", ["__glibc >=2.17", "pip"]),
  record("numpy", "1.25.2", ["python >=3.11,<3.12.0a0"]),
  record("numpy", "1.26.4", ["python >=3.11,<3.12.0a0"], { build: "py311_0" }),
  record("app", "1", ["numpy >=2"]),
  record("new", "1", ["__glibc >=2.34"]),
  record("gpu", "1", ["__cuda >=12"]),
  record("jpeg", "9e"),
];
const firstNoarch = [
  record("pip", "24.0", ["python"], { noarch: "python" }),
  record("coffea", "0.7.23", ["numpy <2", "python >=3.8"], { noarch: "python" }),
  record("coffea", "2026.9", ["numpy >=2"], { noarch: "python" }),
];
const second = [record("numpy", "2.1", ["python"]), record("only", "1", ["numpy"])];

async function twoChannels(): Promise<TempFolder> {
  const folder = await TempFolder.create();
  await writeFolder(folder.join("first", "linux-64"), first);
  await writeFolder(folder.join("first", "noarch"), firstNoarch);
  await writeFolder(folder.join("second", "linux-64"), second);
  await writeFolder(folder.join("second", "noarch"), []);
  return folder;
}

function solve(
  folder: TempFolder,
  specs: readonly string[],
  options: Partial<SolveOptions> = {},
): Promise<readonly PackageRecord[]> {
  return solveEnvironment({
    specs,
    channels: [folder.join("first"), `file://${folder.join("second")}`],
    platform: "linux-64",
    virtual: [glibc],
    priority: "strict",
    pinned: new Map(),
    cache: folder.join("cache"),
    ...options,
  });
}

async function namesOf(records: Promise<readonly PackageRecord[]>): Promise<string[]> {
  return (await records).map(({ name, version }) => `${name} ${version}`);
}

Deno.test("an environment is solved, its packages in the order of linking", async () => {
  await using folder = await twoChannels();
  const told: SolveProgress[] = [];
  const found = await solve(folder, ["Coffea"], { onProgress: (one) => told.push(one) });
  assert.deepEqual(found.map(({ url }) => url.slice(`file://${folder.path}`.length)), [
    "/first/linux-64/python-3.11.7-0.conda",
    "/first/linux-64/numpy-1.26.4-py311_0.conda",
    "/first/noarch/coffea-0.7.23-0.conda",
    "/first/noarch/pip-24.0-0.conda",
  ]);
  assert.deepEqual([...new Set(told.map(({ is }) => is))], ["reading", "selecting", "solving"]);
});

Deno.test("channels have a priority, and specs may name one", async () => {
  await using folder = await twoChannels();
  const numpy = async (specs: readonly string[], priority: SolveOptions["priority"]) =>
    (await namesOf(solve(folder, specs, { priority }))).find((text) => text.startsWith("numpy"));
  assert.equal(await numpy(["only"], "strict"), "numpy 1.26.4");
  assert.equal(await numpy(["only"], "flexible"), "numpy 1.26.4");
  assert.equal(await numpy(["only"], "disabled"), "numpy 2.1");
  assert.equal(await numpy(["app"], "flexible"), "numpy 2.1");
  assert.equal(await numpy(["second::numpy", "only"], "strict"), "numpy 2.1");
  assert.equal(await numpy([`${folder.join("second")}/linux-64::numpy`], "strict"), "numpy 2.1");
  await assert.rejects(solve(folder, ["app"]), {
    name: "RunError",
    message: new RegExp(
      "^Cannot solve the environment: No numpy fits >=2 \\(needed by app 1\\): " +
        "there is 1\\.26\\.4, 1\\.25\\.2; more is in the channel file:\\S+/second, which is " +
        "not looked at because \\S+/first has the package and comes first " +
        "\\(channel priority is strict\\)\\.\n\nThe solver says:\n",
    ),
  });
});

Deno.test("pins hold for what is there, versions begin with what = says", async () => {
  await using folder = await twoChannels();
  const pinned = new Map([["python", "3.11"], ["scipy", "1"]]);
  assert.ok((await namesOf(solve(folder, ["python"], { pinned }))).includes("python 3.11.7"));
  assert.deepEqual(await namesOf(solve(folder, ["jpeg=9"])), ["jpeg 9e"]);
  assert.deepEqual(await namesOf(solve(folder, ["jpeg"], { pinned })), ["jpeg 9e"]);
  await assert.rejects(
    solve(folder, ["python=3.12"], { pinned }),
    /python cannot be at once 3\.12\.\* \(asked for\) and 3\.11\.\* \(pinned\)\./,
  );
});

/** What is asked for, and the first paragraph of why it cannot be had. */
const refusals: readonly (readonly [specs: readonly string[], RegExp])[] = [
  [
    ["nunpy", "coffe"],
    /^No channel has a package "nunpy": did you mean "numpy"\? No channel has a package "coffe": did you mean "coffea"\?$/,
  ],
  [
    ["python=3.12", "numpy"],
    /python cannot be at once 3\.12\.\* \(asked for\) and >=3\.11,<3\.12\.0a0 \(needed by numpy 1\.2/,
  ],
  [["numpy=1.24"], /No numpy fits 1\.24\.\* \(asked for\): there is 1\.26\.4, 1\.25\.2; more/],
  [
    ["numpy 1.25.2 py*"],
    /No numpy fits ==1\.25\.2 py\* \(asked for\): there is 1\.26\.4 py311_0, 1\.25\.2 0;/,
  ],
  [
    ["new"],
    /__glibc >=2\.34 is needed by new 1, but workers are taken to have 2\.28; if all of them have it, say so: --glibc VERSION\.$/,
  ],
  [
    ["gpu"],
    /__cuda >=12 is needed by gpu 1, but workers are taken to have none; .*CONDA_OVERRIDE_CUDA=VERSION\.$/,
  ],
  [["__glibc >=2.34", "pip"], /__glibc >=2\.34 is asked for, but workers are taken to have 2\.28/],
  [["__gpu"], /^Nothing is known of "__gpu": facts about workers are __glibc, /],
  [
    ["second::coffea"],
    /^There is no "second::coffea" in that channel: coffea is in file:\S+\/first\.$/,
  ],
  [["numpy[md5=ab]"], /^There is no "numpy\[md5=ab\]" with what its brackets say: numpy is in /],
];

Deno.test("what cannot be had or installed together is told in words", async () => {
  await using folder = await twoChannels();
  for (const [specs, sentence] of refusals) {
    await assert.rejects(solve(folder, specs), (error) => {
      assert.ok(error instanceof RunError, String(error));
      const [words = "", tree = ""] = error.message.split("\n\nThe solver says:\n");
      assert.match(words, sentence);
      assert.doesNotMatch(tree, /_wqx|dev/);
      return true;
    });
  }
  await assert.rejects(solve(folder, ["numpy >="]), UsageError);
  await assert.rejects(solve(folder, ["a"], { channels: [] }), /There is no channel to take/);
  await assert.rejects(
    solve(folder, ["a"], { channels: ["/no/where"] }),
    /no channel "\/no\/where"/,
  );
});

Deno.test("records that are not right are left out and counted", async () => {
  await using folder = await twoChannels();
  const bad = record("numpy", "3.0", [], { build_number: "many" });
  await writeFolder(folder.join("first", "linux-64"), [...first, bad]);
  const lines: string[] = [];
  const onProgress = (told: SolveProgress) => told.is === "note" && lines.push(told.line);
  assert.ok((await namesOf(solve(folder, ["numpy"], { onProgress }))).includes("numpy 1.26.4"));
  assert.deepEqual(lines, [
    "1 packages of the channels were left out: their records are not right.",
  ]);
});

Deno.test("a solver that breaks, thinks too long or is not wanted any more becomes a sentence", async () => {
  using thread = new SolverThread();
  const request = { specs: ["n"], target: "linux-64", platform: "{}", noarch: "{}" } as const;
  // A channel in a spec is what it is known to panic at.
  await assert.rejects(
    thread.ask({ ...request, specs: ["c::n"] }, { timeoutMs: 60_000 }),
    /^RunError: The solver broke on c::n: Could not get current directory/,
  );
  const next = await thread.ask(request, { timeoutMs: 60_000 });
  assert.ok(next.is === "refused" && next.text.includes("No candidates were found for n"));
  await assert.rejects(
    thread.ask(request, { timeoutMs: 0 }),
    /^RunError: The solver found no answer in 0 s: say more about what you want/,
  );
  const stop = new AbortController();
  const asking = thread.ask(request, { timeoutMs: 60_000, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(asking, /enough/);
});

Deno.test("a channel on a server is solved from, and offline from what is kept of it", async () => {
  await using folder = await twoChannels();
  let channels: string[];
  {
    await using server = new ChannelServer(folder.path);
    channels = [server.url("first"), server.url("second")];
    assert.equal((await solve(folder, ["coffea"], { channels })).length, 4);
  }
  const offline = await solve(folder, ["coffea"], { channels, offline: true });
  assert.equal(offline.at(-1)!.url, `${channels[0]}/noarch/pip-24.0-0.conda`);
});

Deno.test("the single file solves", async () => {
  await using folder = await twoChannels();
  const deno = await folder.write("deno", `#!/bin/sh\nexec "${Deno.execPath()}" "$@"\n`);
  await Deno.chmod(deno, 0o755);
  const program = folder.join("program");
  await buildSelfExtracting({
    ...wqxOptions(program),
    entry: fileURLToPath(new URL("../support/built_solver.ts", import.meta.url)),
    assets: [],
    deno,
  });
  const { stdout, stderr } = await new Deno.Command(program, {
    args: [folder.join("first"), folder.join("cache"), "jpeg"],
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", TMPDIR: folder.path },
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), ["jpeg-9e-0.conda"]);
});

Deno.test("a version that certainly does not fit is none for the solver either", async () => {
  const { Version, VersionSpec } = await import("@conda-org/rattler");
  const number = fc.integer({ min: 0, max: 3 });
  const version = fc.array(number, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."));
  const comparison = fc.oneof(
    version.map((text) => `${text}.*`),
    fc.tuple(
      fc.constantFrom("==", "=", ">=", "<=", "<", ">", "!="),
      version,
      fc.constantFrom("", "a0", ".0a0"),
    )
      .map(([operator, text, end]) => operator === "=" ? operator + text : operator + text + end),
  );
  const constraint = fc.array(fc.array(comparison, { minLength: 1, maxLength: 2 }), {
    minLength: 1,
    maxLength: 2,
  }).map((any) => any.map((all) => all.join(",")).join("|"));
  fc.assert(
    fc.property(version, constraint, (text, limits) => {
      const matches = new VersionSpec(limits).matches(new Version(text));
      // All but `!=` is understood.
      if (limits.includes("!=")) assert.ok(!matches || mayFit(text, limits));
      else assert.equal(mayFit(text, limits), matches);
    }),
    { numRuns: 2000 },
  );
});

type Answer = { readonly files: readonly string[] } | { readonly refused: string };

/** What rattler's own solver says to cases whose channels lie in folders. */
async function askRattler(cases: readonly unknown[], home: string): Promise<readonly Answer[]> {
  const script = fileURLToPath(new URL("../package/solve_oracle.py", import.meta.url));
  const child = new Deno.Command(packagingPython!, {
    args: [script],
    env: { HOME: home, XDG_CACHE_HOME: home, RATTLER_CACHE_DIR: home },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(cases)));
  await writer.close();
  const text = new TextDecoder().decode((await child.output()).stdout);
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

const caseCount = 60;

/** Of the real channel; some cannot be had. */
const realSpecs = [
  ["python=3.11", "pip", "numpy"],
  ["app"],
  ["plotter", "hepmath=1.5"],
  ["plotter", "oldfit"],
  ["limiter", "plotter"],
  ["limiter", "hepmath"],
  ["gpufit"],
  ["hepmath=2.0"],
  ["oldstyle", "blas"],
];

Deno.test({
  ...needs(packagingPython !== null, noPackaging, "a channel of real packages is solved from"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const { dir, url } = await realChannel();
    await using server = new ChannelServer(dir.slice(0, dir.lastIndexOf("/")));
    const virtual = [["__unix", "0", "0"], ["__glibc", "2.28", "0"]] as const;
    const rest = { channels: [dir], platform: "linux-64", priority: "strict", virtual };
    const cases = realSpecs.map((specs) => ({ ...rest, specs: specs.map(strictly) }));
    const wanted = await askRattler(cases, folder.path);
    const facts = virtual.map(([name, version, build]) => ({ name, version, build }));
    for (const place of [url, server.url("main")]) {
      for (const [i, specs] of realSpecs.entries()) {
        const theirs = wanted[i]!;
        const ours = await solve(folder, specs, { channels: [place], virtual: facts }).then(
          (records) => records.map(({ subdir, fileName }) => `0/${subdir}/${fileName}`).sort(),
          () => null,
        );
        assert.deepEqual(ours, "files" in theirs ? theirs.files : null, specs.join(" "));
      }
    }
    // Its shards are taken, which rattler wrote.
    assert.ok(server.log.some((line) => /GET 200 \/main\/linux-64\/shards\//.test(line)));
  },
});

/** rattler wants nothing to be guessed. */
function strictly(spec: string): string {
  return spec.replace(/=([\d.]+)$/, " $1.*");
}

Deno.test({
  ...needs(packagingPython !== null, noPackaging, "solutions are those of rattler's own solver"),
  fn: async () => {
    await using folder = await TempFolder.create();
    const cases = [];
    for (let seed = 0; seed < caseCount; seed++) {
      const random = randomCase(seededRng(seed));
      const channels = random.channels.map((_, i) => folder.join(`${seed}`, `${i}`));
      for (const [i, channel] of random.channels.entries()) {
        await writeFolder(`${channels[i]}/linux-64`, channel["linux-64"]);
        await writeFolder(`${channels[i]}/noarch`, channel.noarch);
      }
      cases.push({ ...random, channels, platform: "linux-64" as const });
    }
    const wanted = await askRattler(cases, folder.path);
    assert.equal(wanted.length, caseCount);
    let solved = 0;
    for (const [seed, one] of cases.entries()) {
      const theirs = wanted[seed]!;
      const virtual = one.virtual.map(([name, version, build]) => ({ name, version, build }));
      const ours = solve(folder, one.specs, { ...one, virtual }).then(
        (records) => records.map(({ url }) => url.split("/").slice(-3).join("/")).sort(),
        (error) => {
          assert.ok(error instanceof RunError, `seed ${seed}: ${error.stack}`);
          return null;
        },
      );
      const files = "files" in theirs ? theirs.files : null;
      assert.deepEqual(await ours, files, `seed ${seed}: ${JSON.stringify([one.specs, theirs])}`);
      if (files !== null) solved++;
    }
    assert.ok(solved >= 25 && caseCount - solved >= 10, `${solved} of ${caseCount} were solvable`);
  },
});
