/** Task lists as they are understood, streams of tasks, and results on their way out. */
import assert from "node:assert/strict";
import type { ListedTask, ListEntry } from "../../core/tasklist/spec.ts";
import { ResultLog } from "../../manager/result_log.ts";
import { loadRun } from "../../manager/run_file.ts";
import type { CategorySettings } from "../../core/allocation/category.ts";
import type { Overrides } from "../../manager/run_options.ts";
import type { TaskList } from "../../manager/task_list_file.ts";
import { parseEndTimeMs } from "../../manager/task_list_schema.ts";
import { entriesOf, piecesOf } from "../../manager/task_list_stream.ts";
import { bytesOf, textOf } from "../support/builders.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

/** The list as it is understood; its folder is `/F`. */
async function load(
  text: string,
  { name = "tasks.yaml", overrides = {} }: { name?: string; overrides?: Overrides } = {},
): Promise<TaskList> {
  await using folder = await TempFolder.create("wqx-tasks-");
  for (const file of ["in.txt", "data/a.root", "lib/x.so"]) await folder.write(file, "");
  const run = await loadRun(await folder.write(name, text), overrides);
  assert.equal(run.kind, "tasks");
  const list = run.kind === "tasks" ? run.list : assert.fail();
  const plain = (key: string, value: unknown) =>
    key === "bytes"
      ? textOf(value as Uint8Array)
      : typeof value === "string"
      ? value.replace(folder.path, "/F")
      : value;
  const tasks: ListedTask[] = JSON.parse(
    JSON.stringify(
      list.tasks,
      (key, value) => value instanceof Uint8Array ? textOf(value) : plain(key, value),
    ),
  );
  return { spec: list.spec, tasks };
}

const one = async (text: string, overrides: Overrides = {}) =>
  (await load(text, { overrides })).tasks[0]!;

Deno.test("a task says where its inputs come from and where its outputs go", async () => {
  const task = await one(`
tasks:
  - command: x
    inputs:
      - in.txt
      - {file: ./data/a.root, remote_name: ./d/b.root, cache: yes}
      - {dir: lib/, cache: true}
      - {buffer: "1\\n2", remote_name: cfg}
      - {buffer: "", remote_name: empty}
      - {url: "https://h.org/p/q.dat?x=1", cache: no}
      - {empty_dir: scratch}
    outputs:
      - out/a.txt
      - {dir: /abs/res/, remote_name: res, when: always, cache: yes}
      - {file: log, when: failure, watch: yes}
`);
  const path = (path: string, as: string, written: string) => ({ kind: "path", path, as, written });
  assert.deepEqual(task.inputs, [
    { source: path("/F/in.txt", "any", "in.txt"), sandboxName: "in.txt", cache: false },
    {
      source: path("/F/data/a.root", "file", "./data/a.root"),
      sandboxName: "d/b.root",
      cache: true,
    },
    { source: path("/F/lib", "directory", "lib/"), sandboxName: "lib", cache: true },
    { source: { kind: "buffer", bytes: "1\n2" }, sandboxName: "cfg", cache: false },
    { source: { kind: "buffer", bytes: "" }, sandboxName: "empty", cache: false },
    {
      source: { kind: "url", url: "https://h.org/p/q.dat?x=1" },
      sandboxName: "q.dat",
      cache: false,
    },
    { source: { kind: "empty directory" }, sandboxName: "scratch", cache: false },
  ]);
  const plain = { when: "success", cache: false, watch: false };
  assert.deepEqual(task.outputs, [
    { path: "/F/out/a.txt", sandboxName: "a.txt", ...plain },
    { path: "/abs/res", sandboxName: "res", ...plain, when: "always", cache: true },
    { path: "/F/log", sandboxName: "log", ...plain, when: "failure", watch: true },
  ]);
});

Deno.test("a task of which nothing is said has one attempt, no limits and a category", async () => {
  assert.deepEqual(await one("tasks: [{command: x}]"), {
    id: 1,
    name: null,
    tag: null,
    command: "x",
    after: [],
    inputs: [],
    outputs: [],
    env: [],
    request: {},
    category: "default",
    priority: 0,
    retriesMax: 0,
    features: [],
    wallTimeMs: null,
    endTimeMs: null,
  });
});

Deno.test("what Work Queue calls by other names comes to the same", async () => {
  const ours = `
tasks:
  - command: x
    tag: "7"
    inputs: [{file: in.txt, remote_name: i, cache: yes}]
    outputs: [{file: o, watch: yes}]
    env: {A: "1"}
    resources: {cores: 2, memory: 500, disk: 1GB, gpus: 1}
`;
  const theirs = `
- command_line: x
  tag: 7
  input_files: [{local_name: in.txt, remote_name: i, flags: {cache: true}}]
  output_files: {local_name: o, flags: {watch: true}}
  environment: {A: 1}
  cores: 2
  memory: 500MB
  disk: 1024
  gpus: 1
`;
  const [a, b] = [await one(ours), await one(theirs)];
  const source = { ...b.inputs[0]!.source, as: "file" };
  assert.deepEqual({ ...b, inputs: [{ ...b.inputs[0], source }] }, a);
});

