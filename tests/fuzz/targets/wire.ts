/** The wire between managers and workers, both ways, the password handshake, lists of pieces. */
import assert from "node:assert/strict";
import { concat } from "../../../core/bytes.ts";
import { PeerProtocolError } from "../../../core/errors.ts";
import { entryBytes, PieceCutter, PieceList, PieceLister } from "../../../core/pieces.ts";
import { PasswordHandshake } from "../../../core/protocol/auth.ts";
import { Decoder, type Grammar } from "../../../core/protocol/decoder.ts";
import { parseHolds } from "../../../core/protocol/held.ts";
import { parseMeasured } from "../../../core/protocol/measured.ts";
import { type Dialect, newestDialect, protocolsSpoken } from "../../../core/protocol/messages.ts";
import { decodeName, encodeName } from "../../../core/protocol/names.ts";
import { checkedPieces, parseLacking } from "../../../core/protocol/pieces.ts";
import { encodeToManager, ToManagerGrammar } from "../../../core/protocol/to_manager.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../../core/protocol/to_worker.ts";
import type { ToManager, ToWorker } from "../../../core/protocol/messages.ts";
import { assertSame, bytesOf, inPieces, orRefused, type Target, textOf } from "../target.ts";

const code = ["core/protocol/", "core/pieces.ts"];

const words = [
  ..."put task cmd env category cores memory disk gpus infile outfile end get unlink kill check"
    .split(" "),
  ..."result file missing dir symlink resource tag info alive available_results send_results feature"
    .split(" "),
  ..."workqueue url puturl putcmd thirdget thirdput update cache-update cache-invalid release exit"
    .split(" "),
  ..."end_time wall_time invalidate-file tlq thirdput-complete queue_status GET wqx-holds wqx-take"
    .split(" "),
  ..."wqx-pieces wqx-lacks wqx-fill wqx-measured reset -1 0644 1.5 18446744073709551615 %2E%2E"
    .split(" "),
  "task 1\ncmd 3\nabcend\n",
  "7".repeat(64),
  "a".repeat(40),
  "\n",
  " ",
  "\r\n",
];

/** No line: the limit is 4095. */
const tooLong = "y".repeat(5000);

/** The lines of golden conversations that one end sends. */
function conversations(from: "M" | "W"): string[] {
  const folder = new URL("../../golden/wire/", import.meta.url);
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort().map((name) => {
    const lines = Deno.readTextFileSync(new URL(name, folder)).split("\n");
    return lines.flatMap((line) => {
      const [, end, isBytes, rest = ""] = /^([MW])\d?(=?) ?(.*)$/.exec(line) ?? [];
      if (end !== from) return [];
      return [isBytes === "" ? `${rest}\n` : rest.replaceAll("\\n", "\n").replaceAll("\\\\", "\\")];
    }).join("");
  }).filter((text) => text !== "");
}

/** What came of bytes: messages in text, payloads joined, and whether the peer was refused. */
function decoded<M extends object>(
  grammar: Grammar<M>,
  pieces: Iterable<Uint8Array>,
): { readonly messages: readonly (M | Uint8Array[])[]; readonly refused: string | null } {
  const decoder = new Decoder<M>(grammar);
  const messages: (M | Uint8Array[])[] = [];
  try {
    for (const piece of pieces) {
      decoder.feed(piece);
      for (let m = decoder.next(); m !== null; m = decoder.next()) {
        if (!("type" in m && m.type === "payload")) {
          messages.push(m as M);
          continue;
        }
        const last = messages.at(-1);
        if (Array.isArray(last)) last.push(m.bytes.slice());
        else messages.push([m.bytes.slice()]);
      }
    }
  } catch (error) {
    if (!(error instanceof PeerProtocolError)) throw error;
    return { messages, refused: error.message };
  }
  return { messages, refused: null };
}

/** Text of messages, with the payloads that were cut put together. */
function textsOf(messages: readonly (object | Uint8Array[])[]): unknown[] {
  return messages.map((message) =>
    Array.isArray(message) ? message.map((bytes: Uint8Array) => bytes.toHex()).join("") : message
  );
}

/** What was read, written and read again, is the same. */
function reads<M extends object>(grammar: () => Grammar<M>, encode: (message: M) => Uint8Array) {
  return (bytes: Uint8Array) => {
    const whole = decoded(grammar(), [bytes]);
    const texts = textsOf(whole.messages);
    const cut = decoded(grammar(), inPieces(bytes));
    assertSame([textsOf(cut.messages), cut.refused], [texts, whole.refused], "cut elsewhere");
    const written = concat(
      whole.messages.flatMap((message) => Array.isArray(message) ? message : [encode(message)]),
    );
    // Numbers that no machine has, and fractions of what is counted, are not written as they came.
    if (/\d{20}|\d\.\d/.test(textOf(bytes)) || /\de\+/.test(textOf(written))) return;
    const again = decoded(grammar(), [written]);
    assert.equal(again.refused, null, "what was read is refused when it is written");
    assertSame(textsOf(again.messages), texts, "read again");
  };
}

