/** When a manager says that nothing moves, how often, and when it says nothing. */
import assert from "node:assert/strict";
import { statusAnswer } from "../../core/status/answer.ts";
import { advertOf } from "../../core/status/advert.ts";
import { resources } from "../support/builders.ts";
import { CountedProbe } from "../support/counted_probe.ts";

const second = 1000, minute = 60 * second;

/** Moments, in seconds, at which it is said, looking every second. */
function saidAt(probe: CountedProbe, forMs: number): number[] {
  const said: number[] = [];
  const endMs = probe.nowMs + forMs;
  for (; probe.nowMs <= endMs; probe.nowMs += second) {
    const { stillMs } = probe;
    if (stillMs !== null && probe.stall.isDue(stillMs)) said.push(probe.nowMs / second);
  }
  return said;
}

Deno.test("a stall is told after a minute, and again each time that it has lasted twice as long", () => {
  const probe = new CountedProbe();
  probe.submit();
  assert.deepEqual(saidAt(probe, 10 * minute), [60, 120, 240, 480]);
});

Deno.test("what moves ends a stall, and signs of life and joining workers do not", () => {
  const probe = new CountedProbe();
  probe.submit({ request: { cores: 8 } });
  saidAt(probe, 2 * minute);
  const worker = probe.join(resources(4));
  probe.schedule();
  probe.receive(worker, { type: "alive" });
  assert.ok(probe.stillMs! >= 2 * minute);
  probe.submit();
  probe.schedule();
  assert.equal(probe.stillMs, null);
});

Deno.test("a queue without tasks does not stall, and its first task has a minute of its own", () => {
  const probe = new CountedProbe();
  assert.deepEqual(saidAt(probe, 10 * minute), []);
  probe.submit();
  const startS = probe.nowMs / second;
  assert.deepEqual(saidAt(probe, minute), [startS + 60]);
});

Deno.test("tasks at work are given five times what others took, the first ones ten minutes", () => {
  const probe = new CountedProbe();
  const worker = probe.join(resources(1));
  const first = probe.submit();
  probe.submit();
  probe.schedule();
  assert.deepEqual(saidAt(probe, 5 * minute), []);
  probe.finish(worker, first, { wallUs: 5 * minute * 1000 });
  probe.schedule();
  const startS = probe.nowMs / second;
  assert.deepEqual(saidAt(probe, 26 * minute), [startS + 25 * 60]);
});

Deno.test("status and catalog are told of a stall in the words of the explanation", () => {
  const probe = new CountedProbe();
  probe.submit({ request: { cores: 2 } });
  const question = { type: "status", request: "queue_status" } as const;
  const answer = () => [...statusAnswer(question, probe.source())!].join("");
  const advert = () => advertOf(probe.source(), { id: "1", lifetimeS: 60 }).lean.get("wqx_stall");
  probe.source();
  assert.deepEqual([advert(), answer().includes("wqx_stall")], [undefined, false]);
  probe.nowMs += 3 * minute;
  assert.match(answer(), /"wqx_stall":"Nothing has moved for 3:00\. 1 task waits.*No worker is/);
  assert.match(String(advert()), /^Nothing has moved for 3:00\./);
});
