/**
 * Commands that run one Python script and do nothing else: they need neither a shell nor a new
 * interpreter. Whatever a shell would do more about a command than is known here makes it none.
 */

/** Where a descriptor goes: to or from a file, or (`&`) wherever another one goes by then. */
export type Redirection =
  | { readonly fd: number; readonly kind: "<" | ">" | ">>"; readonly path: string }
  | { readonly fd: number; readonly kind: "&"; readonly other: number };

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

type Token =
  | { readonly kind: "word"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "redirection"; readonly fd: number; readonly how: "<" | ">" | ">>" | ">&" };

/** `env`: what variables in the command stand for. `null`: leave it to a shell. */
export function pythonCommand(
  command: string,
  env: Readonly<Record<string, string>>,
): PythonCommand | null {
  const tokens = tokensOf(command.trim(), env);
  if (tokens === null) return null;
  const words: string[] = [];
  const set: Record<string, string> = {};
  let replacesShell = false;
  const redirections: Redirection[] = [];
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
      set[assignment[1]!] = assignment[2]!;
    } else if (words.length === 0 && token.text === "exec") {
      replacesShell = true;
    } else {
      words.push(token.text);
    }
  }
  const [program = "", ...rest] = words;
  if (!/(^|\/)python(3(\.\d+)?)?$/.test(program)) return null;
  const unbuffered = rest[0] === "-u";
  const argv = unbuffered ? rest.slice(1) : rest;
  // Other options, and scripts from standard input, are not for us.
  if (argv[0] === undefined || argv[0] === "" || argv[0].startsWith("-")) return null;
  return { program, argv, env: set, redirections, unbuffered, replacesShell };
}

function redirectionOf(
  { fd, how }: Extract<Token, { kind: "redirection" }>,
  target: string,
): Redirection | null {
  if (fd > 2 || target === "") return null;
  if (how !== ">&") return { fd, kind: how, path: target };
  return /^[0-2]$/.test(target) ? { fd, kind: "&", other: Number(target) } : null;
}

/** What stands for itself outside of quotes. */
const plain = /[\w@%+=:,./^-]/;

function tokensOf(command: string, env: Readonly<Record<string, string>>): Token[] | null {
  const tokens: Token[] = [];
  let word: string | null = null;
  // Quoting keeps `NAME=value` from being an assignment, and a number from naming a descriptor.
  let quoted = false;
  const end = () => {
    if (word !== null) tokens.push({ kind: "word", text: word, quoted });
    word = null;
    quoted = false;
  };
  for (let i = 0; i < command.length;) {
    const c = command[i]!;
    if (c === " " || c === "\t") {
      end();
      i++;
    } else if (c === "'") {
      const close = command.indexOf("'", i + 1);
      if (close < 0) return null;
      word = (word ?? "") + command.slice(i + 1, close);
      quoted = true;
      i = close + 1;
    } else if (c === '"') {
      const inside = doubleQuoted(command, i + 1, env);
      if (inside === null) return null;
      word = (word ?? "") + inside.text;
      quoted = true;
      i = inside.next;
    } else if (c === "\\") {
      const next = command[i + 1];
      if (next === undefined || next === "\n") return null;
      word = (word ?? "") + next;
      quoted = true;
      i += 2;
    } else if (c === "$") {
      const variable = variableAt(command, i, env);
      // Splitting and patterns would make several words of it, or none.
      if (variable === null || !/^[\w@%+=:,./-]+$/.test(variable.text)) return null;
      word = (word ?? "") + variable.text;
      i = variable.next;
    } else if (c === "<" || c === ">") {
      const [operator] = /^(>>|>&|[<>])/.exec(command.slice(i))!;
      if (/^[&<>|]/.test(command.slice(i + operator.length))) return null;
      const descriptor: string | null = word;
      const numbered = descriptor !== null && !quoted && /^\d$/.test(descriptor);
      const fd = numbered ? Number(descriptor) : operator === "<" ? 0 : 1;
      if (numbered) word = null;
      else end();
      tokens.push({ kind: "redirection", fd, how: operator as "<" | ">" | ">>" | ">&" });
      i += operator.length;
    } else if (plain.test(c)) {
      word = (word ?? "") + c;
      i++;
    } else {
      return null; // |, &, ;, parentheses, patterns, comments, line ends, ~, ` and all else
    }
  }
  end();
  return tokens;
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
