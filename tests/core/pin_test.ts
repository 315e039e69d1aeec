import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import {
  boundPassword,
  isPin,
  parseJoinToken,
  pinOf,
  sameText,
  showJoinToken,
} from "../../core/pin.ts";
import { anyText } from "../support/texts.ts";

const pin = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("a pin is the SHA-256 of the key, in the letters of URLs", () => {
  assert.equal(pinOf(new Uint8Array(0)), pin);
  assert.ok(isPin(pin));
  for (const other of ["", pin.slice(1), `${pin}x`, pin.replace("-", "+"), ` ${pin.slice(1)}`]) {
    assert.ok(!isPin(other), other);
  }
});

Deno.test("a token is read as it was shown, with names, addresses of both kinds and any pin", () => {
  const host = fc.oneof(
    fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,30}$/),
    fc.ipV4(),
    fc.ipV6().filter((address) => /^[0-9a-f:]*$/i.test(address)),
  );
  fc.assert(
    fc.property(
      fc.array(host, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 65_535 }),
      fc.uint8Array(),
      (hosts, port, key) => {
        const token = { hosts, port, pin: pinOf(key) };
        assert.deepEqual(parseJoinToken(` ${showJoinToken(token)}\n`), token);
        assert.doesNotMatch(showJoinToken(token), /[\s"'$&;|<>`\\]/, "needs no quotes but for [");
      },
    ),
  );
  const shown = `head-node,10.0.0.3,[fe80::1]:9123/${pin}`;
  assert.equal(showJoinToken(parseJoinToken(shown)), shown);
});

Deno.test("a token that is none is refused with what is wrong of it", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /^"" is no token to join by: it is HOST:PORT\/PIN, as wqx manager prints it$/],
    ["host:9123", /^"host:9123" is no token to join by/],
    [`:9123/${pin}`, /is no token to join by/],
    [`host,:9123/${pin}`, /is no token to join by/],
    [`a host:9123/${pin}`, /is no token to join by/],
    [`fe80::1:9123/${pin}`, /is no token to join by/],
    [`host/${pin}`, /is no token to join by/],
    [
      `host:9123/${pin.slice(5)}`,
      /is no pin of a key: it has 43 letters.*was the token cut off\?$/,
    ],
    [`host:99999/${pin}`, /"99999"/],
  ];
  for (const [token, message] of cases) {
    assert.throws(() => parseJoinToken(token), (error: Error) => {
      assert.equal(error.name, "UsageError");
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("a bound password depends on password and pin, and fits into a handshake", () => {
  const password = new TextEncoder().encode("open sesame\n");
  const bound = boundPassword(password, pin);
  assert.equal(
    text(bound),
    createHmac("sha256", "open sesame\n").update(`wqx pin ${pin}`).digest("hex"),
  );
  const other = pinOf(createHash("sha256").digest());
  assert.notDeepEqual(bound, boundPassword(password, other));
  assert.notDeepEqual(bound, boundPassword(password.subarray(1), pin));
  assert.equal(bound.length, 64);
});

Deno.test("texts are the same only if they are", () => {
  fc.assert(
    fc.property(anyText(), anyText(), (a, b) => {
      const wellFormed = a.isWellFormed() && b.isWellFormed();
      assert.ok(sameText(a, a));
      if (wellFormed) assert.equal(sameText(a, b), a === b);
    }),
  );
});
