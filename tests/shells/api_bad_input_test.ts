import assert from "node:assert/strict";
import { frameStart, kind } from "../../core/api/frames.ts";
import { ManagerClient } from "../../io/api_client.ts";
import { ApiLink, startApi } from "../support/api_link.ts";
import { until } from "../support/until.ts";
import { TestBed, wqxFromSource } from "../support/wqx.ts";

const utf8 = new TextEncoder();

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function head(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(numbers).buffer);
}

Deno.test("a client that breaks the protocol is told how, and its manager ends", async (t) => {
  const twice = [[2, "true"], [2, "true"]];
  const cases: [string, Uint8Array, RegExp][] = [
    ["garbage", utf8.encode("GET / HTTP/1.1\r\n\r\n"), /a frame of unknown kind/],
    ["an unknown kind", head(2, 0, 7, 0), /a frame of unknown kind 7/],
    ["too much JSON", head(2 ** 27, 0, kind.submit, 0), /bytes of JSON, above/],
    ["too many raw bytes", head(2, 2 ** 32 - 1, kind.submit, 0), /raw bytes, above/],
    ["a frame of the manager", frameStart(kind.results, []), /it sent a frame of kind 17/],
    ["an id that repeats", frameStart(kind.submit, twice), /there is a task 2 already/],
    ["a task that is none", frameStart(kind.submit, [[1, 5]]), /its command is 5, not a text/],
    ["a relative path", frameStart(kind.submit, [[1, "a", "b", [[1, "x", "x"]]]]), /absolute path/],
  ];
  await using bed = await TestBed.create();
  for (const [name, bytes, why] of cases) {
    await t.step(name, async () => {
      const { manager, socket } = await startApi(bed);
      await using _manager = manager;
      using link = await ApiLink.greet(socket);
      await link.send(bytes);
      const failed = await link.await(kind.failed);
      assert.match(String(failed?.value), why);
      assert.equal(await link.receive(), null);
      assert.equal(await manager.ended, 1);
      assert.match(manager.stderr, why);
      assert.equal(manager.stderr.includes(" at "), false, "no stack");
      assert.equal(exists(socket), false);
    });
  }
  await bed.clean();
});

Deno.test("a client of another version, or without a hello, is told so", async () => {
  await using bed = await TestBed.create();
  for (
    const [frame, why] of [
      [frameStart(kind.hello, [2, "future"]), /it speaks version 2, and this manager 1/],
      [frameStart(kind.submit, []), /its first frame is no hello/],
    ] as const
  ) {
    const { manager, socket } = await startApi(bed);
    await using _manager = manager;
    using link = await ApiLink.connect(socket);
    await link.send(frame);
    assert.match(String((await link.await(kind.failed))?.value), why);
    assert.equal(await manager.ended, 1);
  }
});

Deno.test("half a frame at the end of the socket ends the manager with a sentence", async () => {
  await using bed = await TestBed.create();
  const { manager, socket } = await startApi(bed);
  await using _manager = manager;
  {
    using link = await ApiLink.greet(socket);
    await link.send(frameStart(kind.submit, [[1, "true"]]).slice(0, 20));
  }
  assert.equal(await manager.ended, 1);
  assert.match(manager.stderr, /closed the socket within a frame/);
});

Deno.test("what cannot be done is refused, and everything goes on", async () => {
  await using bed = await TestBed.create();
  const { manager, socket } = await startApi(bed);
  await using _manager = manager;
  using link = await ApiLink.greet(socket);
  const cases: [unknown, RegExp][] = [
    [["statz"], /There is no request "statz": did you mean "stats"\?/],
    ["stats", /a request is "stats", not a list/],
    [["tune", "hungry-minimum", "x"], /Cannot do "tune": the value is "x", not a number/],
    [["status", "weather"], /not one of queue, tasks, workers, categories/],
    [["category", "a", { mode: 9 }], /there is no mode 9: modes are 0 to 8/],
    [["category", "a", { maximum: 9 }], /there is no setting "maximum" of categories/],
    [["log", "relative.log"], /the path is "relative.log", not an absolute path/],
    [["log", "/dev/null/x"], /\/dev\/null\/x cannot be written/],
    [["monitoring", "watchdog", "/dev/null/x", false], /cannot be written/],
    [["preferred_connection", "by_bus"], /not one of by_ip, by_hostname, by_apparent_ip/],
  ];
  for (const [i, [request, why]] of cases.entries()) {
    await link.send(frameStart(kind.request, request, { request: i + 1 }));
    const refused = await link.await(kind.refused);
    assert.equal(refused?.request, i + 1);
    assert.match(String(refused?.value), why);
  }
  await link.send(frameStart(kind.request, ["task_state", 1], { request: 99 }));
  assert.equal((await link.await(kind.reply))?.value, 0);
});

Deno.test("a second client is sent away, and the first one notices nothing", async () => {
  await using bed = await TestBed.create();
  const { manager, socket } = await startApi(bed);
  await using _manager = manager;
  using first = await ApiLink.greet(socket);
  using second = await ApiLink.connect(socket);
  assert.match(String((await second.await(kind.failed))?.value), /has a client already/);
  assert.equal(await second.receive(), null);
  await first.send(frameStart(kind.request, ["stats"], { request: 1 }));
  assert.equal((await first.await(kind.reply))?.request, 1);
});

