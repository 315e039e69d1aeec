/** `--task-wrapper`: the command that starts the commands of tasks. */

/**
 * The command line for a task: `{}` in the wrapper stands for the command as it is, `[]` for the
 * command as one quoted word of the shell; without either, the wrapper is given a shell to start.
 */
export function wrapCommand(wrapper: string, command: string): string {
  if (wrapper.includes("{}")) return wrapper.replaceAll("{}", () => command);
  const word = `"${command.replace(/["\\$`]/g, "\\$&")}"`;
  if (wrapper.includes("[]")) return wrapper.replaceAll("[]", () => word);
  return `${wrapper} /bin/sh -c ${word}`;
}
