/** Files that users write: analyses, task lists, packages, configurations of factories. */
import assert from "node:assert/strict";
import { UsageError } from "../../../core/errors.ts";
import { readFactoryConfig } from "../../../core/factory/config.ts";
import { settingsDefault } from "../../../core/factory/settings.ts";
import { readSpec } from "../../../core/package/spec.ts";
import { LineSplitter } from "../../../core/tasklist/lines.ts";
import { readYaml } from "../../../factory/config_yaml.ts";
import { analysisSchema, filesetSchema } from "../../../manager/analysis_schema.ts";
import { check } from "../../../manager/schema.ts";
import { Problems, SourceFile } from "../../../manager/source_file.ts";
import { readEntry } from "../../../manager/task_line.ts";
import { taskListSchema } from "../../../manager/task_list_schema.ts";
import { orRefused, type Target, textOf } from "../target.ts";

const yamlWords = [
  "&a ",
  "*a",
  "<<: *a",
  "- ",
  ": ",
  "? ",
  "|\n ",
  ">\n ",
  "!!int ",
  "---\n",
  "...",
  "\t",
  "# ",
  "~",
  "'",
  '"',
  "{",
  "]",
];

const analysis = `name: dimuon
datasets:
  DY:
    files: [a.root, {path: b.root, tree: Events}]
    tree: Events
    metadata: {isMC: true}
processor: processor.ts
chunksize: {memory: 2GB, time: 60s}
resources:
  processing: {cores: 1, memory: 2GB, mode: max}
workers: {max: 4}
retries: 3
output: out
`;

const taskList = `name: demo
resources: {sim: {cores: 1}}
tasks:
  - name: a
    command: echo hello > out.txt
    inputs: [in.txt, {path: data, as: d}]
    outputs: [out.txt]
    env: {A: b}
    category: sim
  - command: cat out.txt
    after: [a]
`;

const packageSpec = JSON.stringify({
  conda: {
    channels: ["conda-forge"],
    dependencies: ["python=3.11", { pip: ["uproot>=5", "-e ."] }],
  },
  git: { a: { remote: "https://host/a.git", ref: "main" } },
  http: { b: { url: "https://host/b.tar.gz", type: "tar", compression: "gzip" } },
  variables: { A: "b" },
});

const factoryConfig =
  '{"manager-name": "hal.*", "max-workers": 10, "cores": 4, "memory": cores * 1000, "timeout": 5}';

/** A text as a file of that shape; every problem has a place and a sentence. */
function readAs(schema: Parameters<typeof check>[0], text: string): void {
  const problems = new Problems();
  const source = SourceFile.parse(text, "file.yaml", problems);
  const value = source && check(schema, source.data, source, [], problems);
  assert.equal(value === null, problems.count > 0, "a value, or problems");
  if (problems.count > 0) assert.throws(() => problems.throwIfAny(), UsageError);
}

export const yamlTargets: readonly Target[] = [
  {
    name: "analysis-yaml",
    code: ["manager/analysis_schema.ts", "manager/schema.ts", "manager/source_file.ts"],
    words: [
      ...yamlWords,
      ..."datasets processor files tree workers resources auto 16GB 90s".split(" "),
    ],
    isJson: true,
    lengthMax: 1500,
    seeds: [
      analysis,
      '{"datasets":{"a":{"files":["x.root"],"treename":"Events"}},"processor":"p.ts"}',
    ],
    run(bytes) {
      const text = textOf(bytes);
      readAs(analysisSchema, text);
      readAs(filesetSchema, text);
    },
  },
  {
    name: "task-list-yaml",
    code: ["manager/task_list_schema.ts", "manager/schema.ts", "manager/source_file.ts"],
    words: [
      ...yamlWords,
      ..."tasks command inputs outputs env after category resources".split(" "),
    ],
    isJson: true,
    lengthMax: 1500,
    seeds: [taskList, '{"tasks":[{"command":"x","inputs":[{"path":"a","as":"b"}],"retries":2}]}'],
    run: (bytes) => readAs(taskListSchema, textOf(bytes)),
  },
  {
    name: "task-lines",
    code: ["manager/task_line.ts", "manager/task_list_schema.ts", "core/tasklist/lines.ts"],
    words: [
      '"command"',
      '"name"',
      '"inputs"',
      '"outputs"',
      '"text"',
      '"url"',
      "\n",
      "\ufeff",
      "\ufffd",
    ],
    isJson: true,
    lengthMax: 1000,
    seeds: [
      '{"command":"echo 1","name":"a"}\n{"command":"cat x","inputs":["x"],"after":["a"]}\n',
      '{"command":"x","inputs":[{"text":"abc","as":"n"},{"url":"http://h/x","as":"y"}],"env":{"A":"b"}}',
    ],
    run(bytes) {
      const splitter = new LineSplitter(300);
      const lines = [...splitter.feed(bytes), ...splitter.end()];
      for (const line of lines) {
        const problems = new Problems();
        const entry = readEntry(line, "tasks.jsonl", problems);
        assert.equal(entry.kind === "refused", problems.count > 0, "an entry, or problems");
      }
    },
  },
  {
    name: "factory-config",
    code: ["core/factory/config.ts", "core/factory/config_source.ts", "factory/config_yaml.ts"],
    words: [
      ...yamlWords,
      ..."manager-name max-workers cores memory autosize condor-requirements".split(" "),
    ],
    isJson: true,
    lengthMax: 600,
    seeds: [factoryConfig, "manager-name: hal\nmax-workers: 10\n", "{max-workers = 5, cores = 2}"],
    run(bytes) {
      for (const name of ["factory.json", "factory.yaml"]) {
        const text = textOf(bytes);
        orRefused(() => readFactoryConfig(text, name, settingsDefault, readYaml), UsageError);
      }
    },
  },
  {
    name: "package-spec",
    code: ["core/package/spec.ts", "core/package/requirement.ts"],
    words: [
      ...yamlWords,
      ..."channels dependencies pip conda git http pinned prefix numpy>=1 -e -r ::".split(" "),
    ],
    isJson: true,
    lengthMax: 1000,
    seeds: [
      packageSpec,
      "channels: [conda-forge]\ndependencies:\n  - python\n  - pip:\n    - uproot\n",
    ],
    run(bytes) {
      const source = SourceFile.parse(textOf(bytes), "spec.yaml", new Problems());
      if (source === null) return;
      const { spec, mistakes } = readSpec(source.data);
      for (const { message } of mistakes.map((one) => ({ message: JSON.stringify(one) }))) {
        assert.notEqual(message, "");
      }
      if (mistakes.length === 0) JSON.stringify(spec);
    },
  },
];
