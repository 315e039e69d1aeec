/** What becomes of an update: a record under its key, or a reason why there is none. */
import assert from "node:assert/strict";
import { fieldsMax, keyOf, readUpdate, type Source } from "../../core/catalog/record.ts";
import { printJx } from "../../core/jx/print.ts";
import type { JxObject } from "../../core/jx/value.ts";

const source: Source = { address: "10.0.0.7", name: "node7.site" };
const nowMs = 1_795_000_000_900;

function accepted(text: string): { key: string; record: JxObject } {
  const reading = readUpdate(text, source, nowMs);
  assert.ok(reading.accepted !== null, `${reading.dropped}`);
  return reading.accepted;
}

const own = '"name":"node7.site","lastheardfrom":1795000000,"address":"10.0.0.7"';

for (
  const { what, text, printed, key = "10.0.0.7:0:node7.site" } of [
    {
      what: "fields in their order",
      text: '{"type":"x","b":1,"a":2}',
      printed: `"type":"x","b":1,"a":2`,
    },
    {
      what: "an address, a name and a time of the sender are not believed",
      text: '{"address":"1.2.3.4","port":9123,"name":"bank.example","lastheardfrom":1}',
      printed: '"port":9123',
      key: "10.0.0.7:9123:node7.site",
    },
    { what: "a port that is a string is none", text: '{"port":"9123"}', printed: '"port":"9123"' },
    {
      what: "a uuid is part of the key, without what would break a line",
      text: `{"uuid":"a b\\nc${"d".repeat(200)}"}`,
      printed: `"uuid":"a b\\nc${"d".repeat(200)}"`,
      key: `10.0.0.7:0:node7.site:a_b_c${"d".repeat(123)}`,
    },
    {
      what: "negative ports, as factories have",
      text: '{"port":-5}',
      printed: '"port":-5',
      key: "10.0.0.7:-5:node7.site",
    },
    { what: "what follows the object", text: '{"a":1} trailing words', printed: '"a":1' },
    {
      what: "64-bit integers",
      text: '{"a":9223372036854775807}',
      printed: '"a":9223372036854775807',
    },
    { what: "the first of equal keys", text: '{"a":1,"a":2}', printed: '"a":1' },
    {
      what: "bytes as Work Queue's library prints them",
      text: '{"p":"caf\\uffffffc3\\uffffffa9"}',
      printed: '"p":"café"',
    },
    {
      what: "lines of services from before JX",
      text:
        "type chirp\nport 9094\navail 1.5\nname liar\nok true\nlist [1,2]\nbad [1,\nwords a b c\n",
      printed:
        '"type":"chirp","port":9094,"avail":1.5,"ok":true,"list":[1,2],"bad":"[1,","words":"a b c"',
      key: "10.0.0.7:9094:node7.site",
    },
  ]
) {
  Deno.test(`an update is read: ${what}`, () => {
    const found = accepted(text);
    assert.equal(printJx(found.record), `{${own},${printed}}`);
    assert.equal(found.key, key);
    assert.equal(keyOf(found.record), key);
  });
}

for (
  const [text, why] of [
    ["", /name no type/],
    [" {}", /neither an object nor lines/],
    ["[1]", /neither an object nor lines/],
    ["5", /neither an object nor lines/],
    ["hello world\n", /name no type/],
    ["{}", /no fields/],
    ["{1:3}", /no record in JX/],
    ['{"a":1+1}', /no record in JX/],
    ['{"a":b}', /no record in JX/],
    ['{"a":', /no record in JX/],
    ['{"a":"\u0000', /no record in JX/],
    ['{"a":"\u0000"}', /NUL inside/],
    ['{"a":1e999}', /no number that can be written/],
    ['{"a":[{"b":1e999}]}', /no number that can be written/],
    ['{"a":1.7976931348623157e308}', /no number that can be written/],
    ['{"a\\nb":1}', /control characters/],
    ['{"":1}', /empty/],
    [`{"${"a".repeat(300)}":1}`, /too long/],
    [`{${Array.from({ length: fieldsMax + 1 }, (_, i) => `"f${i}":1`)}}`, /more than 2000 fields/],
    [`{"a":${"[".repeat(100_000)}`, /no record in JX/],
  ] as const
) {
  Deno.test(`an update is dropped with its reason: ${JSON.stringify(text.slice(0, 30))}`, () => {
    const { accepted, dropped } = readUpdate(text, source, nowMs);
    assert.equal(accepted, null);
    assert.match(dropped!, why);
  });
}

Deno.test("a storage server is not believed to be larger than --server-size", () => {
  const { accepted } = readUpdate('{"total":900,"avail":90,"used":900}', source, nowMs, {
    serverBytesMax: 100n,
  });
  assert.equal(printJx(accepted!.record), `{${own},"total":100,"avail":90,"used":900}`);
});
