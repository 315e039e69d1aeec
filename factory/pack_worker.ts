/** Puts what a job needs into the scratch folder: the worker, the password, wrappers' files. */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { quoted, startScript } from "../core/shell_words.ts";
import { findProgram } from "../io/programs.ts";
import { archiveName, environmentWrapperName } from "../core/worker/environment_command.ts";
import { selfCommand, selfExecutable } from "../io/self.ts";
import script from "../package/scripts/poncho_package_run.sh" with { type: "text" };
import { passwordName, type Scratch } from "./scratch.ts";

/** By this name wqx is a worker, and images for Work Queue have theirs. */
const workerName = "work_queue_worker";

/** Of an archive, read at once. */
const pieceBytes = 4 * 1024 ** 2;

/** Notre Dame's, at the place where all of its machines have it. */
const runosPath = "/afs/crc.nd.edu/group/ccl/software/runos/runos.py";

export interface Wanted {
  /** `null`: wqx itself. */
  readonly binary: string | null;
  readonly wrappers: readonly string[];
  readonly wrapperInputs: readonly string[];
  /** Packed environments, each of which the worker runs in. */
  readonly environments: readonly string[];
  /** Jobs share the scratch folder and this machine: there they unpack each environment once. */
  readonly unpacksInScratch: boolean;
  readonly runos: string | null;
  /** The container has the worker. */
  readonly inImage: boolean;
  readonly password: Uint8Array | null;
}

export interface Packed {
  /** As the job starts it. */
  readonly program: string;
  readonly wrappers: readonly string[];
  /** The worker first, unless it is there already. */
  readonly inputs: readonly string[];
}

/** Throws a UsageError that names what is missing, before anything is handed in. */
export function packWorker(scratch: Scratch, wanted: Wanted): Packed {
  const { runos, inImage, password } = wanted;
  const there = runos !== null || inImage;
  const worker = there ? [] : [putWorker(scratch, wanted.binary)];
  const unpacking = wanted.environments.map((path) => putEnvironment(scratch, path, wanted));
  const inputs = [
    ...worker,
    ...(password === null ? [] : [scratch.write(passwordName, password, 0o600)]),
    ...wanted.wrapperInputs.map((path) => scratch.copy(path)),
    ...unpacking.flatMap(({ inputs }) => inputs),
  ];
  return {
    program: there ? workerName : `./${quotedName(worker[0]!)}`,
    wrappers: [
      ...wanted.wrappers,
      ...unpacking.map(({ wrapper }) => wrapper),
      ...(runos === null ? [] : [`${runosPath} ${quoted(runos)}`]),
    ],
    inputs: [...new Set(inputs)],
  };
}

/** Returns the name in the folder. */
function putWorker(scratch: Scratch, binary: string | null): string {
  if (binary !== null) {
    const found = findProgram(binary, Deno.env.get("PATH") ?? "");
    if ("why" in found) throw new UsageError(`--worker-binary ${binary}: ${found.why}`);
    return scratch.copy(resolve(found.path));
  }
  const own = selfExecutable();
  if (own !== null) return scratch.copy(own, workerName);
  const script = startScript([...selfCommand(), "worker"]);
  return scratch.write(workerName, new TextEncoder().encode(script), 0o755);
}

function putEnvironment(
  scratch: Scratch,
  path: string,
  { unpacksInScratch }: Wanted,
): { wrapper: string; inputs: readonly string[] } {
  // What an earlier factory has unpacked here is used again, if it is the same.
  const archive = scratch.copy(path, archiveName(path, sha256Of(path)));
  const wrapper = scratch.write(environmentWrapperName, new TextEncoder().encode(script), 0o755);
  const folder = unpacksInScratch ? ` -u ${quotedName(`${archive}-env`)}` : "";
  return {
    wrapper: `./${wrapper} -e ${quotedName(archive)}${folder}`,
    inputs: [wrapper, archive],
  };
}

/** Read in pieces: an archive may be larger than memory. */
function sha256Of(path: string): string {
  const hash = createHash("sha256");
  try {
    using file = Deno.openSync(path);
    const piece = new Uint8Array(pieceBytes);
    for (let count = file.readSync(piece); count !== null; count = file.readSync(piece)) {
      hash.update(piece.subarray(0, count));
    }
  } catch (error) {
    throw new UsageError(`Cannot run workers in the environment ${path}: ${messageOf(error)}`);
  }
  return hash.digest("hex");
}

function quotedName(name: string): string {
  return /^[\w.+-]+$/.test(name) ? name : quoted(name);
}
