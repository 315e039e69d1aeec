import assert from "node:assert/strict";
import fc from "fast-check";
import type { ProcessReading } from "../../core/monitor/proc_text.ts";
import { type Look, ProcessTree } from "../../core/monitor/tree.ts";

const mbKb = 1024;

function process(pid: number, fields: Partial<ProcessReading> = {}): ProcessReading {
  const rssKb = fields.rssKb ?? 0;
  return {
    pid,
    startTicks: 100,
    parent: 1,
    session: 1,
    zombie: false,
    cpuMs: 0,
    waitedCpuMs: 0,
    virtualKb: 0,
    rssKb,
    anonKb: rssKb,
    rssPeakKb: rssKb,
    swapKb: 0,
    contextSwitches: 0,
    readBytes: 0,
    writtenBytes: 0,
    ...fields,
  };
}

function look(atMs: number, processes: ProcessReading[], fields: Partial<Look> = {}): Look {
  return { atMs, processes, pssKb: null, group: null, disk: null, ...fields };
}

Deno.test("a tree's CPU time holds what its children used, whoever waited for them", () => {
  const tree = new ProcessTree(0);
  const child = process(11, { parent: 10, cpuMs: 500, readBytes: 7 });
  tree.look(look(100, [process(10, { cpuMs: 10, readBytes: 3 }), child]));
  assert.equal(tree.usage.cpuMs, 510);
  tree.look(look(200, [process(10, { cpuMs: 20, waitedCpuMs: 550, readBytes: 13 })]));
  assert.equal(tree.usage.cpuMs, 570, "inherited, with what was not seen of it");
  assert.equal(tree.usage.readBytes, 13, "inherited too, in the same counter");
});

Deno.test("a child that its parent does not wait for is counted with what was seen of it", () => {
  const tree = new ProcessTree(0);
  const child = process(11, { parent: 10, cpuMs: 500, writtenBytes: 9, contextSwitches: 4 });
  tree.look(look(100, [process(10, { cpuMs: 10 }), child]));
  tree.look(look(200, [process(10, { cpuMs: 20 })]));
  assert.deepEqual(
    [tree.usage.cpuMs, tree.usage.writtenBytes, tree.usage.contextSwitches],
    [520, 9, 4],
  );
});

Deno.test("a process that forked away from the tree is counted on after its end", () => {
  const tree = new ProcessTree(0);
  tree.look(look(100, [process(10, { cpuMs: 10 }), process(12, { parent: 1, cpuMs: 300 })]));
  tree.look(look(200, [process(10, { cpuMs: 15 })]));
  tree.finish(300, { cpuUserMs: 12, cpuSystemMs: 4, memoryPeakMb: 1 });
  assert.equal(tree.usage.cpuMs, 315);
  assert.equal(tree.usage.processesTotal, 2);
});

Deno.test("a pid that is given again is another process", () => {
  const tree = new ProcessTree(0);
  tree.look(look(100, [process(10, { cpuMs: 10 }), process(11, { cpuMs: 100 })]));
  tree.look(look(200, [process(10, { cpuMs: 10 }), process(11, { startTicks: 200, cpuMs: 1 })]));
  assert.equal(tree.usage.cpuMs, 111);
  assert.equal(tree.usage.processesTotal, 3);
});

Deno.test("own memory of several processes adds up without the slow reading", () => {
  const tree = new ProcessTree(0);
  const processes = [1, 2, 3].map((pid) =>
    process(10 + pid, { rssKb: 100 * mbKb, anonKb: 99.5 * mbKb })
  );
  assert.equal(tree.wantsPss(processes), false);
  tree.look(look(100, processes));
  assert.ok(Math.abs(tree.usage.memoryMb! - 299.5) < 0.1, `${tree.usage.memoryMb}`);
});

Deno.test("the libraries of small programs are not worth the slow reading", () => {
  const tree = new ProcessTree(0);
  const small = [1, 2].map((pid) => process(10 + pid, { rssKb: 1600, anonKb: 100 }));
  assert.equal(tree.wantsPss(small), false);
  tree.look(look(100, small));
  assert.equal(tree.usage.memoryMb, (3200 + 1700) / 2 / mbKb);
});

Deno.test("shared memory asks for proportional shares, and without them is counted once", () => {
  const tree = new ProcessTree(0);
  const mapped = [1, 2, 3].map((pid) => process(10 + pid, { rssKb: 200 * mbKb, anonKb: 0 }));
  assert.equal(tree.wantsPss(mapped), true);
  tree.look(look(100, mapped));
  assert.equal(tree.usage.memoryMb, 200);
  tree.look(look(200, mapped, { pssKb: 210 * mbKb }));
  assert.equal(tree.usage.memoryMb, 210);
});