const dialects: readonly Dialect[] = [
  newestDialect,
  ...protocolsSpoken.map((protocol) => ({ protocol, endTimeInSeconds: false })),
];

/** Every dialect writes what this end reads; what an older one cannot say may be lost in it. */
function encodesInAll(message: ToWorker): Uint8Array {
  for (const dialect of dialects) encodeToWorker(message, dialect);
  return encodeToWorker(message);
}

const entry = (byte: number, length: number) =>
  String.fromCharCode(byte).repeat(entryBytes - 4) + "\0\0" +
  String.fromCharCode(length >> 8, length & 127);

export const wireTargets: readonly Target[] = [
  {
    name: "wire-to-worker",
    code,
    words,
    seeds: [...conversations("M"), tooLong],
    lengthMax: tooLong.length,
    run: reads<ToWorker>(() => new ToWorkerGrammar(), encodesInAll),
  },
  {
    name: "wire-to-manager",
    code,
    words,
    seeds: [...conversations("W"), tooLong],
    lengthMax: tooLong.length,
    run: reads<ToManager>(() => new ToManagerGrammar(), encodeToManager),
  },
  {
    name: "handshake",
    code: ["core/protocol/auth.ts"],
    words: [
      "auth password sha1\n",
      "abc\n",
      "ok\n",
      "failure\n",
      "workqueue 11 a b c d\n",
      "\x16\x03\x01",
    ],
    seeds: [
      "auth password sha1\nxyz\nfailure\n",
      "auth password sha1\nabc\n",
      "workqueue 11 a b c\n",
    ],
    run(bytes) {
      for (const end of ["manager", "worker"] as const) {
        const [whole, cut] = [[bytes], inPieces(bytes)].map((pieces) => {
          const handshake = new PasswordHandshake(end, bytesOf("secret"), "abc");
          let sent = "";
          for (const piece of pieces) {
            const step = handshake.receive(piece);
            sent += textOf(step.send);
            assert.notEqual(step.state, "ok", "nobody guesses the password");
            if (step.state === "failed") return { sent, why: step.why };
          }
          return { sent, why: handshake.closed() };
        });
        // What begins like TLS is told from its first bytes, and they may come one by one.
        assert.equal(cut!.sent, whole!.sent);
      }
    },
  },
  {
    name: "infos",
    code: ["core/protocol/measured.ts", "core/protocol/held.ts", "core/protocol/names.ts"],
    words: ['{"limits":', "%2F", "%", "null", "1048576", "7".repeat(64)],
    seeds: [
      `1048576 ${"a7".repeat(32)}`,
      "7 1200 30 411",
      '7 1200 30 411 {"monitored":{"memory":3},"exceeded":{"resource":"memory","limit":2,"measured":3}}',
      "dir%2Fa%20b%25",
    ],
    run(bytes) {
      const text = textOf(bytes);
      parseMeasured(text);
      parseHolds(text);
      const name = orRefused(() => decodeName(text), PeerProtocolError);
      if (name !== null) assert.equal(decodeName(encodeName(name)), name);
    },
  },
  {
    name: "pieces",
    code: ["core/pieces.ts", "core/protocol/pieces.ts"],
    words: ["\0\0\0\x01", "\xff\xff\xff\xff"],
    seeds: [entry(1, 300) + entry(2, 77), entry(3, 5), "a text of some length, cut by itself"],
    run(bytes) {
      const entries = bytes.subarray(0, bytes.length - bytes.length % entryBytes);
      const list = new PieceList(entries);
      const pieces = orRefused(() => checkedPieces(entries, list.bytes, "file"), PeerProtocolError);
      if (pieces !== null) {
        for (let i = 0; i < pieces.count; i++) assert.match(pieces.nameOf(i), /^[0-9a-f]+$/);
        const lacking = orRefused(() => parseLacking(bytes, pieces, "file"), PeerProtocolError);
        for (const index of lacking ?? []) assert.ok(index < pieces.count);
      }
      const [whole, cut] = [[bytes], inPieces(bytes)].map((blocks) => {
        const lister = new PieceLister();
        for (const block of blocks) lister.feed(block);
        return lister.finish();
      });
      assert.equal(cut!.sha256, whole!.sha256);
      assert.equal(cut!.pieces.entries.toHex(), whole!.pieces.entries.toHex());
      assert.equal(whole!.pieces.bytes, bytes.length);
      const end = new PieceCutter().end(bytes, 0);
      assert.ok(end === null || end > 0 && end <= bytes.length);
    },
  },
];
