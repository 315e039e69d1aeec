/**
 * The names of cctools' programs: called by one of them, wqx is that program, so that scripts and
 * submit files of today work as they are. `wqx links` makes the links.
 */
import { basename } from "node:path";
import { UsageError } from "../core/errors.ts";
import { type Registry, registry } from "./commands.ts";
import { openTerminal, type Terminal } from "./render.ts";

/** How a program ends when it cannot do what it was asked to. */
export interface ExitCodes {
  readonly wrongUsage: number;
  readonly failed: number;
}

interface ProgramRow {
  /** The command of wqx behind the name; a name without one (yet) is not linked. */
  readonly command: string;
  /** Which of its commands, where it is a group. */
  readonly of?: string;
  readonly exitCodes: ExitCodes;
}

export const programNames: Readonly<Record<string, ProgramRow>> = {
  // To have found no manager is no failure: batch systems would run the job again.
  work_queue_worker: { command: "worker", exitCodes: { wrongUsage: 1, failed: 0 } },
  work_queue_factory: { command: "factory", exitCodes: { wrongUsage: 1, failed: 1 } },
  work_queue_status: { command: "status", exitCodes: { wrongUsage: 1, failed: 1 } },
  resource_monitor: { command: "monitor", exitCodes: { wrongUsage: 4, failed: 4 } },
  catalog_query: { command: "catalog-query", exitCodes: { wrongUsage: 1, failed: 1 } },
  // An update that reached nobody is no failure there, only a line.
  catalog_update: { command: "catalog-update", exitCodes: { wrongUsage: 1, failed: 0 } },
  catalog_server: { command: "catalog", exitCodes: { wrongUsage: 1, failed: 1 } },
  poncho_package_create: {
    command: "package",
    of: "create",
    exitCodes: { wrongUsage: 2, failed: 1 },
  },
  poncho_package_analyze: {
    command: "package",
    of: "analyze",
    exitCodes: { wrongUsage: 2, failed: 1 },
  },
  poncho_package_run: { command: "package", of: "run", exitCodes: { wrongUsage: 1, failed: 1 } },
  "conda-pack": { command: "package", of: "pack", exitCodes: { wrongUsage: 2, failed: 1 } },
};

export interface Program {
  readonly name: string;
  readonly exitCodes: ExitCodes;
  /** Runs a command line as that program takes it; options are those of the command. */
  run(argv: readonly string[], terminal?: Terminal): Promise<number>;
}

/** The program that the last part of the path names; `null` for any other name, such as wqx. */
export function programNamed(path: string, commands: Registry = registry): Program | null {
  const name = basename(path);
  if (!Object.hasOwn(programNames, name)) return null;
  const { command, of, exitCodes } = programNames[name]!;
  return {
    name,
    exitCodes,
    async run(argv, terminal = openTerminal()) {
      if (!Object.hasOwn(commands, command)) {
        throw new UsageError(`This version of wqx has no ${name} yet`);
      }
      const loaded = await commands[command]!.load();
      const program = of === undefined ? loaded : await loaded.commands?.[of]?.load();
      if (program === undefined) throw new UsageError(`This version of wqx has no ${name} yet`);
      return await program.as(name).run(argv, terminal);
    },
  };
}

/** The names whose program is there, in the order of the table. */
export function linkedNames(commands: Registry = registry): string[] {
  return Object.entries(programNames).flatMap(([name, { command }]) =>
    Object.hasOwn(commands, command) ? [name] : []
  );
}
