import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../core/errors.ts";
import {
  formatDuration,
  formatShort,
  formatSizeMb,
  orAll,
  parseCount,
  parsePort,
  parsePorts,
  parseSizeMb,
  parseTimeMs,
} from "../../core/units.ts";

function refuses(parse: (text: string) => unknown, text: string, message: string): void {
  assert.throws(() => parse(text), (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.message, message);
    return true;
  });
}

Deno.test("parseSizeMb reads sizes in MB of 1024² bytes", () => {
  const cases: [string, number][] = [
    ["16GB", 16384],
    ["500MB", 500],
    ["1.5 GiB", 1536],
    ["4096", 4096],
    ["0", 0],
    ["2g", 2048],
    ["1TB", 1024 ** 2],
    ["1k", 1],
    ["1025KB", 2],
    [" 8 gb ", 8192],
    ["+1GB", 1024],
  ];
  for (const [text, mb] of cases) assert.equal(parseSizeMb(text), mb, text);
});

Deno.test("parseSizeMb says what is wrong with a size", () => {
  refuses(parseSizeMb, "4GBB", '"4GBB" is not a size: did you mean "4GB"?');
  refuses(parseSizeMb, "4 GBi", '"4 GBi" is not a size: did you mean "4GB"?');
  refuses(parseSizeMb, "-5GB", '"-5GB" is not a size: it cannot be negative');
  refuses(parseSizeMb, "lots", '"lots" is not a size: write 4096, 500MB or 16GB');
  refuses(parseSizeMb, "", '"" is not a size: write 4096, 500MB or 16GB');
  refuses(parseSizeMb, "5 apples", '"5 apples" is not a size: its unit can be KB, MB, GB, TB, PB');
  refuses(
    parseSizeMb,
    "1.5",
    '"1.5" is not a size: a bare number is whole MB; did you mean "1.5GB"?',
  );
  refuses(parseSizeMb, "2000PB", '"2000PB" is not a size: the most is 1024PB');
});

Deno.test("parseTimeMs reads times, bare numbers in seconds", () => {
  const cases: [string, number][] = [
    ["90s", 90_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["500ms", 500],
    ["90", 90_000],
    ["1.5h", 5_400_000],
    ["0", 0],
  ];
  for (const [text, ms] of cases) assert.equal(parseTimeMs(text), ms, text);
});

Deno.test("parseTimeMs says what is wrong with a time", () => {
  refuses(parseTimeMs, "5mm", '"5mm" is not a time: did you mean "5ms"?');
  refuses(parseTimeMs, "5 years", '"5 years" is not a time: its unit can be ms, s, m, h, d');
  refuses(parseTimeMs, "-1s", '"-1s" is not a time: it cannot be negative');
  refuses(parseTimeMs, "soon", '"soon" is not a time: write 90, 90s, 5m, 2h or 1d');
  refuses(parseTimeMs, "99999d", '"99999d" is not a time: the most is 3650d');
});

Deno.test("parsePorts reads a port, a range, and 0 for any", () => {
  assert.deepEqual(parsePorts("9123"), { low: 9123, high: 9123 });
  assert.deepEqual(parsePorts("9000:9100"), { low: 9000, high: 9100 });
  assert.deepEqual(parsePorts("0"), { low: 0, high: 0 });
});

Deno.test("parsePorts and parsePort say what is wrong with a port", () => {
  refuses(
    parsePorts,
    "70000",
    '"70000" is not a port: a port is 0 to 65535, and 0 picks a free one',
  );
  refuses(parsePorts, "9000-9100", '"9000-9100" is not a port: did you mean "9000:9100"?');
  refuses(parsePorts, "http", '"http" is not a port: write 9123, 9000:9100 or 0');
  refuses(parsePorts, "-1", '"-1" is not a port: write 9123, 9000:9100 or 0');
  refuses(parsePorts, "91.5", '"91.5" is not a port: write 9123, 9000:9100 or 0');
  refuses(
    parsePorts,
    "9100:9000",
    '"9100:9000" is not a range of ports: the lower one comes first, "9000:9100"',
  );
  refuses(parsePorts, "0:100", '"0:100" is not a range of ports: it starts at 1 or more');
  assert.equal(parsePort("9123"), 9123);
  refuses(parsePort, "1:2", '"1:2" is not a port but a range: one is needed here');
  refuses(parsePort, "0", '"0" is not a port to connect to: it is 1 to 65535');
});

Deno.test("parseCount reads whole numbers, also as cctools' factory writes them", () => {
  const cases: [string, number][] = [
    ["4", 4],
    ["2.000", 2],
    ["100_000", 100_000],
    ["1e5", 100_000],
    ["0", 0],
  ];
  for (const [text, count] of cases) assert.equal(parseCount(text), count, text);
  assert.equal(orAll(parseCount)("all"), "all");
  assert.equal(orAll(parseCount)("4"), 4);
});

Deno.test("parseCount says what is wrong with a number", () => {
  refuses(parseCount, "four", '"four" is not a whole number');
  refuses(parseCount, "2.5", '"2.5" is not a whole number');
  refuses(parseCount, "", '"" is not a whole number');
  refuses(parseCount, "-1", '"-1" is too small: it must be 0 or more');
  refuses((text) => parseCount(text, { min: 1 }), "0", '"0" is too small: it must be 1 or more');
  refuses((text) => parseCount(text, { max: 8 }), "9", '"9" is too large: it can be 8 at most');
  refuses(parseCount, "1e99", '"1e99" is too large: it can be 1000000000000 at most');
});

Deno.test("any text at all is a number or a UsageError that quotes it", () => {
  const numbers = fc.stringMatching(/^[-+]?[0-9.eE_:]{0,8}[a-zA-Z ]{0,4}$/);
  fc.assert(fc.property(fc.oneof(fc.string(), numbers), (text) => {
    for (const parse of [parseSizeMb, parseTimeMs, parseCount, parsePort]) {
      try {
        const value = parse(text);
        assert.ok(Number.isSafeInteger(value) && value >= 0, `${text} → ${value}`);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
        assert.ok(error.message.startsWith(`"${text}" is `), error.message);
      }
    }
  }));
});

Deno.test("numbers are printed short", () => {
  const durations: [number, string][] = [
    [0, "0:00"],
    [7_400, "0:07"],
    [760_000, "12:40"],
    [3_723_000, "1:02:03"],
    [-5, "0:00"],
  ];
  for (const [ms, text] of durations) assert.equal(formatDuration(ms), text);
  const amounts: [number, string][] = [
    [0, "0"],
    [7, "7"],
    [4.25, "4.25"],
    [0.0034, "0.0034"],
    [950.4, "950"],
    [999.7, "1000"],
    [1200, "1.2k"],
    [231_234, "231k"],
    [999_999, "1M"],
    [5e6, "5M"],
    [1_234_567_890, "1.23G"],
    [NaN, "?"],
  ];
  for (const [amount, text] of amounts) assert.equal(formatShort(amount), text);
  const sizes: [number, string][] = [[950, "950 MB"], [1536, "1.5 GB"], [16384, "16 GB"], [
    2 * 1024 ** 2,
    "2 TB",
  ]];
  for (const [mb, text] of sizes) assert.equal(formatSizeMb(mb), text);
});

Deno.test("formatShort never needs more than six characters below 10¹⁷", () => {
  fc.assert(fc.property(fc.double({ min: 0.01, max: 1e17, noNaN: true }), (amount) => {
    assert.ok(formatShort(amount).length <= 6, formatShort(amount));
  }));
});
