/** The live screen: what it shows of a state, and how keys change it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { fromJson } from "../../core/jx/json.ts";
import { isJxObject, type JxObject } from "../../core/jx/value.ts";
import { textWidth } from "../../core/status/line.ts";
import {
  explained,
  type Key,
  type LiveData,
  type LiveModel,
  newModel,
  press,
  rowsOf,
  withData,
} from "../../core/status/live.ts";
import { screenOf } from "../../core/status/live_screen.ts";
import { matchesGolden } from "../support/golden.ts";

const epochMs = Date.UTC(2026, 10, 22, 9, 30, 5);
const startS = epochMs / 1000 - 3725;

function record(fields: Readonly<Record<string, unknown>>): JxObject {
  const value = fromJson(fields);
  assert.ok(isJxObject(value));
  return value;
}

const demo = record({
  type: "wq_master",
  project: "dimuon",
  name: "head.example.org",
  address: "192.0.2.1",
  port: 9123,
  owner: "alice",
  starttime: startS,
  lastheardfrom: epochMs / 1000 - 12,
  tasks_waiting: 120,
  tasks_running: 4,
  tasks_on_workers: 4,
  tasks_done: 1_234_567,
  tasks_failed: 3,
  workers: 2,
  workers_idle: 1,
  cores_inuse: 4,
  cores_total: 12,
  memory_inuse: 2000,
  memory_total: 24_000,
  disk_inuse: 4000,
  disk_total: 64_000,
});
const other = record({
  type: "wq_master",
  project: "分析",
  name: "工作站",
  port: 9124,
  tasks_waiting: 0,
  workers: 0,
});
const factory = record({
  type: "wq_factory",
  factory_name: "night",
  name: "head.example.org",
  project_regex: "dimuon",
  workers_submitted: 10,
  workers_needed: 40,
  max_workers: 10,
  managers: [{ project: "dimuon", port: 9123 }],
});
const category = (name: string, waiting: number, running: number) =>
  record({
    category: name,
    tasks_waiting: waiting,
    tasks_running: running,
    tasks_done: 7,
    tasks_failed: 0,
    first_allocation: { cores: 1, memory: 1536, disk: -1, gpus: -1 },
    max_seen: { cores: 0.93, memory: 1212, disk: 10, gpus: -1 },
    wqx_chunksize: 65_536,
    wqx_events_per_second: 231_456.7,
    workers_able: 2,
  });
const worker = (id: string, host: string, used: number) =>
  record({
    wqx_worker: id,
    hostname: host,
    address_port: `192.0.2.${id.slice(1)}:4000`,
    cores_inuse: used,
    cores_total: 8,
    memory_inuse: used * 500,
    memory_total: 16_000,
    disk_inuse: 0,
    disk_total: 32_000,
    gpus_inuse: 0,
    gpus_total: 0,
    total_tasks_running: used,
    total_tasks_complete: 99,
    start_time: (startS + 60) * 1e6,
    current_time: epochMs * 1000,
  });
const task = (id: number, at: string | null) =>
  record({
    taskid: id,
    state: at === null ? "WAITING" : "RUNNING",
    category: id % 2 === 0 ? "processing" : "merging",
    command: `exec ./wqx task \x1b[2J--chunk ${id}`,
    cores: 1,
    memory: at === null ? -1 : 1536,
    disk: -1,
    ...(at === null ? {} : {
      host: "node7",
      address_port: at,
      time_when_commit_start: (epochMs - 65_000) * 1000,
      current_time: epochMs * 1000,
    }),
  });

const data: LiveData = {
  source: "catalog localhost:9097",
  epochMs,
  managers: [demo, other],
  factories: [factory],
  trouble: null,
  inside: null,
};
const inside: LiveData["inside"] = {
  key: "dimuon|192.0.2.1|head.example.org|9123",
  categories: [
    category("whole queue", 120, 4),
    category("processing", 60, 3),
    category("merging", 60, 1),
  ],
  workers: [worker("w1", "node7", 4), worker("w2", "node8.cluster.example.org", 0)],
  tasks: Array.from({ length: 40 }, (_, i) => task(i + 1, i % 10 === 3 ? "192.0.2.1:4000" : null)),
  trouble: null,
};

const named = new Set(["enter", "escape", "up", "down", "tab", "backtab", "end", "home", "left"]);

function key(word: string): Key {
  return named.has(word) ? { name: word, text: "" } : { name: word, text: word };
}

/** The state after some keys, with all data there. */
function after(...words: string[]): LiveModel {
  const opened = (model: LiveModel) =>
    model.opened === inside!.key ? withData(model, { ...data, inside }) : model;
  return words.reduce((model, word) => opened(press(model, key(word), 10)), newModel(data, false));
}