Deno.test("a manager whose client goes ends, and leaves nothing behind", async (t) => {
  await using bed = await TestBed.create();
  await t.step("the socket is closed", async () => {
    const { manager, socket } = await startApi(bed);
    await using _manager = manager;
    (await ApiLink.greet(socket))[Symbol.dispose]();
    assert.equal(await manager.ended, 0);
    assert.equal(exists(`${bed.folder.path}/api`), false);
  });
  await t.step("stdin is closed before anybody connects", async () => {
    const { manager } = await startApi(bed);
    await using _manager = manager;
    await manager.closeInput();
    assert.equal(await manager.ended, 0);
    assert.equal(exists(`${bed.folder.path}/api`), false);
  });
  await t.step("SIGTERM ends it, SIGINT does not", async () => {
    const { manager, socket } = await startApi(bed);
    await using _manager = manager;
    using link = await ApiLink.greet(socket);
    manager.signal("SIGINT");
    await link.send(frameStart(kind.request, ["stats"], { request: 1 }));
    assert.equal((await link.await(kind.reply))?.request, 1);
    manager.signal("SIGTERM");
    assert.equal(await manager.ended, 0);
    assert.equal(exists(`${bed.folder.path}/api`), false);
  });
  await bed.clean();
});

Deno.test("a client that is killed takes its manager with it", async () => {
  await using bed = await TestBed.create();
  // The shell is the client: it holds the other end of stdin, and starts the manager.
  const command = ["sh", "-c", 'sleep 1000 | "$@" & echo; wait', "sh", ...wqxFromSource];
  const socket = `${bed.folder.path}/api/s`;
  await using client = bed.start(["manager", "--api", socket], { command });
  const [, pid] = await client.says(/"pid":(\d+)/);
  const sleeper = [...Deno.readDirSync("/proc")].find(({ name }) => {
    try {
      const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
      const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
      return words[0] === "sleep" && environment.includes(bed.folder.path);
    } catch {
      return false;
    }
  });
  Deno.kill(Number(sleeper!.name), "SIGKILL");
  await until(() => !exists(`/proc/${pid}`), { what: "the end of the manager" });
  assert.equal(exists(socket), false);
  await bed.clean();
});

Deno.test("a socket that cannot be used is refused with what would do", async (t) => {
  await using bed = await TestBed.create();
  const { path } = bed.folder;
  Deno.mkdirSync(`${path}/open`, { mode: 0o755 });
  Deno.writeTextFileSync(`${path}/file`, "");
  const long = `${path}/${"x".repeat(120)}/s`;
  const cases: [string, string, RegExp][] = [
    ["a path too long", long, /its path has \d+ bytes, and the system allows 107/],
    ["a folder open to others", `${path}/open/s`, /is open to others: it has to have mode 0700/],
    ["a folder that is a file", `${path}/file/s`, /its folder .*file is no folder/],
    ["a folder that cannot be made", "/proc/none/s", /its folder \/proc\/none cannot be made/],
  ];
  for (const [name, socket, why] of cases) {
    await t.step(name, async () => {
      const { code, stderr, stdout } = await bed.run(["manager", "--api", socket]);
      assert.match(stderr, why);
      assert.equal(stdout, "");
      assert.equal(code, 2);
    });
  }
  await t.step("another manager listens there", async () => {
    const { manager, socket } = await startApi(bed);
    await using _manager = manager;
    const { code, stderr } = await bed.run(["manager", "--api", socket]);
    assert.match(stderr, /another manager listens there/);
    assert.equal(code, 2);
    assert.ok(exists(socket), "which keeps its socket");
  });
  await t.step("a file as well as a socket", async () => {
    const { code, stderr } = await bed.run(["manager", "--api", `${path}/s/s`, "a.yaml"]);
    assert.match(stderr, /Cannot run a.yaml with --api: tasks come through the socket/);
    assert.equal(code, 2);
  });
  await t.step("a port in use", async () => {
    const { manager, port } = await startApi(bed);
    await using _manager = manager;
    const starting = ManagerClient.start({ wqx: wqxFromSource, args: ["--port", `${port}`] });
    await assert.rejects(starting, {
      name: "RunError",
      message: /Cannot listen on port \d+: in use/,
    });
  });
});

Deno.test("what a killed manager left behind is no obstacle to the next", async () => {
  await using bed = await TestBed.create();
  {
    const { manager, socket } = await startApi(bed);
    await using _manager = manager;
    manager.signal("SIGKILL");
    await manager.ended;
    assert.ok(exists(socket));
  }
  const { manager, socket } = await startApi(bed);
  await using _manager = manager;
  using _link = await ApiLink.greet(socket);
});

Deno.test("a client whose manager is killed hears of it at every end", async () => {
  const client = await ManagerClient.start({ wqx: wqxFromSource });
  client.submit({ command: "true" });
  await client.stats();
  const results = client.results().next();
  Deno.kill(client.pid, "SIGKILL");
  await assert.rejects(results, { name: "RunError", message: /The manager is gone/ });
  await assert.rejects(client.stats(), { name: "RunError", message: /The manager is gone/ });
  await client[Symbol.asyncDispose]();
});
