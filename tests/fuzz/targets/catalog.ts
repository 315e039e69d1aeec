/** The catalog: updates, targets of requests, its history; what a manager is asked, and addresses. */
import assert from "node:assert/strict";
import { deflateSync, inflateSync } from "node:zlib";
import { parseCatalogs, parseManagers, showAddress } from "../../../core/addresses.ts";
import { apply, HistoryReader, lineOf, parseCheckpoint } from "../../../core/catalog/history.ts";
import { checkpointPieces, type HistoryState } from "../../../core/catalog/history.ts";
import { readUpdate } from "../../../core/catalog/record.ts";
import { managersAmong, projectPattern } from "../../../core/catalog/selection.ts";
import { decodeFilter, questionOf } from "../../../core/catalog/target.ts";
import { factoryRow, kindOf, managerDetail, serviceRow } from "../../../core/catalog/views.ts";
import { UsageError } from "../../../core/errors.ts";
import { peersAmong } from "../../../core/factory/peers.ts";
import { JxSyntaxError, parseJx, parseJxValue } from "../../../core/jx/parse.ts";
import { printJx } from "../../../core/jx/print.ts";
import { isJxObject } from "../../../core/jx/value.ts";
import { parseJoinToken, showJoinToken } from "../../../core/pin.ts";
import { posixRegex } from "../../../core/posix_regex.ts";
import { parseExplainPath, parseExplainQuestion } from "../../../core/status/questions.ts";
import { parseCount, parsePorts, parseSizeMb, parseTimeMs } from "../../../core/units.ts";
import { assertSame, orRefused, type Target, textOf } from "../target.ts";

const words = [
  ...'"type" "wq_master" "wq_factory" "port" "project" "uuid" "name" "address" "lastheardfrom"'
    .split(" "),
  ...'"total" "avail" "workers" "categories" "lifetime" "master_preferred_connection" by_ip'.split(
    " ",
  ),
  ..."T t C M U R D 1700000000 {} [] true null 1e999 -1 9223372036854775807 \\u0000 \0".split(" "),
];

const golden = new URL("../../golden/status/", import.meta.url);
const records = ["queue.json", "wable.json", "worker.json", "task.json"].map((name) => {
  const value: unknown = JSON.parse(Deno.readTextFileSync(new URL(name, golden)));
  return JSON.stringify(Array.isArray(value) ? value[0] : value);
});

const everything = projectPattern(".*");

function checkUpdate(text: string): void {
  const source = { address: "10.0.0.7", name: "node7" };
  const { accepted, dropped } = readUpdate(text, source, 0, { serverBytesMax: 1000n });
  if (accepted === null) return assert.notEqual(dropped, "");
  const { key, record } = accepted;
  const printed = printJx(record);
  assert.ok(!/\s/.test(key) && !printed.includes("\n"), "what stands in lines has no line ends");
  const again = parseJxValue(printed);
  assert.ok(isJxObject(again));
  assert.deepEqual([again.get("address"), again.get("name")], ["10.0.0.7", "node7"]);
  assert.equal(printJx(again), printed);
  // Whatever it says, the pages show it.
  kindOf(record);
  serviceRow(record);
  managerDetail(record);
  factoryRow(record);
  managersAmong([record], everything, undefined);
  peersAmong([record], { id: "x", managers: [record], project: "a" });
}

