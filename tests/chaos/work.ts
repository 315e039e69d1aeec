/**
 * What the fleet works at while faults last: slow as long as `go` is not there, its last tasks until
 * then, and the same result whatever happens.
 */
import assert from "node:assert/strict";
import { demo, readJson } from "../support/wqx.ts";

export interface WorkPlace {
  /** Where its files are, and programs are started. */
  readonly folder: string;
  readonly go: string;
  /** Runs `wqx manager` there to its end, with nobody in its way. */
  readonly calmly: (args: readonly string[]) => Promise<void>;
}

/** Attempts that were made at its tasks. */
export interface Attempts {
  readonly tasks: number;
  readonly attempts: number;
}

export interface Work {
  /** Writes its files, and finds out what the result has to be. */
  prepare(place: WorkPlace): Promise<void>;
  /** Of `wqx manager`: what to run, and options. */
  readonly args: readonly string[];
  /** Throws an AssertionError unless the run folder holds the result, and nothing else. */
  check(output: string): Promise<Attempts>;
}

export const workNames = ["analysis", "tasks"] as const;
export type WorkName = typeof workNames[number];

/** As much as three workers of one core could do in that time, had they nothing else to do. */
export function workOf(name: WorkName, durationMs: number): Work {
  const tasks = Math.ceil(tasksPerMinute * Math.max(1, durationMs / 60_000));
  return name === "analysis" ? new Analysis(tasks) : new TaskList(tasks);
}

const tasksPerMinute = 75;
/** Of a task while faults last: three workers are busy until they stop. */
const paceMs = 2000;
const eventsOfDemo = 160_000;
/** Of the demo's second file: later chunks wait for `go`. */
const gateFrom = 60_000;

/** The demo's processor, as slow as that; `go` is `null`: as fast as it is. */
function processorOf(go: string | null): string {
  return `import demo from ${JSON.stringify(`${demo}/processor.ts`)};
const isThere = () => {
  try {
    return Deno.statSync(${JSON.stringify(go ?? "/")}) !== null;
  } catch {
    return false;
  }
};
const pause = new Int32Array(new SharedArrayBuffer(4));
export default {
  ...demo,
  process(events) {
    const { dataset, start } = events.metadata;
    const isLate = dataset === "simulation" && start >= ${gateFrom};
    for (let ms = 0; (isLate || ms < ${paceMs}) && !isThere(); ms += 50) {
      Atomics.wait(pause, 0, 0, 50);
    }
    return demo.process(events);
  },
};
`;
}

/** The demo, in many chunks; what it has to be is what it is without faults. */
class Analysis implements Work {
  readonly #sized: readonly string[];
  #calm = "";

  constructor(chunks: number) {
    this.#sized = ["--chunksize", String(Math.ceil(eventsOfDemo / chunks))];
  }

  get args(): readonly string[] {
    return ["paced.yaml", ...this.#sized];
  }

  async prepare({ folder, go, calmly }: WorkPlace): Promise<void> {
    const analysis = (await Deno.readTextFile(`${demo}/analysis.yaml`))
      .replaceAll("data/", `${demo}/data/`);
    for (const name of ["calm", "paced"]) {
      await Deno.writeTextFile(`${folder}/${name}.ts`, processorOf(name === "paced" ? go : null));
      const text = analysis.replace("processor.ts", `${name}.ts`);
      await Deno.writeTextFile(`${folder}/${name}.yaml`, text);
    }
    this.#calm = `${folder}/calm`;
    await calmly(["calm.yaml", ...this.#sized, "--output", this.#calm]);
  }

  async check(output: string): Promise<Attempts> {
    const expected = await readJson(`${this.#calm}/result.json`);
    const result = await readJson(`${output}/result.json`);
    assert.equal(result.partial, false);
    assert.deepEqual(result.events, { processed: eventsOfDemo, total: eventsOfDemo });
    assert.ok(
      JSON.stringify(result.result) === JSON.stringify(expected.result),
      "the result differs from the undisturbed one",
    );
    assert.deepEqual(namesIn(output), namesIn(this.#calm));
    const { tasks } = await readJson(`${output}/report.json`);
    return { tasks: tasks.length, attempts: attemptsOf(tasks) };
  }
}

/** Shell commands, each of which prints the square of its number. */
class TaskList implements Work {
  readonly args: readonly string[] = ["tasks.jsonl", "--cores", "1", "--retries", "20"];

  constructor(private readonly count: number) {}

  async prepare({ folder, go }: WorkPlace): Promise<void> {
    const line = (i: number) => {
      const pace = i > 0.8 * this.count ? "" : `[ $n -lt ${paceMs / 100} ] && `;
      const wait = `n=0; while ${pace}! [ -e '${go}' ]; do sleep 0.1; n=$((n+1)); done`;
      return `${JSON.stringify({ command: `${wait}; echo $((${i}*${i}))` })}\n`;
    };
    const lines = Array.from({ length: this.count }, (_, i) => line(i + 1));
    await Deno.writeTextFile(`${folder}/tasks.jsonl`, lines.join(""));
  }

  async check(output: string): Promise<Attempts> {
    const text = await Deno.readTextFile(`${output}/results.jsonl`);
    const results = text.trim().split("\n").map((line) => JSON.parse(line));
    results.sort((a, b) => a.id - b.id);
    assert.deepEqual(
      results.map(({ id, state, output }) => ({ id, state, output })),
      Array.from({ length: this.count }, (_, i) => {
        return { id: i + 1, state: "success", output: `${(i + 1) ** 2}\n` };
      }),
    );
    assert.deepEqual(namesIn(output), ["report.json", "results.jsonl"]);
    const attempts = results.reduce((sum, one) => sum + one.attempts, 0);
    return { tasks: results.length, attempts };
  }
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

function attemptsOf(tasks: readonly { readonly attempts: readonly unknown[] }[]): number {
  return tasks.reduce((sum, { attempts }) => sum + attempts.length, 0);
}
