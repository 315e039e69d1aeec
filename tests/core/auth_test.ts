import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import {
  type AuthStep,
  type End,
  PasswordHandshake,
  passwordOf,
} from "../../core/protocol/auth.ts";

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const secret = latin1("secret");

/** `sha1sum` of "secret abc", "secret xyz" and of `secret \xFF~ "x"`. */
const secretAbc = "b9dde536a85520a63ef4ff9a811d4f3055c85768";
const secretXyz = "6c8b34bdfae2909a6962655ededcb069625a09a1";
const secretOdd = "59f93e2028ac43fb9595ef64db6ccb772149551b";

/** What came of some pieces, all that was sent in one text. */
interface Outcome {
  readonly state: AuthStep["state"];
  readonly sent: string;
  readonly why?: string;
  readonly rest?: string;
}

/** Feeds pieces until the handshake is over; the rest of the pieces is the protocol's. */
function feed(handshake: PasswordHandshake, pieces: readonly Uint8Array[]): Outcome {
  let sent = textOf(handshake.opening);
  for (const [i, piece] of pieces.entries()) {
    const step = handshake.receive(piece);
    sent += textOf(step.send);
    if (step.state === "failed") return { state: step.state, sent, why: step.why };
    if (step.state === "ok") {
      const rest = textOf(concat([step.rest, ...pieces.slice(i + 1)]));
      return { state: step.state, sent, rest };
    }
  }
  return { state: "more", sent };
}

function manager(password = secret): PasswordHandshake {
  return new PasswordHandshake("manager", password, "xyz");
}

function worker(password = secret): PasswordHandshake {
  return new PasswordHandshake("worker", password, "xyz");
}

function whole(handshake: PasswordHandshake, text: string): Outcome {
  return feed(handshake, [latin1(text)]);
}

function byByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** What a peer with the challenge "abc" and the right password sends. */
const rightPeer = `auth password sha1\nabc\n${secretXyz}\nok\n`;
const opening = "auth password sha1\nxyz\n";

Deno.test("both ends speak the handshake as real peers do, whole and byte by byte", () => {
  for (const end of [manager, worker]) {
    const expected = { state: "ok", sent: `${opening}${secretAbc}\nok\n`, rest: "workqueue 11\n" };
    const bytes = latin1(`${rightPeer}workqueue 11\n`);
    assert.deepEqual(feed(end(), [bytes]), expected);
    assert.deepEqual(feed(end(), byByte(bytes)), expected);
  }
});

Deno.test("the line end of a password file counts, and a NUL ends the password", () => {
  // sha1sum of "secret\n xyz" and "secret\n abc"
  const peer = "auth password sha1\nabc\nd67fd7b1cea86e093f2d574caf2a3369e2ff1890\nok\n";
  const sent = `${opening}5611cb4b7dd69cec26ef4d4a17d465e12c21f7a9\nok\n`;
  assert.deepEqual(whole(manager(latin1("secret\n")), peer), { state: "ok", sent, rest: "" });
  assert.equal(whole(manager(secret), peer).state, "failed");
  assert.equal(whole(manager(latin1("secret\0\n")), rightPeer).state, "ok");
  assert.deepEqual(passwordOf(latin1("a\0b")), latin1("a"));
  assert.deepEqual(passwordOf(latin1("ab\n")), latin1("ab\n"));
});

Deno.test("a challenge may be any line: bytes beyond ASCII, 1023 of them, CR left out", () => {
  const challenges: [string, string][] = [
    ['\xff~ "x"', secretOdd],
    ["a\rbc\r", secretAbc],
    ["abc\0def", secretAbc],
    ["", "d1ebbc78705ad98aa2c8fb357d2e30c8f001673a"], // sha1sum of "secret "
    ["c".repeat(1023), "9b5217120467981711bfe3e2a7336465796b6216"],
  ];
  for (const [challenge, answer] of challenges) {
    const outcome = whole(worker(), `auth password sha1\n${challenge}\n`);
    assert.deepEqual(outcome, { state: "more", sent: `${opening}${answer}\n` });
  }
});

Deno.test("a manager answers only who has answered it; a worker does not wait", () => {
  const peer = "auth password sha1\nabc\n";
  assert.equal(whole(manager(), peer).sent, opening);
  assert.equal(whole(manager(), `${peer}${"0".repeat(40)}\n`).sent, `${opening}failure\n`);
  assert.equal(whole(worker(), peer).sent, `${opening}${secretAbc}\n`);
});

