import assert from "node:assert/strict";
import { ProtocolGuess } from "../../core/worker/guess.ts";

/** What is offered to a manager that speaks only this, until it answers. */
function offersTo(guess: ProtocolGuess, spoken: number): { offers: number[]; pauses: number } {
  const offers: number[] = [];
  let pauses = 0;
  while (offers.length < 10) {
    offers.push(guess.offer);
    if (guess.offer === spoken) {
      guess.heard();
      break;
    }
    if (!guess.refused()) pauses++;
  }
  return { offers, pauses };
}

Deno.test("ProtocolGuess offers 11, then 9, then 10, and remembers what was answered", () => {
  const cases: [spoken: number, offers: number[]][] = [[11, [11]], [9, [11, 9]], [10, [11, 9, 10]]];
  for (const [spoken, offers] of cases) {
    const guess = new ProtocolGuess();
    assert.deepEqual(offersTo(guess, spoken), { offers, pauses: 0 });
    assert.deepEqual(offersTo(guess, spoken), { offers: [spoken], pauses: 0 }, "remembered");
  }
});

Deno.test("ProtocolGuess.refused() asks for a pause once all were refused, then begins anew", () => {
  const guess = new ProtocolGuess();
  assert.deepEqual(offersTo(guess, 8), {
    offers: [11, 9, 10, 11, 9, 10, 11, 9, 10, 11],
    pauses: 3,
  });
});

Deno.test("ProtocolGuess finds a manager that was replaced by one of another protocol", () => {
  const guess = new ProtocolGuess();
  offersTo(guess, 9);
  assert.deepEqual(offersTo(guess, 11).offers, [9, 11]);
  assert.deepEqual(offersTo(guess, 10).offers, [11, 9, 10]);
});

Deno.test("ProtocolGuess.unreachable(): the silence of a manager that died was no answer", () => {
  const guess = new ProtocolGuess();
  guess.refused();
  assert.equal(guess.offer, 9);
  guess.unreachable();
  assert.equal(guess.offer, 11);
});

Deno.test("ProtocolGuess offers what the user fixed, and first what the catalog says", () => {
  const fixed = new ProtocolGuess({ fixed: 10, likely: 9 });
  assert.deepEqual([fixed.offer, fixed.refused(), fixed.offer], [10, false, 10]);
  assert.deepEqual(offersTo(new ProtocolGuess({ likely: 9 }), 10).offers, [9, 11, 10]);
  assert.equal(new ProtocolGuess({ likely: 12 }).offer, 11);
});
