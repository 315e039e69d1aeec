/**
 * The test command. `quick` (`deno task ok`): formatter, linter, types, core, simulation, tidy;
 * `all` (`deno task test`): besides, everything that needs real processes, sockets and files, and
 * hundreds of simulated worlds. The last line is `N passed, N failed`, from Deno's own report;
 * a step that is no test counts as one failed if it fails.
 *
 *   deno run -A tests/run.ts quick|all [--shuffle SEED]
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { listProcesses, readEnvironment, readStat } from "../io/procfs.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

interface Step {
  readonly name: string;
  /** Of deno. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether `--junit-path` may be added, and tests be counted. */
  readonly tests: boolean;
}

interface Count {
  passed: number;
  failed: number;
}

/**
 * One group after the other. The rows of a group are taken in their order by two lanes, a core each;
 * a row goes step by step.
 */
function steps(kind: "quick" | "all", shuffle: number): (readonly (readonly Step[])[])[] {
  const golden = "tests/golden";
  const test = (name: string, permissions: string[], paths: string[], env = {}): Step => ({
    name,
    args: [
      "test",
      "--no-check",
      "--permit-no-files",
      "--sanitize-ops",
      "--sanitize-resources",
      `--shuffle=${shuffle}`,
      ...permissions,
      ...paths,
    ],
    env,
    tests: true,
  });
  const tool = (name: string, ...args: string[]): Step => ({ name, args, tests: false });
  // GOLDEN=update rewrites what core tests otherwise may only read.
  const update = Deno.env.get("GOLDEN") === "update" ? [`--allow-write=${golden}`] : [];
  // A test imports a module of the core a second time, which is reading to Deno.
  const core = [`--allow-read=${golden},core`, "--allow-env=GOLDEN", ...update];
  const pure = ["check", "--quiet", "--config", "tests/pure.json", "--no-lock", "core/"];
  const worlds = { WQX_SIM_SEEDS: kind === "all" ? "2000" : "60" };
  // Half of the worlds in each of two files, so that there is work for two cores.
  const simulation = ["--parallel", "--allow-env=WQX_SIM_SEEDS"];
  const tools = [
    tool("format", "fmt", "--check"),
    tool("lint", "lint", "--quiet"),
    tool("types", "check", "--quiet", "--frozen", "."),
    tool("types of the core, without Deno", ...pure),
  ];
  const cores = [
    test("core", core, ["tests/core"]),
    test("tidy", ["--allow-read=."], ["tests/tidy_test.ts"]),
  ];
  return [
    [tools, cores, [test("simulation", simulation, ["tests/sim"], worlds)]],
    ...kind === "quick" ? [] : realTests(test),
  ];
}

/** Folders that have the machine to themselves: they measure time, or fill disks and cut networks. */
const alone: readonly string[] = ["chaos", "coffea", "interop"];

/** Files of other folders that hold measured time against a bound, for the same treatment. */
const timed: readonly string[] = [
  "tests/shells/catalog_server_test.ts",
  "tests/shells/monitor_accuracy_test.ts",
  "tests/shells/monitor_test.ts",
];

/** The longest, which begin first, so that both lanes end at about the same time. */
const longest: readonly string[] = ["shells", "package", "e2e", "python", "notebook", "engines"];

/** Tests with real processes, sockets and files: two folders beside each other, then those alone. */
function realTests(
  test: (name: string, options: string[], paths: string[]) => Step,
): (readonly (readonly Step[])[])[] {
  const folder = (name: string) =>
    test(name, ["-A", `--ignore=${timed.join(",")}`], [`tests/${name}`]);
  const names = testFolders();
  const beside = [...new Set([...longest, ...names])].filter((name) =>
    names.includes(name) && !alone.includes(name)
  );
  return [
    beside.map((name) => [folder(name)]),
    [[test("timed", ["-A"], [...timed])]],
    ...names.filter((name) => alone.includes(name)).map((name) => [[folder(name)]]),
  ];
}

/** Folders of tests that need real processes, sockets and files: all but those above. */
function testFolders(): string[] {
  const names = [...Deno.readDirSync(join(root, "tests"))].flatMap(({ name, isDirectory }) =>
    isDirectory && name !== "core" && name !== "sim" ? [name] : []
  );
  const hasTests = (name: string) =>
    [...Deno.readDirSync(join(root, "tests", name))].some((entry) =>
      entry.name.endsWith("_test.ts")
    );
  return names.filter(hasTests).sort();
}

