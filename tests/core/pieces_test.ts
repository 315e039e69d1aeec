/** Where files are cut into pieces, and what is said of them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import type { WorkerId } from "../../core/ids.ts";
import {
  areSimilar,
  type ListedFile,
  pieceBytesMax,
  pieceBytesMin,
  PieceLister,
  pieceName,
} from "../../core/pieces.ts";
import { holdsInfo } from "../../core/protocol/held.ts";
import {
  checkedPieces,
  encodeLacking,
  lackingBytes,
  parseLacking,
  piecedBytesMax,
  piecesInfo,
} from "../../core/protocol/pieces.ts";
import { isFast, mayShare } from "../../core/scheduler/pieces.ts";
import { cached, ManagerProbe, only, resources } from "../support/builders.ts";

function randomBytes(seed: number, size: number): Uint8Array {
  const rng = seededRng(seed);
  return new Uint8Array(size).map(() => rng() * 256);
}

/** As one block, or in blocks of these sizes by turns. */
function listed(bytes: Uint8Array, ...sizes: number[]): ListedFile {
  const lister = new PieceLister();
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    lister.feed(bytes.subarray(at, at + size));
    at += size;
  }
  return lister.finish();
}

function namesOf({ pieces }: ListedFile): string[] {
  return Array.from({ length: pieces.count }, (_, i) => pieces.nameOf(i));
}

const sample = randomBytes(1, 3_000_000);

Deno.test("the pieces of a file follow each other, each has its name, and the whole its hash", () => {
  const { sha256, pieces } = listed(sample);
  assert.equal(sha256, createHash("sha256").update(sample).digest("hex"));
  let at = 0;
  for (let i = 0; i < pieces.count; i++) {
    const piece = sample.subarray(at, at += pieces.lengthOf(i));
    assert.equal(pieces.nameOf(i), pieceName(piece));
    const isLast = at === sample.length;
    assert.ok(piece.length <= pieceBytesMax && (piece.length >= pieceBytesMin || isLast));
  }
  assert.equal(at, sample.length);
  assert.equal(pieces.bytes, sample.length);
  const usual = sample.length / pieces.count / 1024;
  assert.ok(usual > 60 && usual < 110, `${usual} KiB each`);
  assert.equal(listed(new Uint8Array(0)).pieces.count, 0);
});

Deno.test("the pieces do not depend on the blocks in which a file is read", () => {
  const whole = listed(sample);
  const sizes = fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 5 })
    .filter((some) => Math.max(...some) > 5_000);
  fc.assert(fc.property(sizes, (some) => assert.deepEqual(listed(sample, ...some), whole)), {
    numRuns: 30,
  });
});

Deno.test("a change in the middle changes a few pieces near it, also where it adds or removes bytes", () => {
  const before = new Set(namesOf(listed(sample)));
  const middle = 1_500_000;
  const changes = { overwrites: [1000, 1000], inserts: [0, 777], removes: [5001, 0] } as const;
  for (const [what, [gone, come]] of Object.entries(changes)) {
    const changed = new Uint8Array(sample.length - gone + come);
    changed.set(sample.subarray(0, middle));
    changed.set(randomBytes(2, come), middle);
    changed.set(sample.subarray(middle + gone), middle + come);
    const list = listed(changed);
    const fresh = namesOf(list).filter((name) => !before.has(name));
    assert.ok(fresh.length >= 1 && fresh.length <= 4, `${what}: ${fresh.length} new pieces`);
  }
});

Deno.test("a file of zeros has pieces of the largest size", () => {
  const { pieces } = listed(new Uint8Array(2 * pieceBytesMax + 5));
  assert.deepEqual([0, 1, 2].map((i) => pieces.lengthOf(i)), [pieceBytesMax, pieceBytesMax, 5]);
});

Deno.test("what a worker lacks is read as it was written, and a list as it was sent", () => {
  const { pieces } = listed(sample);
  const some = fc.subarray(Array.from({ length: pieces.count }, (_, i) => i));
  fc.assert(fc.property(some, (lacking) => {
    const bits = encodeLacking(pieces, lacking);
    assert.equal(bits.length, lackingBytes(pieces));
    assert.deepEqual(parseLacking(bits, pieces, "x"), lacking);
  }));
  assert.equal(checkedPieces(pieces.entries, sample.length, "x").count, pieces.count);
  assert.throws(() => checkedPieces(pieces.entries, 5, "x"), PeerProtocolError);
  const beyond = new Uint8Array(lackingBytes(pieces)).fill(255);
  assert.throws(() => parseLacking(beyond, pieces, "x"), /^PeerProtocolError: It lacks piece \d+/);
});

const size = 300e6;

