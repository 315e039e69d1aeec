/** Trees by HTTP: the same columns as from disk, by ranges, through redirects, or whole. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { openTree, type TreeReader } from "../../analysis/root/mod.ts";
import { spansOf } from "../../analysis/root/source.ts";
import { type HttpFaults, HttpFiles } from "../support/http_files.ts";

const data = new URL("../../examples/dimuon/data", import.meta.url).pathname;

async function all(reader: TreeReader) {
  const names = reader.columns().map(({ name }) => name);
  return await reader.read(names, 0, reader.entries);
}

Deno.test("by HTTP the same columns come as from disk", async () => {
  await using local = await openTree(`${data}/dimuon_b.root`, "Events");
  const expected = await all(local);
  const servers: readonly (readonly [HttpFaults, string])[] = [
    [{}, "dimuon_b.root"],
    [{ redirect: true }, "to/dimuon_b.root"],
    [{ noRanges: true }, "dimuon_b.root"],
  ];
  for (const [faults, name] of servers) {
    await using server = new HttpFiles(data, faults);
    await using remote = await openTree(server.url(name), "Events");
    equal(remote.entries, local.entries);
    equal(remote.uuid, local.uuid);
    deepEqual(remote.columns(), local.columns());
    deepEqual(await all(remote), expected);
  }
});

Deno.test("by HTTP only some ranges of a file are asked for, neighbours together", async () => {
  await using server = new HttpFiles(data);
  await using reader = await openTree(server.url("dimuon_a.root"), "Events");
  ok(server.requests.length <= 4, `${server.requests.length} requests to open`);
  const before = { requests: server.requests.length, bytes: reader.bytesRead };
  await reader.read(["Muon_pt", "Muon_eta", "Muon_phi"], 0, 10_000);
  equal(server.requests.length - before.requests, 1);
  const size = (await Deno.stat(`${data}/dimuon_a.root`)).size;
  const bytes = reader.bytesRead - before.bytes;
  ok(bytes > 100_000 && bytes < size / 10, `${bytes} bytes of ${size} for a twelfth of 3 columns`);
});

Deno.test("after a redirect the place that answered is asked directly", async () => {
  await using server = new HttpFiles(data, { redirect: true });
  await using reader = await openTree(server.url("to/dimuon_b.root"), "Events");
  await reader.read(["MET_pt"], 0, 100);
  const redirected = server.requests.filter(({ path }) => path.startsWith("/to/"));
  equal(redirected.length, 1);
});

Deno.test("a server without ranges is asked once, for the whole file", async () => {
  await using server = new HttpFiles(data, { noRanges: true });
  await using reader = await openTree(server.url("dimuon_b.root"), "Events");
  await reader.read(["MET_pt", "Muon_pt"], 0, reader.entries);
  equal(server.requests.length, 1);
  equal(reader.bytesRead, (await Deno.stat(`${data}/dimuon_b.root`)).size);
});

Deno.test("spans cover every range once, in as few reads as the gap allows", () => {
  const range = fc.record({ start: fc.nat(10_000), bytes: fc.integer({ min: 1, max: 500 }) });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), fc.nat(300), (ranges, gapBytes) => {
      const spans = spansOf(ranges, gapBytes);
      deepEqual(
        spans.flatMap(({ parts }) => parts).toSorted((a, b) => a - b),
        ranges.map((_, index) => index),
      );
      let end = -Infinity;
      for (const span of spans) {
        ok(span.start > end + gapBytes, "spans that lie close together are one");
        for (const part of span.parts) {
          const { start, bytes } = ranges[part]!;
          ok(span.start <= start && start + bytes <= span.start + span.bytes);
        }
        end = span.start + span.bytes;
      }
    }),
  );
});
