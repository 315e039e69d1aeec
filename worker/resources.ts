/** What this machine has, as a worker announces it. */
import { statfs } from "node:fs/promises";
import type { Resources } from "../core/resources.ts";

const mb = 1024 ** 2;

/** Declared values win; the rest is what the machine has, the disk what is free under `folder`. */
export async function detectResources(
  declared: { readonly [K in keyof Resources]?: Resources[K] | undefined },
  folder: string,
): Promise<Resources> {
  return {
    cores: declared.cores ?? navigator.hardwareConcurrency,
    memoryMb: declared.memoryMb ?? Math.floor(Deno.systemMemoryInfo().total / mb),
    diskMb: declared.diskMb ?? await freeDiskMb(folder),
    gpus: declared.gpus ?? await gpuCount(),
  };
}

async function freeDiskMb(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.floor(bavail * bsize / mb);
}

/** NVIDIA's driver has a folder for each of its devices. */
async function gpuCount(): Promise<number> {
  let count = 0;
  try {
    for await (const _device of Deno.readDir("/proc/driver/nvidia/gpus")) count++;
  } catch {
    // No such driver, no such gpus.
  }
  return count;
}
