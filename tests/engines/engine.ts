/** What the batch engines of these tests share: daemons as children, free ports, waiting. */
import { messageOf } from "../../core/errors.ts";
import type { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

/** A batch system that runs on this machine for one test. */
export interface Engine extends AsyncDisposable {
  /** For its programs and for whoever calls them. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs one of its programs; throws what it printed if it fails. */
  run(...words: string[]): Promise<string>;
}

/** Null if the programs are there and this process may start daemons as others, else why not. */
export function whyNoEngine(programs: readonly string[]): string | null {
  if (Deno.build.os !== "linux") return "its packages are for Linux";
  if (Deno.uid() !== 0) return "its daemons are started by root";
  const missing = programs.filter((path) => {
    try {
      return !Deno.statSync(path).isFile;
    } catch {
      return true;
    }
  });
  return missing.length === 0 ? null : `${missing.join(", ")} is missing`;
}

/** Ports that nobody listened on a moment ago. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ port: 0 }));
  const ports = listeners.map((listener) => listener.addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** Runs a program to its end; throws what it printed if it fails. */
export async function runProgram(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  owner: { readonly uid?: number; readonly gid?: number } = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(words[0]!, {
    args: words.slice(1),
    env: { ...env, LC_ALL: "C" },
    stdin: "null",
    ...owner,
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${words.join(" ")}: ${decoder.decode(stderr)}${decoder.decode(stdout)}`);
}

/**
 * Programs that stay in the foreground, ended in the reverse of their order. sge_qmaster takes ten
 * seconds to end well, which nobody needs here.
 */
export class Daemons implements AsyncDisposable {
  readonly #started: { readonly name: string; readonly child: Deno.ChildProcess }[] = [];
  readonly #folder: TempFolder;

  constructor(folder: TempFolder) {
    this.#folder = folder;
  }

  /** What it prints goes to a file that {@link logs} shows. */
  start(
    words: readonly string[],
    env: Readonly<Record<string, string>>,
    owner: { readonly uid?: number; readonly gid?: number } = {},
  ): void {
    const name = words[0]!.replace(/.*\//, "");
    const script = `exec "$0" "$@" > ${this.#folder.join(`${name}.out`)} 2>&1`;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", script, ...words],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...owner,
    }).spawn();
    this.#started.push({ name, child });
  }

  /** The last lines of all that they wrote, for a test that fails. */
  logs(): string {
    return this.#started.map(({ name }) => {
      try {
        const text = Deno.readTextFileSync(this.#folder.join(`${name}.out`));
        return `${name}: ${text.trim().split("\n").slice(-8).join("\n")}`;
      } catch (error) {
        return `${name}: ${messageOf(error)}`;
      }
    }).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#started.toReversed()) {
      signal(child, "SIGTERM");
      const timer = setTimeout(() => signal(child, "SIGKILL"), 3000);
      await child.status;
      clearTimeout(timer);
    }
  }
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // Ended already.
  }
}

/** Waits until the engine says so; a failure shows what its daemons wrote. */
export async function untilEngine(
  daemons: Daemons,
  what: string,
  probe: () => Promise<boolean>,
): Promise<void> {
  try {
    await until(() => probe().catch(() => false), { what, timeoutMs: 30_000 });
  } catch (error) {
    throw new Error(`${messageOf(error)}\n${daemons.logs()}`);
  }
}