/** A manager with a worker that has a file of `size` and knows of pieces. */
function joined() {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(8));
  probe.receive(worker, { type: "info", key: "wqx", value: "0.1.0" });
  probe.receive(worker, piecesInfo);
  const state = probe.scheduler.workers.get(worker)!;
  return { probe, worker, state };
}

const hold = (probe: ManagerProbe, worker: WorkerId, bytes: number) =>
  probe.receive(worker, holdsInfo({ bytes, sha256: "0".repeat(64) }));

Deno.test("a file is offered to a worker that has one of about its size, and to no other", () => {
  const { probe, worker, state } = joined();
  assert.equal(mayShare(state, "env", size), false, "it has nothing");
  hold(probe, worker, size);
  const sizes = [size, size / 3, size * 3, size / 5, size * 5, 1000, piecedBytesMax + 1];
  assert.deepEqual(sizes.map((one) => mayShare(state, "env", one)), [
    ...[true, true, true],
    ...[false, false, false, false],
  ]);
  assert.ok(areSimilar(1, 4) && areSimilar(4, 1) && !areSimilar(1, 5) && !areSimilar(5, 1));

  const old = probe.open();
  const who = { hostname: "h", os: "Linux", arch: "x86_64", version: "8.0.0" };
  probe.receive(old, { type: "workqueue", protocol: 9, ...who });
  probe.receive(old, { type: "info", key: "wqx", value: "0.1.0" });
  probe.receive(old, piecesInfo);
  assert.equal(probe.scheduler.workers.get(old)!.pieces, null, "it could not complain");
  const stranger = probe.join(resources(1));
  probe.receive(stranger, piecesInfo);
  assert.equal(probe.scheduler.workers.get(stranger)!.pieces, null);
});

Deno.test("a file that was sent on this link counts as one that the worker has", () => {
  const { probe, worker, state } = joined();
  probe.handle({ type: "sending", worker, bytes: size });
  assert.equal(mayShare(state, "env", size), false, "it does not stay");
  probe.handle({ type: "sending", worker, bytes: size, stays: true });
  assert.equal(mayShare(state, "env", size), true);
  for (let i = 0; i < 1000; i++) {
    probe.handle({ type: "sending", worker, bytes: 5e9 + i, stays: true });
  }
  assert.equal(state.pieces!.sizes.length, 64);
});

Deno.test("a link is known to be fast once a large body went over it as fast as that", () => {
  const { probe, worker, state } = joined();
  const send = (bytes: number, ms: number) => {
    probe.handle({ type: "sending", worker, bytes });
    probe.nowMs += ms;
    probe.handle({ type: "sent", worker });
    return isFast(state);
  };
  assert.equal(isFast(state), false);
  assert.equal(send(1000, 0), false, "small ones tell nothing");
  assert.equal(send(size, 1000), true);
  assert.equal(send(size, 3000), false);
});

Deno.test("what a worker lacks of a file that it was to forget meanwhile is not sent", () => {
  const { probe, worker, state } = joined();
  hold(probe, worker, size);
  const id = probe.submit({ inputs: [cached("env")] });
  probe.schedule();
  const { pieces } = listed(sample);
  const cacheName = "in-env";
  const offer = () => ({ cacheName, path: "/env", pieces, id });
  const answer = () => {
    const length = lackingBytes(pieces);
    probe.receive(worker, { type: "lacks", cacheName, length });
    probe.stored(worker, { kind: "printed", bytes: encodeLacking(pieces, [3]) });
    return only(probe.take(), "fill");
  };
  probe.handle({ type: "offered", worker, offer: offer() });
  probe.handle({ type: "order", order: { type: "invalidate", cacheName } });
  const again = offer();
  probe.handle({ type: "offered", worker, offer: again });
  assert.deepEqual(answer(), [], "the first offer is over");
  const [fill] = answer();
  assert.equal(fill?.offer, again);
  assert.deepEqual([fill?.lacking, fill?.bytes], [[3], pieces.lengthOf(3)]);
  probe.receive(worker, { type: "cache-update", cacheName, bytes: 1, wallUs: 1 });
  assert.equal(state.pieces!.current.size, 0);
  assert.ok(mayShare(state, cacheName, size));
});

Deno.test("a file that a worker could not put together is sent to it whole from then on", () => {
  const { probe, worker, state } = joined();
  hold(probe, worker, size);
  const id = probe.submit({ inputs: [cached("env")] });
  probe.schedule();
  const offer = { cacheName: "in-env", path: "/env", pieces: listed(sample).pieces, id };
  probe.handle({ type: "offered", worker, offer });
  probe.receive(worker, { type: "cache-invalid", cacheName: "in-env", length: 0 });
  probe.stored(worker, { kind: "printed", bytes: new Uint8Array(0) });
  assert.equal(mayShare(state, "in-env", size), false);
  assert.equal(mayShare(state, "in-other", size), true);
});
