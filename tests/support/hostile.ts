/**
 * What must hold whatever comes from outside: bytes of peers, lines of users. The tests try some of
 * it; `deno task fuzz` goes on for as long as it is let.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { readUpdate } from "../../core/catalog/record.ts";
import { PeerProtocolError, UsageError } from "../../core/errors.ts";
import { readFactoryConfig } from "../../core/factory/config.ts";
import { settingsDefault } from "../../core/factory/settings.ts";
import { evaluateWithDefines } from "../../core/jx/eval.ts";
import type { JxExpr } from "../../core/jx/expr.ts";
import { JxSyntaxError, parseJx, parseJxValue } from "../../core/jx/parse.ts";
import { printExpr, printJx } from "../../core/jx/print.ts";
import { isJxObject } from "../../core/jx/value.ts";
import { PasswordHandshake } from "../../core/protocol/auth.ts";
import { Decoder, type Grammar, type Parsed } from "../../core/protocol/decoder.ts";
import { lineBytesMax } from "../../core/protocol/messages.ts";
import { ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { LineSplitter } from "../../core/tasklist/lines.ts";
import { parseCount, parsePorts, parseSizeMb, parseTimeMs } from "../../core/units.ts";
import { bytesOf } from "./builders.ts";
import { jxText } from "./jx.ts";
import { cutAt, driven, play } from "./transcript.ts";
import { anyText } from "./texts.ts";

export interface Hostile {
  /** What holds. */
  readonly name: string;
  /** Throws if it does not; runs it so often, or so long. */
  check(parameters: fc.Parameters<unknown>): void;
}

function hostile<Ts extends [unknown, ...unknown[]]>(
  name: string,
  ...property: Parameters<typeof fc.property<Ts>>
): Hostile {
  return {
    name,
    check: (parameters) => fc.assert(fc.property<Ts>(...property), parameters as fc.Parameters<Ts>),
  };
}

/** @param transcripts of golden conversations, to be garbled */
export function hostileInput(transcripts: readonly string[]): Hostile[] {
  return [
    hostile(
      "any text gives messages or a PeerProtocolError, and little is buffered meanwhile",
      anything,
      fc.array(fc.nat()),
      (text, places) => {
        for (const grammar of [new ToWorkerGrammar(), new ToManagerGrammar()]) {
          buffersLittle(grammar, text, places);
        }
      },
    ),
    hostile("any bytes at all give messages or a PeerProtocolError", noise, (pieces) => {
      for (const grammar of [new ToWorkerGrammar(), new ToManagerGrammar()]) {
        const decoder = new Decoder<object>(grammar);
        refusingPeers(() => {
          for (const piece of pieces) {
            decoder.feed(piece);
            while (decoder.next() !== null);
          }
        });
      }
    }),
    hostile(
      "the machines stand whatever becomes of a conversation",
      fc.constantFrom(...transcripts.filter((transcript) => driven(transcript).length === 1)),
      fc.array(garbling, { minLength: 1, maxLength: 4 }),
      (transcript, edits) => {
        const given = driven(transcript).includes("M") ? /^W\d?=? / : /^M\d?=? /;
        const lines = edits.reduce(
          (lines, edit) => garbled(lines, edit, given),
          transcript.trimEnd().split("\n"),
        );
        play(`${lines.join("\n")}\n`, true);
      },
    ),
    hostile(
      "any bytes in place of a password handshake end it, and are bounded",
      fc.constantFrom("manager" as const, "worker" as const),
      fc.array(fc.oneof(authLine.map(bytesOf), fc.uint8Array({ maxLength: 40 })), {
        maxLength: 30,
      }),
      (end, pieces) => {
        const handshake = new PasswordHandshake(end, bytesOf("secret"), "abc");
        for (const piece of pieces) {
          const step = handshake.receive(piece);
          assert.notEqual(step.state, "ok", "nobody guesses the password");
          if (step.state === "failed") return;
        }
        assert.match(handshake.closed(), /^it closed/);
      },
    ),
    hostile("any bytes are lines or are refused, and none is lost", noise, (pieces) => {
      const splitter = new LineSplitter(100);
      const lines = [...pieces.flatMap((piece) => splitter.feed(piece)), ...splitter.end()];
      const bytes = pieces.flatMap((piece) => [...piece]);
      const ends = bytes.filter((b) => b === 0x0a).length;
      assert.equal(lines.length, ends + (bytes.length > 0 && bytes.at(-1) !== 0x0a ? 1 : 0));
    }),
    hostile("an option's text is a value or a UsageError", optionText, (text) => {
      for (const parse of [parseSizeMb, parseTimeMs, parsePorts, parseCount]) {
        try {
          const value = parse(text);
          assert.ok(typeof value !== "number" || (value >= 0 && Number.isFinite(value)), text);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      }
    }),
    hostile(
      "any text is JX or a JxSyntaxError, and comes to a value or an error",
      jxText,
      (text) => {
        for (const parse of [parseJx, parseJxValue]) {
          try {
            const expr = parse(text);
            assert.equal(printExpr(parse(printExpr(expr))), printExpr(expr), text);
            printJx(evaluateWithDefines(expr, new Map<string, JxExpr>([["x", expr]])));
          } catch (error) {
            if (!(error instanceof JxSyntaxError)) throw error;
          }
        }
      },
    ),
    hostile(
      "any update of a catalog is a record that reads as it prints, or has a reason",
      fc.oneof(updateText, jxText.map((text) => `{"a":${text}}`)),
      (text) => {
        const source = { address: "10.0.0.7", name: "node7" };
        const { accepted, dropped } = readUpdate(text, source, 0);
        if (accepted === null) return assert.notEqual(dropped, "");
        const printed = printJx(accepted.record);
        assert.ok(!/\s/.test(accepted.key) && !printed.includes("\n"));
        const again = parseJxValue(printed);
        assert.ok(isJxObject(again));
        assert.deepEqual([again.get("address"), again.get("name")], ["10.0.0.7", "node7"]);
        assert.equal(printJx(again), printed);
      },
    ),
    hostile(
      "any configuration of a factory gives settings or a UsageError",
      fc.oneof(jxText, configText),
      (text) => {
        const readYaml = () => ({ line: 1, problem: "YAML" });
        try {
          readFactoryConfig(text, "factory.json", settingsDefault, readYaml);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      },
    ),
  ];
}

function refusingPeers(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof PeerProtocolError)) throw error;
  }
}

