import assert from "node:assert/strict";
import {
  categoryOf,
  coffeaResultPath,
  describeItem,
  type Item,
  itemId,
  outcomePath,
  resultPath,
  type TaskContext,
  taskOf,
} from "../../core/analysis/items.ts";
import type { AnalysisSpec, InputFile } from "../../core/analysis/spec.ts";
import { taskId } from "../../core/ids.ts";
import { whyUnsendable } from "../../core/scheduler/block.ts";
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { analysisSpec, bytesOf, inputFile, textOf } from "../support/builders.ts";

const code = bytesOf("export default {}");

function context(options: Partial<AnalysisSpec> = {}, postprocess = false): TaskContext {
  const spec = analysisSpec(options);
  const processor = spec.processor.kind === "module" ? { code, postprocess } : null;
  const wqx = { kind: "file", path: "/usr/bin/wqx" } as const;
  return { spec, processor, partsFolder: "/run/parts", taskCommand: "wqx task", wqx };
}

const local = inputFile("a.root");
const url = inputFile("http://host/b.root", { source: "http://host/b.root", send: false });

const preprocess = (file: InputFile): Item => ({ kind: "preprocess", file });
const process = (file: InputFile, leaf = 3): Item => ({
  kind: "process",
  leaf,
  piece: [],
  file,
  uuid: "0000-1111",
  range: { start: 100, stop: 250 },
});
const accumulate = (final: boolean, index = 0): Item => ({
  kind: "accumulate",
  node: { level: 1, index },
  parts: [0, 1].map((i) => ({ path: `/run/parts/p-${i}.result.acc`, events: 100 })),
  final,
});

const task = (item: Item, at: TaskContext = context()) => taskOf(item, itemId(item, 7), at);

/** What the task is told, as it stands in job.json. */
function job({ inputs }: TaskSpec): unknown {
  const [{ source, sandboxName, cache }] = inputs as [TaskSpec["inputs"][number]];
  assert.ok(source.kind === "buffer" && sandboxName === "job.json" && !cache);
  return JSON.parse(textOf(source.bytes));
}

const sandboxNames = (files: readonly { readonly sandboxName: string }[]) =>
  files.map(({ sandboxName }) => sandboxName);

Deno.test("preprocessing gets its file and job, and gives an outcome", () => {
  const spec = task(preprocess(local));
  assert.deepEqual(job(spec), {
    kind: "preprocess",
    dataset: "A",
    file: "a.root",
    open: "data/a.root",
    tree: "Events",
  });
  assert.deepEqual(sandboxNames(spec.inputs), ["job.json", "wqx", "data/a.root"]);
  assert.deepEqual(spec.outputs, [{
    sandboxName: "outcome.json",
    cacheName: "out-pre-7-outcome.json",
    path: "/run/parts/pre-7.outcome.json",
    when: "always",
  }]);
  const { command, category, env, retriesMax } = spec;
  assert.deepEqual([command, category, env, retriesMax], ["wqx task", "preprocessing", [], 5]);
});

Deno.test("processing is told its chunk, the file's uuid and the dataset's metadata", () => {
  const spec = task(process(local), context({ datasets: new Map([["A", { xsec: 2.5 }]]) }));
  assert.deepEqual(job(spec), {
    kind: "process",
    dataset: "A",
    file: "a.root",
    open: "data/a.root",
    tree: "Events",
    uuid: "0000-1111",
    start: 100,
    stop: 250,
    metadata: { xsec: 2.5 },
    processor: { module: "processor.js" },
  });
  assert.deepEqual(sandboxNames(spec.inputs), ["job.json", "wqx", "data/a.root", "processor.js"]);
  assert.deepEqual(spec.outputs.map(({ path, when }) => [path, when]), [
    ["/run/parts/p-3.result.acc", "success"],
    ["/run/parts/p-3.outcome.json", "always"],
  ]);
  assert.equal(resultPath("p-3", "/run/parts"), spec.outputs[0]?.path);
  assert.equal(outcomePath("p-3", "/run/parts"), spec.outputs[1]?.path);
});

