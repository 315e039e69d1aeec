/** Whatever is wrong with an input file, by disk or by HTTP: one sentence, the right fault, no hang. */
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import fc from "fast-check";
import { openTree } from "../../analysis/root/mod.ts";
import { checkedTree } from "../../analysis/root/tree.ts";
import { DataError, type DataFault } from "../../core/errors.ts";
import { type HttpFaults, HttpFiles } from "../support/http_files.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const root = new URL("../../", import.meta.url).pathname;
const data = `${root}examples/dimuon/data`;
const goldens = `${root}tests/golden/root`;
const types = await Deno.readFile(`${goldens}/types.root`);
const columns = [
  "n",
  "none",
  "nones",
  "zlib",
  "zlibs",
  "lzma",
  "lzmas",
  "lz4",
  "lz4s",
  "zstd",
  "zstds",
];

interface Asked {
  readonly tree?: string;
  readonly columns?: readonly string[];
  readonly timeoutMs?: number;
}

/** Opens and reads; the DataError that comes of it must name the source, in one line. */
async function failureOf(
  source: string,
  { tree = "compressions", columns: names = columns, timeoutMs = 10_000 }: Asked = {},
): Promise<DataError> {
  try {
    await using reader = await openTree(source, tree, { timeoutMs });
    await reader.read(names, 0, reader.entries);
  } catch (error) {
    ok(error instanceof DataError, `a DataError, not ${error}`);
    ok(error.message.includes(JSON.stringify(source)), error.message);
    ok(!error.message.includes("\n"), error.message);
    return error;
  }
  throw new Error(`${source} could be read`);
}

/** The same bytes, once as a file and once from a server. */
async function bothWays(
  bytes: Uint8Array,
  fault: DataFault,
  message: RegExp,
  asked: Asked = {},
): Promise<void> {
  await using folder = await TempFolder.create();
  await Deno.writeFile(folder.join("x.root"), bytes);
  await using server = new HttpFiles(folder.path);
  for (const source of [folder.join("x.root"), server.url("x.root")]) {
    const error = await failureOf(source, asked);
    equal(error.fault, fault, error.message);
    match(error.message, message);
  }
}

function patched(bytes: Uint8Array, at: number, value: (old: number) => number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value(copy[at]!);
  return copy;
}

/** Where in types.root the first basket of a branch starts, its header, and its content. */
function basketOf(branch: string): { start: number; content: number } {
  const name = `\x07TBasket${String.fromCharCode(branch.length)}${branch}`;
  const at = new TextDecoder("latin1").decode(types).indexOf(name);
  ok(at > 0, `no basket of ${branch}`);
  const start = at - 34; // the fixed part of a TKey with 8-byte positions
  return { start, content: start + new DataView(types.buffer).getUint16(start + 14) };
}

Deno.test("a file that is not there, or is a folder, is unreachable", async () => {
  await using folder = await TempFolder.create();
  const missing = await failureOf(folder.join("missing.root"));
  deepEqual([missing.fault, /there is no such file/.test(missing.message)], ["unreachable", true]);
  const aFolder = await failureOf(folder.path);
  deepEqual([aFolder.fault, /it is a folder/.test(aFolder.message)], ["unreachable", true]);
});

Deno.test({
  ...needs(Deno.uid() !== 0, "root may read anything", "a file without permission is unreachable"),
  async fn() {
    await using folder = await TempFolder.create();
    const path = await folder.write("secret.root", "");
    await Deno.chmod(path, 0o000);
    const error = await failureOf(path);
    equal(error.fault, "unreachable");
    match(error.message, /permission denied/);
  },
});

Deno.test("a server that fails is unreachable, with its status or what became of it", async () => {
  const cases: readonly (readonly [HttpFaults, RegExp, Asked?])[] = [
    [{}, /answered 404 Not Found$/],
    [{ status: 403 }, /answered 403 Forbidden$/],
    [{ status: 503 }, /answered 503 Service Unavailable$/],
    [{ hang: "answer" }, /no answer for 0.2 s$/, { timeoutMs: 200 }],
    [{ hang: "body" }, /no answer for 0.2 s$/, { timeoutMs: 200 }],
    [{ hang: "body", noRanges: true }, /no answer for 0.2 s$/, { timeoutMs: 200 }],
    [{ cut: true }, /closed the connection in the middle of its answer$/],
    [{ cut: true, noRanges: true }, /closed the connection in the middle of its answer$/],
    [{ short: true }, /sent 1023 bytes where 1024 were asked for$/],
    [{ sizeUnknown: true }, /does not say how long the file is$/],
  ];
  for (const [faults, message, asked] of cases) {
    await using server = new HttpFiles(goldens, faults);
    const name = Object.keys(faults).length > 0 ? "types.root" : "missing.root";
    const error = await failureOf(server.url(name), asked);
    equal(error.fault, "unreachable", error.message);
    match(error.message, message);
  }
});

