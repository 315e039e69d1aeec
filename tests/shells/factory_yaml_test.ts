import assert from "node:assert/strict";
import { readFactoryConfig } from "../../core/factory/config.ts";
import { settingsDefault } from "../../core/factory/settings.ts";
import { readYaml } from "../../factory/config_yaml.ts";

function read(text: string) {
  return readFactoryConfig(text, "factory.yaml", settingsDefault, readYaml);
}

Deno.test("a configuration of a factory in YAML, with expressions and comments", () => {
  const { settings, warnings } = read(`
# what the group has
manager-name: "cms.*"   # a regular expression
max-workers: 40
cores: 4
memory: cores * 1024
worker-extra-options: -s /tmp --cores 4
condor-requirements: (MachineGroup == "disc")
autosize: true
`);
  assert.deepEqual(warnings, []);
  assert.deepEqual(settings, {
    ...settingsDefault,
    managerName: "cms.*",
    maxWorkers: 40,
    cores: 4,
    memoryMb: 4096,
    extraOptions: "-s /tmp --cores 4",
    condorRequirements: '(MachineGroup == "disc")',
    autosize: true,
    tasksPerWorker: "cores",
  });
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ["cores: 4\n\tx: 1\n", /^factory\.yaml:2: /],
  ["- 1\n- 2\n", /^factory\.yaml:1: a configuration has a line "key: value" for each setting$/],
  ["cores: 1\ncores: 2\n", /^factory\.yaml:2: Map keys must be unique$/],
  [`max-workers: 1\ncores: "4"\n`, /^factory\.yaml:2: "cores" must be a number, and "4" is none/],
  [`a: &a [1]\nb: &b [${"*a,".repeat(50)}]\nc: [${"*b,".repeat(50)}]`, /^factory\.yaml:1: .*alias/],
];

Deno.test("what is wrong with a configuration in YAML is said with its line", async (t) => {
  for (const [text, sentence] of wrong) {
    await t.step(JSON.stringify(text).slice(0, 40), () => {
      assert.throws(() => read(text), { name: "UsageError", message: sentence });
    });
  }
});
