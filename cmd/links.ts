/** `wqx links DIR` */
import { dirname, join, resolve } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { selfCommand, selfExecutable } from "../io/self.ts";
import { defineCommand, outputOptions } from "./cli.ts";
import { linkedNames } from "./names.ts";
import { outputMode } from "./render.ts";

/** In the scripts that stand for links where wqx runs from its source; tells them from others'. */
const scriptMark = '# Made by "wqx links".';

export const command = defineCommand({
  name: "links",
  purpose: "Make links that start wqx under the names of Work Queue's programs.",
  usage: ["FOLDER [options]"],
  examples: [
    ["links ~/wqx-bin", "then put that folder first on PATH"],
  ],
  arguments: {
    folder: { name: "FOLDER", describe: "where the links go; made if it is not there" },
  },
  options: {
    force: {
      flags: "    --force",
      describe: "replace programs of the same names that are not of wqx",
      common: true,
    },
    ...outputOptions,
  },
  async run({ options, arguments: { folder }, terminal }) {
    const executable = selfExecutable();
    const paths = linkedNames().map((name) => join(folder, name));
    if (!options.force) await refuseOthers(paths);
    try {
      await Deno.mkdir(folder, { recursive: true });
      for (const path of paths) await link(path, executable);
    } catch (error) {
      throw new UsageError(
        `Cannot make links in ${folder}: ${messageOf(error)}; choose a folder of your own`,
      );
    }
    const { stdout } = terminal;
    const mode = outputMode(options);
    if (mode === "json") {
      for (const path of paths) stdout.write(JSON.stringify({ type: "link", path }) + "\n");
    } else if (mode !== "quiet") {
      stdout.write(paths.map((path) => `${path}\n`).join(""));
    }
    return 0;
  },
});

/** Throws a UsageError that names the first file that is no link or script of ours. */
async function refuseOthers(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (await isForeign(path)) {
      throw new UsageError(`${path} is there already and not of wqx: give --force to replace it`);
    }
  }
}

async function isForeign(path: string): Promise<boolean> {
  try {
    // A link is replaced whatever it points to: nothing is lost.
    if ((await Deno.lstat(path)).isSymlink) return false;
    using file = await Deno.open(path);
    const start = new Uint8Array(200);
    const read = await file.read(start) ?? 0;
    return !new TextDecoder().decode(start.subarray(0, read)).includes(scriptMark);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    return !(error instanceof NotFound || error instanceof NotADirectory);
  }
}

/** In one step, so that a worker that starts meanwhile finds the old one or the new one. */
async function link(path: string, executable: string | null): Promise<void> {
  const temporary = join(dirname(path), `.wqx-link-${Deno.pid}`);
  await Deno.remove(temporary).catch(() => {});
  if (executable === null) await Deno.writeTextFile(temporary, script(), { mode: 0o755 });
  else await Deno.symlink(resolve(executable), temporary);
  await Deno.rename(temporary, path);
}

function script(): string {
  const quoted = selfCommand().map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return `#!/bin/sh
${scriptMark}
WQX_STARTED_AS="$0"
export WQX_STARTED_AS
exec ${quoted.join(" ")} "$@"
`;
}
