import assert from "node:assert/strict";
import { overrideOptions } from "../../cmd/analysis_options.ts";
import { type Command, defineCommand, outputOptions } from "../../cmd/cli.ts";
import { type Registry, registry, runCommandLine } from "../../cmd/commands.ts";
import { UsageError } from "../../core/errors.ts";
import { parseCount, parseTimeMs } from "../../core/units.ts";
import { matchesGolden } from "../support/golden.ts";
import { recordingTerminal } from "../support/terminal.ts";

/** A command that keeps what it was given. */
function sample(): { command: Command; given: () => unknown; colored: () => boolean | undefined } {
  let given: unknown;
  let colored: boolean | undefined;
  const command = defineCommand({
    name: "sample",
    purpose: "Try every kind of option.",
    usage: ["HOST [PORT] [options]", "--list"],
    examples: [["sample node1 9123", "with a port"], ["sample node1 --json", "for programs"]],
    arguments: {
      host: { name: "HOST", describe: "where to connect" },
      port: { name: "PORT", describe: "port there", optional: true },
    },
    options: {
      timeoutMs: {
        flags: "-t, --timeout TIME",
        describe: "leave a manager that sends no work for so long that nobody can believe in it",
        parse: parseTimeMs,
        default: 900_000,
        defaultShown: "15m",
        common: true,
      },
      cores: {
        flags: "    --cores N",
        describe: "cores",
        parse: (text: string) => parseCount(text),
        env: "WQX_TEST_CORES",
        group: "Resources",
      },
      features: {
        flags: "    --feature NAME",
        describe: "a feature",
        parse: (text: string) => text.toUpperCase(),
        repeatable: true,
      },
      singleShot: { flags: "    --single-shot", describe: "quit after one", common: true },
      ...outputOptions,
    },
    run: (what) => {
      // The rows decide the types: this would not compile if they were lost.
      const timeoutMs: number = what.options.timeoutMs;
      const cores: number | undefined = what.options.cores;
      const features: readonly string[] = what.options.features;
      const singleShot: boolean = what.options.singleShot;
      const { host, port }: { host: string; port: string | undefined } = what.arguments;
      given = { timeoutMs, cores, features, singleShot, host, port, json: what.options.json };
      colored = what.terminal.stdout.colors.isColorSupported;
      return Promise.resolve(7);
    },
  });
  return { command, given: () => given, colored: () => colored };
}

const nothing = {
  timeoutMs: 900_000,
  cores: undefined,
  features: [],
  singleShot: false,
  host: "node1",
  port: undefined,
  json: false,
};

Deno.test("a command gets typed options, defaults and arguments, and its exit code counts", async () => {
  const cases: [string[], object][] = [
    [["node1"], {}],
    [["node1", "9123"], { port: "9123" }],
    [["-t5m", "node1"], { timeoutMs: 300_000 }],
    [["node1", "--timeout=5m"], { timeoutMs: 300_000 }],
    [["-t", "1s", "-t", "2s", "node1"], { timeoutMs: 2_000 }],
    [["--cores", "4", "node1"], { cores: 4 }],
    [["--feature", "a", "node1", "--feature=b"], { features: ["A", "B"] }],
    [["--single-shot", "--json", "node1"], { singleShot: true, json: true }],
    [["--", "--json"], { host: "--json" }],
  ];
  for (const [argv, changed] of cases) {
    const { command, given } = sample();
    assert.equal(await command.run(argv, recordingTerminal()), 7);
    assert.deepEqual(given(), { ...nothing, ...changed }, argv.join(" "));
  }
});

Deno.test("a flag beats the environment, which beats the default", async () => {
  Deno.env.set("WQX_TEST_CORES", "8");
  try {
    const { command, given } = sample();
    await command.run(["node1"], recordingTerminal());
    assert.deepEqual(given(), { ...nothing, cores: 8 });
    await command.run(["node1", "--cores", "4"], recordingTerminal());
    assert.deepEqual(given(), { ...nothing, cores: 4 });
    Deno.env.set("WQX_TEST_CORES", "many");
    await assert.rejects(command.run(["node1"], recordingTerminal()), {
      name: "UsageError",
      message: 'environment WQX_TEST_CORES: "many" is not a whole number',
    });
  } finally {
    Deno.env.delete("WQX_TEST_CORES");
  }
});

Deno.test("a wrong command line gets one sentence, and nothing is run", async () => {
  const usage = "the usage is wqx sample HOST [PORT] [options]";
  const cases: [string[], string][] = [
    [["node1", "--timout", "5"], 'Unknown option "--timout": did you mean "--timeout"?'],
    [["node1", "--timout=5"], 'Unknown option "--timout": did you mean "--timeout"?'],
    [["node1", "--colour"], 'Unknown option "--colour": wqx sample --help-all lists all'],
    [["node1", "-x"], 'Unknown option "-x": wqx sample --help-all lists all'],
    [["node1", "--timeout"], "Option --timeout needs a value: --timeout TIME"],
    [["node1", "--cores"], "Option --cores needs a value: --cores N"],
    [["node1", "--cores", "-5"], '--cores: "-5" is too small: it must be 0 or more'],
    [["node1", "-t", "5mm"], '--timeout: "5mm" is not a time: did you mean "5ms"?'],
    [[], `Missing HOST: ${usage}`],
    [["a", "b", "c"], `Unexpected argument "c": ${usage}`],
  ];
  for (const [argv, message] of cases) {
    const { command, given } = sample();
    const run = command.run(argv, recordingTerminal());
    await assert.rejects(run, { name: "UsageError", message }, argv.join(" "));
    assert.equal(given(), undefined);
  }
});

