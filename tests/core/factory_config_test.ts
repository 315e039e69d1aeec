import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import { readFactoryConfig } from "../../core/factory/config.ts";
import type { YamlReader } from "../../core/factory/config_source.ts";
import {
  type FactorySettings,
  settingsDefault,
  tasksPerWorkerOf,
} from "../../core/factory/settings.ts";

function read(
  text: string,
  name = "factory.json",
  previous: Partial<FactorySettings> = {},
  readYaml: YamlReader = () => assert.fail("read as YAML"),
) {
  return readFactoryConfig(text, name, { ...settingsDefault, ...previous }, readYaml);
}

function refusal(text: string, name = "factory.json"): string {
  try {
    read(text, name);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  assert.fail(`was accepted: ${text}`);
}

const shipped = `{
  # a comment
  "manager-name": "my_managers.*",
  "max-workers": 400,
  "min-workers": 1,
  "cores": 8,
  "disk": 500,
  "memory": cores * 4000,
  "timeout": 300,
  "tasks-per-worker": cores,
  "worker-extra-options": "-dall",
  "condor-requirements": "(MachineGroup == \\"disc\\")"
}`;

const shippedSettings: FactorySettings = {
  ...settingsDefault,
  managerName: "my_managers.*",
  maxWorkers: 400,
  minWorkers: 1,
  cores: 8,
  diskMb: 500,
  memoryMb: 32_000,
  timeoutS: 300,
  tasksPerWorker: 8,
  extraOptions: "-dall",
  condorRequirements: '(MachineGroup == "disc")',
};

Deno.test("the configuration that work_queue_factory ships is read without a warning", () => {
  assert.deepEqual(read(shipped), { settings: shippedSettings, warnings: [] });
});

Deno.test("YAML says the same, with expressions where no quotes are", () => {
  const bare = (key: string, value: unknown, line: number) => ({ key, value, line, isBare: true });
  const yaml: YamlReader = () => [
    bare("manager-name", "my_managers.*", 2),
    bare("max_workers", 7, 3),
    bare("memory", "cores * 4000", 4),
    bare("cores", 8, 5),
    { key: "condor-requirements", value: "a == 5", isBare: true, line: 6 },
  ];
  for (const name of ["factory.yaml", "factory.yml", "factory.conf"]) {
    assert.deepEqual(read("manager-name: …", name, {}, yaml), {
      settings: {
        ...settingsDefault,
        managerName: "my_managers.*",
        maxWorkers: 7,
        cores: 8,
        memoryMb: 32_000,
        condorRequirements: "a == 5",
        tasksPerWorker: "cores",
      },
      warnings: [`${name}:3: "max_workers" is read as "max-workers"`],
    });
  }
});

Deno.test("JSON in a file of YAML is read as JSON, and braces that are none as YAML", () => {
  assert.deepEqual(read(shipped, "factory.yaml"), { settings: shippedSettings, warnings: [] });
  const yaml: YamlReader = () => [{ key: "cores", value: 4, isBare: true, line: 1 }];
  assert.equal(read("{cores: 4}", "factory.yaml", {}, yaml).settings.cores, 4);
});

Deno.test("what is wrong with YAML is said with its line", () => {
  const broken: YamlReader = () => ({ line: 3, problem: "a tab" });
  assert.throws(() => read("x", "f.yml", {}, broken), { message: "f.yml:3: a tab" });
  const wrong: YamlReader = () => [{ key: "cores", value: "4 GB", isBare: true, line: 2 }];
  assert.throws(() => read("x", "f.yml", {}, wrong), {
    message: 'f.yml:2: "cores" is neither a number nor an expression: unexpected token: GB',
  });
  const quoted: YamlReader = () => [{ key: "cores", value: "4", isBare: false, line: 2 }];
  assert.throws(() => read("x", "f.yml", {}, quoted), {
    message: 'f.yml:2: "cores" must be a number, and "4" is none: take the quotes away',
  });
});

Deno.test("every other key arrives where it belongs", () => {
  const { settings, warnings } = read(`{
    "foremen-name": "f.*", "workers-per-cycle": 0, "gpus": 1, "factory-timeout": 60,
    "capacity": true, "autosize": 1, "factory-name": "mine", "manager-name": "m\\u00e9"
  }`);
  assert.deepEqual(warnings, []);
  assert.deepEqual(settings, {
    ...settingsDefault,
    managerName: "mé",
    foremenName: "f.*",
    workersPerCycle: 0,
    gpus: 1,
    factoryTimeoutS: 60,
    capacity: true,
    autosize: true,
    factoryName: "mine",
    tasksPerWorker: "cores",
  });
});

Deno.test("what a configuration leaves out stays as it was", () => {
  const before = { managerName: "m", cores: 4, capacity: true, extraOptions: "-s /tmp" };
  const { settings } = read(`{ "max-workers": 7 }`, "f", before);
  assert.deepEqual(settings, {
    ...settingsDefault,
    ...before,
    maxWorkers: 7,
    tasksPerWorker: "cores",
  });
});

Deno.test("a worker is counted for as many tasks as it has cores, also when cores change", () => {
  const first = read(`{ "manager-name": "m", "cores": 4 }`).settings;
  assert.equal(tasksPerWorkerOf(first), 4);
  assert.equal(tasksPerWorkerOf(read(`{ "cores": 8 }`, "f", first).settings), 8);
  assert.equal(tasksPerWorkerOf(read(`{ "cores": -1 }`, "f", first).settings), 1);
  const two = read(`{ "tasks-per-worker": 2 }`, "f", first).settings;
  assert.equal(tasksPerWorkerOf(read(`{ "cores": 8 }`, "f", two).settings), 2);
  assert.equal(read(`{ "tasks-per-worker": 0 }`, "f", two).settings.tasksPerWorker, "cores");
});

Deno.test("fractions are rounded up, and sizes below zero are those of the machine", () => {
  const { settings } = read(`{ "cores": 1.2, "memory": 0.5, "min-workers": -0.5, "disk": -1,
    "gpus": -3, "workers-per-cycle": -5 }`);
  assert.equal(settings.cores, 2);
  assert.equal(settings.memoryMb, 1);
  assert.equal(Object.is(settings.minWorkers, 0), true);
  assert.equal(settings.diskMb, null);
  assert.equal(settings.gpus, null);
  assert.equal(settings.workersPerCycle, 0);
});

Deno.test("more workers at least than at most are as many as at most, with a warning", () => {
  const { settings, warnings } = read(`{ "min-workers": 9, "max-workers": 3 }`);
  assert.equal(settings.minWorkers, 3);
  assert.deepEqual(warnings, [
    "factory.json: at least 9 workers and at most 3 cannot be: min-workers is taken as 3",
  ]);
});

Deno.test("unknown keys are warned about, unless an expression uses them", () => {
  const { warnings } = read(`{
    "max-wrokers": 5,
    "colour": "red",
    "per_core": 2000,
    "cores": 4,
    "memory": cores * per_core
  }`);
  assert.deepEqual(warnings, [
    'factory.json:2: "max-wrokers" is no setting: did you mean "max-workers"?',
    'factory.json:3: "colour" is no setting: it has no effect',
  ]);
});

Deno.test("underscores, and names of the command line, are read with a warning", () => {
  const { settings, warnings } = read(`{
    "manager_name": "m",
    "max_workers": 9, "min-workers": max_workers - 1,
    "extra-options": "-v"
  }`);
  assert.equal(settings.managerName, "m");
  assert.equal(settings.maxWorkers, 9);
  assert.equal(settings.minWorkers, 8);
  assert.equal(settings.extraOptions, "-v");
  assert.deepEqual(warnings, [
    'factory.json:2: "manager_name" is read as "manager-name"',
    'factory.json:3: "max_workers" is read as "max-workers"',
    'factory.json:4: "extra-options" is read as "worker-extra-options"',
  ]);
  const both = read(`{ "max_workers": 9, "max-workers": 5, "min-workers": max_workers }`).settings;
  assert.equal(both.maxWorkers, 5);
});

Deno.test("a key with hyphens can be used in an expression with underscores", () => {
  const { settings, warnings } = read(`{ "max-workers": 10, "min-workers": max_workers / 2 }`);
  assert.equal(settings.minWorkers, 5);
  assert.deepEqual(warnings, []);
});

Deno.test("master-name counts only where nothing else names the manager", () => {
  assert.equal(read(`{ "master-name": "old" }`).settings.managerName, "old");
  assert.equal(read(`{ "master_name": "old" }`).settings.managerName, "old");
  assert.equal(
    read(`{ "master-name": "old", "manager-name": "new" }`).settings.managerName,
    "new",
  );
  assert.equal(
    read(`{ "manager-name": "new", "master-name": "old" }`).settings.managerName,
    "new",
  );
  const named = read(`{ "master-name": "old" }`, "f", { managerName: "cli" });
  assert.equal(named.settings.managerName, "cli");
});

Deno.test("of a key that is given twice the first counts, with a warning", () => {
  const { settings, warnings } = read(`{ "cores": 1,\n"cores": 2, "x": {"cores": 3} }`);
  assert.equal(settings.cores, 1);
  assert.equal(warnings[0], 'factory.json:2: "cores" is given twice: line 1 counts');
});

const refusals: readonly (readonly [string, string])[] = [
  [`{ "cores": "4" }`, '"cores" must be a number, and "4" is none: take the quotes away'],
  [`{ "cores": null }`, '"cores" must be a number, and null is none'],
  [`{ "cores": true }`, '"cores" must be a number, and true is none'],
  [`{ "cores": [1] }`, '"cores" must be a number, and [1] is none'],
  [`{ "cores": 1e300 }`, '"cores" must be a number, and 1e+300 is none of use'],
  [`{ "cores": 1e999 }`, '"cores" must be a number, and inf is none of use'],
  [`{ "autosize": "yes" }`, '"autosize" must be a number, and "yes" is none'],
  [`{ "min-workers": -1 }`, '"min-workers" must be 0 or more, and -1 is less'],
  [`{ "max-workers": 0 }`, '"max-workers" must be 1 or more, and 0 is less'],
  [`{ "factory-timeout": -1 }`, '"factory-timeout" must be 0 or more, and -1 is less'],
  [`{ "timeout": -1 }`, '"timeout" must be 0 or more, and -1 is less'],
  [`{ "manager-name": 5 }`, '"manager-name" must be a text, and 5 is none: write it in quotes'],
  [`{ "manager-name": "" }`, '"manager-name" must not be empty: leave it out, or give a name'],
  [
    `{ "manager-name": "a(b" }`,
    '"manager-name" cannot be used: "a(b" is not a regular expression: ' +
    "missing closing ): `a(b`",
  ],
  [`{ "memory": core * 2 }`, '"memory" has no value: on line 1, core: undefined symbol'],
  [
    `{ "cores": cores }`,
    '"cores" cannot be worked out, for it goes round: cores → cores',
  ],
  [
    `{ "memory": fetch("/etc/passwd") }`,
    '"memory" has no value: function fetch on line 1: ' +
    "external functions disabled",
  ],
];

Deno.test("a value that cannot be used is refused by file, line and key, with what would do", async (t) => {
  for (const [text, sentence] of refusals) {
    await t.step(text, () => assert.equal(refusal(text), `factory.json:1: ${sentence}`));
  }
});

Deno.test("all wrong values are said at once, each with its line", () => {
  assert.equal(
    refusal(
      `{ "memory": disk * 2, # cores: none\n "disk": cores,\n "cores": memory,\n "gpus": [] }`,
    ),
    'f:1: "memory" cannot be worked out, for it goes round: memory → disk → cores → memory\n'
      .concat(
        'f:2: "disk" cannot be worked out, for it goes round: disk → cores → memory → disk\n',
        'f:3: "cores" cannot be worked out, for it goes round: cores → memory → disk → cores\n',
        'f:4: "gpus" must be a number, and [] is none',
      ).replaceAll("f:", "factory.json:"),
  );
});

Deno.test("a configuration that is no object is refused", () => {
  assert.match(refusal("[1]", "f.jx"), /^f\.jx:1: a configuration is an object, in braces\. Write/);
  assert.match(
    refusal("", "f"),
    /^f:1: there is no value: the text is empty\. Write \{ "key": value/,
  );
  assert.match(refusal(`{ "cores": 4, memory+"x": 5 }`, "f.jx"), /^f\.jx:1: key memory\+"x" must/);
});

const seed = '{ "manager_name": "hal", "max_workers=250, "min_workers=0, "cores": 4 ' +
  '"memory": cores * 1024, "disk": cores * 2048 }';

Deno.test("the malformed example is read as it was meant, and the warning shows it corrected", () => {
  const { settings, warnings } = read(seed);
  assert.deepEqual(settings, {
    ...settingsDefault,
    managerName: "hal",
    maxWorkers: 250,
    minWorkers: 0,
    cores: 4,
    memoryMb: 4096,
    diskMb: 8192,
    tasksPerWorker: "cores",
  });
  const corrected = `{
  "manager-name": "hal",
  "max-workers": 250,
  "min-workers": 0,
  "cores": 4,
  "memory": cores * 1024,
  "disk": cores * 2048
}`;
  assert.deepEqual(warnings, [
    'factory.json:1: key "max_workers=250, " must be followed by a colon. ' +
    `It is read as the following, which other factories understand too:\n${corrected}`,
  ]);
  assert.deepEqual(read(corrected), { settings, warnings: [] });
});

const leniencies: readonly (readonly [string, string])[] = [
  ["a key and its value in one text", `{ "cores=4, "disk": 5 }`],
  ["no closing quote of a key before a colon", `{ "cores: 4, "disk": 5 }`],
  ["no opening quote of a key", `{ cores": 4, "disk": 5 }`],
  ["= for :", `{ "cores" = 4, "disk" = 5 }`],
  ["keys without quotes and = for :", `{ cores = 4, disk = 5 }`],
  ["no comma between pairs", `{ "cores": 4 "disk": 5 }`],
  ["no comma at the end of a line, but a comment", `{ "cores": 4 # four\n  "disk": 5 # five\n }`],
  ["a comma too many", `{ "cores": 4,, "disk": 5 }`],
  ["quotes of another kind", `{ 'cores': 4, 'disk': 5 }`],
];

Deno.test("what is forgiven: each gives the same settings, with one warning", async (t) => {
  for (const [what, text] of leniencies) {
    await t.step(what, () => {
      const { settings, warnings } = read(text);
      assert.equal(settings.cores, 4);
      assert.equal(settings.diskMb, 5);
      assert.equal(warnings.length, 1);
      const corrected = warnings[0]!.slice(warnings[0]!.indexOf("\n") + 1);
      assert.deepEqual(read(corrected), { settings, warnings: [] });
    });
  }
});

Deno.test("a text without its closing quote ends before the next pair", () => {
  assert.equal(read(`{ "manager-name": "hal, "cores": 4 }`).settings.managerName, "hal");
});

Deno.test("keys of the user's own survive a repair", () => {
  const { settings } = read(`{ "per_core": 2000, "cores=4, "memory": cores * per_core }`);
  assert.equal(settings.memoryMb, 8000);
});

const beyond: readonly (readonly [string, string])[] = [
  [`{ "cores" 4 }`, '1: key "cores" must be followed by a colon'],
  [`{\n "cores": 4,\n "disk": (5,\n "memory": 1 }`, "3: missing closing parenthesis"],
  [`{\n "cores": 4,\n "disk": 5 6 }`, "3: key-value pairs missing a comma or closing brace"],
  [`{ "colour": 4 "shape": 5 }`, "1: key-value pairs missing a comma or closing brace"],
  [`{ "cores": 4`, "1: key-value pairs missing a comma or closing brace"],
  [`{ "name with "cores": 4 }`, '1: key "name with " must be followed by a colon'],
  [
    `{ "condor-requirements": "a" memory = 5" }`,
    "1: key-value pairs missing a comma or closing brace",
  ],
];

Deno.test("what cannot be understood is refused by line, with the first thing wrong", async (t) => {
  for (const [text, sentence] of beyond) {
    await t.step(text, () => {
      assert.equal(
        refusal(text),
        `factory.json:${sentence}. Write { "key": value, … }, with quotes around both ends of ` +
          "every key, a colon after it, and a comma between two pairs",
      );
    });
  }
});
