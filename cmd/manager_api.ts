/** `wqx manager --api SOCKET`: a manager that the program at the other end of stdin owns. */
import { apiVersion } from "../core/api/frames.ts";
import { selfCommand } from "../io/self.ts";
import { serveApi } from "../manager/api.ts";
import type { ApiJournalOptions } from "../manager/api_journal.ts";
import { joinTokenOf } from "../manager/joining.ts";
import { monitorProgram } from "../manager/own_program.ts";
import type { Serving } from "../manager/serving.ts";
import { version } from "./commands.ts";
import type { Terminal } from "./render.ts";

export interface ApiRun {
  /** Path of the socket. */
  readonly socket: string;
  readonly port: { readonly low: number; readonly high: number };
  readonly serving: Serving;
  /** `null`: nothing is kept. */
  readonly journal: ApiJournalOptions | null;
  readonly quiet: boolean;
}

/** Runs until the client is done or gone; returns the exit code. */
export async function runApi(run: ApiRun, { stdout, stderr }: Terminal): Promise<number> {
  const gone = new AbortController();
  const end = () => gone.abort();
  // Ctrl-C goes to the whole terminal, and what it means is the owner's decision.
  const ignore = () => {};
  Deno.addSignalListener("SIGINT", ignore);
  Deno.addSignalListener("SIGTERM", end);
  try {
    void untilEnd(Deno.stdin).then(end);
    await serveApi({
      ...run,
      version,
      foreignMonitor: monitorProgram(selfCommand()),
      gone: gone.signal,
      note: (line) => {
        if (!run.quiet) stderr.write(`${line}\n`);
      },
      listening: (port) => {
        const { socket, serving } = run;
        const pid = Deno.pid;
        const join = joinTokenOf(serving, undefined, port);
        const line = { type: "listening", api: apiVersion, port, socket, pid, version, join };
        stdout.write(JSON.stringify(line) + "\n");
      },
    });
    return 0;
  } finally {
    Deno.removeSignalListener("SIGINT", ignore);
    Deno.removeSignalListener("SIGTERM", end);
  }
}

/** Nothing is said there; its end is what counts. */
async function untilEnd(stdin: typeof Deno.stdin): Promise<void> {
  const buffer = new Uint8Array(64);
  try {
    while (await stdin.read(buffer) !== null);
  } catch {
    // Closed: the same.
  }
}