Deno.test("a file that is read in place is not sent", () => {
  for (const item of [preprocess(url), process(url)]) {
    const spec = task(item);
    assert.equal((job(spec) as { open: string }).open, "http://host/b.root");
    assert.deepEqual(sandboxNames(spec.inputs).filter((name) => name.includes("root")), []);
  }
});

Deno.test("a command processor brings its inputs, and no module", () => {
  const inputs = ["/home/user/hist.py", "/home/user/lumi.json"];
  const processor = { kind: "command", command: "python3 hist.py", inputs } as const;
  const at = context({ processor });
  const spec = task(process(local), at);
  assert.deepEqual(
    (job(spec) as { processor: unknown }).processor,
    { command: "python3 hist.py" },
  );
  const names = ["job.json", "wqx", "data/a.root", "hist.py", "lumi.json"];
  assert.deepEqual(sandboxNames(spec.inputs), names);
  assert.deepEqual(spec.inputs.map(({ cache }) => cache), [false, true, true, true, true]);
  assert.deepEqual(sandboxNames(task(preprocess(local), at).inputs), [
    "job.json",
    "wqx",
    "data/a.root",
  ]);
});

Deno.test("accumulating gets its parts in order; only the last merge has the processor", () => {
  const parts = ["part-0.acc", "part-1.acc"];
  const module = "processor.js";
  const cases: [boolean, boolean, object, string[]][] = [
    [false, false, {}, []],
    [true, false, {}, []],
    [false, true, {}, []],
    [true, true, { postprocess: { module } }, [module]],
  ];
  for (const [final, postprocess, more, inputs] of cases) {
    const spec = task(accumulate(final), context({}, postprocess));
    assert.deepEqual(job(spec), { kind: "accumulate", parts, ...more });
    assert.deepEqual(sandboxNames(spec.inputs), ["job.json", "wqx", ...parts, ...inputs]);
    assert.deepEqual(sandboxNames(spec.outputs), ["result.acc", "outcome.json"]);
    assert.equal(spec.category, "accumulating");
  }
  assert.ok(task(accumulate(false)).priority > task(process(local)).priority, "merges go first");
});

Deno.test("what is declared is for categories to say, not for tasks", () => {
  const resources = { memoryMb: 500 };
  assert.deepEqual(task(preprocess(local), context({ resources })).request, {});
});

Deno.test("cached names are plain, shared for what is kept, and unique for all else", () => {
  const odd = inputFile("µ & co (1).root", { source: `/data/µ & co (1)${"x".repeat(90)}.root` });
  const other = inputFile("a.root", { source: "/elsewhere/a.root" });
  const command = "python3 hist.py";
  const inputs = ["/home/user/a b.py"];
  const commands = context({ processor: { kind: "command", command, inputs } });
  const items = [
    ...[local, odd, other].flatMap((file, i) => [preprocess(file), process(file, i)]),
    accumulate(false, 0),
    accumulate(false, 1),
    accumulate(true, 2),
  ];
  const kept = new Map<string, string>();
  const own = new Set<string>();
  for (const at of [context({}, true), commands]) {
    own.clear();
    items.forEach((item, serial) => {
      const spec = taskOf(item, itemId(item, serial), at);
      assert.equal(whyUnsendable(taskId(1), spec), null);
      for (const { cacheName, cache, source, sandboxName } of spec.inputs) {
        assert.match(cacheName, /^[A-Za-z0-9._-]{1,120}$/);
        assert.ok(source.kind === "file" || source.kind === "buffer");
        const what = source.kind === "file" ? source.path : `${sandboxName}: ${source.bytes}`;
        if (cache) {
          assert.equal(kept.get(cacheName) ?? what, what, "one name, one content");
          kept.set(cacheName, what);
        } else {
          assert.ok(!own.has(cacheName), `${cacheName} is used once`);
          own.add(cacheName);
        }
      }
      for (const { cacheName } of spec.outputs) {
        assert.match(cacheName, /^[A-Za-z0-9._-]{1,120}$/);
        assert.ok(!own.has(cacheName), `${cacheName} is used once`);
        own.add(cacheName);
      }
    });
  }
  assert.equal(new Set(kept.values()).size, kept.size, "what is kept is sent under one name");
});

