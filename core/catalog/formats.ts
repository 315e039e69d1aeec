/** Answers of a catalog in the forms that its readers know. */
import { printJx } from "../jx/print.ts";
import type { JxObject, JxValue } from "../jx/value.ts";
import { control } from "./record.ts";
import type { Entry } from "./table.ts";

export type Format = "json" | "text" | "newclassads";

const encoder = new TextEncoder();
const opening = encoder.encode("[\n");
const between = encoder.encode(",\n");
const closing = encoder.encode("\n]\n");

/** The body of an answer, UTF-8. */
export function answerBody(format: Format, entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  switch (format) {
    case "json":
      return jsonBody(entries);
    case "text":
      return encoder.encode(entries.map(({ record }) => textRecord(record)).join(""));
    case "newclassads":
      return encoder.encode(entries.map(({ record }) => classAd(record)).join(""));
  }
}

/** What is printed already is copied into place: 10,000 records take a few milliseconds. */
function jsonBody(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const separators = Math.max(0, entries.length - 1) * between.length;
  const bytes = entries.reduce((sum, { printed }) => sum + printed.length, separators);
  const body = new Uint8Array(opening.length + bytes + closing.length);
  body.set(opening);
  let at = opening.length;
  for (let i = 0; i < entries.length; i++) {
    if (i > 0) {
      body.set(between, at);
      at += between.length;
    }
    const { printed } = entries[i]!;
    body.set(printed, at);
    at += printed.length;
  }
  body.set(closing, at);
  return body;
}

function textRecord(record: JxObject): string {
  let text = "";
  for (const [name, value] of record) text += `${name} ${plain(value)}\n`;
  return `${text}\n`;
}

/** Strings without quotes; their line ends stay escaped, or they would pass for fields. */
function plain(value: JxValue): string {
  return typeof value === "string" && !control.test(value) ? value : printJx(value);
}

function classAd(record: JxObject): string {
  let text = "[\n";
  for (const [name, value] of record) text += `${name}=${printJx(value)};\n`;
  return `${text}]\n`;
}
