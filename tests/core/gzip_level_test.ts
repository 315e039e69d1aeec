/** Levels of zlib as the runtime's zlib counts them. */
import assert from "node:assert/strict";
import { runtimeLevel } from "../../core/package/gzip_level.ts";

Deno.test("text keeps the usual level, machine code gets the next one, and 9 stays", () => {
  const text = new TextEncoder().encode("import numpy\n".repeat(1000));
  const code = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 2654435761) >>> 24);
  const levels = (piece: Uint8Array) => [0, 1, 3, 4, 5, 6, 9].map((n) => runtimeLevel(n, piece));
  assert.deepEqual(levels(text), [0, 1, 3, 4, 5, 7, 9]);
  assert.deepEqual(levels(code), [0, 1, 3, 5, 6, 7, 9]);
  assert.equal(runtimeLevel(4, new Uint8Array(0)), 4);
});