// Text and bytes

/** Configurations in which everything may be missing. */
const configText = fc.array(
  fc.constantFrom(
    ...[
      '"manager_name"',
      '"cores',
      "max-workers",
      '"',
      ":",
      "=",
      ", ",
      "4",
      '"hal"',
      "cores * 2",
      "#",
    ],
    ...["\n", "{", "}", "memory", " "],
  ),
  { maxLength: 30 },
).map((words) => `{${words.join("")}}`);

const fragment = fc.oneof(
  fc.constantFrom(
    ..."put task cmd env category cores infile outfile end get unlink kill check result file info"
      .split(" "),
    ..."missing workqueue resource tag alive available_results feature a in-1 .. 0644".split(" "),
    ..."dir symlink url puturl putcmd thirdget thirdput update cache-update cache-invalid".split(
      " ",
    ),
    ..."info wqx-holds wqx-take 1048576 wqx-pieces wqx-lacks wqx-fill".split(" "),
    "7".repeat(64),
    ..."end_time wall_time invalidate-file tlq thirdput-complete queue_status GET".split(" "),
    ..."0 1 2 3 11 99 5000 -1 1.5 18446744073709551615 %2E%2E a%2Fb".split(" "),
  ),
  fc.constant("\n"),
  fc.constant("\n"),
  fc.constant("task 1\ncmd 3\n"),
  fc.constant("dir a\nsymlink b 2\n"),
  fc.string({ unit: "binary-ascii", maxLength: 20 }),
  fc.nat({ max: 5000 }).map((n) => "y".repeat(n)),
).map((text) => text.replaceAll(/[\0\r]/g, ""));

const anything = fc.array(fc.tuple(fragment, fc.constantFrom(" ", "", "\n")), { maxLength: 40 })
  .map((parts) => parts.flat().join(""));

const noise = fc.array(
  fc.oneof(fc.uint8Array({ maxLength: 30 }), fragment.map((text) => bytesOf(text))),
  { maxLength: 20 },
);

const authLine = fc.oneof(
  fc.constantFrom("auth password sha1\n", "abc\n", "ok\n", "failure\n", "workqueue 11 a b c d\n"),
  fc.stringMatching(/^[0-9a-f]{40}$/).map((hash) => `${hash}\n`),
  fc.nat({ max: 2000 }).map((n) => "z".repeat(n)),
);

