import assert from "node:assert/strict";
import { managerNeed, needOf } from "../../core/factory/need.ts";
import { type FactorySettings, settingsDefault } from "../../core/factory/settings.ts";
import type { JxValue } from "../../core/jx/value.ts";
import { jxRecord, managerRecord, settings } from "../support/factory.ts";

type Fields = Readonly<Record<string, JxValue>>;

/** What the case is about, the manager's record, the settings, the need. */
const cases: readonly (readonly [string, Fields, Partial<FactorySettings>, number])[] = [
  ["an empty record needs nobody", {}, {}, 0],
  ["a worker a task", { tasks_waiting: 7 }, {}, 7],
  [
    "tasks yet to come and running count",
    {
      tasks_waiting: 7,
      tasks_left: 2,
      tasks_on_workers: 3,
    },
    {},
    12,
  ],
  [
    "running is what is on workers, not what executes",
    {
      tasks_running: 3,
      tasks_on_workers: 5,
    },
    {},
    5,
  ],
  ["tasks per worker, rounded up", { tasks_waiting: 9, tasks_on_workers: 4 }, {
    tasksPerWorker: 4,
  }, 4], // ceil(13 / 4)
  [
    "tasks per worker from its cores",
    { tasks_waiting: 9 },
    { tasksPerWorker: "cores", cores: 8 },
    2,
  ],
  [
    "tasks per worker of unknown cores is one",
    { tasks_waiting: 9 },
    { tasksPerWorker: "cores" },
    9,
  ],
  ["cores alone divide nothing", { tasks_waiting: 9 }, { cores: 8 }, 9],
  ["cores of tasks raise the need", { tasks_waiting: 2, tasks_total_cores: 17 }, { cores: 4 }, 5],
  ["memory of tasks raises the need", { tasks_waiting: 2, tasks_total_memory: 9001 }, {
    memoryMb: 3000,
  }, 4],
  ["disk of tasks raises the need", { tasks_waiting: 2, tasks_total_disk: 9000 }, {
    diskMb: 3000,
  }, 3],
  ["gpus of tasks raise the need", { tasks_waiting: 2, tasks_total_gpus: 7 }, { gpus: 2 }, 4],
  ["resources never lower it", { tasks_waiting: 20, tasks_total_cores: 4 }, { cores: 4 }, 20],
  ["no gpus in a worker divide by nothing", { tasks_waiting: 2, tasks_total_gpus: 7 }, {
    gpus: 0,
  }, 2],
  ["without a size totals are not looked at", { tasks_waiting: 2, tasks_total_cores: 99 }, {}, 2],
  ["cores of tasks may be a double", { tasks_total_cores: 8.5 }, { cores: 4 }, 3],
  ["without -c capacity does not count", { tasks_waiting: 50, capacity_weighted: 3 }, {}, 50],
  ["with -c it does", { tasks_waiting: 50, capacity_weighted: 12, capacity_tasks: 99 }, {
    capacity: true,
  }, 12],
  ["unknown capacity limits nothing", { tasks_waiting: 50 }, { capacity: true }, 50],
  ["capacity in workers, divided once", { tasks_waiting: 50, capacity_weighted: 40 }, {
    capacity: true,
    tasksPerWorker: 4,
  }, 10], // min(ceil(50 / 4), ceil(40 / 4))
  ["capacity by memory", { tasks_waiting: 50, capacity_weighted: 40, capacity_memory: 9000 }, {
    capacity: true,
    memoryMb: 1000,
  }, 9],
  ["a capacity of 0 is unknown", { tasks_waiting: 50, capacity_weighted: 40, capacity_disk: 0 }, {
    capacity: true,
    diskMb: 1000,
  }, 40],
  [
    "text and negative numbers count for nothing",
    {
      tasks_waiting: "7",
      tasks_left: -5,
      tasks_on_workers: 1,
    },
    {},
    1,
  ],
];

Deno.test("the need of a manager follows work_queue_factory's formula", async (t) => {
  for (const [name, fields, changed, expected] of cases) {
    await t.step(name, () => {
      assert.equal(managerNeed(managerRecord(fields), settings(changed), true), expected);
    });
  }
});

Deno.test("the need of several managers is the sum, and all their workers are connected", () => {
  const managers = [
    managerRecord({ tasks_waiting: 5, tasks_on_workers: 2, workers: 3 }),
    managerRecord({ port: 9124, tasks_waiting: 1, tasks_left: 1, workers: 1 }),
  ];
  assert.deepEqual(needOf({ managers, foremen: null }, settingsDefault), {
    workers: 9,
    connected: 4,
    tasksWaiting: 7,
    tasksRunning: 2,
  });
});

Deno.test("with foremen, tasks on workers count there and not at the managers", () => {
  const managers = [managerRecord({ tasks_waiting: 5, tasks_on_workers: 20, workers: 2 })];
  const foremen = [
    jxRecord({ tasks_waiting: 1, tasks_on_workers: 10, workers: 6 }),
    jxRecord({ tasks_waiting: 0, tasks_on_workers: 9, workers: 5 }),
  ];
  const { workers, connected } = needOf({ managers, foremen }, settingsDefault);
  assert.equal(workers, 5 + 11 + 9);
  assert.equal(connected, 2 + (6 + 5 - 2));
  const none = needOf({ managers, foremen: [jxRecord({ workers: 0 })] }, settingsDefault);
  assert.equal(none.connected, 2, "a foreman without workers takes none away");
});
