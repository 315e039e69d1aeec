/**
 * Answers as text in pieces, so that a shell can send a long one as fast as its reader takes it,
 * with other work in between. No length is told and nothing follows: the reader reads until the
 * connection is closed.
 */
import { explain, stallOf } from "./explain_source.ts";
import { parseStatusRequest, type StatusMessage, type StatusQuestion } from "./request.ts";
import { snapshotOf, type StatusSource, taskRows, workerRows } from "./snapshot.ts";
import {
  wireCategories,
  wireExplanation,
  type WireObject,
  wireQueue,
  wireTask,
  wireWorker,
} from "./wire.ts";

/** A piece is sent once it has so many characters; it takes well under a millisecond to make. */
const pieceChars = 64 * 1024;

const httpHead = "HTTP/1.1 200 OK\nConnection: close\n";
const htmlHead = `${httpHead}Content-type: text/html\n\n`;
const jsonHead = `${httpHead}Access-Control-Allow-Origin: *\nContent-type: text/plain\n\n`;

const index = `<!DOCTYPE html>
<title>Work Queue manager</title>
<h1>Work Queue manager</h1>
<ul>
<li><a href="/queue_status">Queue</a>
<li><a href="/task_status">Tasks</a>
<li><a href="/worker_status">Workers</a>
<li><a href="/wable_status">Categories</a>
<li><a href="/explain">What holds it up</a>
</ul>
`;

/**
 * The answer to one question, or `null` where the connection is to be closed without one. Rows of
 * tasks and workers are read when their piece is asked for, all else at the first piece.
 */
export function statusAnswer(
  message: StatusMessage,
  source: StatusSource,
): Generator<string, void> | null {
  const request = parseStatusRequest(message);
  if (request === null) return null;
  if (request.form === "bare") return arrayOf(objects(request.question, source));
  if (request.form === "explanation") {
    const answer = wireExplanation(explain(request.subject, source));
    return arrayOf([answer], request.http ? jsonHead : "");
  }
  switch (request.page) {
    case null:
      return only(jsonHead);
    case "index":
      return only(htmlHead + index);
    default:
      return arrayOf(objects(request.page, source), jsonHead);
  }
}

function* only(text: string): Generator<string, void> {
  yield text;
}

function* objects(question: StatusQuestion, source: StatusSource): Generator<WireObject, void> {
  switch (question) {
    case "queue":
      yield { ...wireQueue(snapshotOf(source)), ...stallOf(source) };
      return;
    case "categories":
      yield* wireCategories(snapshotOf(source));
      return;
    case "tasks":
      for (const row of taskRows(source)) yield wireTask(row, source.at);
      return;
    case "workers":
      for (const row of workerRows(source)) yield wireWorker(row, source.at);
      return;
  }
}

function* arrayOf(objects: Iterable<WireObject>, head = ""): Generator<string, void> {
  let piece = `${head}[`;
  let first = true;
  for (const object of objects) {
    piece += (first ? "" : ",") + JSON.stringify(object);
    first = false;
    if (piece.length < pieceChars) continue;
    yield piece;
    piece = "";
  }
  yield `${piece}]`;
}
