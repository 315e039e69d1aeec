/** What can be asked of a manager on its port, by the line that asks it. */

/** Known to every manager of Work Queue. */
export type ManagerQuestion =
  | "queue_status"
  | "task_status"
  | "worker_status"
  | "wable_status"
  | "resources_status";

/** What an explanation is about: the whole queue, or what a word names. */
export type Subject =
  | { readonly kind: "queue" }
  | { readonly kind: "task" | "worker" | "any"; readonly name: string };

const keyword = "wqx_explain";

/** The line that asks a manager of wqx for it; others drop the connection. */
export type ExplainQuestion = `wqx_explain${string}`;

export function explainQuestion(subject: Subject): ExplainQuestion {
  switch (subject.kind) {
    case "queue":
      return keyword;
    case "any":
      return `${keyword} ${encodeURIComponent(subject.name)}`;
    default:
      return `${keyword} ${subject.kind} ${encodeURIComponent(subject.name)}`;
  }
}

/** `null` for any other line. */
export function parseExplainQuestion(line: string): Subject | null {
  const [first, ...words] = line.split(" ");
  return first === keyword ? subjectOf(words) : null;
}

/** `/explain`, `/explain/task/41`, `/explain/worker/w3`; `null` for any other path. */
export function parseExplainPath(path: string): Subject | null {
  const [first, second, ...words] = path.split("/");
  return first === "" && second === "explain" ? subjectOf(words) : null;
}

function subjectOf(words: readonly string[]): Subject | null {
  const [first, second] = words;
  if (first === undefined || (first === "" && words.length === 1)) return { kind: "queue" };
  if (second === undefined) return { kind: "any", name: decoded(first) };
  if ((first !== "task" && first !== "worker") || words.length > 2) return null;
  return { kind: first, name: decoded(second) };
}

/** A `%` that begins no escape stands for itself. */
function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
