/**
 * A command line as a shell would cut it into words, as far as that can be said without being a
 * shell: what is expanded, run or split in ways that are not known here ends the reading.
 */

/** Where a descriptor goes: to or from a file, or (`&`) wherever another one goes by then. */
export type Redirection =
  | { readonly fd: number; readonly kind: "<" | ">" | ">>"; readonly path: string }
  | { readonly fd: number; readonly kind: "&"; readonly other: number };

interface Word {
  readonly kind: "word";
  readonly text: string;
  /** Quoting keeps `NAME=value` from being an assignment, and a number from naming a descriptor. */
  readonly quoted: boolean;
  /** Where it stands in the command: from `start` up to `end`. */
  readonly start: number;
  readonly end: number;
}

interface RedirectionToken {
  readonly kind: "redirection";
  readonly fd: number;
  readonly how: "<" | ">" | ">>" | ">&";
}

export type Token = Word | RedirectionToken;

export interface Tokens {
  readonly tokens: readonly Token[];
  /** False: from behind the last token on, the command is for a shell to read. */
  readonly whole: boolean;
}

/** The parts of one simple command. */
export interface SimpleCommand {
  /** Without assignments before it, and without `exec`. */
  readonly words: readonly Word[];
  /** Set for it alone. */
  readonly env: Readonly<Record<string, string>>;
  /** In the order in which they take effect. */
  readonly redirections: readonly Redirection[];
  /** It takes the place of the shell. */
  readonly exec: boolean;
}

/** `null`: these tokens are no command, or one with redirections that are not known here. */
export function simpleCommand(tokens: readonly Token[]): SimpleCommand | null {
  const words: Word[] = [];
  const env: Record<string, string> = {};
  const redirections: Redirection[] = [];
  let exec = false;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind === "redirection") {
      const target = tokens[++i];
      if (target?.kind !== "word") return null;
      const redirection = redirectionOf(token, target.text);
      if (redirection === null) return null;
      redirections.push(redirection);
      continue;
    }
    const assignment = /^([A-Za-z_]\w*)=([^]*)$/.exec(token.text);
    if (words.length === 0 && assignment !== null && !token.quoted) {
      env[assignment[1]!] = assignment[2]!;
    } else if (words.length === 0 && token.text === "exec") {
      exec = true;
    } else {
      words.push(token);
    }
  }
  return { words, env, redirections, exec };
}

function redirectionOf({ fd, how }: RedirectionToken, target: string): Redirection | null {
  if (fd > 2 || target === "") return null;
  if (how !== ">&") return { fd, kind: how, path: target };
  return /^[0-2]$/.test(target) ? { fd, kind: "&", other: Number(target) } : null;
}

/** What stands for itself outside of quotes. */
const plain = /[\w@%+=:,./^-]/;

/** `env`: what variables in the command stand for. */
export function tokensOf(command: string, env: Readonly<Record<string, string>>): Tokens {
  const tokens: Token[] = [];
  let word: string | null = null;
  let start = 0;
  let quoted = false;
  const add = (text: string, from: number) => {
    if (word === null) start = from;
    word = (word ?? "") + text;
  };
  const end = (at: number) => {
    if (word !== null) tokens.push({ kind: "word", text: word, quoted, start, end: at });
    word = null;
    quoted = false;
  };
  for (let i = 0; i < command.length;) {
    const c = command[i]!;
    if (c === " " || c === "\t") {
      end(i);
      i++;
    } else if (c === "'") {
      const close = command.indexOf("'", i + 1);
      if (close < 0) return { tokens, whole: false };
      add(command.slice(i + 1, close), i);
      quoted = true;
      i = close + 1;
    } else if (c === '"') {
      const inside = doubleQuoted(command, i + 1, env);
      if (inside === null) return { tokens, whole: false };
      add(inside.text, i);
      quoted = true;
      i = inside.next;
    } else if (c === "\\") {
      const next = command[i + 1];
      if (next === undefined || next === "\n") return { tokens, whole: false };
      add(next, i);
      quoted = true;
      i += 2;
    } else if (c === "$") {
      const variable = variableAt(command, i, env);
      // Splitting and patterns would make several words of it, or none.
      if (variable === null || !/^[\w@%+=:,./-]+$/.test(variable.text)) {
        return { tokens, whole: false };
      }
      add(variable.text, i);
      i = variable.next;
    } else if (c === "<" || c === ">") {
      const [operator] = /^(>>|>&|[<>])/.exec(command.slice(i))!;
      if (/^[&<>|]/.test(command.slice(i + operator.length))) return { tokens, whole: false };
      const descriptor: string | null = word;
      const numbered = descriptor !== null && !quoted && /^\d$/.test(descriptor);
      const fd = numbered ? Number(descriptor) : operator === "<" ? 0 : 1;
      if (numbered) word = null;
      else end(i);
      tokens.push({ kind: "redirection", fd, how: operator as RedirectionToken["how"] });
      i += operator.length;
    } else if (plain.test(c)) {
      add(c, i);
      i++;
    } else {
      // |, &, ;, parentheses, patterns, comments, line ends, ~, ` and all else
      return { tokens, whole: false };
    }
  }
  end(command.length);
  return { tokens, whole: true };
}

interface Piece {
  readonly text: string;
  readonly next: number;
}

/** From behind the opening quote to behind the closing one. */
function doubleQuoted(
  command: string,
  from: number,
  env: Readonly<Record<string, string>>,
): Piece | null {
  let text = "";
  for (let i = from; i < command.length;) {
    const c = command[i]!;
    if (c === '"') return { text, next: i + 1 };
    if (c === "`") return null;
    if (c === "$") {
      const variable = variableAt(command, i, env);
      if (variable === null) return null;
      text += variable.text;
      i = variable.next;
    } else if (c === "\\" && /["$\\`]/.test(command[i + 1] ?? "")) {
      text += command[i + 1];
      i += 2;
    } else {
      text += c;
      i++;
    }
  }
  return null;
}

/** `$NAME` or `${NAME}`; anything else that begins with a dollar is left to a shell. */
function variableAt(
  command: string,
  at: number,
  env: Readonly<Record<string, string>>,
): Piece | null {
  const found = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/.exec(command.slice(at));
  const name = found?.[1] ?? found?.[2];
  if (found === null || name === undefined) return null;
  return { text: env[name] ?? "", next: at + found[0].length };
}
