import assert from "node:assert/strict";
import { resolve } from "node:path";
import type { AnalysisSpec } from "../../core/analysis/spec.ts";
import { loadAnalysis, type Overrides } from "../../manager/analysis_file.ts";
import { TempFolder } from "../support/temp.ts";

const processor = "processor: dimuon.ts\n";

/** A folder with a processor, some data files, and the analysis. */
async function folderWith(files: Record<string, string>): Promise<TempFolder> {
  const folder = await TempFolder.create("wqx-analysis-");
  const present = { "dimuon.ts": "", "data/a.root": "", "data/b.root": "", "data/c.txt": "" };
  for (const [name, text] of Object.entries({ ...present, ...files })) {
    await folder.write(name, text);
  }
  return folder;
}

async function load(
  yaml: string,
  files: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<AnalysisSpec & { folder: string }> {
  await using folder = await folderWith({ ...files, "analysis.yaml": yaml });
  const spec = await loadAnalysis(folder.join("analysis.yaml"), overrides);
  return { ...spec, folder: folder.path };
}

/** The lines of the UsageError, with the temporary folder cut out. */
async function refusal(
  yaml: string,
  files: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<string[]> {
  await using folder = await folderWith({ ...files, "analysis.yaml": yaml });
  let message = "";
  await assert.rejects(loadAnalysis(folder.join("analysis.yaml"), overrides), (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, "UsageError", error.stack ?? "");
    message = error.message.replaceAll(folder.path + "/", "");
    return true;
  });
  return message.split("\n");
}

/** A table of wrong analyses and what is said about each. */
async function refuses(
  t: Deno.TestContext,
  cases: readonly (readonly [name: string, yaml: string, ...lines: string[]])[],
  files: Record<string, string> = {},
): Promise<void> {
  for (const [name, yaml, ...lines] of cases) {
    await t.step(name, async () => assert.deepEqual(await refusal(yaml, files), lines));
  }
}

Deno.test("a small analysis gets every default", async () => {
  const spec = await load(`datasets: {DY: data/a.root}\n${processor}`);
  const { folder } = spec;
  assert.deepEqual(spec, {
    folder,
    name: "analysis",
    files: [{
      dataset: "DY",
      file: "data/a.root",
      source: `${folder}/data/a.root`,
      send: true,
      tree: "Events",
    }],
    datasets: new Map([["DY", {}]]),
    processor: { kind: "module", path: `${folder}/dimuon.ts` },
    chunkSize: 100_000,
    chunksMax: null,
    resources: {},
    workers: { count: 1 },
    port: { low: 0, high: 0 },
    output: resolve("analysis-output"),
    retries: 5,
    skipBadFiles: false,
  });
});

Deno.test("every key of an analysis arrives, converted", async () => {
  const spec = await load(`
name: Z peak
datasets:
  DY:
    files: data/*.root
    tree: Runs
    metadata: {xs: 6077.2, tags: [a, b]}
  remote: https://example.org/data/f.root?x=1
tree: Other
processor:
  command: python3 process.py
  inputs: [data/c.txt]
chunksize: 2_000
maxchunks: 3
resources: {cores: 2, memory: 4GB, disk: 500 MB, gpus: 1}
workers: {max: 3, cores: 4, memory: 16GB, disk: 10GB}
port: 9000:9100
output: results
retries: 0
skip-bad-files: true
`);
  const { folder } = spec;
  assert.deepEqual(
    spec.files.map(({ dataset, file, tree, send, source }) => [
      dataset,
      file,
      tree,
      send,
      source.replace(folder, ""),
    ]),
    [
      ["DY", "data/a.root", "Runs", true, "/data/a.root"],
      ["DY", "data/b.root", "Runs", true, "/data/b.root"],
      [
        "remote",
        "https://example.org/data/f.root?x=1",
        "Other",
        false,
        "https://example.org/data/f.root?x=1",
      ],
    ],
  );
  assert.deepEqual({ ...spec, files: [] }, {
    folder,
    name: "Z peak",
    files: [],
    datasets: new Map<string, object>([["DY", { xs: 6077.2, tags: ["a", "b"] }], ["remote", {}]]),
    processor: {
      kind: "command",
      command: "python3 process.py",
      inputs: [`${folder}/data/c.txt`],
    },
    chunkSize: 2_000,
    chunksMax: 3,
    resources: { cores: 2, memoryMb: 4096, diskMb: 500, gpus: 1 },
    workers: { count: 3, cores: 4, memoryMb: 16_384, diskMb: 10_240 },
    port: { low: 9000, high: 9100 },
    output: `${folder}/results`,
    retries: 0,
    skipBadFiles: true,
  });
});

Deno.test("short forms of workers and port", async () => {
  const base = `datasets: {DY: data/a.root}\n${processor}`;
  assert.equal((await load(base + "workers: none")).workers, null);
  assert.deepEqual((await load(base + "workers: 4")).workers, { count: 4 });
  assert.deepEqual((await load(base + "workers: {cores: 2}")).workers, { count: 1, cores: 2 });
  assert.deepEqual((await load(base + "port: 9123")).port, { low: 9123, high: 9123 });
  assert.equal((await load(base + "maxchunks: null")).chunksMax, null);
});

Deno.test("datasets keep the order of the text, also when their names are numbers", async () => {
  const spec = await load(`datasets: {"2018": data/b.root, "2016": data/a.root}\n${processor}`);
  assert.deepEqual([...spec.datasets.keys()], ["2018", "2016"]);
  assert.deepEqual(spec.files.map((file) => file.dataset), ["2018", "2016"]);
});

Deno.test("anchors, merge keys, a byte order mark and CRLF are understood", async () => {
  const spec = await load(
    `\uFEFFdatasets:\r\n  A: &files\r\n    files: data/a.root\r\n    metadata: {year: 2018}\r\n` +
      `  B:\r\n    <<: *files\r\n    tree: Runs\r\n${processor}`,
  );
  assert.deepEqual(spec.files.map(({ dataset, tree }) => [dataset, tree]), [
    ["A", "Events"],
    ["B", "Runs"],
  ]);
  assert.deepEqual(spec.datasets.get("B"), { year: 2018 });
});

Deno.test("send-files decides which files travel to workers", async () => {
  const files = async (send: string) => {
    await using folder = await folderWith({});
    const yaml = await folder.write(
      "analysis.yaml",
      `datasets: {DY: [data/a.root, ${folder.path}/data/b.root, "http://example.org/c.root"]}\n` +
        processor + send,
    );
    return (await loadAnalysis(yaml, {})).files.map((file) => file.send);
  };
  assert.deepEqual(await files(""), [true, false, false]);
  assert.deepEqual(await files("send-files: auto"), [true, false, false]);
  assert.deepEqual(await files("send-files: always"), [true, true, false]);
  assert.deepEqual(await files("send-files: never"), [false, false, false]);
});

Deno.test("patterns are sorted, take files only, and a name with brackets is a name first", async () => {
  const files = { "data/d.root/x": "", "data/sub/e.root": "", "data/[1].root": "" };
  const of = async (pattern: string) =>
    (await load(`datasets: {DY: "${pattern}"}\n${processor}`, files)).files.map((f) => f.file);
  assert.deepEqual(await of("data/*.root"), ["data/[1].root", "data/a.root", "data/b.root"]);
  assert.deepEqual(await of("data/**/e.root"), ["data/sub/e.root"]);
  assert.deepEqual(await of("data/{b,a}.root"), ["data/a.root", "data/b.root"]);
  assert.deepEqual(await of("data/[1].root"), ["data/[1].root"]);
  assert.deepEqual(await of("./data/?.root"), ["data/a.root", "data/b.root"]);
});

Deno.test("a list file names a file a line, with comments and blank lines", async () => {
  const list = "# DY\n\n  data/b.root  # second\r\ndata/a.root\nhttp://example.org/x.root#1\n";
  for (const dataset of ['"@lists/dy.txt"', "{list: lists/dy.txt}", '["@lists/dy.txt"]']) {
    const spec = await load(`datasets: {DY: ${dataset}}\n${processor}`, { "lists/dy.txt": list });
    assert.deepEqual(spec.files.map((file) => file.file), [
      "data/b.root",
      "data/a.root",
      "http://example.org/x.root#1",
    ]);
  }
});

const filesets: Record<string, unknown> = {
  "a list of files": { DY: ["data/a.root", "data/b.root"] },
  "files to trees": { DY: { files: { "data/a.root": "Events", "data/b.root": "Runs" } } },
  "files to trees, without files": { DY: { "data/a.root": "Events", "data/b.root": "Runs" } },
  "treename and files": { DY: { treename: "Runs", files: ["data/a.root", "data/b.root"] } },
  "preprocessed": {
    DY: {
      files: {
        "data/a.root": { object_path: "Events", steps: [[0, 20], [20, 40]], uuid: "u" },
        "data/b.root": { object_path: "Runs", steps: [[0, 1]], num_entries: 1, uuid: "u" },
      },
      metadata: null,
      form: null,
      format: "root",
    },
  },
};

Deno.test("a coffea fileset is taken as it is, in all its forms", async (t) => {
  const trees: Record<string, string[]> = {
    "a list of files": ["Events", "Events"],
    "treename and files": ["Runs", "Runs"],
  };
  for (const [name, fileset] of Object.entries(filesets)) {
    await t.step(name, async () => {
      // coffea's own tools write either of these.
      for (const indent of [0, 4, "\t"]) {
        const files = { "fileset.json": JSON.stringify(fileset, null, indent) };
        const whole = await load(`datasets: fileset.json\n${processor}`, files);
        assert.deepEqual(
          whole.files.map(({ dataset, file, tree }) => [dataset, file, tree]),
          ["data/a.root", "data/b.root"].map((file, i) => [
            "DY",
            file,
            (trees[name] ?? ["Events", "Runs"])[i],
          ]),
        );
        const one = await load(`datasets: {DY: fileset.json}\n${processor}`, files);
        assert.deepEqual(one.files.map((f) => f.file), whole.files.map((f) => f.file));
      }
    });
  }
});

Deno.test("metadata of a fileset arrives, and the analysis adds to it", async () => {
  const fileset = { DY: { files: ["data/a.root"], metadata: { xs: 1, year: 2016 } } };
  const files = { "fileset.json": JSON.stringify(fileset) };
  const spec = await load(
    `datasets: {mine: {files: fileset.json, metadata: {year: 2018}}}\n${processor}`,
    files,
  );
  assert.deepEqual(spec.datasets.get("mine"), { xs: 1, year: 2018 });
  assert.deepEqual(spec.files.map((file) => file.dataset), ["mine"]);
});

Deno.test("options win over the file", async () => {
  const yaml = `datasets: {DY: data/a.root}\n${processor}` +
    "chunksize: 1\nmaxchunks: 1\nport: 1\noutput: x\nretries: 1\n" +
    "workers: {max: 2, cores: 8}\nresources: {cores: 1, memory: 1, disk: 1, gpus: 1}\n";
  const spec = await load(yaml, {}, {
    chunkSize: 20,
    chunksMax: 30,
    port: { low: 40, high: 50 },
    output: "elsewhere",
    workers: 6,
    cores: 7,
    memoryMb: 80,
    diskMb: 90,
    gpus: 0,
    retries: 10,
    skipBadFiles: true,
  });
  assert.equal(spec.chunkSize, 20);
  assert.equal(spec.chunksMax, 30);
  assert.deepEqual(spec.port, { low: 40, high: 50 });
  assert.equal(spec.output, resolve("elsewhere"));
  assert.deepEqual(spec.workers, { count: 6, cores: 8 });
  assert.deepEqual(spec.resources, { cores: 7, memoryMb: 80, diskMb: 90, gpus: 0 });
  assert.equal(spec.retries, 10);
  assert.equal(spec.skipBadFiles, true);
  assert.equal((await load(yaml, {}, { workers: "none" })).workers, null);
  const untouched = await load(yaml, {}, { chunkSize: undefined, skipBadFiles: false });
  assert.equal(untouched.chunkSize, 1);
});

Deno.test("a value that an option gave is refused by the name of the option", async () => {
  const yaml = `datasets: {DY: data/a.root}\n${processor}workers: {cores: 4}\n`;
  assert.deepEqual(await refusal(yaml, {}, { cores: 8 }), [
    "--cores: a task with 8 fits on no worker, which has 4 (workers.cores)",
  ]);
  await using folder = await folderWith({ file: "" });
  const output = folder.join("file");
  assert.deepEqual(await refusal(yaml, {}, { output }), [
    `--output: "${output}" is a file: name a folder, which is made if it is not there`,
  ]);
});

const good = `datasets: {DY: data/a.root}\n${processor}`;

Deno.test("a wrong key or value is shown with its place and what would do", async (t) => {
  await refuses(t, [
    [
      "a misspelt key",
      good + "chunksise: 5\n",
      'analysis.yaml:3:1: unknown key "chunksise": did you mean "chunksize"?',
    ],
    [
      "a key like no other",
      good + "resources: {quux: 5}\n",
      'analysis.yaml:3:13: unknown key "quux": the keys are cores, memory, disk, gpus',
    ],
    [
      "a misspelt unit",
      good + "resources:\n  memory: 4GBB\n",
      'analysis.yaml:4:11: resources.memory: "4GBB" is not a size: did you mean "4GB"?',
    ],
    [
      "no number",
      good + "chunksize: big\n",
      'analysis.yaml:3:12: chunksize: "big" is not a whole number',
    ],
    [
      "zero events",
      good + "chunksize: 0\n",
      'analysis.yaml:3:12: chunksize: "0" is too small: it must be 1 or more',
    ],
    [
      "a negative number",
      good + "retries: -1\n",
      'analysis.yaml:3:10: retries: "-1" is too small: it must be 0 or more',
    ],
    [
      "a list for a number",
      good + "chunksize: [1]\n",
      "analysis.yaml:3:12: chunksize: a list is not a whole number",
    ],
    [
      "nothing after the colon",
      good + "chunksize:\n",
      "analysis.yaml:3:11: chunksize: nothing is not a whole number",
    ],
    [
      "yes for true",
      good + "skip-bad-files: yes\n",
      'analysis.yaml:3:17: skip-bad-files: "yes" is not true or false',
    ],
    [
      "a misspelt choice",
      good + "send-files: allways\n",
      'analysis.yaml:3:13: send-files: "allways" is not one of auto, always, never: ' +
      'did you mean "always"?',
    ],
    [
      "a port that is none",
      good + "port: 70000\n",
      'analysis.yaml:3:7: port: "70000" is not a port: a port is 0 to 65535, ' +
      "and 0 picks a free one",
    ],
    [
      "workers misspelt",
      good + "workers: non\n",
      'analysis.yaml:3:10: workers: "non" is not a number of workers: did you mean "none"?',
    ],
    [
      "no workers",
      good + "workers: 0\n",
      'analysis.yaml:3:10: workers: "0" is too small: it must be 1 or more',
    ],
    [
      "a name with a slash",
      good + "name: a/b\n",
      'analysis.yaml:3:7: name: a name has no "/" and no control characters',
    ],
    ["a number for a tree", good + "tree: 5\n", 'analysis.yaml:3:7: tree: "5" is not a text'],
    ["an empty tree", good + 'tree: ""\n', "analysis.yaml:3:7: tree: this is empty"],
    [
      "a task that fits nowhere",
      good + "workers: {memory: 1GB}\nresources: {memory: 2GB}\n",
      "analysis.yaml:4:21: resources.memory: a task with 2048 MB fits on no worker, " +
      "which has 1024 MB (workers.memory)",
    ],
    [
      "an output that is a file",
      good + "output: dimuon.ts\n",
      'analysis.yaml:3:9: output: "dimuon.ts" is a file: name a folder, which is made ' +
      "if it is not there",
    ],
    [
      "all problems at once",
      `dataset: {}\nprocessor: dimuon.ts\nport: x\n`,
      "analysis.yaml:1:1: datasets: this is missing: it is a mapping of datasets to their " +
      "files, or the name of a coffea fileset",
      'analysis.yaml:1:1: unknown key "dataset": did you mean "datasets"?',
      'analysis.yaml:3:7: port: "x" is not a port: write 9123, 9000:9100 or 0',
    ],
  ]);
});

Deno.test("a wrong dataset is shown with its place and what would do", async (t) => {
  const datasets = (yaml: string) => `${processor}datasets: ${yaml}\n`;
  await refuses(t, [
    [
      "a file that is not there",
      datasets("{DY: [data/a.root, data/aa.root]}"),
      'analysis.yaml:2:30: datasets.DY[1]: there is no file "data/aa.root": ' +
      'did you mean "data/a.root"?',
    ],
    [
      "a folder that is not there",
      datasets("{DY: {files: dta/a.root}}"),
      'analysis.yaml:2:24: datasets.DY.files: there is no file "dta/a.root", ' +
      'and no folder "dta"',
    ],
    [
      "a pattern without files",
      datasets('{DY: "data/*.parquet"}'),
      'analysis.yaml:2:16: datasets.DY: no file matches "data/*.parquet"',
    ],
    [
      "a folder for a file",
      datasets("{DY: data/}"),
      'analysis.yaml:2:16: datasets.DY: "data/" is a folder: name its files, as in ' +
      '"data/*.root"',
    ],
    [
      "another protocol",
      datasets('{DY: "root://eos//a.root"}'),
      'analysis.yaml:2:16: datasets.DY: "root://eos//a.root" cannot be read: files come from ' +
      "disk or over http and https",
    ],
    [
      "a pattern over http",
      datasets('{DY: "http://h/*.root"}'),
      'analysis.yaml:2:16: datasets.DY: "http://h/*.root" is a pattern, and a web server does ' +
      "not list its files: name each",
    ],
    [
      "a URL that is none",
      datasets('{DY: "http://"}'),
      'analysis.yaml:2:16: datasets.DY: "http://" is not a URL',
    ],
    [
      "the same file twice",
      datasets("{DY: [data/b.root, ./data/a.root, data/*.root]}"),
      'analysis.yaml:2:45: datasets.DY[2]: "data/a.root" is in this dataset already ' +
      "(analysis.yaml:2:30)",
      'analysis.yaml:2:45: datasets.DY[2]: "data/b.root" is in this dataset already ' +
      "(analysis.yaml:2:17)",
    ],
    ["no datasets", datasets("{}"), "analysis.yaml:2:11: datasets: there are no datasets"],
    [
      "an empty list",
      datasets("{DY: []}"),
      "analysis.yaml:2:16: datasets.DY: there are no files in this dataset",
    ],
    [
      "a mapping without files",
      datasets("{DY: {metadata: {a: 1}}}"),
      "analysis.yaml:2:16: datasets.DY: there are no files in this dataset",
    ],
    [
      "nothing",
      datasets("{DY: }"),
      "analysis.yaml:2:16: datasets.DY: nothing is not a file, a list of files, or a mapping " +
      "with files",
    ],
    [
      "a misspelt key",
      datasets("{DY: {fils: data/a.root}}"),
      'analysis.yaml:2:17: unknown key "fils": did you mean "files"?',
    ],
    [
      "a number in a list",
      datasets("{DY: [data/a.root, 5]}"),
      'analysis.yaml:2:30: datasets.DY[1]: "5" is not a text',
    ],
    [
      "a reserved word in metadata",
      datasets("{DY: {files: data/a.root, metadata: {start: 1}}}"),
      'analysis.yaml:2:48: datasets.DY.metadata.start: metadata cannot be called "start": ' +
      "a chunk has a start of its own",
    ],
    [
      "steps that leave events out",
      datasets("{DY: {files: {data/a.root: {object_path: Events, steps: [[0, 5], [9, 12]]}}}}"),
      "analysis.yaml:2:25: datasets.DY.files.data/a.root: its steps leave events out, which is " +
      "not supported: use maxchunks instead",
    ],
    [
      "a list file that is not there",
      datasets('{DY: "@fils.txt"}'),
      'analysis.yaml:2:16: datasets.DY: Cannot read the list "fils.txt": there is no such ' +
      'file: did you mean "files.txt"?',
    ],
    [
      "a list file with a wrong line",
      datasets('{DY: "@files.txt"}'),
      'files.txt:3:3: there is no file "data/x.root": did you mean "data/a.root"?',
    ],
    [
      "a list file without files",
      datasets('{DY: "@empty.txt"}'),
      'analysis.yaml:2:16: datasets.DY: the list "empty.txt" names no files',
    ],
    [
      "a fileset that is not there",
      datasets("filset.json"),
      'analysis.yaml:2:11: datasets: Cannot read the fileset "filset.json": there is no such ' +
      'file: did you mean "fileset.json"?',
    ],
    [
      "a fileset with a wrong file",
      datasets("fileset.json"),
      'fileset.json:2:10: DY[0]: there is no file "data/y.root": did you mean "data/a.root"?',
    ],
    [
      "a fileset cut short",
      datasets("cut.json"),
      "cut.json:1:22: this is not YAML: Flow sequence in block collection must be sufficiently " +
      "indented and end with a ]",
    ],
    [
      "a fileset without this dataset",
      datasets("{tt: two.json}"),
      'analysis.yaml:2:16: datasets.tt: "two.json" has no dataset "tt": it has DY, WW',
    ],
  ], {
    "files.txt": "# list\ndata/a.root\n  data/x.root\n",
    "empty.txt": "# nothing\n\n",
    "fileset.json": '{\n  "DY": ["data/y.root"]\n}\n',
    "cut.json": '{"DY": ["data/a.root"',
    "two.json": '{"DY": ["data/a.root"], "WW": ["data/b.root"]}',
  });
});

Deno.test("a wrong processor is shown with its place and what would do", async (t) => {
  const base = "datasets: {DY: data/a.root}\nprocessor: ";
  await refuses(t, [
    [
      "a file that is not there",
      base + "dimuo.ts\n",
      'analysis.yaml:2:12: processor: there is no file "dimuo.ts": did you mean "dimuon.ts"?',
    ],
    [
      "Python",
      base + "dimuon.py\n",
      "analysis.yaml:2:12: processor: a Python processor runs as a command for now: " +
      '{command: "python3 dimuon.py", inputs: [dimuon.py]}',
    ],
    [
      "another language",
      base + "dimuon.C\n",
      'analysis.yaml:2:12: processor: "dimuon.C" is not a module: it ends in .ts, .mts, .js or ' +
      ".mjs; for any other program write {command: …, inputs: [files]}",
    ],
    [
      "a folder",
      base + "folder.ts\n",
      'analysis.yaml:2:12: processor: "folder.ts" is a folder: name a file',
    ],
    [
      "an input that is not there",
      base + "{command: ./run, inputs: [data/c.tx]}\n",
      "analysis.yaml:2:38: processor.inputs[0]: there is no file " +
      '"data/c.tx": did you mean "data/c.txt"?',
    ],
    [
      "two inputs of one name",
      base + "{command: x, inputs: [data/c.txt, folder.ts/c.txt]}\n",
      'analysis.yaml:2:46: processor.inputs[1]: two inputs are called "c.txt": a task has one ' +
      "folder",
    ],
    [
      "no command",
      base + "{inputs: []}\n",
      "analysis.yaml:2:12: processor.command: this is missing: it is a text",
    ],
    [
      "a misspelt key",
      base + "{comand: x}\n",
      "analysis.yaml:2:12: processor.command: this is missing: it is a text",
      'analysis.yaml:2:13: unknown key "comand": did you mean "command"?',
    ],
  ], { "folder.ts/c.txt": "" });
});

Deno.test("what is not YAML, or not an analysis, is said in a sentence", async (t) => {
  const bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" +
    [..."bcdefgh"].map((name, i) => {
      const before = "abcdefgh"[i];
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(",")}]\n`;
    }).join("");
  await refuses(t, [
    [
      "a tab",
      "datasets:\n\tDY: data/a.root\n",
      "analysis.yaml:2:1: this line is indented with a tab: YAML takes blanks only",
    ],
    ["a key given twice", good + "port: 1\nport: 2\n", 'analysis.yaml:4:1: "port" is given twice'],
    [
      "a dataset given twice",
      `datasets: {A: data/a.root, A: data/b.root}\n${processor}`,
      'analysis.yaml:1:28: "A" is given twice',
    ],
    [
      "text without quotes",
      "datasets: {DY: @files.txt}\n" + processor,
      "analysis.yaml:1:16: a text that starts with this character must stand in quotes",
    ],
    [
      "two colons",
      "name: Z: peak\n" + good,
      'analysis.yaml:1:7: there is a second ": " in this line: a text with ": " needs quotes',
    ],
    [
      "an open bracket",
      "datasets: {DY: data/a.root\n" + processor,
      "analysis.yaml:2:1: this is not YAML: Flow map in block collection must be sufficiently " +
      "indented and end with a }",
    ],
    [
      "two documents",
      `${good}---\n${good}`,
      'analysis.yaml:3:1: there is a second document after "---": an analysis is one',
    ],
    [
      "an anchor bomb",
      bomb + good,
      "analysis.yaml:1:1: its aliases stand for more than 1000 values",
    ],
    [
      "an alias of nothing",
      "datasets: *x\n" + processor,
      "analysis.yaml:1:1: Unresolved alias (the anchor must be set before the alias): x",
    ],
    [
      "an unknown tag",
      "datasets: !!foo x\n" + processor,
      "analysis.yaml:1:11: Unresolved tag: tag:yaml.org,2002:foo",
    ],
    [
      "an empty file",
      "",
      "analysis.yaml:1:1: nothing is not a mapping with datasets and processor",
    ],
    [
      "comments only",
      "# to do\n",
      "analysis.yaml:1:1: nothing is not a mapping with datasets and processor",
    ],
    [
      "a text",
      "hello\n",
      'analysis.yaml:1:1: "hello" is not a mapping with datasets and processor',
    ],
    [
      "binary",
      "root\0\0\xff",
      'Cannot read the analysis "analysis.yaml": it is not a text file in UTF-8',
    ],
  ]);
});

Deno.test("bytes that are not UTF-8 are refused", async () => {
  await using folder = await folderWith({});
  await Deno.writeFile(folder.join("latin1.yaml"), new Uint8Array([0x6e, 0x3a, 0x20, 0xe9]));
  await assert.rejects(loadAnalysis(folder.join("latin1.yaml"), {}), {
    name: "UsageError",
    message: `Cannot read the analysis "${folder.join("latin1.yaml")}": ` +
      "it is not a text file in UTF-8",
  });
});

Deno.test("a file of 50 MB is refused before it is read", async () => {
  await using folder = await folderWith({});
  const path = folder.join("big.yaml");
  using file = await Deno.open(path, { create: true, write: true });
  await file.truncate(50 * 1024 ** 2);
  await assert.rejects(loadAnalysis(path, {}), {
    name: "UsageError",
    message: `Cannot read the analysis "${path}": it has 50 MB, and the most is 4 MB`,
  });
});

Deno.test("an analysis that is not there, or is a folder, is refused", async () => {
  await using folder = await folderWith({ "analysis.yaml": good });
  await assert.rejects(loadAnalysis(folder.join("analysys.yaml"), {}), {
    name: "UsageError",
    message: `Cannot read the analysis "${folder.join("analysys.yaml")}": there is no such file: ` +
      `did you mean "${folder.join("analysis.yaml")}"?`,
  });
  await assert.rejects(loadAnalysis(folder.path, {}), {
    name: "UsageError",
    message: `Cannot read the analysis "${folder.path}": it is a folder; name a file in it`,
  });
});

Deno.test("a link to a file that is gone is refused where a pattern finds it", async () => {
  await using folder = await folderWith({});
  await Deno.symlink("gone", folder.join("data/link.root"));
  const path = await folder.write("analysis.yaml", `datasets: {DY: data/l*.root}\n${processor}`);
  await assert.rejects(
    loadAnalysis(path, {}),
    /:1:16: datasets\.DY: "data\/link\.root" is a link to a file that is not there/,
  );
});

Deno.test("of many problems the first twenty are shown", async () => {
  const names = Array.from({ length: 50 }, (_, i) => `nowhere/${i}.root`);
  const lines = await refusal(`datasets: {DY: [${names.join(", ")}]}\n${processor}`);
  assert.equal(lines.length, 21);
  assert.equal(lines.at(-1), "and 30 more problems");
});

Deno.test("~/ starts in the home folder, and such files are read in place", async () => {
  await using folder = await folderWith({});
  const home = Deno.env.get("HOME");
  Deno.env.set("HOME", folder.path);
  try {
    const spec = await load(`datasets: {DY: [~/data/a.root, "~/data/b*"]}\n${processor}`);
    assert.deepEqual(spec.files.map(({ source, send }) => [source, send]), [
      [folder.join("data/a.root"), false],
      [folder.join("data/b.root"), false],
    ]);
  } finally {
    if (home === undefined) Deno.env.delete("HOME");
    else Deno.env.set("HOME", home);
  }
});