Deno.test("an address that no one answers at is unreachable", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const cases: readonly (readonly [string, RegExp])[] = [
    [`http://127.0.0.1:${port}/x.root`, /127\.0\.0\.1:\d+ refused the connection/],
    ["http://no-such-host.invalid/x.root", /there is no host no-such-host\.invalid$/],
    ["http://[half/x.root", /it is no URL$/],
    ["s3://store.example/x.root", /s3:\/\/ is not spoken here; use an http\(s\) or root address/],
  ];
  for (const [source, message] of cases) {
    const error = await failureOf(source);
    equal(error.fault, "unreachable", error.message);
    match(error.message, message);
  }
});

Deno.test("an abort ends a hanging read with its own reason", async () => {
  for (const hang of ["answer", "body"] as const) {
    await using server = new HttpFiles(goldens, { hang });
    const abort = new AbortController();
    const opening = openTree(server.url("types.root"), "types", { signal: abort.signal });
    const reason = new Error("enough");
    const rejected = rejects(opening, reason);
    await until(() => server.requests.length > 0, { what: "the request" });
    abort.abort(reason);
    await rejected;
  }
});

Deno.test("what is no ROOT file is called so", async () => {
  const text = (s: string) => new TextEncoder().encode(s);
  await bothWays(text(""), "not-root", /the file is empty$/);
  await bothWays(text("r"), "not-root", /it starts with "r"/);
  await bothWays(text("pt,eta\n1,2\n"), "not-root", /no ROOT file but something else/);
  await bothWays(text("<!DOCTYPE html><title>Log in"), "not-root", /no ROOT file but a web page/);
});

Deno.test("a file cut anywhere is truncated", async () => {
  const whole = await Deno.readFile(`${data}/dimuon_b.root`);
  for (const size of [4, 40, 70, 500, 5_000, 400_000, whole.length - 1]) {
    await bothWays(whole.subarray(0, size), "truncated", /it is cut off: \d+ bytes of/);
  }
  await bothWays(types.subarray(0, 9_000), "truncated", /it is cut off: 9000 bytes of \d+/);
});

Deno.test("a file that its writer never closed is truncated", async () => {
  const open = types.slice();
  open.fill(0, 37, 45); // where the streamer infos are
  await bothWays(open, "truncated", /its writer never closed it/);
});

Deno.test("a file that is cut, or grows, while it is read is told from a sound one", async () => {
  await using folder = await TempFolder.create();
  const path = folder.join("x.root");
  await Deno.copyFile(`${data}/dimuon_b.root`, path);
  await using server = new HttpFiles(folder.path);
  await using local = await openTree(path, "Events");
  await using remote = await openTree(server.url("x.root"), "Events");
  await Deno.truncate(path, 5_000);
  await rejects(local.read(["Muon_pt"], 0, 40_000), { fault: "truncated" });
  await rejects(remote.read(["Muon_pt"], 0, 40_000), {
    fault: "corrupt",
    message: /it changed while it was read/,
  });
  await using growing = new HttpFiles(goldens, { growing: true });
  equal((await failureOf(growing.url("types.root"))).fault, "corrupt");
});

Deno.test("a damaged basket is corrupt, and its branch named", async () => {
  for (const branch of ["zlibs", "lzmas", "lz4s"]) {
    const { content } = basketOf(branch);
    const message = new RegExp(`branch "${branch}" cannot be decoded .*the file is damaged$`);
    await bothWays(patched(types, content, (old) => old ^ 1), "corrupt", message);
    await bothWays(patched(types, content + 30, (old) => old ^ 0x10), "corrupt", message);
  }
  const { start, content } = basketOf("zstds");
  await bothWays(patched(types, content + 9, (old) => ~old), "corrupt", /branch "zstds"/);
  await bothWays(patched(types, start + 3, (old) => old + 1), "corrupt", /there is no basket/);
  // Uncompressed: the offset of the second event points outside.
  const nones = basketOf("nones");
  const bytes = new DataView(types.buffer).getInt32(nones.start);
  const secondOffset = nones.start + bytes - 8;
  await bothWays(patched(types, secondOffset, () => 0x7f), "corrupt", /entry offsets of a basket/);
});

Deno.test("a damaged list of contents or tree is corrupt", async () => {
  const text = new TextDecoder("latin1").decode(types);
  const keys = new DataView(types.buffer).getUint32(8) - 200;
  const wrecked = types.slice();
  wrecked.fill(0xff, keys - 2_000);
  await bothWays(wrecked, "corrupt", /its list of contents cannot be decoded/);
  const tree = text.indexOf("\x05TTree\x0ccompressions") + 100;
  await bothWays(
    patched(types, tree, (old) => old ^ 4),
    "corrupt",
    /tree "compressions" cannot be/,
  );
});

