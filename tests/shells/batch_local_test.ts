/** Workers as processes of this machine, whatever becomes of the factory that started them. */
import assert from "node:assert/strict";
import type { BatchSystem, JobId, WorkerJob } from "../../factory/batch/batch_system.ts";
import { failedKeptMax } from "../../factory/batch/leftovers.ts";
import { openLocal } from "../../factory/batch/local.ts";
import { listProcesses, readStat } from "../../io/procfs.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();

const job = (command: string): WorkerJob => ({
  command,
  inputs: [],
  env: { NAME: "me" },
  request: { cores: 2, memoryMb: null, diskMb: null, gpus: null, wallTimeS: null },
  name: "wqx-local",
});

/** A scratch folder; what still runs of its jobs is killed at the end, so that a failure is one. */
class Place implements AsyncDisposable {
  readonly #ids: JobId[] = [];
  private constructor(readonly folder: TempFolder) {}

  static async create(): Promise<Place> {
    return new Place(await TempFolder.create("wqx-local-"));
  }

  /** As a factory that has just started would. */
  open(grace = "5"): BatchSystem {
    return openLocal({
      scratch: this.folder.path,
      batchOptions: "",
      requirements: () => null,
      hostsBlocked: () => [],
      autosize: () => false,
      extra: { "local-grace": grace },
      env: { PATH: Deno.env.get("PATH"), CORES: "64", MISSING: undefined },
      note: () => {},
    });
  }

  async submit(system: BatchSystem, command: string): Promise<JobId> {
    const id = await system.submit(job(command), signal);
    this.#ids.push(id);
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.open("0").remove(this.#ids, signal);
    await this.folder[Symbol.asyncDispose]();
  }
}

async function ended(system: BatchSystem, id: JobId) {
  return await until(async () => {
    const status = (await system.status([id], signal)).get(id)!;
    return status.phase === "ended" ? status : null;
  }, { what: `the end of ${id}` });
}

const membersOf = (id: JobId) =>
  listProcesses().filter((pid) => {
    const stat = readStat(pid);
    return stat?.group === Number(id) && stat.state !== "Z";
  });

Deno.test("a local worker runs in scratch and tells its exit code and last words", async () => {
  await using place = await Place.create();
  const system = place.open();
  const id = await place.submit(
    system,
    'echo "$NAME [$CORES]"; pwd; until [ -e go ]; do sleep 0.02; done; exit 9',
  );
  const running = (await system.status([id], signal)).get(id)!;
  assert.equal(running.phase, "running");
  assert.deepEqual(await system.find("wqx-local", signal), [id]);
  await place.folder.write("go", "");
  const { exitCode, why } = await ended(system, id);
  assert.equal(exitCode, 9);
  assert.equal(
    why,
    `its worker ended with exit code 9; it last printed: me [] / ${place.folder.path}`,
  );
  assert.deepEqual(await system.find("wqx-local", signal), []);
});

Deno.test("removing lets a worker take its leave, and it is over when it has", async () => {
  await using place = await Place.create();
  const system = place.open();
  const id = await place.submit(
    system,
    "trap 'echo bye > left; exit 0' TERM; echo > ready; while :; do sleep 0.02; done",
  );
  await until(() => Deno.stat(place.folder.join("ready")).catch(() => null), { what: "the trap" });
  await system.remove([id], signal);
  assert.deepEqual(membersOf(id), []);
  assert.equal(await Deno.readTextFile(place.folder.join("left")), "bye\n");
  assert.equal((await ended(system, id)).exitCode, 0);
  await system.remove([id, "99999999" as JobId], signal);
});

Deno.test("a worker that does not listen is killed, its children too", async () => {
  await using place = await Place.create();
  const system = place.open("0.2");
  const id = await place.submit(
    system,
    "trap '' TERM; sh -c 'trap \"\" TERM; echo > ready; while :; do sleep 0.02; done' & wait",
  );
  await until(() => Deno.stat(place.folder.join("ready")).catch(() => null), { what: "the trap" });
  await system.remove([id], signal);
  assert.deepEqual(membersOf(id), []);
  const status = await ended(system, id);
  assert.equal(status.exitCode, null);
});

Deno.test("a factory that starts again finds its workers, sees them end, and removes them", async () => {
  await using place = await Place.create();
  const first = place.open();
  const one = await place.submit(first, "until [ -e go ]; do sleep 0.02; done; exit 4");
  const two = await place.submit(first, "exec sleep 300");
  const second = place.open(); // knows only what is in scratch, as after kill -9
  assert.deepEqual([...await second.find("wqx-local", signal)].sort(), [one, two].sort());
  assert.deepEqual(await second.find("wqx-other", signal), []);
  await place.folder.write("go", "");
  assert.equal((await ended(second, one)).exitCode, 4);
  await second.remove([two], signal);
  assert.deepEqual(membersOf(two), []);
  assert.deepEqual(await second.find("wqx-local", signal), []);
});

Deno.test("of workers that ended in scratch are the files of the last few that failed", async () => {
  await using place = await Place.create();
  const system = place.open();
  const runs = await place.submit(system, "echo there; exec sleep 300");
  const well = await place.submit(system, "exit 0");
  const failed: JobId[] = [];
  for (let i = 0; i < failedKeptMax + 2; i++) {
    const id = await place.submit(system, i % 2 === 0 ? "exit 9" : "kill -KILL 0");
    failed.push(id);
    await ended(system, id);
  }
  await ended(system, well);
  await until(() => Deno.stat(place.folder.join(`local.status.${runs}`)).catch(() => null), {
    what: "its files",
  });
  for (const kind of ["status", "output"]) {
    const left = [...Deno.readDirSync(place.folder.path)].flatMap(({ name }) =>
      name.startsWith(`local.${kind}.`) ? [name.slice(`local.${kind}.`.length)] : []
    );
    assert.deepEqual(left.toSorted(), [runs, ...failed.slice(2)].toSorted(), kind);
  }
});

Deno.test("an orphan of a job whose own shell was killed is still the job, and is removed", async () => {
  await using place = await Place.create();
  const system = place.open();
  const id = await place.submit(system, "echo > ready; sleep 300 & wait");
  await until(() => Deno.stat(place.folder.join("ready")).catch(() => null), {
    what: "the worker",
  });
  Deno.kill(Number(id), "SIGKILL");
  await until(() => readStat(Number(id)) === null, { what: "the end of the shell" });
  assert.equal((await system.status([id], signal)).get(id)!.phase, "running");
  assert.deepEqual(await system.find("wqx-local", signal), [id]);
  await system.remove([id], signal);
  assert.deepEqual(membersOf(id), []);
  const { exitCode, why } = await ended(system, id);
  assert.deepEqual([exitCode, why], [null, "it was killed"]);
});

Deno.test("a pid that came again is not the job, and is left alone", async () => {
  await using place = await Place.create();
  const system = place.open();
  const id = await place.submit(system, "exit 0");
  await ended(system, id);
  const stranger = new Deno.Command("/bin/sleep", { args: ["300"], detached: true }).spawn();
  try {
    const again = String(stranger.pid) as JobId;
    const record = JSON.stringify({ name: "wqx-local", startTicks: 1 });
    await place.folder.write(`local.job.${again}`, record);
    assert.deepEqual(await system.find("wqx-local", signal), []);
    await system.remove([again], signal);
    assert.notEqual(readStat(stranger.pid), null);
    assert.equal((await system.status([again], signal)).get(again)!.phase, "ended");
  } finally {
    stranger.kill("SIGKILL");
    await stranger.status;
  }
});
