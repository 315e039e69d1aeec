/** What is said against task lists, each with its place. */
import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import type { Overrides } from "../../manager/run_options.ts";
import { loadRun } from "../../manager/run_file.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

/** The lines of the UsageError, with the temporary folder cut out. */
async function refusal(
  text: string,
  { name = "tasks.yaml", overrides = {} }: { name?: string; overrides?: Overrides } = {},
): Promise<string[]> {
  await using folder = await TempFolder.create("wqx-tasks-");
  await folder.write("in.txt", "");
  await folder.write("data/a.root", "");
  const path = await folder.write(name, text);
  let message = "";
  await assert.rejects(loadRun(path, overrides), (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, "UsageError", error.stack ?? "");
    message = error.message.replaceAll(`${folder.path}/`, "");
    return true;
  });
  return message.split("\n");
}

type Case = readonly [name: string, text: string, ...lines: string[]];

async function refuses(t: Deno.TestContext, cases: readonly Case[], name?: string): Promise<void> {
  for (const [what, text, ...lines] of cases) {
    await t.step(what, async () => {
      assert.deepEqual(await refusal(text, name === undefined ? {} : { name }), lines);
    });
  }
}

/** A list of one task with these keys besides its command. */
const task = (keys: string) => `tasks:\n  - {command: x, ${keys}}\n`;

Deno.test("a wrong key or value of a task is shown with its place and what would do", (t) =>
  refuses(t, [
    [
      "a misspelt key",
      "tasks:\n  - comand: x\n",
      'tasks.yaml:2:5: unknown key "comand": did you mean "command"?',
    ],
    ["no command", "tasks:\n  - name: a\n", "tasks.yaml:2:5: tasks[0]: there is no command"],
    [
      "two words for the same",
      task("command_line: y"),
      'tasks.yaml:2:32: tasks[0].command_line: "command" is given as well, which means the same',
    ],
    [
      "a misspelt key of a file",
      task("inputs: [{file: in.txt, chache: yes}]"),
      'tasks.yaml:2:42: unknown key "chache": did you mean "cache"?',
    ],
    [
      "neither yes nor no",
      task("inputs: [{file: in.txt, cache: maybe}]"),
      'tasks.yaml:2:49: tasks[0].inputs[0].cache: "maybe" is not one of yes, no',
    ],
    [
      "two sources of one input",
      task("inputs: [{file: in.txt, buffer: x}]"),
      'tasks.yaml:2:50: tasks[0].inputs[0].buffer: there is "file" as well: an input has one of ' +
      "file, dir, buffer, url, empty_dir or local_name",
    ],
    [
      "no source",
      task("inputs: [{remote_name: a}]"),
      "tasks.yaml:2:27: tasks[0].inputs[0]: there is none of file, dir, buffer, url, empty_dir or " +
      "local_name",
    ],
    [
      "a buffer without a name",
      task("inputs: [{buffer: abc}]"),
      "tasks.yaml:2:27: tasks[0].inputs[0]: there is no remote_name, its name in the sandbox",
    ],
    [
      "a URL that is none",
      task("inputs: [{url: a/b}]"),
      'tasks.yaml:2:33: tasks[0].inputs[0].url: "a/b" is not a URL: it starts with http://, ' +
      "https:// or ftp://",
    ],
    [
      "a name outside of the sandbox",
      task("inputs: [{file: in.txt, remote_name: ../in}]"),
      'tasks.yaml:2:55: tasks[0].inputs[0].remote_name: "../in" is not a name in a sandbox: it ' +
      "leads out of the sandbox",
    ],
    [
      "an output that goes nowhere",
      task("outputs: [{remote_name: a}]"),
      "tasks.yaml:2:28: tasks[0].outputs[0]: there is no file that receives it",
    ],
    [
      "an output that goes to two places",
      task("outputs: [{file: a, dir: b}]"),
      "tasks.yaml:2:28: tasks[0].outputs[0]: an output has one of file, dir or local_name",
    ],
    [
      "no such moment",
      task("outputs: [{file: a, when: sucess}]"),
      'tasks.yaml:2:44: tasks[0].outputs[0].when: "sucess" is not one of success, failure, ' +
      'always: did you mean "success"?',
    ],
    [
      "a variable that is none",
      task("env: {a b: 1}"),
      "tasks.yaml:2:29: tasks[0].env.a b: a variable has letters, digits and _ in its name",
    ],
    [
      "a variable without a value",
      task("env: {A: }"),
      "tasks.yaml:2:27: tasks[0].env.A: nothing is not a text or a number",
    ],
    [
      "no cores",
      task("cores: 0"),
      'tasks.yaml:2:25: tasks[0].cores: "0" is too small: it must be 1 or more',
    ],
    [
      "no time",
      task("wall_time: 0"),
      "tasks.yaml:2:29: tasks[0].wall_time: it must be more than 0",
    ],
    [
      "another unit",
      task("wall_time: 5 hourz"),
      'tasks.yaml:2:29: tasks[0].wall_time: "5 hourz" is not a time: its unit can be ms, s, m, h, d',
    ],
    [
      "a day without a time",
      task("end_time: 2026-11-22"),
      'tasks.yaml:2:28: tasks[0].end_time: "2026-11-22" is not a time: write ' +
      "2026-11-22T18:00:00Z, or seconds",
    ],
    [
      "a month that is not there",
      task('end_time: "2026-13-22 18:00"'),
      'tasks.yaml:2:28: tasks[0].end_time: "2026-13-22 18:00" is not a time: write ' +
      "2026-11-22T18:00:00Z, or seconds",
    ],
    [
      "microseconds, as in Work Queue",
      task("end_time: 1795370400000000"),
      'tasks.yaml:2:28: tasks[0].end_time: "1795370400000000" is not in seconds since 1970: ' +
      "divide µs by 1000000",
    ],
    [
      "a category of two words",
      task("category: a b"),
      "tasks.yaml:2:28: tasks[0].category: a category is a single word",
    ],
    [
      "a task that is no mapping",
      "tasks: [echo]\n",
      'tasks.yaml:1:9: tasks[0]: "echo" is not a mapping with a command',
    ],
    ["no list", "tasks: 3\n", 'tasks.yaml:1:8: tasks: "3" is not a list of tasks'],
    ["no tasks", "tasks: []\n", "tasks.yaml:1:8: tasks: there are no tasks"],
    [
      "a misspelt list",
      "taks:\n  - command: x\n",
      "tasks.yaml:1:1: tasks: this is missing: it is a list of tasks",
      'tasks.yaml:1:1: unknown key "taks": did you mean "tasks"?',
    ],
    [
      "defaults that cannot be",
      "defaults: {name: x}\ntasks: [{command: x}]\n",
      'tasks.yaml:1:12: unknown key "name": the keys are env, environment, resources, cores, ' +
      "memory, disk, gpus, category, priority, retries, features, wall_time, end_time",
    ],
    [
      "a factor of 1",
      "categories: {fit: {fast_abort: 1}}\ntasks: [{command: x}]\n",
      "tasks.yaml:1:32: categories.fit.fast_abort: it must be more than 1",
    ],
  ]));