Deno.test("a task's own word wins over the command line, and that over the defaults", async () => {
  const yaml = `
defaults:
  category: fit
  priority: 3
  retries: 4
  env: {A: 1, B: 2}
  resources: {cores: 2, memory: 300}
  features: avx
  wall_time: 5m
  end_time: 2026-11-22T18:00:00Z
tasks:
  - {command: x}
  - {command: x, category: own, priority: -1.5, retries: 1, env: {B: 3}, resources: {cores: 4},
     features: [a, b], wall_time: 1.5h, end_time: 100}
`;
  const shown = ({ tasks }: TaskList) =>
    tasks.map((
      { category, priority, retriesMax, env, request, features, wallTimeMs, endTimeMs },
    ) => [category, priority, retriesMax, env, request, features, wallTimeMs, endTimeMs]);
  const own = (
    request: unknown,
  ) => ["own", -1.5, 1, ["A=1", "B=3"], request, ["a", "b"], 5_400_000, 100_000];
  const epochMs = Date.UTC(2026, 10, 22, 18);
  assert.deepEqual(shown(await load(yaml)), [
    ["fit", 3, 4, ["A=1", "B=2"], { cores: 2, memoryMb: 300 }, ["avx"], 300_000, epochMs],
    own({ cores: 4, memoryMb: 300 }),
  ]);
  const overrides = { cores: 8, memoryMb: 1, retries: 9 };
  assert.deepEqual(shown(await load(yaml, { overrides })), [
    ["fit", 3, 9, ["A=1", "B=2"], { cores: 8, memoryMb: 1 }, ["avx"], 300_000, epochMs],
    own({ cores: 4, memoryMb: 1 }),
  ]);
});

Deno.test("tasks come after others by name or number", async () => {
  const { tasks } = await load(`
tasks:
  - {command: x, after: [late, 3]}
  - {name: late, command: x}
  - {name: "1", command: x}
  - {command: x, after: "1"}
`);
  assert.deepEqual(tasks.map(({ after }) => after), [
    [{ named: "late", id: 2 }, { named: 3, id: 3 }],
    [],
    [],
    [{ named: "1", id: 3 }],
  ]);
});

Deno.test("a list says what holds for the run, and the command line wins", async () => {
  const yaml = "name: n\nport: 9000:9100\noutput: o\nworkers: {max: 3, cores: 2}\n" +
    "categories: {fit: {fast_abort: 2.5}, other: {resources: {mode: auto, memory: 2 GB}}}\n" +
    "tasks: [{command: x}]\n";
  const { spec } = await load(yaml);
  assert.match(spec.output, /\/wqx-tasks-\w+\/o$/);
  assert.deepEqual({ ...spec, output: "" }, {
    name: "n",
    port: { low: 9000, high: 9100 },
    workers: { count: 3, cores: 2 },
    output: "",
    stragglerFactors: new Map([["fit", 2.5]]),
    allocations: new Map<string, CategorySettings>([
      ["default", { mode: "adaptive", max: {}, chance: Math.random }],
      ["other", { mode: "max-seen", max: { memoryMb: 2048 }, chance: Math.random }],
    ]),
    monitor: "watchdog",
    monitorForeign: false,
  });
  const overrides = { port: { low: 1, high: 1 }, workers: "none" as const, output: "/o" };
  const other = (await load(yaml, { overrides })).spec;
  assert.deepEqual([other.port, other.workers, other.output], [{ low: 1, high: 1 }, null, "/o"]);
});

Deno.test("the content says whether a file is an analysis, a list, or JSON lines", async () => {
  const tasks = async (text: string, name: string) => (await load(text, { name })).tasks.length;
  const line = '{"command": "x"}\n';
  assert.equal(await tasks("- command: x\n", "a.yaml"), 1);
  assert.equal(await tasks(JSON.stringify({ tasks: [{ command: "x" }] }), "a.json"), 1);
  assert.equal(await tasks(line + line, "a.jsonl"), 2);
  assert.equal(await tasks(`\n${line}\n${line}`, "a.txt"), 2);
  assert.equal(await tasks('{"command_line": "x"}', "a"), 1);
  for (const text of ["datasets: {}", "processor: p.ts", "name: a", "datasets: {}\ntasks: []\n"]) {
    const kind = text.includes("tasks") ? /unknown key "datasets"/ : /: (datasets|processor): /;
    await assert.rejects(load(text), { name: "UsageError", message: kind });
  }
});