Deno.test("memory that a child has from its parent may be shared; its own may not", () => {
  const tree = new ProcessTree(0);
  const parent = process(10, { rssKb: 200 * mbKb });
  const copied = process(11, { parent: 10, rssKb: 200 * mbKb });
  assert.equal(tree.wantsPss([parent, copied]), true);
  tree.look(look(100, [parent, copied]));
  assert.equal(tree.usage.memoryMb, 200);
  const small = process(20, { rssKb: 1 * mbKb });
  const own = [1, 2].map((pid) => process(20 + pid, { parent: 20, rssKb: 200 * mbKb }));
  assert.equal(new ProcessTree(0).wantsPss([small, ...own]), false);
});

Deno.test("no slow reading where even the sum is no new peak", () => {
  const tree = new ProcessTree(0);
  tree.look(look(100, [process(10, { rssKb: 500 * mbKb })]));
  const mapped = [1, 2].map((pid) => process(10 + pid, { rssKb: 200 * mbKb, anonKb: 0 }));
  assert.equal(tree.wantsPss(mapped), false);
});

Deno.test("a peak between two looks counts, with the others as they were at their smaller look", () => {
  const tree = new ProcessTree(0);
  const other = process(11, { rssKb: 50 * mbKb });
  tree.look(look(100, [process(10, { rssKb: 10 * mbKb }), other]));
  const spiked = process(10, { rssKb: 10 * mbKb, rssPeakKb: 300 * mbKb });
  tree.look(look(200, [spiked, process(11, { rssKb: 80 * mbKb })]));
  assert.equal(tree.usage.memoryMb, 350);
  assert.equal(tree.memoryNowMb, 90);
  assert.equal(tree.peakAtMs.memoryMb, 200);
});

Deno.test("what the kernel tells at the end is the least that was used", () => {
  const tree = new ProcessTree(0);
  tree.finish(50, { cpuUserMs: 20, cpuSystemMs: 10, memoryPeakMb: 300 });
  const { memoryMb, cpuMs, wallMs, coresAverage, cores, processesTotal } = tree.usage;
  assert.deepEqual({ memoryMb, cpuMs, wallMs, coresAverage, cores, processesTotal }, {
    memoryMb: 300,
    cpuMs: 30,
    wallMs: 50,
    coresAverage: 0.6,
    cores: 0.6,
    processesTotal: 1,
  });
});

Deno.test("cores are the peak over five seconds, and their limit looks at a whole minute", () => {
  const tree = new ProcessTree(0);
  // Two cores for 10 s, then one.
  for (let atMs = 1_000; atMs <= 80_000; atMs += 1_000) {
    const cpuMs = Math.min(atMs, 10_000) * 2 + Math.max(0, atMs - 10_000);
    tree.look(look(atMs, [process(10, { cpuMs })]));
    if (atMs === 59_000) assert.equal(tree.coresOfLastMinute, null);
  }
  assert.equal(tree.usage.cores, 2);
  assert.equal(tree.coresOfLastMinute, 1);
});

Deno.test("a control group's numbers stand above those of /proc", () => {
  const tree = new ProcessTree(0);
  const group = { cpuMs: 900, memoryKb: 64 * mbKb };
  tree.look(look(100, [process(10, { cpuMs: 10, rssKb: 500 * mbKb })], { group }));
  assert.deepEqual([tree.usage.cpuMs, tree.usage.memoryMb], [900, 64]);
});

Deno.test("whatever comes and goes, counters never fall and memory lies between what is possible", () => {
  const reading = fc.record({
    pid: fc.integer({ min: 2, max: 6 }),
    parent: fc.integer({ min: 1, max: 6 }),
    cpuMs: fc.nat(1000),
    waitedCpuMs: fc.nat(1000),
    rssKb: fc.nat(100_000),
    anonPart: fc.double({ min: 0, max: 1, noNaN: true }),
    startTicks: fc.nat(2),
  });
  const looks = fc.array(fc.uniqueArray(reading, { selector: ({ pid }) => pid }));
  fc.assert(fc.property(looks, (looks) => {
    const tree = new ProcessTree(0);
    looks.forEach((fields, i) => {
      const before = { ...tree.usage };
      const processes = fields.map(({ pid, anonPart, ...rest }) =>
        process(pid, { ...rest, anonKb: rest.rssKb * anonPart })
      );
      tree.look(look((i + 1) * 100, processes));
      for (const [key, value] of Object.entries(before)) {
        assert.ok(tree.usage[key as keyof typeof before]! >= value, key);
      }
      const sumMb = processes.reduce((sum, { rssKb }) => sum + rssKb, 0) / mbKb;
      const mostMb = Math.max(0, ...processes.map(({ rssKb }) => rssKb)) / mbKb;
      assert.ok(tree.memoryNowMb <= sumMb + 1e-6 && tree.memoryNowMb >= mostMb - 1e-6);
    });
  }));
});
