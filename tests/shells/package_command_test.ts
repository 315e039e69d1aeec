import assert from "node:assert/strict";
import { runCommandLine } from "../../cmd/commands.ts";
import { programNamed } from "../../cmd/names.ts";
import { command } from "../../cmd/package.ts";
import { matchesGolden } from "../support/golden.ts";
import { recordingTerminal } from "../support/terminal.ts";

const commands = command.commands ?? {};

for (const name of ["create", "pack"]) {
  Deno.test(`wqx package ${name} --help and --help-all say what they should`, async () => {
    const loaded = await commands[name]!.load();
    assert.equal(loaded.name, `package ${name}`);
    await matchesGolden(`help/package-${name}.txt`, loaded.help(false, 80));
    await matchesGolden(`help/package-${name}-all.txt`, loaded.help(true, 80));
  });
}

Deno.test("every command of the group is there, under its name", async () => {
  for (const [name, { load }] of Object.entries(commands)) {
    assert.equal((await load()).name, `package ${name}`);
  }
});

Deno.test("wqx package, its --help and wqx help package list its commands", async () => {
  for (const argv of [["package"], ["package", "--help"], ["help", "package"]]) {
    const terminal = recordingTerminal();
    assert.equal(await runCommandLine(argv, terminal), 0);
    assert.match(terminal.out(), /^Usage: wqx package COMMAND \[options\]$/m);
  }
  const [help, flag] = [recordingTerminal(), recordingTerminal()];
  await runCommandLine(["help", "package", "create"], help);
  await runCommandLine(["package", "create", "--help"], flag);
  assert.equal(help.out(), flag.out());
  assert.match(help.out(), /^Usage: wqx package create SPEC OUT\.tar\.gz \[options\]$/m);
});

Deno.test("an unknown command of the group gets a suggestion", async () => {
  const cases: [string, string][] = [
    ["creat", 'Unknown command "package creat": did you mean "create"?'],
    ["--list", 'Unknown option "package --list": did you mean "list"?'],
    ["toString", 'Unknown command "package toString": wqx help package lists the commands'],
  ];
  for (const [word, message] of cases) {
    const run = runCommandLine(["package", word], recordingTerminal());
    await assert.rejects(run, { name: "UsageError", message });
  }
});

Deno.test("poncho's and conda-pack's names are commands of the group", async () => {
  for (
    const [name, wrongUsage] of [
      ["poncho_package_create", 2],
      ["poncho_package_analyze", 2],
      ["poncho_package_run", 1],
      ["conda-pack", 2],
    ] as const
  ) {
    const program = programNamed(`/opt/bin/${name}`);
    assert.equal(program?.exitCodes.wrongUsage, wrongUsage);
    const terminal = recordingTerminal();
    assert.equal(await program.run(["--help"], terminal), 0);
    assert.match(terminal.out(), new RegExp(`^Usage: ${name} `, "m"));
  }
});
