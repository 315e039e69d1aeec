/** The course of a list in this process, without any worker: what is asked for, kept and told. */
import assert from "node:assert/strict";
import type { TaskProgress } from "../../core/tasklist/progress.ts";
import type { ResultLine } from "../../core/tasklist/result.ts";
import type { ListedTask, ListEntry } from "../../core/tasklist/spec.ts";
import { openToAll } from "../../manager/serving.ts";
import { type TaskListEnd, TaskListRun } from "../../manager/task_list.ts";
import { textOf } from "../support/builders.ts";
import { listed, localInput, localOutput } from "../support/tasklist.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

interface ProbeOptions {
  readonly aheadMax?: number;
  readonly output?: string;
}

/** A run that waits for workers, and what was seen of it. */
class Probe implements AsyncDisposable {
  readonly updates: TaskProgress[] = [];
  readonly ended: Promise<TaskListEnd>;
  readonly stop = new AbortController();
  #text = "";

  private constructor(
    readonly folder: TempFolder,
    entries: AsyncIterable<readonly ListEntry[]>,
    { aheadMax = Infinity, output = folder.join("out") }: ProbeOptions,
  ) {
    const spec = {
      name: "probe",
      workers: null,
      port: { low: 0, high: 0 },
      output,
      stragglerFactors: new Map(),
      allocations: new Map(),
      monitor: "off" as const,
      monitorForeign: false,
    };
    this.ended = TaskListRun.run(spec, {
      view: {
        update: (progress) => void this.updates.push(progress),
        note: () => {},
        finish: (progress) => void this.updates.push(progress),
      },
      wqx: [],
      version: "0",
      serving: openToAll,
      hostname: "127.0.0.1",
      stop: this.stop.signal,
      abort: new AbortController().signal,
      entries,
      aheadMax,
      reader: (bytes) => {
        this.#text += textOf(bytes);
        return Promise.resolve(true);
      },
    });
    this.ended.catch(() => {}); // tests look at it when they like
  }

  static async start(
    entries: AsyncIterable<readonly ListEntry[]>,
    options: ProbeOptions = {},
  ): Promise<Probe> {
    return new Probe(await TempFolder.create("wqx-list-"), entries, options);
  }

  /** `ID STATE: WHY` of each result so far. */
  get results(): string[] {
    return this.#text.split("\n").filter((line) => line !== "")
      .map((line): ResultLine => JSON.parse(line))
      .map(({ id, state, why }) => `${id} ${state}: ${why}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.ended.catch(() => {});
    await this.folder[Symbol.asyncDispose]();
  }
}

const entry = (task: ListedTask): ListEntry => ({ kind: "task", task });

/** Tasks that all come at once. */
const all = (...tasks: ListedTask[]) => ReadableStream.from([tasks.map(entry)]);

Deno.test("no more entries are asked for than may wait, and none after a stop", async () => {
  let asked = 0;
  async function* many(): AsyncGenerator<readonly ListEntry[]> {
    for (let id = 1; id < 5000; id += 10) {
      asked++;
      yield Array.from({ length: 10 }, (_, i) => entry(listed(id + i)));
      await Promise.resolve();
    }
  }
  await using probe = await Probe.start(many(), { aheadMax: 100 });
  await until(() => probe.updates.filter(({ waiting }) => waiting >= 100).length >= 3, {
    what: "a full queue, seen three times",
  });
  assert.equal(asked, 10);
  assert.equal(probe.updates.at(-1)!.total, null);
  probe.stop.abort();
  const end = await probe.ended;
  assert.equal(asked, 10);
  assert.equal(end.counts.canceled, 100);
  assert.deepEqual(probe.updates.at(-1)!.phase, "stopped");
});

Deno.test("a task that no worker could be told of fails alone and at once", async () => {
  const long = localOutput("/d/x", { sandboxName: "x".repeat(5000) });
  await using probe = await Probe.start(
    all(listed(1, [], { outputs: [long] }), listed(2, [1]), listed(3)),
  );
  await until(() => probe.results.length === 2, { what: "two results" });
  assert.match(probe.results[0]!, /^1 failure: /);
  assert.equal(probe.results[1], "2 not run: it comes after task 1, which failed");
  probe.stop.abort();
  assert.deepEqual((await probe.ended).counts, {
    success: 0,
    failure: 1,
    "not run": 1,
    refused: 0,
    canceled: 1,
  });
});

Deno.test("of two tasks that would write to one place at a time the second is refused", async () => {
  const outputs = [localOutput("/d/same")];
  await using probe = await Probe.start(
    all(listed(1, [], { outputs }), listed(2, [], { outputs }), listed(3, [2])),
  );
  await until(() => probe.results.length === 2, { what: "two results" });
  assert.deepEqual(probe.results, [
    '2 refused: task 1, which is not over, writes to "/d/same", too',
    "3 not run: it comes after task 2, which was refused",
  ]);
});

Deno.test("an input that is missing when its task is ready refuses it, and so does a folder that cannot be made", async () => {
  await using folder = await TempFolder.create("wqx-files-");
  const file = await folder.write("file", "");
  await using probe = await Probe.start(all(
    listed(1, [], { inputs: [localInput(folder.join("fiel"))] }),
    listed(2, [], { outputs: [localOutput(`${file}/x`)] }),
  ));
  const end = await probe.ended;
  assert.match(
    probe.results[0]!,
    /^1 refused: there is no file or folder ".*": did you mean ".*file"/,
  );
  assert.match(probe.results[1]!, /^2 refused: cannot make the folder of its output ".*file\/x"/);
  assert.equal(end.counts.refused, 2);
  assert.match(end.failures[0]!, /^Task 1 was refused: there is no file/);
});

Deno.test("entries that cannot be read on end the run with the reason", async () => {
  async function* broken(): AsyncGenerator<readonly ListEntry[]> {
    yield await Promise.resolve([entry(listed(1))]);
    throw new Error("the disk is gone");
  }
  await using probe = await Probe.start(broken());
  await assert.rejects(probe.ended, {
    name: "RunError",
    message: "Cannot read on in the list of tasks: the disk is gone",
  });
});

Deno.test("a run without tasks is complete", async () => {
  await using probe = await Probe.start(all());
  const end = await probe.ended;
  assert.deepEqual(end.outputs, [
    probe.folder.join("out/results.jsonl"),
    probe.folder.join("out/report.json"),
  ]);
  const report = JSON.parse(await Deno.readTextFile(probe.folder.join("out/report.json")));
  assert.deepEqual([report.state, report.tasks.total], ["complete", 0]);
});

Deno.test("a folder of an earlier run is used again, one with other things is left alone", async () => {
  await using folder = await TempFolder.create("wqx-again-");
  await folder.write("out/results.jsonl", "old\n");
  await folder.write("out/report.json", "{}");
  const run = async (name: string) => {
    await using probe = await Probe.start(all(), { output: folder.join(name) });
    return await probe.ended;
  };
  await run("out");
  assert.equal(await Deno.readTextFile(folder.join("out/results.jsonl")), "");
  await folder.write("other/thesis.tex", "");
  await assert.rejects(run("other"), {
    name: "UsageError",
    message: /it holds "thesis\.tex", which is not of an earlier run/,
  });
});