function text(model: LiveModel, columns: number, rows: number, unicode = true): string {
  const lines = screenOf(model, { columns, rows }, { unicode });
  assert.equal(lines.length, rows);
  return lines.map((line) => line.map((span) => span.text).join("").trimEnd() + "\n").join("");
}

const waitsFor = "Task 1 (merging) waits: it needs 64 cores, and no worker is that large: the " +
  "nearest, node7 (w1), has 8 cores, 15.6 GB memory and 31.3 GB disk.";

const screens: Readonly<Record<string, () => string>> = {
  "managers-80": () => text(after(), 80, 24),
  "managers-ascii": () => text(after("down"), 80, 12, false),
  "factories-100": () => text(after("tab"), 100, 12),
  "categories-80": () => text(after("enter"), 80, 24),
  "workers-120": () => text(after("enter", "tab", "down"), 120, 24),
  "tasks-80": () => text(after("enter", "tab", "tab", "end"), 80, 24),
  "tasks-of-worker-80": () => text(after("enter", "tab", "enter"), 80, 16),
  "all-200": () => text(after("enter", "tab", "tab", "s"), 200, 60),
  "filter-80": () => text(after("enter", "tab", "tab", "/", "3", "7"), 80, 14),
  "filter-none-80": () => text(after("/", "z", "z", "enter"), 80, 12),
  "explained-80": () => {
    const asked = after("enter", "tab", "tab", "e");
    return text(explained(asked, asked.explaining!.subject, waitsFor), 80, 16);
  },
  "trouble-80": () => {
    const trouble = "failed to query catalog server: no catalog answers (localhost:9097: refused)";
    const gone = { ...inside!, trouble: "couldn't connect to 192.0.2.1 port 9123: refused" };
    return text(withData(after("enter"), { ...data, trouble, inside: gone }), 80, 14);
  },
  "gone-80": () => text(withData(after("enter"), { ...data, managers: [other] }), 80, 12),
  "stalled-80": () => {
    const still = new Map([...demo, ["wqx_stall", `Nothing has moved for 3:00. ${waitsFor}`]]);
    return text(withData(after("enter"), { ...data, managers: [still] }), 80, 14);
  },
  "small": () => text(after(), 30, 8),
};

for (const [name, draw] of Object.entries(screens)) {
  Deno.test(`the live screen is as it was looked at: ${name}`, async () => {
    await matchesGolden(`status/live-${name}.txt`, draw());
  });
}

Deno.test("no line is wider than the window, whatever is pressed, and control characters stay out", () => {
  const words = [...named, "s", "r", "/", "e", "j", "k", "q", "x", "分"];
  fc.assert(fc.property(
    fc.array(fc.constantFrom(...words), { maxLength: 20 }),
    fc.integer({ min: 1, max: 220 }),
    fc.integer({ min: 1, max: 70 }),
    fc.boolean(),
    (pressed, columns, rows, unicode) => {
      const lines = screenOf(after(...pressed), { columns, rows }, { unicode });
      assert.equal(lines.length, rows);
      for (const line of lines) {
        const whole = line.map((span) => span.text).join("");
        assert.ok(columns < 10 || textWidth(whole) <= columns, `${whole.length}: ${whole}`);
        assert.doesNotMatch(whole, /\p{Cc}/u);
        if (!unicode) assert.match(whole, /^[ -~]*$/);
      }
    },
  ));
});

