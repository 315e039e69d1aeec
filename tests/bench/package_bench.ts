/** What do packing and unpacking an environment cost, beside conda-pack on the same prefix? */
import { basename, dirname } from "node:path";
import { unpackEnvironment } from "../../package/unpack.ts";
import { packagingPython } from "../support/channel.ts";
import { installedPrefix, run } from "../support/conda_prefix.ts";
import { TempFolder } from "../support/temp.ts";
import { wqxFromSource } from "../support/wqx.ts";
import { type BenchRow, median } from "./row.ts";

/** Where files are in memory: a disk that writes behind makes times jump. */
const memory = "/dev/shm";

/** Each way in turn, and the turns in both orders: who comes second finds the files in memory. */
const roundCounts = { small: 7, large: 3 } as const;

/** Medians of the times that two ways take to make a new `path`, in ms; the last ones stay. */
async function contest(
  path: string,
  roundCount: number,
  first: (path: string) => Promise<unknown>,
  second: (path: string) => Promise<unknown>,
): Promise<readonly [number, number]> {
  const times: [number[], number[]] = [[], []];
  const clocked = async (which: 0 | 1) => {
    const place = `${dirname(path)}/${which === 0 ? "ours" : "theirs"}-${basename(path)}`;
    // What has not been written behind need not be.
    await Deno.remove(place, { recursive: true }).catch(() => {});
    const startedMs = performance.now();
    await (which === 0 ? first : second)(place);
    times[which].push(performance.now() - startedMs);
  };
  for (let round = 0; round < roundCount; round++) {
    const order = round % 2 === 0 ? [0, 1] as const : [1, 0] as const;
    for (const which of order) await clocked(which);
  }
  return [median(times[0]), median(times[1])];
}

/**
 * Python with numpy, pip and packages with placeholders of the tests' channel; then with coffea too,
 * installed by pip, as analyses have it.
 */
export async function packageBench(): Promise<BenchRow[]> {
  if (packagingPython === null) return [];
  await using folder = await TempFolder.create("wqx-bench-", memory);
  const prefix = await installedPrefix(folder, ["python", "pip", "numpy", "relo", "hepmath"]);
  const small = await rowsOf(folder, prefix, "small");
  const coffea = ["coffea==0.7.23", "setuptools<81"];
  const pip = [`${prefix}/bin/python`, "-m", "pip", "install", "-q", "--no-compile"];
  await run([...pip, ...coffea], Deno.env.toObject());
  return [...small, ...await rowsOf(folder, prefix, "large")];
}

async function rowsOf(
  folder: TempFolder,
  prefix: string,
  kind: keyof typeof roundCounts,
): Promise<BenchRow[]> {
  const rounds = roundCounts[kind];
  const archive = folder.join("env.tar.gz");
  const env = Deno.env.toObject();
  // The level is poncho's, and ours. pip has replaced some of conda's files.
  const options = ["--compress-level", "4", "--ignore-missing-files", "-p", prefix];
  const [packMs, condaPackMs] = await contest(
    archive,
    rounds,
    (out) => run([...wqxFromSource, "package", "pack", "--quiet", ...options, "-o", out], env),
    (out) => {
      const condaPack = `${dirname(packagingPython!)}/conda-pack`;
      return run([condaPack, "-q", ...options, "-o", out], env);
    },
  );
  const [ours, theirs] = [folder.join("ours-env.tar.gz"), folder.join("theirs-env.tar.gz")];
  const [unpackMs, untarMs] = await contest(
    folder.join("place"),
    rounds,
    async (place) => {
      await unpackEnvironment(ours, place, { signal: new AbortController().signal });
    },
    async (place) => {
      await Deno.mkdir(place);
      await run(["tar", "-xf", theirs, "-C", place]);
      await run([`${place}/bin/python`, "-B", `${place}/bin/conda-unpack`]);
    },
  );
  const [size, theirSize] = await Promise.all(
    [ours, theirs].map(async (path) => (await Deno.stat(path)).size),
  );
  const mb = (bytes: number | undefined) => (bytes ?? 0) / 1e6;
  const what = kind === "small" ? "numpy" : "coffea";
  return [
    { name: `${what}: conda-pack, level 4`, value: condaPackMs, unit: "ms" },
    {
      name: `${what}: wqx, level 4`,
      value: packMs,
      unit: "ms",
      ratio: { to: "as fast", value: condaPackMs / packMs },
    },
    { name: `${what}: archive of conda-pack`, value: mb(theirSize), unit: "MB" },
    {
      name: `${what}: archive of wqx`,
      value: mb(size),
      unit: "MB",
      ratio: { to: "its size", value: mb(size) / mb(theirSize) },
    },
    { name: `${what}: tar -xf and conda-unpack`, value: untarMs, unit: "ms" },
    {
      name: `${what}: wqx, unpacking and relocating at once`,
      value: unpackMs,
      unit: "ms",
      ratio: { to: "as fast", value: untarMs / unpackMs },
    },
  ];
}
