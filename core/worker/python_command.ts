/**
 * Commands that run one Python script and do nothing else: they need neither a shell nor a new
 * interpreter. Whatever a shell would do more about a command than is known here makes it none.
 */
import { type Redirection, simpleCommand, tokensOf } from "./shell_tokens.ts";

export type { Redirection } from "./shell_tokens.ts";

export interface PythonCommand {
  /** As written: `python3`, or a path. */
  readonly program: string;
  /** The script and its arguments. */
  readonly argv: readonly string[];
  /** Set for it alone. */
  readonly env: Readonly<Record<string, string>>;
  /** In the order in which they take effect. */
  readonly redirections: readonly Redirection[];
  readonly unbuffered: boolean;
  /** It takes the place of the shell, which then says nothing about its end. */
  readonly replacesShell: boolean;
}

/** `env`: what variables in the command stand for. `null`: leave it to a shell. */
export function pythonCommand(
  command: string,
  env: Readonly<Record<string, string>>,
): PythonCommand | null {
  const { tokens, whole } = tokensOf(command.trim(), env);
  const simple = whole ? simpleCommand(tokens) : null;
  if (simple === null) return null;
  const { env: set, redirections, exec: replacesShell } = simple;
  const [program = "", ...rest] = simple.words.map(({ text }) => text);
  if (!/(^|\/)python(3(\.\d+)?)?$/.test(program)) return null;
  const unbuffered = rest[0] === "-u";
  const argv = unbuffered ? rest.slice(1) : rest;
  // Other options, and scripts from standard input, are not for us.
  if (argv[0] === undefined || argv[0] === "" || argv[0].startsWith("-")) return null;
  return { program, argv, env: set, redirections, unbuffered, replacesShell };
}
