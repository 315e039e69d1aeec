import assert from "node:assert/strict";
import { sourceHash } from "../../scripts/task_launcher.ts";
import { Libc, SystemCallError } from "../../io/libc.ts";
import { readStat } from "../../io/procfs.ts";
import { Launcher, LauncherGone, type LaunchRequest } from "../../worker/launcher.ts";
import { launcherSourceHash } from "../../worker/launcher_code.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const onLinux = (name: string) => needs(Deno.build.os === "linux", "needs Linux", name);

/** A launcher in a folder of its own; disposing of it checks that it ends. */
class Bed implements AsyncDisposable {
  readonly libc = Libc.open();
  readonly launcher: Launcher;

  private constructor(readonly folder: TempFolder) {
    this.launcher = new Launcher(this.libc, folder.path);
  }

  static async create(): Promise<Bed> {
    return new Bed(await TempFolder.create());
  }

  request(command: string, changes: Partial<LaunchRequest> = {}): LaunchRequest {
    return {
      path: "/bin/sh",
      args: ["sh", "-c", command],
      cwd: this.folder.path,
      env: { PATH: "/usr/bin:/bin" },
      outputPath: this.folder.join("output"),
      ...changes,
    };
  }

  async exitCode(pid: number): Promise<number | undefined> {
    return (await until(() => this.libc.wait(pid), { what: `the end of ${pid}` })).exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.launcher.close();
    await this.exitCode(this.launcher.pid);
    this.libc.close();
    await this.folder[Symbol.asyncDispose]();
  }
}

Deno.test({
  ...onLinux("a launcher starts children of this process, and leaves no file"),
  async fn() {
    await using bed = await Bed.create();
    assert.deepEqual([...Deno.readDirSync(bed.folder.path)], []);
    const env = { PATH: "/usr/bin:/bin", EMPTY: "", A: "x=y\nz" };
    const pid = bed.launcher.launch(bed.request('pwd; echo "$A$EMPTY"; cat; exit 7', { env }));
    assert.equal(readStat(pid)?.parent, Deno.pid);
    assert.equal(await bed.exitCode(pid), 7);
    assert.equal(
      await Deno.readTextFile(bed.folder.join("output")),
      `${bed.folder.path}\nx=y\nz\n`,
    );
  },
});

Deno.test({
  ...onLinux("a launcher tells which step failed, and goes on"),
  async fn() {
    await using bed = await Bed.create();
    const gone = bed.folder.join("gone");
    const cases: readonly [Partial<LaunchRequest>, string, string][] = [
      [{ cwd: gone }, "folder", "ENOENT"],
      [{ cwd: "/etc/passwd" }, "folder", "ENOTDIR"],
      [{ outputPath: `${gone}/output` }, "output", "ENOENT"],
      [{ path: gone }, "exec", "ENOENT"],
      [{ path: "/etc/passwd" }, "exec", "EACCES"],
      [{ args: ["sh", "-c", "x".repeat(200_000)] }, "exec", "E2BIG"],
      [{ env: { LONG: "x".repeat(200_000) } }, "exec", "E2BIG"],
      [
        {
          env: Object.fromEntries(
            Array.from({ length: 99_999 }, (_, i) => [`V${i}`, "x".repeat(80)]),
          ),
        },
        "exec",
        "E2BIG",
      ],
    ];
    for (const [changes, step, code] of cases) {
      const pid = bed.launcher.launch(bed.request("true", changes));
      assert.equal(await bed.exitCode(pid), 127);
      assert.deepEqual(bed.launcher.failureOf(pid), { step, code });
      assert.equal(bed.launcher.failureOf(pid), null);
    }
    const own = bed.launcher.launch(bed.request("exit 127"));
    assert.equal(await bed.exitCode(own), 127);
    assert.equal(bed.launcher.failureOf(own), null);
    for (const changes of [{ cwd: "/\0" }, { env: { A: "a\0b" } }, { args: ["\0"] }]) {
      assert.throws(
        () => bed.launcher.launch(bed.request("true", changes)),
        (error) => error instanceof SystemCallError && error.code === "EINVAL",
      );
    }
    const longest = "x".repeat(120_000);
    const pid = bed.launcher.launch(
      bed.request(`[ \${#LONG} = 120000 ]`, { env: { LONG: longest } }),
    );
    assert.equal(await bed.exitCode(pid), 0);
  },
});

Deno.test({
  ...onLinux("a launcher that has ended is an error of its own"),
  async fn() {
    await using bed = await Bed.create();
    bed.libc.kill(bed.launcher.pid);
    await until(() => bed.libc.hasEnded(bed.launcher.pid), { what: "the end of the launcher" });
    assert.throws(() => bed.launcher.launch(bed.request("true")), LauncherGone);
  },
});

Deno.test("the code of the launcher was made from its source", async () => {
  assert.equal(
    launcherSourceHash,
    await sourceHash(),
    "worker/launcher.c has changed: run scripts/task_launcher.ts, as it says",
  );
});
