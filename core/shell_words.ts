/** Words for /bin/sh. */

/** The word as the shell will read it again. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A script that becomes this command, with what it is given as further arguments. */
export function startScript(command: readonly string[]): string {
  return `#!/bin/sh\nexec ${command.map(quoted).join(" ")} "$@"\n`;
}
