import assert from "node:assert/strict";
import { folderWith, loadAnalysis, refusal, refuses } from "../support/analysis.ts";

const processor = "processor: dimuon.ts\n";
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
      'analysis.yaml:3:13: unknown key "quux": the keys are cores, memory, disk, gpus, mode, monitor',
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
    [
      "missing files beside a misspelt key",
      `datasets: {DY: data/aa.root}\nprocessor: dimuo.ts\nprot: 1\n`,
      'analysis.yaml:1:16: datasets.DY: there is no file "data/aa.root": did you mean ' +
      '"data/a.root"?',
      'analysis.yaml:2:12: processor: there is no file "dimuo.ts": did you mean "dimuon.ts"?',
      'analysis.yaml:3:1: unknown key "prot": did you mean "port"?',
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
      datasets('{DY: "s3://eos/a.root"}'),
      'analysis.yaml:2:16: datasets.DY: "s3://eos/a.root" cannot be read: files come from ' +
      "disk, over http and https, or from XRootD (root://)",
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
      "analysis.yaml:2:12: processor: a processor of coffea is named with its file, as in " +
      "dimuon.py:MyProcessor; any other program is a command: " +
      '{command: "python3 dimuon.py", inputs: [dimuon.py]}',
    ],
    [
      "Python without a name",
      base + '"dimuon.py:"\n',
      'analysis.yaml:2:12: processor: name what is in "dimuon.py", as in dimuon.py:MyProcessor',
      'analysis.yaml:2:12: processor: there is no file "dimuon.py": did you mean "dimuon.ts"?',
    ],
    [
      "a module of Python that is not there",
      base + "dimuo.py:My-Processor\n",
      'analysis.yaml:2:12: processor: "My-Processor" is not a name in Python',
      'analysis.yaml:2:12: processor: there is no file "dimuo.py": did you mean "dimuon.ts"?',
    ],
    [
      "a module of Python without a class",
      base + "{module: dimuon.py}\n",
      "analysis.yaml:2:21: processor.module: a processor of coffea is FILE.py:NAME, " +
      "as in my_module.py:MyProcessor",
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
      'analysis.yaml:3:1: there is a second document after "---": a file has one',
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
      'Cannot read the file "analysis.yaml": it is not a text file in UTF-8',
    ],
  ]);
});

Deno.test("bytes that are not UTF-8 are refused", async () => {
  await using folder = await folderWith({});
  await Deno.writeFile(folder.join("latin1.yaml"), new Uint8Array([0x6e, 0x3a, 0x20, 0xe9]));
  await assert.rejects(loadAnalysis(folder.join("latin1.yaml"), {}), {
    name: "UsageError",
    message: `Cannot read the file "${folder.join("latin1.yaml")}": ` +
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
    message: `Cannot read the file "${path}": it has 50 MB, and the most is 4 MB`,
  });
});

Deno.test("an analysis that is not there, or is a folder, is refused", async () => {
  await using folder = await folderWith({ "analysis.yaml": good });
  await assert.rejects(loadAnalysis(folder.join("analysys.yaml"), {}), {
    name: "UsageError",
    message: `Cannot read the file "${folder.join("analysys.yaml")}": there is no such file: ` +
      `did you mean "${folder.join("analysis.yaml")}"?`,
  });
  await assert.rejects(loadAnalysis(folder.path, {}), {
    name: "UsageError",
    message: `Cannot read the file "${folder.path}": it is a folder; name a file in it`,
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
