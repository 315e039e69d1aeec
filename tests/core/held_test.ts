/** Which files a worker says it still has, and which a manager believes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Held,
  heldBytesMax,
  heldBytesMin,
  heldCountMax,
  holdsInfo,
  parseHolds,
} from "../../core/protocol/held.ts";
import type { WorkerId } from "../../core/ids.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import { cached, ManagerProbe, only, resources } from "../support/builders.ts";
import { anyText } from "../support/texts.ts";

const anyHeld: fc.Arbitrary<Held> = fc.record({
  bytes: fc.integer({ min: heldBytesMin, max: heldBytesMax }),
  sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
}, { noNullPrototype: true });
const hash = (n: number) => n.toString(16).padStart(64, "0");

function complain(probe: ManagerProbe, worker: WorkerId, cacheName: string): void {
  probe.receive(worker, { type: "cache-invalid", cacheName, length: 0 });
  probe.stored(worker, { kind: "printed", bytes: new Uint8Array(0) });
}

/** A manager with a worker of wqx that says it holds these. */
function joined(holds: readonly Held[]) {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(2));
  probe.receive(worker, { type: "info", key: "wqx", value: "0.1.0" });
  for (const held of holds) probe.receive(worker, holdsInfo(held));
  return { probe, worker, state: probe.scheduler.workers.get(worker)! };
}

Deno.test("the line about a held file says what is read from it, and any other text is passed over", () => {
  fc.assert(fc.property(anyHeld, (held) => {
    const info = holdsInfo(held);
    assert.ok(info.type === "info");
    assert.deepEqual(parseHolds(info.value), held);
  }));
  fc.assert(fc.property(anyText(), (text) => {
    assert.equal(parseHolds(text), null);
  }));
});

Deno.test("a manager remembers a few of the files that a worker claims to hold, not a flood", () => {
  const claims = Array.from({ length: 1000 }, (_, i) => ({ bytes: 2e6, sha256: hash(i) }));
  const { probe, worker, state } = joined(claims);
  assert.equal(state.holds.size, heldCountMax);
  probe.handle({ type: "taken", worker, cacheName: "x", sha256: hash(0) });
  assert.equal(state.holds.size, heldCountMax - 1, "it has each of them once");
});

Deno.test("a worker of an older protocol, or none of wqx, holds nothing that counts", () => {
  const probe = new ManagerProbe();
  const stranger = probe.join(resources(1));
  probe.receive(stranger, holdsInfo({ bytes: 2e6, sha256: hash(1) }));
  const old = probe.open();
  const who = { hostname: "h", os: "Linux", arch: "x86_64", version: "8.0.0" };
  probe.receive(old, { type: "workqueue", protocol: 9, ...who });
  probe.receive(old, { type: "info", key: "wqx", value: "0.1.0" });
  probe.receive(old, holdsInfo({ bytes: 2e6, sha256: hash(1) }));
  for (const id of [stranger, old]) assert.equal(probe.scheduler.workers.get(id)!.holds.size, 0);
});

Deno.test("tasks that wait for an input that the worker does not have are tried again, not failed", () => {
  const { probe, worker } = joined([]);
  const one = probe.submit({ inputs: [cached("env")] });
  const two = probe.submit({ inputs: [cached("other")] });
  probe.schedule();
  probe.handle({ type: "taken", worker, cacheName: "in-env", sha256: hash(1) });
  for (const cacheName of ["in-env", "in-other"]) complain(probe, worker, cacheName);
  probe.take();
  probe.finish(worker, [one, two], { status: resultCode.inputMissing });
  const ended = only(probe.take(), "attempt_ended");
  assert.deepEqual(ended.map(({ id, attempt, again }) => [id, attempt.ending.kind, again]), [
    [one, "lost", true],
    [two, "failure", false],
  ]);
  const [again] = only(probe.schedule(), "dispatch");
  assert.deepEqual(again?.inputs.map(({ cacheName }) => cacheName), ["in-env"], "sent anew");
  // Its next failure counts, since now it was sent.
  complain(probe, worker, "in-env");
  probe.finish(worker, one, { status: resultCode.inputMissing });
  assert.deepEqual(probe.ends().map(([id, end]) => [id, end.kind]), [[one, "failure"]]);
});