Deno.test("what tasks say of one another must hold", (t) =>
  refuses(t, [
    [
      "a name that two have",
      "tasks:\n  - {name: a, command: x}\n  - {name: a, command: y}\n",
      'tasks.yaml:3:12: tasks[1].name: task 1 is called "a", too',
    ],
    [
      "a name that nobody has",
      "tasks:\n  - {name: select, command: x}\n  - {command: y, after: slect}\n",
      'tasks.yaml:3:25: tasks[1].after[0]: there is no task "slect": did you mean "select"?',
    ],
    [
      "a number that nobody has",
      "tasks:\n  - {command: x}\n  - {command: y, after: [1, 3]}\n",
      "tasks.yaml:3:29: tasks[1].after[1]: there is no task 3: tasks are numbered from 1",
    ],
    [
      "a task after itself",
      task("name: a, after: a"),
      "tasks.yaml:2:34: tasks[0].after[0]: a task cannot come after itself",
    ],
    [
      "a circle",
      "tasks:\n  - {name: a, command: x, after: b}\n  - {name: b, command: x, after: 3}\n" +
      "  - {command: x, after: a}\n",
      "tasks.yaml:2:34: tasks[0].after: these tasks wait for one another: a after b after task 3 " +
      "after a",
    ],
    [
      "a long circle",
      "tasks:\n" + Array.from({ length: 30 }, (_, i) => `  - {command: x, after: ${i || 30}}\n`)
        .join(""),
      "tasks.yaml:2:25: tasks[0].after: these tasks wait for one another: task 1 after task 30 " +
      "after task 29 after task 28 after task 27 after task 26 after task 25 after … after task 1",
    ],
    [
      "two outputs in one place",
      "tasks:\n  - {command: x, outputs: out/a}\n  - {command: x, outputs: [b, ./out/a]}\n",
      'tasks.yaml:3:31: tasks[1].outputs[1]: task 1 writes "a" to the same place',
    ],
    [
      "two outputs of one task in one place",
      task("outputs: [{file: a, remote_name: x}, {file: a, remote_name: y}]"),
      'tasks.yaml:2:55: tasks[0].outputs[1]: two outputs go to "a"',
    ],
    [
      "two inputs of one name",
      task("inputs: [in.txt, {buffer: x, remote_name: in.txt}]"),
      'tasks.yaml:2:35: tasks[0].inputs[1]: two inputs are called "in.txt" in the sandbox',
    ],
    [
      "an output that has the name of an input",
      task("inputs: in.txt, outputs: out/in.txt"),
      'tasks.yaml:2:43: tasks[0].outputs[0]: an input is called "in.txt" in the sandbox, too',
    ],
    [
      "a task that is larger than any worker",
      "workers: {max: 2, cores: 4}\ntasks:\n  - {command: x, resources: {cores: 8}}\n",
      "tasks.yaml:3:37: tasks[0].resources.cores: a task with 8 fits on no worker, which has 4 " +
      "(workers.cores)",
    ],
  ]));