const failures: readonly (readonly [End, string, string])[] = [
  [
    "manager",
    "workqueue 11 host Linux x86_64 8.0.0\n",
    "it greeted without authenticating; give it the password of this manager (--password)",
  ],
  [
    "manager",
    "queue_status\n",
    "it asked for the status without authenticating; give it the password (--password)",
  ],
  [
    "manager",
    "GET / HTTP/1.1\r\n",
    "it asked for the status without authenticating; give it the password (--password)",
  ],
  ["manager", "auth unix\n", 'it offers "auth unix", and only "auth password sha1" is understood'],
  ["worker", "auth password sha1 \n", 'it offers "auth password sha1 ", and only "auth password'],
  ["worker", "\n", 'it sent "" instead of "auth password sha1"'],
  ["worker", "check\n", 'it sent "check" instead of "auth password sha1"'],
  ["manager", "x".repeat(1024), "it sent a line of more than 1023 bytes"],
  ["manager", `${"x".repeat(1024)}\n`, "it sent a line of more than 1023 bytes"],
  ["worker", `auth password sha1\n${"x".repeat(1024)}\n`, "it sent a line of more than 1023 bytes"],
  ["manager", "\x16\x03\x01\x02", "it speaks TLS and this manager does not"],
  ["worker", "\x15\x03\x03\0\x02\x02F", "it expects TLS; use --ssl"],
  ["manager", "auth password sha1\nxyz\n", "it sent our own challenge back to us"],
  ["worker", "auth password sha1\nxyz\n", "it sent our own challenge back to us"],
  ["worker", "auth password sha1\nx\ryz\n", "it sent our own challenge back to us"],
  ["manager", `auth password sha1\nabc\n${secretAbc}\n`, "it presented the wrong password"],
  ["manager", "auth password sha1\nabc\n\n", "it presented the wrong password"],
  [
    "manager",
    `auth password sha1\nabc\n${secretXyz.toUpperCase()}\n`,
    "it presented the wrong password",
  ],
  ["worker", `auth password sha1\nabc\n${secretXyz} \n`, "its password is another one than ours"],
  ["worker", "auth password sha1\nabc\nfailure\n", "it did not accept our password"],
  ["worker", `auth password sha1\nabc\n${secretXyz}\nfailure\n`, "it did not accept our password"],
  ["manager", `auth password sha1\nabc\n${secretXyz}\nOK\n`, "it did not accept our password"],
];

Deno.test("a handshake that fails says why, in words about the peer", () => {
  for (const [end, text, why] of failures) {
    const outcome = whole(new PasswordHandshake(end, secret, "xyz"), text);
    assert.equal(outcome.state, "failed", text);
    assert.ok(outcome.why?.startsWith(why), `${JSON.stringify(text)}: ${outcome.why}`);
    const cut = feed(new PasswordHandshake(end, secret, "xyz"), byByte(latin1(text)));
    assert.deepEqual(cut, outcome);
  }
});

Deno.test("the own verdict goes out with a failure, and never with somebody else's reason", () => {
  const wrong = `auth password sha1\nabc\n${secretAbc}\nok\n`;
  assert.equal(whole(manager(), wrong).sent, `${opening}failure\n`);
  assert.equal(whole(worker(), wrong).sent, `${opening}${secretAbc}\nfailure\n`);
});

Deno.test("a connection that ends too early says what was missing", () => {
  const ends: readonly (readonly [PasswordHandshake, string, RegExp])[] = [
    [manager(), "", /^it closed the connection without authenticating$/],
    [worker(), "", /^it closed .*: it may have no password, or expect TLS \(--ssl\)$/],
    [worker(), "auth pass", /^it closed the connection without authenticating$/],
    [worker(), "auth password sha1\nab", /^it closed the connection without authenticating$/],
    [worker(), "auth password sha1\nabc\n", /without accepting the password$/],
    [manager(), `auth password sha1\nabc\n${secretXyz}\no`, /without accepting the password$/],
  ];
  for (const [handshake, text, why] of ends) {
    assert.equal(whole(handshake, text).state, "more");
    assert.match(handshake.closed(), why);
  }
});

Deno.test("a handshake that is over takes nothing more, and a challenge is one word", () => {
  const over = manager();
  whole(over, rightPeer);
  assert.throws(() => over.receive(latin1("x")), /over/);
  for (const challenge of ["", "a b", "a\n", "x".repeat(1024)]) {
    assert.throws(() => new PasswordHandshake("worker", secret, challenge), RangeError);
  }
});

