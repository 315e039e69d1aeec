/** Columns of ROOT files: equal to uproot's and to golden sums, whole or in parts. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { openTree, type TreeReader } from "../../analysis/root/mod.ts";
import { type Column, isJagged } from "../../core/columns.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";

const root = new URL("../../", import.meta.url).pathname;
const dimuonA = `${root}examples/dimuon/data/dimuon_a.root`;
const dimuonB = `${root}examples/dimuon/data/dimuon_b.root`;
const types = `${root}tests/golden/root/types.root`;
const nanoFiles = ["nano_dimuon", "nano_dy", "nano_tree"]
  .map((name) => `${root}../shared/data/${name}.root`);

const bundled: readonly (readonly [file: string, tree: string])[] = [
  [dimuonA, "Events"],
  [dimuonB, "Events"],
  [types, "types"],
  [types, "compressions"],
  [types, "again"],
  [types, "empty"],
  [types, "in_memory"],
  [types, "folder/inner"],
];

/** Type, number of values, and crc32 of offsets and values: equal only for equal columns. */
type Digest = readonly [type: string, values: number, crc: number];

function digest(type: string, column: Column): Digest {
  const { offsets, values } = isJagged(column) ? column : { offsets: null, values: column };
  const crc = offsets ? crc32(bytesOf(offsets)) : 0;
  return [type, values.length, crc32(bytesOf(values), crc)];
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function digests(reader: TreeReader): Promise<Record<string, Digest>> {
  const columns = reader.columns().filter(({ readable }) => readable);
  const read = await reader.read(columns.map(({ name }) => name), 0, reader.entries);
  return Object.fromEntries(
    columns.map(({ name, type }) => [name, digest(type, read.get(name)!)]),
  );
}

async function digestsOf(file: string, tree: string): Promise<Record<string, unknown>> {
  await using reader = await openTree(file, tree);
  const { uuid, entries } = reader;
  return { uuid, entries, columns: await digests(reader) };
}

const python = findPython(["uproot", "awkward"]);

async function uprootDigests(asked: readonly (readonly [string, string])[]): Promise<unknown[]> {
  if ("missing" in python) throw new Error(python.missing);
  const request = await Promise.all(asked.map(async ([file, tree]) => {
    await using reader = await openTree(file, tree);
    const columns = reader.columns().filter(({ readable }) => readable).map(({ name }) => name);
    return { file, tree, columns };
  }));
  const child = new Deno.Command(python.path, {
    args: [`${root}tests/shells/root_digest.py`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(request)));
  await writer.close();
  const { success, stdout } = await child.output();
  ok(success, "the Python script failed");
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  ...needs(
    "path" in python,
    "missing" in python ? python.missing : "",
    "every column of the bundled files equals uproot's, bit for bit",
  ),
  async fn() {
    const expected = await uprootDigests(bundled);
    for (const [i, [file, tree]] of bundled.entries()) {
      deepEqual(await digestsOf(file, tree), expected[i], `${file} ${tree}`);
    }
  },
});

const hasNano = nanoFiles.every((file) => {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
});

Deno.test({
  ...needs(
    "path" in python && hasNano,
    "missing" in python ? python.missing : "../shared/data has no NanoAOD files",
    "every branch of real CMS NanoAOD files equals uproot's, bit for bit",
  ),
  async fn() {
    const asked = nanoFiles.map((file) => [file, "Events"] as const);
    const expected = await uprootDigests(asked);
    for (const [i, [file, tree]] of asked.entries()) {
      deepEqual(await digestsOf(file, tree), expected[i], file);
    }
  },
});

Deno.test({
  ...needs(
    hasNano,
    "../shared/data has no NanoAOD files",
    "real CMS NanoAOD files have over 1,000 branches each, all of them readable",
  ),
  async fn() {
    for (const file of nanoFiles) {
      await using reader = await openTree(file, "Events");
      const columns = reader.columns();
      ok(columns.length > 1000);
      deepEqual(columns.filter(({ readable }) => !readable), []);
    }
  },
});

Deno.test("columns of the bundled files have their golden sums", async () => {
  const golden = `${root}tests/golden/root/columns.txt`;
  const lines: string[] = ["# file tree column type values crc32 (offsets, then values)"];
  for (const [file, tree] of bundled) {
    await using reader = await openTree(file, tree);
    lines.push(`${file.split("/").at(-1)} ${tree} ${reader.entries} events, ${reader.uuid}`);
    for (const [name, sum] of Object.entries(await digests(reader))) {
      lines.push(`  ${name} ${sum.join(" ")}`);
    }
    for (const { name, type, readable } of reader.columns()) {
      if (!readable) lines.push(`  ${name} unsupported: ${type}`);
    }
  }
  const text = lines.join("\n") + "\n";
  if (Deno.env.get("GOLDEN") === "update") await Deno.writeTextFile(golden, text);
  equal(text, await Deno.readTextFile(golden));
});

Deno.test("values of every type are those that were written", async () => {
  await using reader = await openTree(types, "types");
  const names = ["bool", "int8", "uint16", "uint32", "int64", "uint64", "float64", "int64s"];
  const columns = await reader.read([...names, "fixed", "record.y", "vector_int"], 58, 60);
  deepEqual(Object.fromEntries(columns), {
    bool: Uint8Array.of(0, 0),
    int8: Int8Array.of(28, 29),
    uint16: Uint16Array.of(65535 - 7 * 58, 65535 - 7 * 59),
    uint32: Uint32Array.of(2 ** 32 - 59, 2 ** 32 - 60),
    int64: BigInt64Array.of(-(2n ** 53n) - 174n, -(2n ** 53n) - 177n),
    uint64: BigUint64Array.of(2n ** 64n - 59n, 2n ** 64n - 60n),
    float64: Float64Array.of(1 / 59, 1 / 60),
    // Events 58 and 59 have 4 and 1 values; the generator counts k modulo 60.
    int64s: {
      offsets: Uint32Array.of(0, 4, 5),
      values: BigInt64Array.from(
        [58n, 59n, 0n, 1n, 59n].map((i) => -(2n ** 53n) - 3n * i),
      ),
    },
    fixed: {
      offsets: Uint32Array.of(0, 3, 6),
      values: Float32Array.of(58, 58.25, 58.5, 59, 59.25, 59.5),
    },
    "record.y": Int32Array.of(-58, -59),
    vector_int: { offsets: Uint32Array.of(0, 4, 5), values: Int32Array.of(58, 59, 60, 61, 59) },
  });
});

Deno.test("any range of events equals that slice of the whole", async () => {
  const cases: readonly (readonly [string, string, string[]])[] = [
    [dimuonA, "Events", ["MET_pt", "nMuon", "event", "Muon_pt", "Muon_charge"]],
    [types, "types", [
      "bool",
      "int16s",
      "fixed",
      "pairs",
      "record.x",
      "vector_short",
      "clones/clones.fX",
    ]],
    [types, "in_memory", ["n", "xs"]],
  ];
  for (const [file, tree, names] of cases) {
    await using reader = await openTree(file, tree);
    const whole = await reader.read(names, 0, reader.entries);
    const edge = fc.integer({ min: 0, max: reader.entries });
    await fc.assert(
      fc.asyncProperty(edge, edge, fc.subarray(names), async (a, b, some) => {
        const [start, stop] = [Math.min(a, b), Math.max(a, b)];
        const part = await reader.read(some, start, stop);
        deepEqual([...part.keys()], some);
        for (const [name, column] of part) deepEqual(column, slice(whole.get(name)!, start, stop));
      }),
      { numRuns: 25 },
    );
  }
});

function slice(column: Column, start: number, stop: number): Column {
  if (!isJagged(column)) return column.slice(start, stop);
  const first = column.offsets[start]!;
  return {
    offsets: column.offsets.slice(start, stop + 1).map((offset) => offset - first),
    values: column.values.slice(first, column.offsets[stop]),
  };
}

Deno.test("only the baskets that overlap the events are read", async () => {
  async function bytesFor(names: string[], start: number, stop: number): Promise<number> {
    await using reader = await openTree(dimuonA, "Events");
    const before = reader.bytesRead;
    await reader.read(names, start, stop);
    return reader.bytesRead - before;
  }
  const oneBasket = await bytesFor(["Muon_pt"], 10_000, 20_000);
  ok(oneBasket > 40_000 && oneBasket < 70_000, `${oneBasket} bytes for one of twelve baskets`);
  equal(await bytesFor(["Muon_pt"], 12_345, 12_346), oneBasket);
  equal(await bytesFor(["Muon_pt"], 15_000, 15_000), 0);
  const two = await bytesFor(["Muon_pt"], 9_999, 10_001);
  ok(two > 1.8 * oneBasket && two < 2.2 * oneBasket, `${two} bytes for two baskets`);
  const size = (await Deno.stat(dimuonA)).size;
  ok(await bytesFor(["Muon_pt", "Muon_eta"], 0, 120_000) < 0.55 * size);
});

Deno.test("an empty range gives empty columns of the right kind", async () => {
  await using reader = await openTree(types, "types");
  deepEqual(Object.fromEntries(await reader.read(["float32s", "int64"], 7, 7)), {
    float32s: { offsets: Uint32Array.of(0), values: new Float32Array() },
    int64: new BigInt64Array(),
  });
  deepEqual(await reader.read([], 0, 60), new Map());
});

Deno.test("a tree written twice is read in its newest cycle", async () => {
  await using reader = await openTree(types, "again");
  equal(reader.entries, 20);
});

Deno.test("events beyond the tree are a RangeError", async () => {
  await using reader = await openTree(types, "again");
  for (const [start, stop] of [[0, 21], [-1, 3], [5, 4], [0.5, 2]] as const) {
    await rejects(reader.read(["n"], start, stop), RangeError);
  }
});

Deno.test("many reads at once on one reader do not disturb one another", async () => {
  await using reader = await openTree(dimuonB, "Events");
  const whole = await reader.read(["Muon_pt"], 0, reader.entries);
  const parts = await Promise.all(
    Array.from({ length: 8 }, (_, i) => reader.read(["Muon_pt"], i * 5000, (i + 1) * 5000)),
  );
  for (const [i, part] of parts.entries()) {
    const expected = slice(whole.get("Muon_pt")!, i * 5000, (i + 1) * 5000);
    deepEqual(part.get("Muon_pt"), expected);
  }
});
