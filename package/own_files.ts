/** The scripts that every archive carries besides the environment's own files. */
import denoJson from "../deno.json" with { type: "json" };
import activateFish from "./scripts/activate.fish" with { type: "text" };
import activate from "./scripts/activate.sh" with { type: "text" };
import condaUnpack from "./scripts/conda-unpack.py" with { type: "text" };
import deactivate from "./scripts/deactivate.sh" with { type: "text" };
import packageRun from "./scripts/poncho_package_run.sh" with { type: "text" };
import runInEnv from "./scripts/run_in_env.sh" with { type: "text" };
import { condaUnpackPath } from "../core/package/relocations.ts";

/** A file with its text; `conda-unpack` comes last, as the mark that all others are there. */
export interface OwnFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** Last members of an archive, in order. */
export const ownFiles: readonly OwnFile[] = [
  { path: "bin/activate", text: activate, mode: 0o644 },
  { path: "bin/activate.fish", text: activateFish, mode: 0o644 },
  { path: "bin/deactivate", text: deactivate, mode: 0o644 },
  { path: "bin/poncho_package_run", text: packageRun, mode: 0o755 },
  { path: "bin/run_in_env", text: runInEnv, mode: 0o755 },
  {
    path: condaUnpackPath,
    text: condaUnpack.replace("@VERSION@", denoJson.version),
    mode: 0o755,
  },
];
