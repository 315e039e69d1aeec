/**
 * The real parts of cctools in tests: found on this machine, started in a test's folder, and gone
 * with it. Which they are: Debian's packages that `.ci/run` installs.
 */
import { listProcesses, readEnvironment } from "../../io/procfs.ts";
import { needs } from "./skip.ts";
import type { TestBed, Wqx } from "./wqx.ts";

/** Programs, and what compiles and links C programs with Work Queue's library. */
export type Part =
  | "work_queue_worker"
  | "work_queue_status"
  | "work_queue_factory"
  | "catalog_server"
  | "catalog_query"
  | "catalog_update"
  | "work_queue_example"
  | "makeflow"
  | "mpirun"
  | "gcc"
  | "libwork_queue";

const packageOf: Readonly<Record<Part, string>> = {
  work_queue_worker: "coop-computing-tools",
  work_queue_status: "coop-computing-tools",
  work_queue_factory: "coop-computing-tools",
  catalog_server: "coop-computing-tools",
  catalog_query: "coop-computing-tools",
  catalog_update: "coop-computing-tools",
  work_queue_example: "coop-computing-tools",
  makeflow: "coop-computing-tools",
  mpirun: "openmpi-bin",
  gcc: "gcc",
  libwork_queue: "coop-computing-tools-dev",
};

/** In the order in which a static library needs the next one. */
const libraries = "-lwork_queue -lbatch_job -lchirp -ldttools -lssl -lcrypto -lz -lm -lpthread";

const libraryFolders = ["/usr/lib", "/usr/local/lib"];

/**
 * Protocol that the real parts speak: Debian's 9, unless others come first in PATH, CPATH and
 * LIBRARY_PATH.
 */
export const realProtocol = Number(Deno.env.get("WQX_TEST_PROTOCOL") ?? "9");

/** Absolute path of a part, or `null` where it is not installed. */
export function findPart(part: Part): string | null {
  const isLibrary = part === "libwork_queue";
  const folders = isLibrary ? libraryFolders : (Deno.env.get("PATH") ?? "").split(":");
  const name = isLibrary ? `${part}.a` : part;
  return folders.map((folder) => `${folder}/${name}`).find(isFile) ?? null;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** For `Deno.test({ ...needsParts(name, …), fn })`: left out, saying so, where a part is missing. */
export function needsParts(name: string, ...parts: readonly Part[]): ReturnType<typeof needs> {
  const missing = parts.filter((part) => findPart(part) === null);
  const packages = [...new Set(missing.map((part) => packageOf[part]))];
  return needs(missing.length === 0, `Debian's ${packages.join(" and ")} is not installed`, name);
}

export interface RealWorkerOptions {
  readonly host?: string;
  readonly cores?: number;
  readonly diskMb?: number;
  readonly passwordFile?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A `work_queue_worker` with 1,000 MB of memory that leaves for good when let go. */
export function startRealWorker(
  bed: TestBed,
  port: number,
  { host = "127.0.0.1", cores = 2, diskMb = 1000, passwordFile, args = [], env = {} }:
    RealWorkerOptions = {},
): Wqx {
  return bed.start([
    ...["--single-shot", "-t", "60", "--cores", String(cores), "--memory", "1000"],
    ...["--disk", String(diskMb)],
    ...(passwordFile === undefined ? [] : ["--password", passwordFile]),
    ...args,
    host,
    String(port),
  ], { command: ["work_queue_worker"], env });
}

/** A task as the C library returned it. */
export interface DriverResult {
  readonly tag: string;
  /** One of `WORK_QUEUE_RESULT_…`. */
  readonly result: number;
  /** Exit code or signal. */
  readonly exit: number;
  readonly tries: number;
  /** From the first input to the last output. */
  readonly seconds: number;
  readonly output: string;
}

/** `tests/interop/driver.c`: a manager on the C library that does what a script says. */
export class Driver implements AsyncDisposable {
  private constructor(readonly program: Wqx, readonly port: number) {}

  /** Lines of the script as lists of fields; `driver.c` says which there are. */
  static async start(
    bed: TestBed,
    script: readonly (readonly (string | number)[])[],
  ): Promise<Driver> {
    const source = new URL("../interop/driver.c", import.meta.url).pathname;
    const executable = bed.folder.join("driver");
    await compile(source, executable, libraries.split(" "));
    const lines = script.map((fields) => `${fields.join("\t")}\n`).join("");
    const path = await bed.folder.write(`driver-${crypto.randomUUID()}.txt`, lines);
    // Its own scratch folder, so that what workers leave can be told from it.
    const env = { TMPDIR: bed.folder.path };
    const program = bed.start([path], { command: [executable], env });
    const [, port] = await program.says(/^port (\d+)$/m);
    return new Driver(program, Number(port));
  }

  /** All that it reported so far, by tag. */
  get results(): ReadonlyMap<string, DriverResult> {
    const text = this.program.stdout;
    const results = new Map<string, DriverResult>();
    const header = /^result (\S+) (\d+) (-?\d+) (\d+) (-?\d+) (\d+)\n/gm;
    for (let match = header.exec(text); match !== null; match = header.exec(text)) {
      const [result, exit, tries, us, length] = match.slice(2).map(Number) as [
        number,
        number,
        number,
        number,
        number,
      ];
      // Outputs of the tests are ASCII, so bytes are characters.
      const output = text.slice(header.lastIndex, header.lastIndex + length);
      header.lastIndex += length;
      results.set(match[1]!, { tag: match[1]!, result, exit, tries, seconds: us / 1e6, output });
    }
    return results;
  }

  /** Waits for the end of the script; throws what it said if it did not come to its end. */
  async finish(): Promise<ReadonlyMap<string, DriverResult>> {
    const code = await this.program.ended;
    if (code !== 0) throw new Error(`The driver ended with ${code}: ${this.program.stderr}`);
    return this.results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** Throws what the compiler says of it. */
export async function compile(
  source: string,
  executable: string,
  flags: readonly string[] = [],
): Promise<void> {
  const { success, stderr } = await new Deno.Command("gcc", {
    args: ["-O1", "-Wall", `-DWQ_PROTOCOL=${realProtocol}`, "-o", executable, source, ...flags],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot compile ${source}: ${new TextDecoder().decode(stderr)}`);
}

/**
 * Ends the tasks that a killed `work_queue_worker` left running and removes its workspace: unlike
 * wqx's, they outlive it.
 */
export async function sweepAfterRealWorker(bed: TestBed): Promise<void> {
  const scratch = bed.folder.join("tmp");
  for (const pid of listProcesses()) {
    if (pid === Deno.pid) continue;
    const inside = readEnvironment(pid)?.some((entry) =>
      entry.startsWith(`WORK_QUEUE_SANDBOX=${scratch}/`)
    );
    if (!inside) continue;
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  for (const { name } of Deno.readDirSync(scratch)) {
    if (!/^worker-\d+-\d+$/.test(name)) continue;
    await Deno.remove(`${scratch}/${name}`, { recursive: true });
  }
}
