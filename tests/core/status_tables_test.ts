/** The tables of `work_queue_status`: their arithmetic, and foremen below their managers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseJxValue } from "../../core/jx/parse.ts";
import { isJxObject, type JxObject } from "../../core/jx/value.ts";
import { tableText } from "../../core/status/table_layout.ts";
import { managerTree, type TableName, tables, tableWidth } from "../../core/status/tables.ts";

function record(text: string): JxObject {
  const value = parseJxValue(text);
  assert.ok(isJxObject(value));
  return value;
}

function lines(name: TableName, text: string, width: number): string[] {
  return tableText(tables[name].columns, [record(text)], width).split("\n").slice(0, -1);
}

Deno.test("what a record does not say is ???, what is no string is JX, GB are cut", () => {
  assert.deepEqual(
    lines("resources", `{"project":"demo","memory_total":1000,"gpus_total":[1]}`, 80),
    [
      "MANAGER                      CORES  INUSE  MEM(GB)    INUSE      GPUS     INUSE ",
      "demo                           ???    ???        1        0       [1]       ??? ",
    ],
  );
});

Deno.test("words are cut at their end, numbers at their start", () => {
  const [head, row] = lines("statistics", `{"project":"${"p".repeat(40)}","port":1234567}`, 79);
  assert.equal(head?.slice(0, 20), "PROJECT            H");
  assert.equal(row?.slice(0, 19), `${"p".repeat(18)} `);
  assert.match(row!, / 34567 /);
});

Deno.test("the last columns go where the window is narrow, gpus already at 80", () => {
  const title = (name: TableName, width: number) =>
    lines(name, "{}", width)[0]!.trim().split(/\s+/);
  assert.equal(title("tasks", 80).at(-1), "DISK");
  assert.equal(title("tasks", 92).at(-1), "GPUS");
  assert.equal(title("workers", 80).at(-1), "DISK_A");
  assert.deepEqual(title("statistics", 10), ["PROJECT"]);
});

Deno.test("no line of a table with growing columns is wider than the window or its sum", () => {
  fc.assert(fc.property(
    fc.constantFrom(...Object.keys(tables) as TableName[]),
    fc.integer({ min: 10, max: 400 }),
    (name, width) => {
      const least = tables[name].columns.reduce((sum, column) => sum + column.width + 1, 0);
      for (const line of lines(name, "{}", width)) {
        assert.ok(line.length <= Math.max(width, least), `${line.length} at ${width}`);
      }
    },
  ));
});

Deno.test("control characters of strangers do not reach the terminal", () => {
  const [, row] = lines("tasks", '{"taskid":1,"command":"a\\u001b[2Jb"}', 80);
  assert.ok(!row!.includes("\x1b"));
});

Deno.test("COLUMNS wins over the window; too little counts as 80", () => {
  assert.equal(tableWidth("100", 60), 100);
  assert.equal(tableWidth("9", 60), 80);
  assert.equal(tableWidth("wide", 60), 80);
  assert.equal(tableWidth(undefined, 60), 60);
  assert.equal(tableWidth(undefined, 5), 80);
  assert.equal(tableWidth(undefined, null), 80);
});

const manager = (project: string, port: number, serves?: string) =>
  record(
    `{"project":"${project}","name":"head","address":"192.0.2.1","port":${port}` +
      `${serves === undefined ? "" : `,"my_manager":"${serves}"`}}`,
  );

function projects(records: readonly JxObject[], pattern: RegExp | null = null): unknown[] {
  return managerTree(records, pattern).map((one) => one.get("project"));
}

Deno.test("foremen stand below the manager that they serve, theirs below them", () => {
  const records = [
    manager("c", 3, "192.0.2.1:2"),
    manager("a", 1),
    manager("b", 2, "192.0.2.1:1"),
    manager("other", 9, "127.0.0.1:-1"),
    manager("lost", 5, "192.0.2.99:1"),
  ];
  assert.deepEqual(projects(records), ["a", ">b", "->c", "other"]);
  assert.deepEqual(projects(records, /^other$/), ["other"]);
});

Deno.test("a foreman that serves itself does not go on for ever", () => {
  const circle = manager("b", 2, "192.0.2.1:2");
  assert.deepEqual(projects([manager("a", 1), manager("c", 2, "192.0.2.1:1"), circle]), [
    ...["a", ">c", "->b"],
  ]);
});
