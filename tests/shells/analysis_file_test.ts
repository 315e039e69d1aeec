import assert from "node:assert/strict";
import { resolve } from "node:path";
import { folderWith, load, loadAnalysis, refusal } from "../support/analysis.ts";

const processor = "processor: dimuon.ts\n";

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
    sizing: { mode: "adaptive", monitor: "watchdog", monitorForeign: false },
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
resources: {cores: 2, memory: 4GB, disk: 500 MB, gpus: 1, mode: auto, monitor: measure}
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
    sizing: { mode: "max-seen", monitor: "measure", monitorForeign: true },
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
