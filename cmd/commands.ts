/**
 * The commands of wqx by name. Each is imported when it is called for, so that one does not pay
 * for what the others import.
 */
import denoJson from "../deno.json" with { type: "json" };
import { UsageError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { Command } from "./cli.ts";
import { overviewText } from "./help.ts";
import type { Terminal } from "./render.ts";

export const version: string = denoJson.version;

export interface RegisteredCommand {
  /** What the list of commands says, without a full stop. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export type Registry = Readonly<Record<string, RegisteredCommand>>;

export const registry: Registry = {
  manager: {
    summary: "run an analysis or a list of tasks",
    load: async () => (await import("./manager.ts")).command,
  },
  worker: {
    summary: "run tasks for a manager",
    load: async () => (await import("./worker.ts")).command,
  },
  catalog: {
    summary: "know who runs: managers by name, for workers and people",
    load: async () => (await import("./catalog.ts")).command,
  },
  "catalog-query": {
    summary: "print records of a catalog",
    load: async () => (await import("./catalog_query.ts")).command,
  },
  "catalog-update": {
    summary: "tell catalogs of this machine",
    load: async () => (await import("./catalog_update.ts")).command,
  },
  status: {
    summary: "show managers, tasks and workers, live or as tables",
    load: async () => (await import("./status.ts")).command,
  },
  explain: {
    summary: "say why a task waits or a worker idles, and what would help",
    load: async () => (await import("./explain.ts")).command,
  },
  factory: {
    summary: "keep the right number of workers on a batch system",
    load: async () => (await import("./factory.ts")).command,
  },
  monitor: {
    summary: "run a command, measure what it uses, hold it to limits",
    load: async () => (await import("./monitor.ts")).command,
  },
  package: {
    summary: "make, ship and run Python environments, without conda",
    load: async () => (await import("./package.ts")).command,
  },
  links: {
    summary: "make links with the names of Work Queue's programs",
    load: async () => (await import("./links.ts")).command,
  },
};

/** Runs a whole command line and returns the exit code; throws UsageError for a wrong one. */
export async function runCommandLine(
  argv: readonly string[],
  terminal: Terminal,
  commands: Registry = registry,
): Promise<number> {
  const [name, ...rest] = argv;
  switch (name) {
    case "help":
      return rest[0] === undefined
        ? overview(terminal, commands)
        : await runCommandLine([...rest, "--help"], terminal, commands);
    case undefined:
    case "-h":
    case "--help":
    case "--help-all":
      return overview(terminal, commands);
    case "-v":
    case "--version":
      terminal.stdout.write(`wqx ${version}\n`);
      return 0;
  }
  if (Object.hasOwn(commands, name)) {
    const command = await commands[name]?.load();
    if (command !== undefined) return await command.run(rest, terminal);
  }
  const kind = name.startsWith("-") ? "option" : "command";
  const known = [...Object.keys(commands), "help", "--help", "--version"];
  throw new UsageError(
    `Unknown ${kind} "${name}"${didYouMean(name, known) || ": wqx help lists the commands"}`,
  );
}

function overview({ stdout }: Terminal, commands: Registry): number {
  const items = Object.entries(commands).map(([name, { summary }]) => [name, summary] as const);
  stdout.write(overviewText(items, stdout.columns));
  return 0;
}
