import assert from "node:assert/strict";
import {
  bothRequirements,
  workerCommand,
  type WorkerTerms,
  workerWallTimeS,
} from "../../core/factory/worker_command.ts";
import { settings } from "../support/factory.ts";

const terms: WorkerTerms = {
  program: "./work_queue_worker",
  wrappers: [],
  manager: null,
  join: null,
  catalogs: [{ host: "127.0.0.1", port: 37011 }],
  passwordFile: null,
  tls: false,
  taskWrapper: null,
  features: [],
  wallTimeS: null,
  size: "settings",
};

Deno.test("a worker is started by the words of work_queue_factory, in its order", () => {
  assert.equal(
    workerCommand(terms, settings({ managerName: "proj", timeoutS: 20 })),
    "./work_queue_worker -M 'proj' -C '127.0.0.1:37011' -t 20",
  );
  assert.equal(
    workerCommand(
      {
        ...terms,
        wrappers: ["inner", "outer --flag"],
        passwordFile: "pwfile",
        tls: true,
        taskWrapper: "nice -n 5",
        features: ["gpu model", "b"],
        wallTimeS: 3600,
      },
      settings({
        factoryName: "facA",
        cores: 4,
        memoryMb: 500,
        diskMb: 601,
        gpus: 0,
        extraOptions: "--single-shot -d all",
      }),
    ),
    "outer --flag inner ./work_queue_worker -M 'ana.*' -C '127.0.0.1:37011' -t 300 " +
      "--from-factory 'facA' -P 'pwfile' --cores=4.000 --memory=500 --disk=601 --gpus=0 " +
      "--wall-time=3540 --ssl --task-wrapper 'nice -n 5' --single-shot -d all " +
      "--feature 'gpu model' --feature 'b'",
  );
});

Deno.test("workers of wqx are given the token in place of name and address", () => {
  const join = { hosts: ["head", "10.0.0.3"], port: 9123, pin: "47DEQpj8HBSa-_TI" };
  assert.equal(
    workerCommand(
      { ...terms, join, manager: { host: "head", port: 9123 }, passwordFile: "pwfile" },
      settings({ timeoutS: 20 }),
    ),
    "./work_queue_worker --join 'head,10.0.0.3:9123/47DEQpj8HBSa-_TI' -t 20 -P 'pwfile'",
  );
});

Deno.test("names that a shell would read otherwise are quoted", () => {
  const command = workerCommand(terms, settings({ managerName: "it's (a|b)*;$x" }));
  assert.match(command, / -M 'it'\\''s \(a\|b\)\*;\$x' /);
});

Deno.test("foremen get the workers where they are named, an address goes without a catalog", () => {
  const { foremen, address } = {
    foremen: workerCommand(terms, settings({ foremenName: "fore.*" })),
    address: workerCommand({ ...terms, manager: { host: "login1", port: 9123 } }, settings()),
  };
  assert.match(foremen, / -M 'fore\.\*' /);
  assert.equal(address, "./work_queue_worker 'login1' 9123 -t 300");
});

Deno.test("HTCondor fills in the size of the slot", () => {
  const slot = { ...terms, size: "slot" } as const;
  const size =
    "--cores=$$([TARGET.Cpus]) --memory=$$([TARGET.Memory]) --disk=$$([TARGET.Disk/1024])";
  assert.ok(workerCommand(slot, settings({ cores: 4 })).endsWith(size));
  assert.ok(
    workerCommand(slot, settings({ gpus: 1 })).endsWith(`${size} --gpus=$$([TARGET.GPUs])`),
  );
});

Deno.test("a worker ends before its job does, by a twentieth and at most a minute", () => {
  assert.deepEqual([1, 20, 100, 1200, 86_400].map(workerWallTimeS), [1, 19, 95, 1140, 86_340]);
});

Deno.test("requirements are joined so that all must hold", () => {
  assert.equal(bothRequirements(null, "a == 1"), "(a == 1)");
  assert.equal(bothRequirements("(a == 1)", "b || c"), "((a == 1) && (b || c))");
});
