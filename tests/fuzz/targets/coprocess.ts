/** What coprocesses say: their first words, and answers to calls. */
import assert from "node:assert/strict";
import { parseHello, readAnswer } from "../../../worker/coprocesses.ts";
import { assertSame, inPieces, type Target, textOf } from "../target.ts";

/** A connection over which these bytes come. */
function connection(
  pieces: Iterable<Uint8Array>,
): { read(to: Uint8Array): Promise<number | null> } {
  const left = [...pieces].filter(({ length }) => length > 0);
  return {
    read(to) {
      const piece = left.shift();
      if (piece === undefined) return Promise.resolve(null);
      to.set(piece);
      return Promise.resolve(piece.length);
    },
  };
}

export const coprocessTargets: readonly Target[] = [{
  name: "coprocess",
  code: ["worker/coprocesses.ts"],
  words: ['{"name":"f","port":9000}', "\n", "3\nabc", "1e3", "-1", "0x10"],
  isJson: true,
  seeds: ['{"name":"f","port":9000}\n', '24\n{"name":"f","port":9000}\n', "3\nabc", "0\n"],
  async run(bytes) {
    const hello = parseHello(textOf(bytes));
    if (hello !== null) assert.ok(hello.port > 0 && hello.port < 65536);
    // Memory is taken for what is announced, up to 1 GiB.
    if (/^\D*\d\S{5}/.test(textOf(bytes.subarray(0, 20)))) return;
    const [whole, cut] = [
      await readAnswer(connection([bytes])),
      await readAnswer(connection(inPieces(bytes))),
    ];
    assertSame(whole?.toHex(), cut?.toHex(), "cut elsewhere");
  },
}];
