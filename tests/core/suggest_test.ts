import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, nearest } from "../../core/suggest.ts";

const keys = ["name", "datasets", "tree", "processor", "chunksize", "port", "retries", "gpus"];

Deno.test("nearest finds what a slip of the finger meant", () => {
  const cases: [string, string | null][] = [
    ["chunksise", "chunksize"],
    ["chunk", "chunksize"],
    ["prot", "port"],
    ["Name", "name"],
    ["dataset", "datasets"],
    ["tre", "tree"],
    ["gpu", "gpus"],
    ["procesor", "processor"],
    ["memory", null],
    ["x", null],
    ["", null],
  ];
  for (const [word, meant] of cases) assert.equal(nearest(word, keys), meant, word);
});

Deno.test("nearest prefers the candidate with the fewest edits, the first of equals", () => {
  assert.equal(nearest("cat", ["cart", "cat"]), "cat");
  assert.equal(nearest("b.root", ["a.root", "c.root"]), "a.root");
});

Deno.test("nearest returns every candidate for itself, however many others there are", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{2,12}$/)), (words) => {
    for (const word of words) assert.equal(nearest(word, words), word);
  }));
});

Deno.test("didYouMean is the end of a sentence, or nothing", () => {
  assert.equal(didYouMean("prot", keys), ': did you mean "port"?');
  assert.equal(didYouMean("memory", keys), "");
});