/** Runs one step; returns what it counted and all that it printed. */
async function runStep(
  step: Step,
  report: string,
  env: Readonly<Record<string, string>>,
): Promise<{ count: Count; output: string }> {
  const junit = step.tests ? [`--junit-path=${report}`] : [];
  const [command = "", ...rest] = step.args;
  const child = new Deno.Command(Deno.execPath(), {
    args: [command, ...junit, ...rest],
    cwd: root,
    env: { NO_COLOR: "1", ...env, ...step.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // One text in the order in which it arrives, as a terminal would show it.
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) output += text;
  };
  const [{ success }] = await Promise.all([
    child.status,
    collect(child.stdout),
    collect(child.stderr),
  ]);
  const count = step.tests ? await readReport(report) : { passed: 0, failed: 0 };
  // Type errors, and errors outside of any test, are in no report.
  if (!success && count.failed === 0) count.failed = 1;
  return { count, output };
}

/** Sums up the suites of a JUnit report; nothing if Deno did not get as far as writing one. */
async function readReport(path: string): Promise<Count> {
  const text = await Deno.readTextFile(path).catch(() => "");
  await Deno.remove(path).catch(() => {});
  const count = { passed: 0, failed: 0 };
  for (const [suite] of text.matchAll(/<testsuite [^>]*>/g)) {
    const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const failed = number("failures") + number("errors");
    count.failed += failed;
    count.passed += number("tests") - failed - number("disabled");
  }
  return count;
}

/** What the tests left behind: files in their temporary folder or the checkout, and processes. */
function leftovers(temporary: string, before: ReadonlySet<string>): string[] {
  const files = [...Deno.readDirSync(temporary)].map(({ name }) => `a file: ${temporary}/${name}`);
  const added = [...filesOf(root)].filter((path) => !before.has(path)).map((path) =>
    `a file: ${path}`
  );
  const running = listProcesses().filter((pid) =>
    readStat(pid)?.state !== "Z" && readEnvironment(pid)?.includes(`TMPDIR=${temporary}`)
  ).map((pid) => `a process: ${pid}`);
  return [...files, ...added, ...running];
}

/** Files of the checkout; what Git and package managers do is their own affair. */
function* filesOf(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (!isDirectory) yield path;
    else if (![".git", "node_modules", "dist"].includes(name)) yield* filesOf(path);
  }
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function main(): Promise<number> {
  const { values, positionals: [kind] } = parseArgs({
    args: Deno.args,
    options: { shuffle: { type: "string" } },
    allowPositionals: true,
  });
  if (kind !== "quick" && kind !== "all") {
    print("Say what to run: quick or all\n");
    return 2;
  }
  const shuffle = Number(values.shuffle ?? Math.floor(Math.random() * 1e6));
  const before = new Set(filesOf(root));
  const folder = await Deno.makeTempDir({ prefix: "wqx-run-" });
  // Batch engines run as users of their own, who have to pass through.
  await Deno.chmod(folder, 0o711);
  const temporary = join(folder, "tmp");
  await Deno.mkdir(temporary);
  const total: Count = { passed: 0, failed: 0 };
  const skipped: string[] = [];
  try {
    const env = { TMPDIR: temporary, XDG_STATE_HOME: join(folder, "state") };
    const run = async (step: Step) => {
      const startedMs = performance.now();
      const report = join(folder, `${step.name}.xml`);
      const { count, output } = await runStep(step, report, env);
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      const counted = step.tests ? `, ${count.passed} passed, ${count.failed} failed` : "";
      print(`${step.name}: ${count.failed === 0 ? "ok" : "FAILED"} (${seconds} s${counted})\n`);
      if (count.failed > 0) {
        print(`\n${output}\n`);
        if (step.tests) print(`Same order again: --shuffle ${shuffle}\n\n`);
      }
      skipped.push(...output.match(/^skipped: .*$/gm) ?? []);
      total.passed += count.passed;
      total.failed += count.failed;
    };
    const runRow = async (row: readonly Step[]) => {
      for (const step of row) await run(step);
    };
    for (const group of steps(kind, shuffle)) {
      const rows = group.values();
      const lane = async () => {
        for (const row of rows) await runRow(row);
      };
      await Promise.all([lane(), lane()]);
    }
    const left = leftovers(temporary, before);
    if (left.length > 0) {
      print(`FAILED: the tests left behind\n${left.join("\n")}\n`);
      total.failed++;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  if (skipped.length > 0) print(`\n${skipped.join("\n")}\n`);
  print(`\n${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

Deno.exit(await main());