const optionText = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.tuple(
    fc.constantFrom("", "-", "+", " "),
    fc.oneof(fc.double().map(String), fc.nat().map(String), fc.constant("1e400")),
    fc.constantFrom("", "MB", " GB", "GBB", "s", "min", "h", ":", ":1", "k", "%"),
  ).map((parts) => parts.join("")),
);

/** Counts, beside the decoder, what was consumed; text without CR, NUL and bytes over 127. */
class Counting<M> implements Grammar<M> {
  consumed = 0;
  awaited = 0;

  constructor(private readonly inner: Grammar<M>) {}

  line(text: string): Parsed<M> {
    this.consumed += text.length + 1;
    const parsed = this.inner.line(text);
    if (parsed.kind === "part") this.awaited = parsed.blobBytes ?? 0;
    return parsed;
  }

  blob(bytes: Uint8Array): M | null {
    this.consumed += bytes.length;
    this.awaited = 0;
    return this.inner.blob(bytes);
  }
}

function buffersLittle(inner: Grammar<object>, text: string, places: readonly number[]): void {
  const grammar = new Counting<object>(inner);
  const decoder = new Decoder<object>(grammar);
  let fed = 0;
  refusingPeers(() => {
    for (const piece of cutAt(bytesOf(text), [...places, ...everyLine(text)])) {
      decoder.feed(piece);
      fed += piece.length;
      for (let m = decoder.next(); m !== null; m = decoder.next()) {
        if ("bytes" in m) grammar.consumed += (m.bytes as Uint8Array).length;
      }
      const most = grammar.awaited > 0 ? grammar.awaited : lineBytesMax;
      assert.ok(fed - grammar.consumed <= most, `${fed - grammar.consumed} bytes buffered`);
    }
  });
}

/** Places before and after each line end. */
function everyLine(text: string): number[] {
  return [...text].flatMap((c, i) => c === "\n" ? [i, i + 1] : []);
}

// Conversations

/** A change to one of the lines that a transcript gives to a machine. */
type Garbling =
  | { readonly kind: "drop" | "repeat"; readonly at: number }
  /** A line of the same peer, from elsewhere in the conversation, comes here too. */
  | { readonly kind: "move"; readonly at: number; readonly from: number }
  | {
    readonly kind: "replace";
    readonly at: number;
    /** Which of its words. */
    readonly word: number;
    readonly by: string;
  };

const place = fc.nat({ max: 200 });
const garbling: fc.Arbitrary<Garbling> = fc.oneof(
  fc.record({ kind: fc.constantFrom("drop" as const, "repeat" as const), at: place }),
  fc.record({ kind: fc.constant("move" as const), at: place, from: place }),
  fc.record({
    kind: fc.constant("replace" as const),
    at: place,
    word: fc.nat({ max: 6 }),
    by: fc.oneof(
      fc.constantFrom(
        ..."0 1 2 3 7 -1 40 64 1.5 99999999999999999999 nan .. / a/../b %00 out-o in-1 end".split(
          " ",
        ),
        ..."result file missing dir symlink update resource tag info available_results".split(" "),
        "",
        "x".repeat(4095),
      ),
      fc.nat().map(String),
      fc.stringMatching(/^[!#-[\]-~]{0,8}$/),
    ),
  }),
);

/** What somebody might send to a catalog: JSON of all kinds, and lines `name value`. */
const updateText: fc.Arbitrary<string> = fc.oneof(
  anyText(),
  fc.json(),
  fc.dictionary(anyText(), fc.jsonValue()).map((value) => JSON.stringify(value)),
  fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,5}$/), anyText()))
    .map((pairs) => ["type x", ...pairs.map((pair) => pair.join(" "))].join("\n")),
);

/** @param given which lines may be changed: what machines say, they say themselves */
function garbled(lines: readonly string[], edit: Garbling, given: RegExp): string[] {
  const places = lines.flatMap((line, i) => given.test(line) ? [i] : []);
  if (places.length === 0) return [...lines];
  const at = places[edit.at % places.length]!;
  const line = lines[at]!;
  const before = lines.slice(0, at);
  const after = lines.slice(at + 1);
  switch (edit.kind) {
    case "drop":
      return [...before, ...after];
    case "repeat":
      return [...before, line, line, ...after];
    case "move":
      return [...before, lines[places[edit.from % places.length]!]!, line, ...after];
    case "replace": {
      const [mark, ...words] = line.split(" ");
      words[edit.word % words.length] = edit.by;
      return [...before, [mark, ...words].join(" "), ...after];
    }
  }
}