/** Passes bytes to and fro, cut by `cuts`, until both are over or nothing moves. */
function join(
  [a, b]: readonly [PasswordHandshake, PasswordHandshake],
  after: Uint8Array,
  cuts: () => number,
): [Outcome, Outcome] {
  const ends = [a, b].map((handshake) => ({
    handshake,
    /** On the way to the other. */
    wire: handshake.opening,
    sent: textOf(handshake.opening),
    outcome: null as Outcome | null,
    rest: new Uint8Array(0) as Uint8Array,
  }));
  for (let moved = true; moved;) {
    moved = false;
    for (const [i, to] of ends.entries()) {
      const from = ends[1 - i]!;
      const piece = from.wire.subarray(0, cuts());
      if (piece.length === 0) continue;
      from.wire = from.wire.slice(piece.length);
      moved = true;
      if (to.outcome !== null) {
        to.rest = concat([to.rest, piece]);
        continue;
      }
      const step = to.handshake.receive(piece);
      to.wire = concat([to.wire, step.send]);
      to.sent += textOf(step.send);
      if (step.state === "ok") {
        to.outcome = { state: step.state, sent: to.sent };
        to.rest = step.rest.slice();
        to.wire = concat([to.wire, after]);
      } else if (step.state === "failed") {
        to.outcome = { state: step.state, sent: to.sent, why: step.why };
      }
    }
  }
  const [first, second] = ends.map(({ outcome, sent, rest }): Outcome => ({
    ...(outcome ?? { state: "more", sent }),
    rest: textOf(rest),
  }));
  return [first!, second!];
}

const anyPassword = fc.uint8Array({ minLength: 1, maxLength: 1000 });
const anyChallenge = fc.stringMatching(/^[a-p]{63}$/);

Deno.test("both ends joined agree however the bytes are cut, and what follows is not lost", () => {
  fc.assert(
    fc.property(
      anyPassword,
      fc.uniqueArray(anyChallenge, { minLength: 2, maxLength: 2 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
      fc.boolean(),
      (password, [mine = "", theirs = ""], sizes, straight) => {
        const ends = [
          new PasswordHandshake("manager", password, mine),
          new PasswordHandshake("worker", password, theirs),
        ] as const;
        const after = latin1("workqueue 11\n");
        const pair = straight ? ends : [ends[1], ends[0]] as const;
        for (const outcome of join(pair, after, () => sizes.next().value)) {
          assert.equal(outcome.state, "ok");
          assert.equal(outcome.rest, "workqueue 11\n");
        }
      },
    ),
  );
});

Deno.test("both ends joined fail with two passwords, and no answer is there to be heard", () => {
  const ends = [
    new PasswordHandshake("manager", latin1("secret"), "aaaa"),
    new PasswordHandshake("worker", latin1("secret\n"), "bbbb"),
  ] as const;
  const [ours, theirs] = join(ends, new Uint8Array(0), () => 7);
  assert.equal(ours.why, "it presented the wrong password");
  assert.equal(theirs.why, "it did not accept our password");
  assert.equal(ours.sent, "auth password sha1\naaaa\nfailure\n");
});

Deno.test("any bytes at all end in a step, the same one however they are cut", () => {
  const lines = fc.constantFrom(
    "auth password sha1\n",
    "abc\n",
    "xyz\n",
    `${secretXyz}\n`,
    "ok\n",
    "failure\n",
  ).map(latin1);
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.array(fc.oneof({ weight: 4, arbitrary: lines }, fc.uint8Array({ maxLength: 30 })))
      .map(concat),
  );
  fc.assert(
    fc.property(
      garbage,
      fc.constantFrom<End>("manager", "worker"),
      fc.array(fc.nat(2000), { maxLength: 10 }),
      (bytes, end, places) => {
        const cuts = [0, ...places.sort((a, b) => a - b), bytes.length];
        const pieces = cuts.slice(1).map((to, i) => bytes.subarray(cuts[i], to));
        const one = feed(new PasswordHandshake(end, secret, "xyz"), [bytes]);
        assert.deepEqual(feed(new PasswordHandshake(end, secret, "xyz"), pieces), one);
        if (one.state === "ok") assert.ok(textOf(bytes).includes(secretXyz));
      },
    ),
  );
});
