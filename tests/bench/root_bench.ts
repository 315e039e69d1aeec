/** How long 120,000 events of 4 jagged branches take to read: wqx, jsroot's callbacks, uproot. */
import { zstdDecompressSync } from "node:zlib";
import { internals } from "jsroot/core";
import { openFile } from "jsroot/io";
import { treeProcess, TSelector } from "jsroot/tree";
import { openTree } from "../../analysis/root/mod.ts";
import { isJagged } from "../../core/columns.ts";
import { findPython } from "../support/python.ts";
import { type BenchRow, median } from "./row.ts";

const root = new URL("../../", import.meta.url).pathname;
const file = `${root}examples/dimuon/data/dimuon_a.root`;
const tree = "Events";
const columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"];
const events = 120_000;
/** Of each kind; the first, with cold code, is left out. */
const times = 7;

/** Opens the file and reads the columns; returns how many muons there were. */
async function byWqx(): Promise<number> {
  await using reader = await openTree(file, tree);
  const read = await reader.read(columns, 0, events);
  const pt = read.get("Muon_pt");
  return pt && isJagged(pt) ? pt.values.length : NaN;
}

/** The same the way jsroot's manual says: an object filled, and a method called, for each event. */
async function byCallbacks(): Promise<number> {
  let muons = 0;
  const selector: Selector = new TSelector();
  for (const column of columns) selector.addBranch(column);
  selector.Process = () => muons += selector.tgtobj.Muon_pt?.length ?? 0;
  const opened = await openFile(`file://${file}`);
  await treeProcess(await opened.readObject(tree), selector);
  return muons;
}

/** The part of jsroot's TSelector used here; it has no declarations. */
interface Selector {
  readonly tgtobj: { readonly Muon_pt?: Float32Array };
  addBranch(name: string): void;
  Process(): void;
}

async function medianMs(read: () => Promise<number>, muons: number): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const startMs = performance.now();
    if (await read() !== muons) throw new Error("the muons of one reader are not those of another");
    taken.push(performance.now() - startMs);
  }
  return median(taken.slice(1));
}

async function uprootMs(): Promise<number | null> {
  const python = findPython(["uproot", "awkward"]);
  if ("missing" in python) {
    Deno.stderr.writeSync(new TextEncoder().encode(`skipped: uproot: ${python.missing}\n`));
    return null;
  }
  const { stdout } = await new Deno.Command(python.path, {
    args: [`${root}tests/bench/root_bench.py`, file, tree, `${times}`, ...columns],
    stderr: "inherit",
  }).output();
  return median(JSON.parse(new TextDecoder().decode(stdout)).slice(1));
}

/** Opening the file included; medians. */
export async function rootBench(): Promise<BenchRow[]> {
  // Its own zstd would be of another speed; what is compared here is how values are handed over.
  internals._ZstdStream = { decompress: (bytes: Uint8Array) => zstdDecompressSync(bytes) };
  const muons = await byWqx();
  const wqx = await medianMs(byWqx, muons);
  const callbacks = await medianMs(byCallbacks, muons);
  const uproot = await uprootMs();
  const what = `read ${events} events × ${columns.length} jagged branches`;
  const ratioTo = (to: string, value: number) => ({ ratio: { to, value } });
  const rows: BenchRow[] = [
    { name: `${what}: jsroot, a callback an event`, value: callbacks, unit: "ms" },
    { name: what, value: wqx, unit: "ms", ...ratioTo("jsroot", wqx / callbacks) },
  ];
  if (uproot !== null) {
    rows.push({
      name: `${what}: uproot`,
      value: uproot,
      unit: "ms",
      ...ratioTo("wqx", uproot / wqx),
    });
  }
  return rows;
}
