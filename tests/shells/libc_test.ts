import assert from "node:assert/strict";
import { Libc, LibcUnavailable, SystemCallError } from "../../io/libc.ts";
import {
  childrenOf,
  descendantsOf,
  listProcesses,
  parseStat,
  readEnvironment,
  readStat,
  readUptime,
  ticksPerSecond,
} from "../../io/procfs.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";

const onLinux = (name: string) => needs(Deno.build.os === "linux", "needs Linux", name);

Deno.test("Libc.open() says why no library could be opened", () => {
  const message = Deno.build.os === "linux" ? /no-such-libc/ : /needs Linux/;
  assert.throws(
    () => Libc.open(["no-such-libc.so.9"]),
    (error) => error instanceof LibcUnavailable && message.test(error.message),
  );
});

Deno.test({
  ...onLinux("Libc launches a program, talks to it by pipes and tells how it ended"),
  async fn() {
    using libc = Libc.open();
    const orders = libc.pipe(), pipe = libc.pipe();
    const command = 'read -r x <&3; echo "$x $$ $A" >&4; cat; echo gone; kill -USR1 $$';
    const pid = libc.launch({
      path: "/bin/sh",
      args: ["sh", "-c", command],
      env: { A: "b c" },
      fds: [orders.readFd, pipe.writeFd],
    });
    libc.closeFd(pipe.writeFd);
    assert.equal(libc.hasEnded(pid), false);
    libc.write(orders.writeFd, new TextEncoder().encode("report\n"));
    const buffer = new Uint8Array(64);
    const report = buffer.subarray(0, libc.read(pipe.readFd, buffer));
    assert.equal(new TextDecoder().decode(report), `report ${pid} b c\n`);
    await until(() => libc.hasEnded(pid), { what: "the end of the program" });
    assert.equal(libc.endedChild(), pid);
    const zombie = readStat(pid);
    assert.deepEqual([zombie?.state, zombie?.session, zombie?.group], ["Z", pid, pid]);
    const reaped = libc.wait(pid);
    assert.deepEqual([reaped?.exitCode, reaped?.signal], [0, 10]);
    assert.ok(reaped !== null && reaped.memoryPeakMb > 0.3);
    assert.equal(readStat(pid), null);
    assert.equal(libc.endedChild(), 0);
    assert.equal(libc.read(pipe.readFd, buffer), 0);
    libc.closeFd(orders.readFd);
    assert.throws(
      () => libc.write(orders.writeFd, buffer),
      (error) => error instanceof SystemCallError && error.code === "EPIPE",
    );
    for (const fd of [orders.writeFd, pipe.readFd]) libc.closeFd(fd);
  },
});

Deno.test({
  ...onLinux("Libc names the errors of the system"),
  fn() {
    using libc = Libc.open();
    const launch = { path: "/bin/sh", args: ["sh"], env: {}, fds: [] };
    const code = (expected: string) => (error: unknown) =>
      error instanceof SystemCallError && error.code === expected;
    assert.throws(() => libc.launch({ ...launch, path: "/no/such/program" }), code("ENOENT"));
    assert.throws(() => libc.launch({ ...launch, path: "/etc/passwd" }), code("EACCES"));
    const args = ["sh", "-c", "x".repeat(200_000)];
    assert.throws(() => libc.launch({ ...launch, args }), code("E2BIG"));
    const nul = ["sh", "-c", "a\0b"];
    assert.throws(() => libc.launch({ ...launch, args: nul }), code("EINVAL"));
    assert.throws(() => libc.wait(Deno.pid), code("ECHILD"));
    assert.throws(() => libc.hasEnded(Deno.pid), code("ECHILD"));
    assert.throws(() => libc.read(9999, new Uint8Array(1)), code("EBADF"));
    assert.equal(libc.kill(99_999_999), false);
    for (const pid of [0, 1, -1]) assert.throws(() => libc.kill(pid), /^RangeError/);
  },
});

Deno.test("parseStat() copes with any program name", () => {
  const rest = "S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 2000 1";
  for (const name of ["sh", "a b", "x) S 1 2 3", ")", "(()"]) {
    assert.deepEqual(parseStat(`12 (${name}) ${rest}\n`), {
      pid: 12,
      state: "S",
      parent: 7,
      group: 8,
      session: 9,
      startTicks: 4711,
    });
  }
  for (const text of ["", "12", "12 (sh)", "12 (sh) S 1"]) assert.equal(parseStat(text), null);
});

Deno.test({
  ...onLinux("what /proc tells of a child, of its child and of nobody"),
  async fn() {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", "sleep 1000 & wait"],
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin", MARK: "here" },
      stdin: "null",
    }).spawn();
    try {
      await until(() => descendantsOf(child.pid).length === 1, { what: "the grandchild" });
      const [grandchild = 0] = childrenOf(child.pid);
      assert.equal(readStat(grandchild)?.parent, child.pid);
      assert.ok(readEnvironment(child.pid)?.includes("MARK=here"));
      assert.ok(listProcesses().includes(grandchild));
      const ageSeconds = readUptime()! - readStat(child.pid)!.startTicks / ticksPerSecond;
      assert.ok(ageSeconds >= -0.02 && ageSeconds < 60, `${ageSeconds} s`);
      Deno.kill(grandchild, "SIGKILL");
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
    assert.deepEqual([readStat(child.pid), readEnvironment(child.pid)], [null, null]);
    assert.deepEqual(childrenOf(child.pid), []);
  },
});