export const catalogTargets: readonly Target[] = [
  {
    name: "catalog-updates",
    code: ["core/catalog/", "core/jx/", "core/factory/peers.ts"],
    words,
    isJson: true,
    seeds: [
      ...records,
      "type wq_master\nport 9123\nproject a b\nworkers 3\n\0",
      '{"type":"wq_master","project":"p","port":9123,"uuid":"a","categories":[{"category":"x"}]}',
      '{"type":"wq_factory","wqx_id":"x","wqx_room":3,"wqx_running":2}',
    ],
    run: (bytes) => checkUpdate(textOf(bytes)),
  },
  {
    name: "catalog-compressed",
    code: ["core/catalog/record.ts"],
    words: [],
    seeds: [deflateSync(records[0]!), deflateSync("type x\nport 1\n")],
    mend: (bytes, rng) => rng() < 0.7 ? deflateSync(bytes) : bytes,
    run(bytes) {
      let text;
      try {
        text = inflateSync(bytes, { maxOutputLength: 64 * 1024 });
      } catch {
        return; // zlib's own errors
      }
      checkUpdate(textOf(text));
    },
  },
  {
    name: "catalog-history",
    code: ["core/catalog/history.ts"],
    words: [...words, "R a ", "U a b ", "C a {", "M a {", "D a", "\n"],
    seeds: [
      'T 1700000000\nC 10.0.0.7:9123:node {"a":1,"b":"x"}\nt 5\nU 10.0.0.7:9123:node a 2\n' +
      'M 10.0.0.7:9123:node {"c":[1]}\nR 10.0.0.7:9123:node b\nD 10.0.0.7:9123:node\n',
      "R k fieldU k a 3\n",
      '{\n"10.0.0.7:1:a":{"x":1},\n"k":{}\n}\n',
    ],
    run(bytes) {
      const text = textOf(bytes);
      const reader = new HistoryReader();
      const state: HistoryState = new Map();
      for (const line of text.split("\n")) {
        for (const event of reader.read(line)) {
          apply(state, event);
          const again = new HistoryReader().read(lineOf(event).slice(0, -1));
          // A name with a letter and a blank in it may be two events to those who read it.
          // Doubles without a fraction print as integers.
          if (event.type !== "remove") assertSame(again.map(lineOf), [lineOf(event)], "read again");
        }
      }
      const kept = parseCheckpoint(text) ?? state;
      const printed = [...checkpointPieces(kept)].join("");
      const again = parseCheckpoint(printed);
      assertSame(again && [...checkpointPieces(again)].join(""), printed, "checkpoint");
    },
  },
  {
    name: "catalog-targets",
    code: ["core/catalog/target.ts", "core/catalog/selection.ts", "core/status/questions.ts"],
    words: [
      "/query.json",
      "/query/",
      "/history/",
      "/updates/",
      "/explain",
      "task",
      "worker",
      "%",
      "==",
    ],
    seeds: [
      "/query.json",
      "/history/1700000000/query.text",
      `/query/${btoa('type=="wq_master"')}`,
      `/updates/1/2/${btoa("true")}`,
      "/explain/task/41",
      "wqx_explain worker w%203",
      "wqx_explain x",
    ],
    run(bytes) {
      const text = textOf(bytes);
      const question = questionOf(text);
      if (question !== null && question.filter !== null) {
        const filter = decodeFilter(question.filter);
        if (filter !== null) orRefused(() => parseJx(filter), JxSyntaxError);
      }
      parseExplainQuestion(text);
      parseExplainPath(text);
    },
  },
  {
    name: "addresses",
    code: ["core/addresses.ts", "core/pin.ts", "core/units.ts", "core/posix_regex.ts"],
    words: [
      "wqx:",
      "[::1]",
      ":9123",
      "a.b",
      ",",
      "9000:9100",
      "GB",
      "MB",
      "1e400",
      "min",
      "[[:alpha:]]",
      "\\{1,3\\}",
      "(a|b)*",
    ],
    seeds: [
      "host:9123",
      "[::1]:9097,a.b",
      "16GB",
      "90s",
      "9000:9100",
      "p[a-z]+(x|y)",
      "1.5 h",
      "^a.*\\$",
    ],
    lengthMax: 200,
    run(bytes) {
      const text = textOf(bytes);
      for (const parse of [parseSizeMb, parseTimeMs, parseCount]) {
        const value = orRefused(() => parse(text), UsageError);
        assert.ok(value === null || value >= 0 && Number.isFinite(value), text);
      }
      orRefused(() => parsePorts(text), UsageError);
      for (const [parse, between] of [[parseManagers, ";"], [parseCatalogs, ","]] as const) {
        const found = orRefused(() => parse(text), UsageError);
        if (found === null) continue;
        assertSame(parse(found.map(showAddress).join(between)), found, "addresses");
      }
      const token = orRefused(() => parseJoinToken(text), UsageError);
      if (token !== null) assertSame(parseJoinToken(showJoinToken(token)), token, "token");
      for (const extent of ["whole", "within"] as const) {
        orRefused(() => posixRegex(text, extent), UsageError)?.test("some project_1");
      }
      orRefused(() => projectPattern(text), UsageError)?.test("some project_1");
    },
  },
];