Deno.test("a cached file is named as Work Queue names it: by the path, not the content", () => {
  const [, , data] = task(preprocess(inputFile("in.txt", { source: "in.txt" }))).inputs;
  assert.equal(data?.cacheName, "file-0-fc91f21b3f8552b556a1ea9731c804d5-in.txt");
});

Deno.test("items have a word for files and a sentence for people", () => {
  const cases: [Item, string, string, string][] = [
    [preprocess(local), "pre-7", "preprocessing", 'preprocessing "a.root" (dataset A)'],
    [
      process(local),
      "p-3",
      "processing",
      'processing events [100, 250) of "a.root" (dataset A)',
    ],
    [accumulate(true), "accum-1-0", "accumulating", "accumulating 2 partial results"],
  ];
  for (const [item, id, category, text] of cases) {
    assert.equal(itemId(item, 7), id);
    assert.equal(categoryOf[item.kind], category);
    assert.equal(describeItem(item), text);
  }
});

Deno.test("tasks that open a file of XRootD, and no others, get the proxy and its name", () => {
  const remote = inputFile("root://h//b.root", { source: "root://h//b.root", send: false });
  const at = { ...context(), x509Proxy: bytesOf("PEM") };
  for (const item of [preprocess(remote), process(remote)]) {
    const { env, inputs } = task(item, at);
    assert.deepEqual(env, ["X509_USER_PROXY=x509_proxy"]);
    const { source, cache } = inputs.find(({ sandboxName }) => sandboxName === "x509_proxy")!;
    assert.ok(source.kind === "buffer" && source.mode === 0o600 && cache);
    assert.deepEqual(task(item).env, []);
  }
  for (const item of [preprocess(local), process(url), accumulate(true)]) {
    const { env, inputs } = task(item, at);
    assert.deepEqual(env, []);
    assert.ok(!sandboxNames(inputs).includes("x509_proxy"));
  }
});

Deno.test("a processor of coffea goes along with its runner, and its last merge tells JSON", () => {
  const processor = {
    kind: "coffea",
    path: "/home/user/muons.py",
    name: "Muons",
    python: "python3",
    schema: null,
    inputs: ["/home/user/cuts.json"],
  } as const;
  const at: TaskContext = {
    ...context({ processor }),
    coffeaRunner: bytesOf("print()"),
    taskCommand: "exec python3 wqx_coffea.py",
  };
  const coffea = { file: "muons.py", name: "Muons", schema: null };
  const chunk = task(process(local), at);
  assert.equal(chunk.command, "exec python3 wqx_coffea.py");
  assert.deepEqual((job(chunk) as { coffea: unknown }).coffea, coffea);
  assert.deepEqual(sandboxNames(chunk.inputs), [
    "job.json",
    "data/a.root",
    "wqx_coffea.py",
    "muons.py",
    "cuts.json",
  ]);
  const merge = task(accumulate(false), at);
  assert.deepEqual(job(merge), { kind: "accumulate", parts: ["part-0.acc", "part-1.acc"] });
  assert.deepEqual(sandboxNames(merge.outputs), ["result.acc", "outcome.json"]);
  const last = task(accumulate(true), at);
  assert.deepEqual((job(last) as { postprocess: unknown }).postprocess, { coffea });
  assert.deepEqual(sandboxNames(last.outputs), ["result.acc", "result.json", "outcome.json"]);
  assert.equal(coffeaResultPath("/run/parts/accum-1-0.result.acc"), last.outputs[1]!.path);
});
