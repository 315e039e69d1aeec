/**
 * Commands that `poncho_package_run` starts in a packed environment, as Work Queue's Python module,
 * coffea and wqx itself write them:
 *
 *   ./poncho_package_run [-d] -e ARCHIVE [-u FOLDER] [-w SECONDS] [--] COMMAND…
 *
 * A worker that unpacks the archive itself runs COMMAND without that program. Whatever is not
 * certain here is left to the program, which is an input of the task.
 */
import { quoted } from "../shell_words.ts";
import { type Redirection, simpleCommand, tokensOf } from "./shell_tokens.ts";

export interface EnvironmentCommand {
  /** Names in the sandbox, of inputs. */
  readonly wrapper: string;
  readonly archive: string;
  /** Set by the command for itself, before the environment is activated. */
  readonly env: Readonly<Record<string, string>>;
  readonly inner: InnerCommand;
}

/** What is to run in the environment. */
export type InnerCommand =
  /** For a shell in which the environment is active. */
  | { readonly kind: "inside"; readonly command: string }
  /** To be read by a shell in which it is not: between the two goes what activates and execs. */
  | { readonly kind: "around"; readonly before: string; readonly after: string };

const takesValue: Readonly<Record<string, "environment" | "folder" | "seconds">> = {
  "-e": "environment",
  "--environment": "environment",
  "-u": "folder",
  "--unpack-to": "folder",
  "-w": "seconds",
  "--wait-for-lock": "seconds",
};
const flags = new Set(["-d", "--debug"]);
/** They print something in place of running a command. */
const help = new Set(["-h", "--help", "--help-env-creation"]);

/**
 * `env`: what variables in the command stand for; `inputs`: names in the sandbox of what the task
 * was sent. `null`: it is no such command. Whether the wrapper is the program that it should be is
 * for the caller to see.
 */
export function environmentCommand(
  command: string,
  env: Readonly<Record<string, string>>,
  inputs: readonly string[],
): EnvironmentCommand | null {
  const text = command.trim();
  const { tokens, whole } = tokensOf(text, env);
  const simple = simpleCommand(tokens);
  const wrapper = nameIn(inputs, simple?.words[0]?.text);
  if (simple === null || wrapper === null) return null;
  const { words } = simple;
  let archive: string | null = null;
  let at = 1;
  let ended = false;
  for (; at < words.length && !ended; at++) {
    const word = words[at]!.text;
    if (help.has(word)) return null;
    const option = takesValue[word];
    if (option !== undefined) {
      const value = words[++at]?.text;
      if (value === undefined || value === "") return null;
      if (option === "environment") archive = nameIn(inputs, value);
      if (option === "seconds" && !/^\d+$/.test(value)) return null;
    } else if (word === "--") {
      ended = true;
    } else if (!flags.has(word)) {
      break;
    }
  }
  if (archive === null) return null;
  if (whole) {
    const rest = words.slice(at).map(({ text }) => text);
    const inner = { kind: "inside", command: rebuilt(rest, simple.redirections) } as const;
    return { wrapper, archive, env: simple.env, inner };
  }
  // What is left for a shell to read might be options, but not behind a word that is none.
  const first = words[at];
  if (!ended && first === undefined) return null;
  const from = ended ? words[at - 1]!.end : first!.start;
  const own = text.slice(words[0]!.end, from);
  if (/[<>]/.test(own)) return null;
  const inner = {
    kind: "around",
    before: text.slice(0, words[0]!.start),
    after: text.slice(from).trimStart(),
  } as const;
  return { wrapper, archive, env: {}, inner };
}

/**
 * Whether a script that begins so is the program, of whatever origin, by the mark that it leaves in
 * what it has unpacked. In older cctools it is called python_package_run.
 */
export function isEnvironmentWrapper(head: string): boolean {
  return head.startsWith("#!") && /\.(poncho|python)_package_run_expanded\b/.test(head);
}

function nameIn(inputs: readonly string[], written: string | undefined): string | null {
  const name = written?.replace(/^(\.\/+)+/, "");
  return name !== undefined && inputs.includes(name) ? name : null;
}

/** A shell that was to be started for a command is the one that reads it anyway. */
function rebuilt(words: readonly string[], redirections: readonly Redirection[]): string {
  const [program, option, script] = words;
  const shell = (program === "sh" || program === "/bin/sh") && option === "-c";
  if (shell && words.length === 3 && redirections.length === 0) return script!;
  // Without a command the program sets all up, and that is all.
  const started = words.length === 0 ? ["true"] : words.map(word);
  const files = redirections.map((one) =>
    one.kind === "&" ? `${one.fd}>&${one.other}` : `${one.fd}${one.kind}${word(one.path)}`
  );
  return [...started, ...files].join(" ");
}

function word(text: string): string {
  // A word with = might be taken for an assignment.
  return /^[\w@%+:,./-]+$/.test(text) ? text : quoted(text);
}

/** The name in the sandbox of an archive whose content has this SHA-256, so that each has its own. */
export function archiveName(path: string, sha256: string): string {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const [, stem, ending] = /^(.*?)(\.tar(?:\.[a-z0-9]+)?|\.t[a-z0-9]+)?$/is.exec(base)!;
  const plain = (stem || "environment").replaceAll(/[^A-Za-z0-9._-]/g, "_");
  return `${plain}-${sha256.slice(0, 12)}${ending ?? ""}`;
}

/** By this name tasks have the program. */
export const environmentWrapperName = "poncho_package_run";

/** The command, run in the environment of an archive, by workers of any kind. */
export function inEnvironment(command: string, archive: string): string {
  return `./${environmentWrapperName} -e ${archive} ` +
    `-u "$WORK_QUEUE_SANDBOX"/${archive}-env -- sh -c ${quoted(command)}`;
}
