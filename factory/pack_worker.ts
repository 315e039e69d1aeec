/** Puts what a job needs into the scratch folder: the worker, the password, wrappers' files. */
import { basename, resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { quoted, startScript } from "../core/shell_words.ts";
import { findProgram } from "../io/programs.ts";
import { selfCommand, selfExecutable } from "../io/self.ts";
import { passwordName, type Scratch } from "./scratch.ts";

/** By this name wqx is a worker, and images for Work Queue have theirs. */
const workerName = "work_queue_worker";

/** Notre Dame's, at the place where all of its machines have it. */
const runosPath = "/afs/crc.nd.edu/group/ccl/software/runos/runos.py";

/** Programs that unpack an environment and run a command in it, and what goes before that. */
const unpackers: readonly (readonly [string, string])[] = [
  ["poncho_package_run", ""],
  ["python_package_run", " --"],
];

export interface Wanted {
  /** `null`: wqx itself. */
  readonly binary: string | null;
  readonly wrappers: readonly string[];
  readonly wrapperInputs: readonly string[];
  /** Packed environments, each of which the worker runs in. */
  readonly environments: readonly string[];
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
  const unpacking = wanted.environments.map((path) => putEnvironment(scratch, path));
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
): { wrapper: string; inputs: readonly string[] } {
  const searchPath = Deno.env.get("PATH") ?? "";
  for (const [name, before] of unpackers) {
    const found = findProgram(name, searchPath);
    if ("why" in found) continue;
    const archive = scratch.copy(path);
    return {
      wrapper: `./${name} -e ${quotedName(archive)}${before}`,
      inputs: [scratch.copy(found.path), archive],
    };
  }
  throw new UsageError(
    `Cannot run workers in ${basename(path)}: no poncho_package_run is in the folders of PATH, ` +
      `which unpacks it on the worker's side; it comes with cctools`,
  );
}

function quotedName(name: string): string {
  return /^[\w.+-]+$/.test(name) ? name : quoted(name);
}
