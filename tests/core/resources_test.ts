import assert from "node:assert/strict";
import fc from "fast-check";
import type { ResourceRequest } from "../../core/analysis/spec.ts";
import {
  boxOf,
  describeResources,
  fits,
  minus,
  noResources,
  plus,
  type Resources,
} from "../../core/resources.ts";
import { resources } from "../support/builders.ts";

const [cores, memoryMb, diskMb, gpus] = [4, 2000, 4000, 0];
const worker: Resources = { cores, memoryMb, diskMb, gpus };

Deno.test("a box has the share that Work Queue gives of a worker", () => {
  const cases: [ResourceRequest, [number, number, number]][] = [
    [{}, [4, 2000, 4000]],
    [{ cores: 1 }, [1, 500, 1000]],
    [{ cores: 1, memoryMb: 1000, diskMb: 1000 }, [2, 1000, 2000]],
    [{ cores: 1, memoryMb: 500, diskMb: 250 }, [1, 500, 1000]],
    [{ cores: 1, memoryMb: 550, diskMb: 250 }, [1, 666, 1333]],
    [{ cores: 1, memoryMb: 900, diskMb: 250 }, [2, 1000, 2000]],
    [{ diskMb: 1 }, [1, 1, 1]],
    // Only 1, 1/2, 1/3 … of a worker.
    [{ memoryMb: 520 }, [1, 666, 1333]],
    [{ memoryMb: 680 }, [2, 1000, 2000]],
    [{ memoryMb: 1020 }, [4, 2000, 4000]],
    // All of one resource is the whole worker, but what was declared stays.
    [{ cores: 1, memoryMb: 2000 }, [1, 2000, 4000]],
    [{ cores: 4, memoryMb: 10 }, [4, 10, 4000]],
    [{ cores: 1.5 }, [2, 1000, 2000]],
  ];
  for (const [request, [cores, memoryMb, diskMb]] of cases) {
    assert.deepEqual(boxOf(request, worker), { cores, memoryMb, diskMb, gpus: 0 });
  }
  assert.deepEqual(boxOf({ cores: 1.6 }, resources(5, 500, 1000)), resources(1.6, 166, 333));
  assert.deepEqual(
    boxOf({ cores: 1, memoryMb: 200, diskMb: 100 }, resources(2, 500, 1000)),
    resources(1, 250, 500),
  );
});

Deno.test("a task that declares gpus and no cores gets no cores", () => {
  const large = resources(8, 16_000, 32_000, 4);
  assert.deepEqual(boxOf({ gpus: 1 }, large), resources(0, 4000, 8000, 1));
  assert.deepEqual(boxOf({ gpus: 4 }, large), resources(0, 16_000, 32_000, 4));
  assert.deepEqual(boxOf({ gpus: 1, cores: 1 }, large), resources(2, 4000, 8000, 1));
  assert.deepEqual(boxOf({ cores: 2 }, large), resources(2, 4000, 8000, 0));
  assert.deepEqual(boxOf({}, large), resources(8, 16_000, 32_000, 0));
  assert.equal(boxOf({ gpus: 1 }, worker), null);
});

Deno.test("what is too large for the worker gets no box", () => {
  for (const request of [{ cores: 5 }, { memoryMb: 2001 }, { cores: 1, diskMb: 4001 }]) {
    assert.equal(boxOf(request, worker), null);
  }
});

Deno.test("n tasks of one core fill a worker of n cores, also where 1/(1/n) is not n", () => {
  for (let n = 1; n <= 400; n++) {
    const box = boxOf({ cores: 1 }, resources(n, 1000 * n, 2000 * n));
    assert.deepEqual(box, resources(1, 1000, 2000), `${n} cores`);
  }
});

const size = fc.record({
  cores: fc.integer({ min: 1, max: 256 }),
  memoryMb: fc.integer({ min: 1, max: 2 ** 22 }),
  diskMb: fc.integer({ min: 1, max: 2 ** 24 }),
  gpus: fc.nat({ max: 8 }),
});
const request = fc.record({
  cores: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 3000 }).map((n) => n / 10)),
  memoryMb: fc.nat({ max: 2 ** 22 }),
  diskMb: fc.nat({ max: 2 ** 24 }),
  gpus: fc.nat({ max: 9 }),
}, { requiredKeys: [] });

Deno.test("a box holds the request and fits the worker; there is none only if neither would do", () => {
  fc.assert(fc.property(request, size, (request, worker) => {
    const box = boxOf(request, worker);
    const asked = { ...noResources, ...request };
    assert.equal(box !== null, fits(asked, worker));
    if (box === null) return;
    assert.ok(fits(asked, box), "the request fits the box");
    assert.ok(fits(box, worker), "the box fits the worker");
    assert.equal(box.gpus, asked.gpus);
  }));
});

Deno.test("declaring zero is declaring nothing", () => {
  fc.assert(fc.property(request, size, (request, worker) => {
    const declared = Object.fromEntries(Object.entries(request).filter(([, n]) => n > 0));
    assert.deepEqual(boxOf(request, worker), boxOf(declared, worker));
  }));
  assert.deepEqual(boxOf({ cores: 0, memoryMb: 0, diskMb: 0, gpus: 0 }, worker), worker);
});

Deno.test("boxes are added, taken away and compared resource by resource", () => {
  assert.deepEqual(plus(resources(1, 2, 3, 4), resources(4, 3, 2, 1)), resources(5, 5, 5, 5));
  assert.deepEqual(minus(resources(5, 5, 5, 5), resources(4, 3, 2, 1)), resources(1, 2, 3, 4));
  assert.ok(fits(noResources, noResources));
  assert.ok(fits(worker, worker));
  for (const name of ["cores", "memoryMb", "diskMb", "gpus"] as const) {
    assert.ok(!fits({ ...worker, [name]: worker[name] + 1 }, worker), `too many ${name}`);
  }
});

Deno.test("requests are described as people read them", () => {
  const cases: [ResourceRequest, string][] = [
    [{}, "a whole worker"],
    [{ cores: 1 }, "1 core"],
    [{ cores: 2, memoryMb: 500, diskMb: 1000, gpus: 0 }, "2 cores, 500 MB memory, 1000 MB disk"],
    [{ gpus: 1 }, "1 gpu"],
    [{ cores: 1, gpus: 2 }, "1 core, 2 gpus"],
  ];
  for (const [request, text] of cases) assert.equal(describeResources(request), text);
});
