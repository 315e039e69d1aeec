/** A real Grid Engine: jobs of the batch system, then a factory that keeps workers on it. */
import type { JobId } from "../../factory/batch/batch_system.ts";
import { needs } from "../support/skip.ts";
import type { Engine } from "./engine.ts";
import { factoryWorksOn } from "./factory_on.ts";
import { gridEngineSlots, noGridEngine, startGridEngine } from "./gridengine.ts";
import { type EngineCase, holdsOn } from "./on_engine.ts";

const gridEngine: EngineCase = {
  name: "sge",
  queued: (engine) => engine.run("qstat", "-u", "*"),
  async asked(engine: Engine, id: JobId) {
    const text = await engine.run("qstat", "-j", id);
    return {
      cores: Number(/^parallel environment:\s+smp range: (\d+)$/m.exec(text)?.[1]),
      memoryMb: Number(/^hard resource_list:.*\bmem_free=(\d+)M/m.exec(text)?.[1]),
    };
  },
  kill: (engine, id) => engine.run("qdel", id),
  coresAll: gridEngineSlots,
};

Deno.test({
  ...needs(
    noGridEngine === null,
    noGridEngine ?? "",
    "a real Grid Engine runs, shows and removes our jobs",
  ),
  fn: async () => {
    await using engine = await startGridEngine();
    await holdsOn(engine, gridEngine);
  },
});

Deno.test({
  ...needs(
    noGridEngine === null,
    noGridEngine ?? "",
    "a factory keeps workers on a real Grid Engine",
  ),
  fn: async () => {
    await using engine = await startGridEngine();
    await factoryWorksOn(engine, {
      name: "sge",
      jobs: async ({ run }) => (await run("qstat", "-u", "*")).match(/^ *\d+/gm) ?? [],
      kill: ({ run }, id) => run("qdel", id.trim()),
    });
  },
});
