import assert from "node:assert/strict";
import { defaultBackoff, pauseMs } from "../../core/worker/backoff.ts";

Deno.test("a worker waits 1 s after a served link, then 2, 4, 8 … and at most 60 s", () => {
  const seconds = Array.from({ length: 9 }, (_, i) => pauseMs(defaultBackoff, i) / 1000);
  assert.deepEqual(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  assert.equal(pauseMs(defaultBackoff, 5000), 60_000);
});

Deno.test("the bounds of the pause can be set", () => {
  const backoff = { minMs: 500, maxMs: 500 };
  assert.equal(pauseMs(backoff, 0), 500);
  assert.equal(pauseMs(backoff, 3), 500);
});
