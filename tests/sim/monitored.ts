/** `wqx monitor` as a simulated worker runs it that is not of wqx: by what its command line says. */
import { bytesOf } from "../support/builders.ts";
import type { Effect, Files } from "./worker.ts";

/** What a manager asked the monitor to do. */
interface Asked {
  /** Sandbox name of the monitor. */
  readonly program: string;
  readonly summary: string;
  readonly command: string;
  readonly memoryMb: number;
  readonly wallMs: number;
}

/** `null` for a command that is not to be monitored. */
export function askedIn(line: string): Asked | null {
  const words = [...line.matchAll(/(?:[^\s']|'[^']*'|\\')+/g)].map(([word]) => unquoted(word));
  if (words[0] !== "exec" || words[2] !== "monitor") return null;
  const limit = (name: string) => {
    const found = words.find((word, i) => words[i - 1] === "-L" && word.startsWith(`${name}: `));
    return found === undefined ? Infinity : Number(found.slice(name.length + 2));
  };
  const prefix = words.find((word) => word.startsWith("--with-output-files="))!.split("=")[1];
  return {
    program: words[1]!.replace("./", ""),
    summary: `${prefix}.summary`,
    command: words.at(-1)!,
    memoryMb: limit("memory"),
    wallMs: limit("wall_time") * 1000,
  };
}

function unquoted(word: string): string {
  return word.replaceAll(/'([^']*)'|\\(.)/g, (_, quoted, escaped) => quoted ?? escaped);
}

/** What becomes of the command under the monitor, on a worker so many times slower than others. */
export function monitored(
  asked: Asked,
  sandbox: Files,
  slowness: number,
  execute: (command: string, sandbox: Files) => Effect,
): Effect {
  const own = new Map(sandbox);
  own.delete(asked.program);
  const effect = execute(asked.command, own);
  const { memoryMb = 10 } = effect;
  const written = (fields: Readonly<Record<string, unknown>>): [string, Uint8Array] => [
    asked.summary,
    bytesOf(JSON.stringify({ cpu_time: [effect.ms / 1000, "s"], ...fields })),
  ];
  const ended = (ms: number, exitCode: number, fields: Readonly<Record<string, unknown>>) => ({
    ...effect,
    killsWorker: false,
    ms,
    exitCode,
    outputs: new Map([written({ exit_status: 143, exit_type: "limits", ...fields })]),
  });
  if (effect.ms * slowness > asked.wallMs) {
    const seconds = [asked.wallMs / 1000, "s"];
    return ended(asked.wallMs / slowness, 3, { limits_exceeded: { wall_time: seconds } });
  }
  if (memoryMb > asked.memoryMb) {
    const limits = { memory: [asked.memoryMb, "MB"] };
    const memory = [asked.memoryMb + 1, "MB"];
    return ended(effect.ms / 2, 2, { limits_exceeded: limits, memory });
  }
  const normal = { exit_status: effect.exitCode, exit_type: "normal", memory: [memoryMb, "MB"] };
  return {
    ...effect,
    exitCode: effect.exitCode === 0 ? 0 : 1,
    outputs: new Map([...effect.outputs, written(normal)]),
  };
}

/** The machine cannot run it. */
export const cannotStart: Effect = {
  ms: 1,
  exitCode: 127,
  printed: bytesOf("sh: ./wqx: not found\n"),
  outputs: new Map(),
};
