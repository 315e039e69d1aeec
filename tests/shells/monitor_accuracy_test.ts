/**
 * What the monitor says of workloads that are known: memory and CPU time within 5 %.
 * `WQX_MONITOR_REPEATS=200` runs each that often, as the README's figure asks.
 */
import assert from "node:assert/strict";
import { compilerReason, hasCompiler, LoadBed, type Ran } from "../support/monitor_load.ts";
import { needs } from "../support/skip.ts";

const repeats = Number(Deno.env.get("WQX_MONITOR_REPEATS") ?? 2);
/** At the same time: they sleep most of it. */
const together = 4;

interface Known {
  readonly what: string;
  readonly words: string;
  readonly memoryMb: number;
  readonly together?: number;
  readonly check?: (ran: Ran) => void;
}

const known: readonly Known[] = [
  { what: "one process of 100 MB for 1 s", words: "hold 100 1000", memoryMb: 100 },
  { what: "one process of 300 MB for 50 ms", words: "hold 300 50", memoryMb: 300 },
  {
    what: "a tree of four with 60 MB each",
    words: "tree 4 60 700",
    memoryMb: 240,
    together: 2,
    check: ({ summary: { usage } }) => {
      assert.equal(usage.processesPeak, 5);
      assert.equal(usage.processesTotal, 5);
    },
  },
  {
    what: "two threads that compute",
    words: "threads 2 0.4",
    memoryMb: 0,
    together: 1,
    check: ({ summary: { usage }, exit }) => {
      const cores = 800 / exit.wallMs;
      assert.ok(Math.abs(usage.coresAverage! - cores) < 0.1, `${usage.coresAverage} for ${cores}`);
    },
  },
  {
    what: "a process that forks away into a session of its own",
    words: "away 150 0.4 FLAG",
    memoryMb: 150,
    check: ({ summary: { usage } }) => assert.ok(usage.processesTotal! >= 2),
  },
  { what: "shared memory of five, counted once", words: "shared 4 150 700", memoryMb: 150 },
  {
    what: "what children have of their parent, counted once",
    words: "copied 4 150 700",
    memoryMb: 150,
  },
];

/** The C library and the stack; and the shell that starts it all, in CPU time. */
const programMb = 3, startMs = 12;

for (const { what, words, memoryMb, together: atOnce = together, check } of known) {
  Deno.test({
    ...needs(hasCompiler, compilerReason, `the monitor measures ${what} within 5 %`),
    fn: async () => {
      await using bed = await LoadBed.create();
      const wrong: string[] = [];
      const judge = (ran: Ran) => {
        const { memoryMb: memory = 0, cpuMs: cpu = 0 } = ran.summary.usage;
        const cpuOff = Math.abs(cpu - ran.cpuMsTold);
        if (memory < memoryMb * 0.95 || memory > Math.max(memoryMb * 1.05, memoryMb + programMb)) {
          wrong.push(`memory ${memory.toFixed(1)} MB of ${memoryMb}`);
        }
        if (cpuOff > Math.max(ran.cpuMsTold * 0.05, startMs)) {
          wrong.push(`CPU time ${cpu} ms of ${ran.cpuMsTold}`);
        }
        check?.(ran);
      };
      for (let done = 0; done < repeats; done += atOnce) {
        const runs = Array.from({ length: Math.min(atOnce, repeats - done) }, () => bed.run(words));
        (await Promise.all(runs)).forEach(judge);
      }
      assert.deepEqual(wrong, [], `of ${repeats}`);
    },
  });
}