Deno.test("what is selected stays selected when rows come and go", () => {
  const model = after("enter", "tab", "tab", "down", "down");
  const selected = model.states.tasks.selected;
  const fewer = { ...inside!, tasks: inside!.tasks.slice(2) };
  const later = withData(model, { ...data, inside: fewer });
  assert.equal(later.states.tasks.selected, selected);
  const shown = screenOf(later, { columns: 80, rows: 24 }, { unicode: true })
    .find((line) => line.some((span) => span.style === "inverse" && span.text.startsWith(">")));
  assert.match(shown![0]!.text, new RegExp(`^> +${selected} `));
});

Deno.test("s goes through the columns, largest numbers and first letters first, and back", () => {
  const managers = (model: LiveModel) => rowsOf(model, "managers").map((one) => one.get("port"));
  assert.deepEqual(managers(after("s")), [9123n, 9124n], "by project");
  assert.deepEqual(managers(after("s", "r")), [9124n, 9123n], "the other way round");
  const byWaiting = after("s", "s", "s", "s");
  assert.equal(byWaiting.states.managers.sortedBy, 3);
  assert.deepEqual(managers(byWaiting), [9123n, 9124n]);
  const around = after(...Array.from({ length: 12 }, () => "s"));
  assert.equal(around.states.managers.sortedBy, null);
});

Deno.test("Esc leaves the filter, then the row that was opened, then the manager", () => {
  const deep = after("enter", "down", "enter", "/", "3", "enter");
  assert.deepEqual([deep.pane, deep.within?.value, deep.states.tasks.filter], [
    ...["tasks", "processing", "3"],
  ]);
  const unfiltered = press(deep, key("escape"), 1);
  assert.equal(unfiltered.states.tasks.filter, "");
  const categories = press(unfiltered, key("escape"), 1);
  assert.deepEqual([categories.pane, categories.within], ["categories", null]);
  const managers = press(categories, key("escape"), 1);
  assert.deepEqual([managers.pane, managers.opened], ["managers", null]);
  assert.equal(press(managers, key("escape"), 1), managers);
});

Deno.test("e asks about the selected task or worker, elsewhere about the whole queue", () => {
  const subject = (...words: string[]) => after(...words).explaining?.subject;
  assert.deepEqual(subject("enter", "tab", "down", "e"), { kind: "worker", name: "w2" });
  assert.deepEqual(subject("enter", "tab", "tab", "end", "e"), { kind: "task", name: "40" });
  assert.deepEqual(subject("enter", "e"), { kind: "queue" });
  assert.equal(subject("e"), undefined, "no manager is opened");
});

Deno.test("an answer to an earlier question is dropped", () => {
  const first = after("enter", "e");
  const second = press(press(first, key("escape"), 1), key("e"), 1);
  const told = explained(second, first.explaining!.subject, "old");
  assert.equal(told.explaining?.text, null);
  assert.equal(explained(second, second.explaining!.subject, "new").explaining?.text, "new");
});

Deno.test("a single manager is opened at once, and nothing is above it", () => {
  const model = newModel({ ...data, managers: [demo] }, true);
  assert.deepEqual([model.opened, model.pane], [inside!.key, "categories"]);
  assert.equal(press(model, key("escape"), 1).opened, inside!.key);
  const later = withData(newModel({ ...data, managers: [] }, true), { ...data, managers: [demo] });
  assert.equal(later.opened, inside!.key);
});

Deno.test("q and Ctrl-C end it, but a q that is typed into the filter does not", () => {
  assert.equal(after("q").quit, true);
  assert.equal(press(after("/"), { name: "interrupt", text: "" }, 1).quit, true);
  const typing = after("/", "q");
  assert.deepEqual([typing.quit, typing.states.managers.filter], [false, "q"]);
});