Deno.test("end times are seconds since 1970 or ISO 8601", () => {
  assert.equal(parseEndTimeMs("1795370400"), 1_795_370_400_000);
  assert.equal(parseEndTimeMs("0.5"), 500);
  assert.equal(parseEndTimeMs("2026-11-22T18:00:00Z"), Date.UTC(2026, 10, 22, 18));
  assert.equal(parseEndTimeMs("2026-11-22 18:00+02:00"), Date.UTC(2026, 10, 22, 16));
  assert.equal(parseEndTimeMs("2026-11-22T18:00"), new Date(2026, 10, 22, 18).getTime());
});

/** Entries of a stream that comes in these pieces, a line each. */
async function streamed(...pieces: string[]): Promise<string[]> {
  const stream = ReadableStream.from(pieces.map(bytesOf));
  const context = { folder: "/d", defaults: null, overrides: {} };
  const found: ListEntry[] = [];
  for await (const some of entriesOf(stream, "stdin", context)) found.push(...some);
  return found.map((entry) =>
    entry.kind === "refused"
      ? `${entry.entry.id} ${entry.entry.name}: ${entry.entry.why}`
      : `${entry.task.id} ${entry.task.command}${entry.task.after.map(({ id }) => ` after ${id}`)}`
  );
}

Deno.test("a bad line of a stream is refused with its place, and the others go on", async () => {
  assert.deepEqual(
    await streamed(
      '{"command":"a","name":"a"}\n\n{"comm',
      'and":"b","after":["a",1]}\nnonsense\n{"comand":"c"}\n',
      '{"name":"d","command":"d","cores":0}\n{"command":"e","after":["d"]}\n',
      '{"command":"f","name":"a"}\n{"command":"g","after":["z"]}\n{"command":"h","after":[10]}',
    ),
    [
      "1 a",
      "2 b after 1, after 1",
      "3 null: stdin:4:1: this is not JSON: unexpected token 'o'",
      '4 null: stdin:5:2: unknown key "comand": did you mean "command"?',
      '5 d: stdin:6:35: cores: "0" is too small: it must be 1 or more',
      "6 e after 5",
      '7 null: stdin:8:23: name: task 1 is called "a", too',
      '8 null: stdin:9:25: after[0]: there is no task "z"; in a stream a task comes after earlier ' +
      "ones",
      "9 null: stdin:10:25: after[0]: there is no task 10: tasks are numbered from 1; in a " +
      "stream a task comes after earlier ones",
    ],
  );
});

Deno.test("a stream ends in the middle of waiting when it is told to", async () => {
  const stop = new AbortController();
  const waiting = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytesOf("a")),
  });
  const pieces = piecesOf(waiting, stop.signal);
  assert.equal(textOf((await pieces.next()).value!), "a");
  const next = pieces.next();
  stop.abort();
  assert.equal((await next).done, true);
});

Deno.test("results reach the file and the reader whole and in order", async () => {
  await using folder = await TempFolder.create("wqx-log-");
  let read = "";
  const reader = (bytes: Uint8Array) => {
    read += textOf(bytes);
    return Promise.resolve(true);
  };
  const log = await ResultLog.open(folder.join("r.jsonl"), reader);
  let expected = "";
  for (let i = 0; i < 3000; i++) {
    log.add({ i, text: "x".repeat(i % 500) });
    expected += JSON.stringify({ i, text: "x".repeat(i % 500) }) + "\n";
    if (i === 1000) await until(() => read.endsWith("\n"), { what: "the first results" });
  }
  await log.end(new AbortController().signal);
  assert.equal(await Deno.readTextFile(folder.join("r.jsonl")), expected);
  assert.equal(read, expected);
});

Deno.test("a reader that takes nothing holds up neither the file nor the end, if told to", async () => {
  await using folder = await TempFolder.create("wqx-log-");
  const path = folder.join("r.jsonl");
  const log = await ResultLog.open(path, () => new Promise(() => {}));
  for (let i = 0; i < 1000; i++) log.add({ text: "x".repeat(1000) });
  await until(async () => (await Deno.stat(path)).size === 1000 * 1012, { what: "all results" });
  const abort = new AbortController();
  const ended = log.end(abort.signal);
  abort.abort();
  await ended;
});

Deno.test("a reader that has left is not written to again, and the file is completed", async () => {
  await using folder = await TempFolder.create("wqx-log-");
  let asked = 0;
  const log = await ResultLog.open(folder.join("r.jsonl"), () => {
    asked++;
    return Promise.resolve(false);
  });
  log.add(1);
  await until(() => asked === 1, { what: "the reader to be asked" });
  log.add(2);
  await log.end(new AbortController().signal);
  assert.equal(asked, 1);
  assert.equal(await Deno.readTextFile(folder.join("r.jsonl")), "1\n2\n");
});

Deno.test("results that cannot be kept end the run with the reason", async () => {
  const log = await ResultLog.open("/dev/full", () => Promise.resolve(true));
  log.add(1);
  const expected = { name: "RunError", message: /^Cannot write results to \/dev\/full: No space/ };
  await assert.rejects(log.failed, expected);
  await assert.rejects(log.end(new AbortController().signal), expected);
});
