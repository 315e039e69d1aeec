/** A minute of trouble on real processes, and what the schedules are like. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { needs } from "../support/skip.ts";
import { managerKills, scheduleOf } from "./schedule.ts";
import { whyNot } from "./world.ts";

/** Has some of everything that a minute may have. */
const seed = 132;
const reason = await whyNot();

Deno.test("a schedule comes from its seed, and kills the manager twice", () => {
  assert.deepEqual(scheduleOf(7, 60_000), scheduleOf(7, 60_000));
  for (let seed = 0; seed < 200; seed++) {
    const { faults, durationMs } = scheduleOf(seed, 300_000);
    const kills = faults.filter(({ kind, on }) => kind === "kill" && on === "manager");
    assert.equal(kills.length, managerKills);
    assert.ok(faults.every(({ atMs, forMs }) => atMs + forMs <= durationMs));
    for (const one of faults) {
      const same = faults.filter(({ kind, on }) => kind === one.kind && on === one.on);
      const after = same.filter(({ atMs }) => atMs > one.atMs);
      assert.ok(after.every(({ atMs }) => atMs > one.atMs + one.forMs), "no fault in itself");
    }
  }
});

Deno.test({
  ...needs(
    reason === null,
    reason ?? "",
    "a minute of cut links, kills and full disks changes no bit of the result and leaves nothing",
  ),
  fn: async () => {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", fileURLToPath(new URL("main.ts", import.meta.url))],
        ...["--minutes", "1", "--seed", String(seed)],
      ],
      stdin: "null",
      stderr: "inherit",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.ok(success, said);
    assert.match(said, /that of an undisturbed run, after \d resumes .*; nothing is left\n$/);
  },
});
