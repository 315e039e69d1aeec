import assert from "node:assert/strict";
import { seededRng } from "../../core/env.ts";
import { defaultBackoff, pauseMs, volatileMs } from "../../core/worker/backoff.ts";

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

Deno.test("volatileMs() is whole minutes, of which every one ends the link with that probability", () => {
  assert.equal(volatileMs(0, () => 0.5), null);
  assert.equal(volatileMs(1, () => 0.999), 60_000);
  assert.equal(volatileMs(0.5, () => 0), 60_000);
  const rng = seededRng(7);
  const minutes = Array.from({ length: 4000 }, () => volatileMs(0.25, rng)! / 60_000);
  assert.ok(minutes.every((n) => Number.isInteger(n) && n >= 1));
  const first = minutes.filter((n) => n === 1).length / minutes.length;
  const mean = minutes.reduce((sum, n) => sum + n) / minutes.length;
  assert.ok(Math.abs(first - 0.25) < 0.03 && Math.abs(mean - 4) < 0.2, `${first} ${mean}`);
});
