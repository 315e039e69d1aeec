/** What do packing and unpacking an environment cost, beside conda-pack on the same prefix? */
import { dirname } from "node:path";
import { packPrefix } from "../../package/pack.ts";
import { unpackEnvironment } from "../../package/unpack.ts";
import { packagingPython } from "../support/channel.ts";
import { installedPrefix, run } from "../support/conda_prefix.ts";
import { TempFolder } from "../support/temp.ts";
import { type BenchRow, median } from "./row.ts";

/** Each way in turn, and the turns in both orders: who comes second finds the files in memory. */
const roundCount = 5;

/** Medians of the times that two ways take, in ms. */
async function contest(
  first: () => Promise<void>,
  second: () => Promise<void>,
): Promise<readonly [number, number]> {
  const times: [number[], number[]] = [[], []];
  const clocked = async (which: 0 | 1) => {
    const startedMs = performance.now();
    await (which === 0 ? first : second)();
    times[which].push(performance.now() - startedMs);
  };
  for (let round = 0; round < roundCount; round++) {
    const order = round % 2 === 0 ? [0, 1] as const : [1, 0] as const;
    for (const which of order) await clocked(which);
  }
  return [median(times[0]), median(times[1])];
}

/** Python with numpy, pip and packages with placeholders of the tests' channel. */
export async function packageBench(): Promise<BenchRow[]> {
  if (packagingPython === null) return [];
  await using folder = await TempFolder.create("wqx-bench-");
  const prefix = await installedPrefix(folder, ["python", "pip", "numpy", "relo", "hepmath"]);
  const [ours, theirs] = [folder.join("ours.tar.gz"), folder.join("theirs.tar.gz")];
  const [packMs, condaPackMs] = await contest(
    async () => {
      await Deno.remove(ours).catch(() => {});
      await packPrefix(prefix, ours, { level: 4 });
    },
    async () => {
      const condaPack = `${dirname(packagingPython!)}/conda-pack`;
      // poncho's level, and ours.
      await run([condaPack, "-q", "-f", "--compress-level", "4", "-p", prefix, "-o", theirs], {
        HOME: folder.path,
      });
    },
  );
  let count = 0;
  const [unpackMs, untarMs] = await contest(
    async () => {
      const place = folder.join(`ours-${count++}`);
      await unpackEnvironment(ours, place, { signal: new AbortController().signal });
    },
    async () => {
      const place = folder.join(`theirs-${count++}`);
      await Deno.mkdir(place);
      await run(["tar", "-xf", theirs, "-C", place]);
      await run([`${place}/bin/python`, "-B", `${place}/bin/conda-unpack`]);
    },
  );
  const [size, theirSize] = await Promise.all(
    [ours, theirs].map(async (path) => (await Deno.stat(path)).size),
  );
  const mb = (bytes: number | undefined) => (bytes ?? 0) / 1e6;
  return [
    { name: "conda-pack, level 4", value: condaPackMs, unit: "ms" },
    {
      name: "wqx, level 4",
      value: packMs,
      unit: "ms",
      ratio: { to: "as fast", value: condaPackMs / packMs },
    },
    { name: "archive of conda-pack", value: mb(theirSize), unit: "MB" },
    {
      name: "archive of wqx",
      value: mb(size),
      unit: "MB",
      ratio: { to: "its size", value: mb(size) / mb(theirSize) },
    },
    { name: "tar -xf and conda-unpack", value: untarMs, unit: "ms" },
    {
      name: "wqx, unpacking and relocating at once",
      value: unpackMs,
      unit: "ms",
      ratio: { to: "as fast", value: untarMs / unpackMs },
    },
  ];
}
