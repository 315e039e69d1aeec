/** A command that consists of commands: `wqx package create`. */
import { UsageError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { Command } from "./cli.ts";
import type { Registry } from "./commands.ts";
import { overviewText } from "./help.ts";

export interface GroupSpec {
  readonly name: string;
  /** One sentence. */
  readonly purpose: string;
  readonly commands: Registry;
}

/** Hands a command line on to the command that its first word names. */
export function defineGroup({ name, purpose, commands }: GroupSpec): Command {
  const items = Object.entries(commands).map(([name, { summary }]) => [name, summary] as const);
  const help = (width: number) => overviewText(items, width, { purpose, program: `${name} ` });
  const group: Command = {
    name,
    commands,
    help: (_all, width) => help(width),
    as: () => group,
    async run([word, ...rest], terminal) {
      const { stdout } = terminal;
      if (word === undefined || ["-h", "--help", "--help-all"].includes(word)) {
        stdout.write(help(stdout.columns));
        return 0;
      }
      const command = Object.hasOwn(commands, word) ? await commands[word]?.load() : undefined;
      if (command !== undefined) return await command.run(rest, terminal);
      const kind = word.startsWith("-") ? "option" : "command";
      const hint = didYouMean(word, [...Object.keys(commands), "--help"]) ||
        `: wqx help ${name} lists the commands`;
      throw new UsageError(`Unknown ${kind} "${name} ${word}"${hint}`);
    },
  };
  return group;
}
