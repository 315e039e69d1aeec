/** What clients of the status page ask: one line on the manager's port, or a browser's GET. */
import type { ToManager } from "../protocol/messages.ts";
import { parseExplainPath, parseExplainQuestion, type Subject } from "./questions.ts";

export type StatusQuestion = "queue" | "tasks" | "workers" | "categories";

/** A message that is no worker's; its sender wants an answer and the end of the connection. */
export type StatusMessage = Extract<ToManager, { type: "status" | "http" }>;

export type StatusRequest =
  /** Answered by the JSON alone. */
  | { readonly form: "bare"; readonly question: StatusQuestion }
  /** Answered with a head; `null` for an unknown path, which has an empty body. */
  | { readonly form: "http"; readonly page: StatusQuestion | "index" | null }
  | { readonly form: "explanation"; readonly http: boolean; readonly subject: Subject };

const lines: ReadonlyMap<string, StatusQuestion> = new Map([
  ["queue_status", "queue"],
  // The client makes its table of resources from the same record.
  ["resources_status", "queue"],
  ["task_status", "tasks"],
  ["worker_status", "workers"],
  ["wable_status", "categories"],
]);

const pages: ReadonlyMap<string, StatusQuestion | "index"> = new Map([
  ["/", "index"],
  ...[...lines].map(([line, question]) => [`/${line}`, question] as const),
  ["/queue", "queue"],
  ["/tasks", "tasks"],
  ["/workers", "workers"],
  ["/categories", "categories"],
]);

/** `null` for a line that no manager answers: the connection is closed without a byte. */
export function parseStatusRequest(message: StatusMessage): StatusRequest | null {
  const http = message.type === "http";
  const subject = http ? parseExplainPath(message.path) : parseExplainQuestion(message.request);
  if (subject !== null) return { form: "explanation", http, subject };
  if (http) return { form: "http", page: pages.get(message.path) ?? null };
  const question = lines.get(message.request);
  return question === undefined ? null : { form: "bare", question };
}