Deno.test("inputs are there, or will have been written", (t) =>
  refuses(t, [
    [
      "a file that is not there",
      task("inputs: [in.txt, im.txt]"),
      'tasks.yaml:2:35: tasks[0].inputs[1]: there is no file or folder "im.txt": did you mean ' +
      '"in.txt"?',
    ],
    [
      "a folder for a file",
      task("inputs: [{file: data}]"),
      'tasks.yaml:2:27: tasks[0].inputs[0]: "data" is a folder: write {dir: data}',
    ],
    [
      "a file for a folder",
      task("inputs: [{dir: in.txt}]"),
      'tasks.yaml:2:27: tasks[0].inputs[0]: "in.txt" is a file: write {file: in.txt}',
    ],
    [
      "a device",
      task("inputs: /dev/null"),
      'tasks.yaml:2:26: tasks[0].inputs[0]: "/dev/null" is neither a file nor a folder',
    ],
    [
      "a file that another task writes, not before",
      "tasks:\n  - {name: a, command: x, outputs: sub/b}\n  - {command: y, inputs: sub/b/c}\n",
      'tasks.yaml:3:26: tasks[1].inputs[0]: "sub/b/c" is written by task a: say after: [a]',
    ],
  ]));

Deno.test("an input that is written before, directly or not, need not be there yet", async () => {
  await using folder = await TempFolder.create("wqx-tasks-");
  const path = await folder.write(
    "tasks.yaml",
    "tasks:\n  - {command: x, outputs: [b, {dir: c}]}\n  - {command: y, after: 1}\n" +
      "  - {command: z, after: 2, inputs: [b, c/d]}\n",
  );
  assert.equal((await loadRun(path, {})).kind, "tasks");
});

Deno.test("JSON lines are refused with the place of what is wrong", (t) =>
  refuses(t, [
    [
      "all that is wrong with single lines",
      '{"command":"x"}\n\n{"command":3}\n{"command":"x",}\nx\n{"command":"y"\n[]\n',
      'tasks.jsonl:3:12: command: "3" is not a text',
      "tasks.jsonl:4:16: this is not JSON: expected double-quoted property name",
      "tasks.jsonl:5:1: this is not JSON: unexpected token 'x'",
      "tasks.jsonl:6:15: this is not JSON: expected ',' or '}' after property value",
      "tasks.jsonl:7:1: a list is not a mapping with a command",
    ],
    [
      "all that is wrong between lines",
      '{"command":"x","name":"a"}\n{"command":"x","name":"a"}\n' +
      '{"command":"y", "after":["q", "a"], "inputs":["im.txt"]}\n',
      'tasks.jsonl:2:23: name: task 1 is called "a", too',
      'tasks.jsonl:3:26: after[0]: there is no task "q"',
      'tasks.jsonl:3:47: inputs[0]: there is no file or folder "im.txt": did you mean "in.txt"?',
    ],
    ["nothing", "\n\n", "tasks.jsonl: there are no tasks"],
  ], "tasks.jsonl"));

Deno.test("of many problems the first are told, and how many there are", async () => {
  const lines = await refusal("{}\n".repeat(50), { name: "tasks.jsonl" });
  assert.equal(lines.length, 21);
  assert.equal(lines.at(-1), "and 30 more problems");
  // After a thousand nobody looks for more.
  const many = await refusal("{}\n".repeat(5000), { name: "tasks.jsonl" });
  assert.equal(many.at(-1), "and 981 more problems");
});

Deno.test("a file that cannot be read is refused", async () => {
  await using folder = await TempFolder.create("wqx-tasks-");
  await folder.write("tasks.jsonl", "");
  await assert.rejects(loadRun(folder.join("task.jsonl"), {}), {
    name: "UsageError",
    message: `Cannot read the file "${folder.join("task.jsonl")}": there is no such file: ` +
      `did you mean "${folder.join("tasks.jsonl")}"?`,
  });
  await Deno.mkdir(folder.join("a.jsonl"));
  await assert.rejects(loadRun(folder.join("a.jsonl"), {}), /it is a folder; name a file in it/);
});

Deno.test("an output folder that is a file is refused, whoever names it", async () => {
  const line = 'tasks.yaml:1:9: output: "in.txt" is a file: name a folder, which is made if it ' +
    "is not there";
  assert.deepEqual(await refusal("output: in.txt\ntasks: [{command: x}]\n"), [line]);
  const overrides = { output: "/dev/null" };
  assert.match((await refusal("tasks: [{command: x}]\n", { overrides }))[0]!, /^--output: "\/dev/);
  const one = { name: "tasks.jsonl", overrides };
  assert.match((await refusal('{"command":"x"}\n', one))[0]!, /^--output: "\/dev/);
});

Deno.test({
  ...needs(Deno.uid() !== 0, "root may read all", "an input that may not be read is refused"),
  async fn() {
    await using folder = await TempFolder.create("wqx-tasks-");
    await chmod(await folder.write("secret", ""), 0);
    const path = await folder.write("tasks.yaml", task("inputs: secret"));
    await assert.rejects(loadRun(path, {}), /cannot read "secret": permission denied/);
  },
});