Deno.test("--no-color takes the colour from what the command writes", async () => {
  const terminal = recordingTerminal({ env: { FORCE_COLOR: "1" } });
  const { command, colored } = sample();
  await command.run(["node1"], terminal);
  assert.equal(colored(), true);
  await command.run(["node1", "--no-color"], terminal);
  assert.equal(colored(), false);
});

Deno.test("help shows purpose, usage, examples and common options; --help-all the rest", async () => {
  for (
    const [flag, file] of [["--help", "sample.txt"], ["--help-all", "sample-all.txt"]] as const
  ) {
    const terminal = recordingTerminal();
    const { command, given } = sample();
    assert.equal(await command.run([flag], terminal), 0);
    assert.equal(given(), undefined);
    await matchesGolden(`help/${file}`, terminal.out());
  }
});

Deno.test("help keeps within the width of the terminal", () => {
  for (const width of [60, 80, 200]) {
    for (const line of sample().command.help(true, width).split("\n")) {
      assert.ok(line.length <= Math.min(width, 100), line);
    }
  }
});

Deno.test("the options that win over an analysis file fit in 80 columns", async () => {
  const command = defineCommand({
    name: "manager",
    purpose: "Options that win over the analysis file.",
    usage: ["ANALYSIS.yaml [options]"],
    examples: [],
    arguments: { path: { name: "ANALYSIS.yaml", describe: "what to run" } },
    options: overrideOptions,
    run: () => Promise.resolve(0),
  });
  await matchesGolden("help/overrides-all.txt", command.help(true, 80));
});

function registryOf(command: Command): Registry {
  return {
    manager: { summary: "run an analysis", load: () => Promise.reject(new Error("not asked for")) },
    sample: { summary: "try every kind of option", load: () => Promise.resolve(command) },
  };
}

Deno.test("wqx alone, wqx help and wqx --help list the commands", async () => {
  for (const argv of [[], ["help"], ["--help"], ["-h"]]) {
    const terminal = recordingTerminal();
    assert.equal(await runCommandLine(argv, terminal), 0);
    await matchesGolden("help/wqx.txt", terminal.out());
  }
});

Deno.test("wqx help sample says what wqx sample --help says, and loads nothing else", async () => {
  const commands = registryOf(sample().command);
  const [help, flag] = [recordingTerminal(), recordingTerminal()];
  await runCommandLine(["help", "sample"], help, commands);
  await runCommandLine(["sample", "--help"], flag, commands);
  assert.equal(help.out(), flag.out());
  assert.match(help.out(), /^Try every kind of option\./);
});

Deno.test("wqx --version prints name and version", async () => {
  const terminal = recordingTerminal();
  assert.equal(await runCommandLine(["--version"], terminal), 0);
  assert.match(terminal.out(), /^wqx \d+\.\d+\.\d+\n$/);
});

Deno.test("an unknown command gets a suggestion", async () => {
  const cases: [string[], string][] = [
    [["manger"], 'Unknown command "manger": did you mean "manager"?'],
    [["help", "worke"], 'Unknown command "worke": did you mean "worker"?'],
    [["constructor"], 'Unknown command "constructor": wqx help lists the commands'],
    [["--versoin"], 'Unknown option "--versoin": did you mean "--version"?'],
  ];
  for (const [argv, message] of cases) {
    await assert.rejects(runCommandLine(argv, recordingTerminal()), new UsageError(message));
  }
});

for (const [name, { load }] of Object.entries(registry)) {
  Deno.test(`wqx ${name} --help and --help-all say what they should`, async () => {
    const command = await load();
    assert.equal(command.name, name);
    await matchesGolden(`help/${name}.txt`, command.help(false, 80));
    await matchesGolden(`help/${name}-all.txt`, command.help(true, 80));
  });
}

const root = new URL("../../", import.meta.url);

async function wqx(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "main.ts", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("the program writes data to stdout, mistakes to stderr, and exits with 2 for them", async () => {
  const [version, unknown] = await Promise.all([wqx("--version"), wqx("manger")]);
  assert.deepEqual([version.code, version.err], [0, ""]);
  assert.match(version.out, /^wqx /);
  assert.deepEqual(unknown, {
    code: 2,
    out: "",
    err: 'Unknown command "manger": did you mean "manager"?\n',
  });
});

Deno.test("wqx help | head: a reader that leaves early is no error", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "main.ts", "help"],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdout.cancel();
  assert.equal(await new Response(child.stderr).text(), "");
  assert.equal((await child.status).code, 0);
});