Deno.test("damage anywhere gives columns or a DataError, and says nothing on the console", async () => {
  await using folder = await TempFolder.create();
  const said: unknown[] = [];
  const { log, warn, error } = console;
  Object.assign(console, {
    log: (...args: unknown[]) => said.push(args),
    warn: (...args: unknown[]) => said.push(args),
    error: (...args: unknown[]) => said.push(args),
  });
  try {
    const at = fc.nat({ max: types.length - 1 });
    const damage = fc.array(fc.tuple(at, fc.nat({ max: 255 })), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = types.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const path = folder.join("x.root");
        await Deno.writeFile(path, bytes);
        for (const tree of ["types", "compressions", "in_memory", "folder/inner"]) {
          try {
            await using reader = await openTree(path, tree);
            for (const { name, readable } of reader.columns()) {
              if (readable) await reader.read([name], 0, reader.entries).catch(dataError);
            }
          } catch (error) {
            dataError(error);
          }
        }
      }),
      { numRuns: 60 },
    );
  } finally {
    Object.assign(console, { log, warn, error });
  }
  deepEqual(said, []);
});

function dataError(error: unknown): void {
  if (!(error instanceof DataError)) throw error;
}

Deno.test("a tree that is not there is named, with the nearest or all that are", async () => {
  const local = `${goldens}/types.root`;
  await using server = new HttpFiles(goldens);
  for (const source of [local, server.url("types.root")]) {
    const cases: readonly (readonly [string, RegExp])[] = [
      ["compresions", /there is no tree "compresions" in it: did you mean "compressions"\?$/],
      ["inner", /did you mean "folder\/inner"\?$|it has types, .*folder\/inner$/],
      [
        "Xyzzy",
        /; it has types, compressions, again, empty, in_memory, no_offsets, folder\/inner$/,
      ],
      ["histogram", /"histogram" is no tree but a TH1F$/],
    ];
    for (const [tree, message] of cases) {
      const error = await failureOf(source, { tree });
      equal(error.fault, "no-tree");
      match(error.message, message);
    }
  }
});

Deno.test("a branch that is not there is named, with the nearest", async () => {
  await using server = new HttpFiles(data);
  for (const source of [`${data}/dimuon_b.root`, server.url("dimuon_b.root")]) {
    const near = await failureOf(source, { tree: "Events", columns: ["Muon_tp"] });
    equal(near.fault, "no-branch");
    match(near.message, /tree "Events" has no branch "Muon_tp": did you mean "Muon_pt"\?$/);
    const far = await failureOf(source, { tree: "Events", columns: ["MET_pt", "Jet_btagDeepB"] });
    match(far.message, /has no branch "Jet_btagDeepB"; it has 10 others$/);
  }
});

Deno.test("a type that cannot be read as a column is unsupported, and named", async () => {
  await using server = new HttpFiles(goldens);
  for (const source of [`${goldens}/types.root`, server.url("types.root")]) {
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ["types", "nested", /branch "nested" of ".*it has type vector<vector<float> >; numbers/],
      ["types", "text", /it has type string;/],
      ["types", "letters", /it has type string;/],
      ["types", "half", /it has type Float16_t;/],
      ["types", "small", /it has type Double32_t;/],
      ["types", "points", /it has type vector<TVector2>;/],
      ["no_offsets", "xs", /it has no entry offsets; write it without/],
      ["ntuple", "x", /"ntuple" is an RNTuple, and only TTree is read/],
    ];
    for (const [tree, column, message] of cases) {
      const error = await failureOf(source, { tree, columns: [column] });
      equal(error.fault, "unsupported", error.message);
      match(error.message, message);
    }
  }
});

Deno.test("a tree whose fields are impossible is refused", () => {
  const branch = {
    _typename: "TBranch",
    fName: "x",
    fEntries: 10,
    fWriteBasket: 1,
    fBasketEntry: [0, 10],
    fBasketSeek: [500, 0],
    fBasketBytes: Int32Array.of(100, 0),
    fBaskets: { arr: [] },
    fLeaves: { arr: [{ _typename: "TLeafF", fName: "x", fLen: 1, fLeafCount: null }] },
    fBranches: { arr: [] as unknown[] },
    fFileName: "",
  };
  const tree = (changes: object) => ({
    fEntries: 10,
    fBranches: { arr: [{ ...branch, ...changes }] },
  });
  checkedTree(tree({}));
  const impossible: readonly object[] = [
    { fName: undefined },
    { fWriteBasket: 3 },
    { fWriteBasket: -1 },
    { fBasketEntry: [0, 2n ** 60n] },
    { fBasketSeek: [-1, 0] },
    { fBasketBytes: undefined },
    { fLeaves: { arr: [null] } },
    { fLeaves: null },
    { fBranches: { arr: [{ ...branch, fBaskets: {} }] } },
  ];
  for (const changes of impossible) {
    throws(() => checkedTree(tree(changes)), /branch 0 has impossible fields/);
  }
  throws(() => checkedTree({ ...tree({}), fEntries: 0.5 }), /number of events is impossible/);
  throws(() => checkedTree({ fEntries: 10 }), /it has no branches/);
});
