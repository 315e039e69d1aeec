/** Features that a worker has by itself: the models of its gpus, which tasks may ask for. */

/** One for each model, as NVIDIA's driver names it. */
export async function gpuFeatures(folder = "/proc/driver/nvidia/gpus"): Promise<string[]> {
  const models = new Set<string>();
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const text = await Deno.readTextFile(`${folder}/${name}/information`);
      const model = /^Model:\s*(\S.*?)\s*$/m.exec(text)?.[1];
      if (model !== undefined) models.add(model);
    }
  } catch {
    // No such driver, no such gpus.
  }
  return [...models].sort();
}
