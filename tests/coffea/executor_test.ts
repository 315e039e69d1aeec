/** `WqxExecutor` under coffea of today: same results as its own executor, and what goes wrong. */
import assert from "node:assert/strict";
import { coffeas, makeEvents, noCoffea, runScript } from "../support/coffea.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const events = 20_000;
const coffea = coffeas.find(({ variable }) => variable === "WQX_TEST_COFFEA")!;

interface Told {
  readonly n?: number;
  readonly posts?: number;
  readonly processed?: number;
  readonly largest?: number;
  readonly chunks?: number;
  readonly equal?: boolean;
  readonly same?: boolean;
  readonly restored?: boolean;
  readonly waited?: number;
  readonly error?: string;
  readonly message?: string;
  readonly traceback?: string;
  readonly partial?: number | null;
  readonly ledger: readonly {
    readonly filename: string;
    readonly start: number | null;
    readonly stop: number | null;
    readonly kind: string;
    readonly why: string;
    readonly tries: readonly { readonly at: number; readonly cause: string }[];
  }[];
}

/** Runs cases of executor_cases.py, in one Python; what each told. */
function test(
  name: string,
  cases: readonly string[],
  check: (told: readonly Told[]) => void,
): void {
  Deno.test({
    ...needs(coffea.python !== "", noCoffea(coffea.variable), name),
    fn: async () => {
      await using bed = await TestBed.create();
      const file = await makeEvents(coffea, bed, events);
      const { code, stdout, stderr } = await runScript(
        coffea,
        bed,
        "executor_cases.py",
        file,
        ...cases,
      );
      assert.equal(code, 0, stderr);
      const lines = stdout.split("\n").filter((line) => line.startsWith('{"case"'));
      const told = lines.map((line) => JSON.parse(line));
      assert.deepEqual(told.map((one) => one.case), cases, stderr);
      check(told);
      await bed.clean();
    },
  });
}

const complete = { n: events, posts: 1, processed: events };

function isComplete({ n, posts, processed, message }: Told): void {
  assert.deepEqual({ n, posts, processed }, complete, message);
}

test("results equal those of coffea's own executor", ["plain", "thread", "relative"], (told) => {
  told.forEach(isComplete);
  assert.equal(told[0]!.equal, true);
});

test("a worker that is killed changes no bit of the result", ["killed"], ([told]) => {
  isComplete(told!);
  assert.equal(told!.equal, true);
  assert.equal(told!.same, true);
});

test(
  "what a task raises is raised, with the place, and what is done is not lost",
  ["raise", "module", "unpicklable", "python"],
  ([raised, module, unpicklable, python]) => {
    const { error, message, traceback, partial, ledger } = raised!;
    assert.equal(error, "Exception");
    assert.match(message!, /Failed processing file: .*ValueError\('no muons from 1/);
    const [place] = /Failed processing events \[(\d+), \d+\) of .*events\.root .*\)/.exec(
      traceback!,
    )!;
    assert.match(place, /dataset A\) \(on host .*; after 2 attempts; exit code 1; cores: had 1/);
    assert.match(
      traceback!,
      /RemoteTraceback: [^]*raise ValueError[^]*\nValueError: no muons from/,
    );
    // Each event is in the partial result, or in the ledger.
    const lost = ledger.reduce((sum, { start, stop }) => sum + stop! - start!, 0);
    assert.equal(partial! + lost, events);
    const [failed, ...others] = ledger.filter(({ kind }) => kind === "failed");
    assert.deepEqual(others, []);
    const causes = failed!.tries.map(({ cause }) => cause.replace(/\d+/, "N"));
    assert.deepEqual(causes, Array(2).fill(causes[0]), "each of both attempts");
    assert.ok(failed!.tries[0]!.at < failed!.tries[1]!.at);
    assert.match(module!.traceback!, /No module named 'not_there'/);
    assert.match(module!.traceback!, /the Python of the worker, .* \(3\..*\), has coffea 20/);
    assert.equal(unpicklable!.error, "TypeError");
    assert.match(unpicklable!.message!, /cannot be pickled at \['out'\]\['deep'\]\['generator'\]/);
    assert.equal(python!.error, "TaskFailed");
    assert.match(python!.message!, /exit code 127; [^]*\/nowhere\/python3: not found/);
  },
);

test("files that cannot be read are left out, and the ledger says so", ["bad files"], ([told]) => {
  isComplete(told!);
  const found = told!.ledger.map(({ filename, kind, why }) => [
    filename.split("/").at(-1),
    kind,
    why.split(":")[0],
  ]);
  assert.deepEqual(found.toSorted(), [
    ["bad.root", "skipped", "OSError"],
    ["missing.root", "skipped", "FileNotFoundError"],
  ]);
});

test("chunks follow the memory that they need", ["split", "dynamic"], ([split, dynamic]) => {
  isComplete(split!);
  assert.ok(split!.largest! < 10_000, `${split!.largest}`);
  isComplete(dynamic!);
  assert.ok(dynamic!.largest! > 1_000, `${dynamic!.largest}`);
});

test("merges that outgrow every worker take less at once, then wait for a larger one", ["heavy"], ([
  told,
]) => {
  isComplete(told!);
  assert.equal(told!.equal, true);
  assert.ok(told!.waited! >= 1);
});

test("Ctrl-C leaves a partial result, and the next run works", ["interrupted", "plain"], (told) => {
  const [interrupted, next] = told;
  assert.equal(interrupted!.error, "KeyboardInterrupt");
  const lost = interrupted!.ledger.reduce((sum, { start, stop }) => sum + stop! - start!, 0);
  assert.equal(interrupted!.partial! + lost, events);
  assert.equal(interrupted!.restored, true);
  isComplete(next!);
});

test("options that cannot be are refused before anything starts", ["wrong options"], ([told]) => {
  const { resources_mode, ...others } = told as unknown as Record<string, string>;
  assert.match(resources_mode!, /resources_mode is one of fixed, max, .*, not 'maximal'/);
  assert.match(others.environment_file!, /there is no environment_file nowhere\.tar\.gz/);
  assert.match(others.extra_input_files!, /there is no file nowhere\.py/);
  assert.match(others.dynamic_chunksize!, /dynamic_chunksize is \{'wall_time'/);
  assert.match(others.treereduction!, /treereduction must be 2 or more/);
});
