import assert from "node:assert/strict";
import { Category } from "../../core/allocation/category.ts";
import { analysisAllocations, sizingOf } from "../../core/allocation/sizing.ts";
import { monitorModeIn, monitorVariable } from "../../core/monitor/mode.ts";

const chance = () => 0;

Deno.test("modes that learn hold tasks to what they were given, unless something else is said", () => {
  assert.deepEqual(sizingOf(), {
    mode: "adaptive",
    monitor: "watchdog",
    monitorForeign: false,
  });
  assert.deepEqual(sizingOf("fixed"), {
    mode: "fixed",
    monitor: "measure",
    monitorForeign: false,
  });
  assert.deepEqual(sizingOf("max-seen", "off"), {
    mode: "max-seen",
    monitor: "off",
    monitorForeign: false,
  });
  assert.ok(sizingOf("adaptive", "measure").monitorForeign, "asked for");
});

Deno.test("what an analysis declares is the ceiling of its categories; fixed, it is given", () => {
  const of = (mode: Parameters<typeof sizingOf>[0], declared = {}) =>
    [...analysisAllocations({ resources: declared, sizing: sizingOf(mode) }, chance)].map((
      [name, { mode, max }],
    ) => [
      name,
      mode,
      max,
    ]);
  assert.deepEqual(of("adaptive", { memoryMb: 400 }), [
    ["default", "adaptive", { memoryMb: 400 }],
    ["processing", "adaptive", { memoryMb: 400 }],
  ]);
  assert.deepEqual(of("fixed"), [
    ["default", "fixed", { cores: 1 }],
    ["processing", "fixed", { cores: 1 }],
  ]);
  assert.deepEqual(of("max-throughput"), [
    ["default", "max-seen", {}],
    ["processing", "max-throughput", {}],
  ], "only processing has so many tasks alike that the search pays");
});

Deno.test("a worker is told the mode by a variable; what it does not know is off", () => {
  assert.equal(monitorModeIn([monitorVariable("off"), monitorVariable("measure")]), "measure");
  assert.equal(monitorModeIn(["A=watchdog", "WQX_MONITOR=all"]), "off");
  assert.equal(monitorModeIn([]), "off");
});

Deno.test("chunks that grow towards a target are given that much from the start", () => {
  const dynamicChunkSize = { memoryMb: 500, wallMs: null, model: "robust" } as const;
  const spec = { resources: { memoryMb: 400 }, sizing: sizingOf(), dynamicChunkSize };
  const settings = analysisAllocations(spec, chance).get("processing")!;
  const asking = { declared: {}, outgrown: [], largest: null };
  const floorOf = (max: object) => {
    const allocation = new Category("processing", { ...settings, max }).allocate(asking);
    return allocation.kind === "wish" ? allocation.wish.floor : null;
  };
  assert.deepEqual(floorOf({}), { memoryMb: 500 });
  assert.deepEqual(floorOf({ memoryMb: 400 }), { memoryMb: 400 }, "but no more than is declared");
});
