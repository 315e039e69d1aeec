/** Environments of conda on this machine, by name. */
import { basename, join } from "node:path";

/** The folder of the environment that conda knows by this name; `null` if there is none. */
export async function namedEnvironment(name: string): Promise<string | null> {
  const env = Deno.env.toObject();
  const home = env.HOME ?? "";
  // conda lists here what it made, wherever that is.
  const listed = await Deno.readTextFile(`${home}/.conda/environments.txt`).catch(() => "");
  const roots = [env.CONDA_PREFIX, env.MAMBA_ROOT_PREFIX, env.CONDA_ROOT].filter((root) => root);
  const folders = [
    ...listed.split("\n").map((line) => line.trim()).filter((path) => basename(path) === name),
    ...[...(env.CONDA_ENVS_PATH ?? "").split(":").filter((path) => path !== "")]
      .map((folder) => join(folder, name)),
    ...[...roots, `${home}/.conda`].map((root) => join(root!, "envs", name)),
  ];
  for (const folder of folders) if (await isThere(join(folder, "conda-meta"))) return folder;
  return null;
}

/** Whether there is a file or folder of this name. */
export async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
