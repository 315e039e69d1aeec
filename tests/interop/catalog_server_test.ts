/** cctools' own programs with a wqx catalog: `catalog_update`, `catalog_query`, status, managers. */
import assert from "node:assert/strict";
import { needsParts } from "../support/cctools.ts";
import { rawRequest, TestCatalog } from "../support/catalog.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";

async function run(
  bed: TestBed,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [program, ...args] = words;
  const { code, stdout, stderr } = await bed.run(args, { command: [program!], env });
  return { code, stdout, stderr };
}

function typesOf(catalog: TestCatalog): string[] {
  return [...catalog.store.records()].map((record) => String(record.get("type"))).sort();
}

for (const protocol of ["udp", "tcp"]) {
  Deno.test({
    ...needsParts(
      `catalog_update tells a wqx catalog of its node by ${protocol}, and catalog_query asks it`,
      "catalog_update",
      "catalog_query",
    ),
    async fn() {
      await using bed = await TestBed.create();
      await using catalog = await TestCatalog.start(bed.folder);
      const host = `127.0.0.1:${catalog.port}`;
      const extra = await bed.folder.write("extra", '{"type":"node","site":"b/a??","port":7}');
      await run(bed, ["catalog_update", "-c", host, "-f", extra], {
        CATALOG_UPDATE_PROTOCOL: protocol,
      });
      await catalog.knows(1);
      const [record] = [...catalog.store.records()];
      assert.equal(record!.get("address"), "127.0.0.1");
      assert.equal(record!.get("site"), "b/a??");

      const ask = async (...options: string[]) => {
        const asked = await run(bed, ["catalog_query", "-c", host, "-t", "5", ...options]);
        assert.equal(asked.code, 0, asked.stdout + asked.stderr);
        return asked.stdout;
      };
      assert.equal(JSON.parse(await ask())[0].cpus, navigator.hardwareConcurrency);
      assert.equal(JSON.parse(await ask("-w", 'site=="b/a??"')).length, 1);
      assert.deepEqual(JSON.parse(await ask("-w", 'site=="other"')), []);
      assert.deepEqual(JSON.parse(await ask("-w", "nowhere>3")), []);
    },
  });
}

Deno.test({
  ...needsParts(
    "work_queue_status finds in a wqx catalog what a real manager on libwork_queue said of itself",
    "makeflow",
    "mpirun",
    "work_queue_status",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await using catalog = await TestCatalog.start(bed.folder);
    const host = `127.0.0.1:${catalog.port}`;
    await bed.folder.write("flow", "out:\n\techo done > out\n");
    await using _manager = bed.start(
      ["-T", "wq", "-N", "flow-é", "-a", "-C", host, "-p", "0", "flow"],
      {
        command: ["makeflow"],
        env: {
          OMPI_ALLOW_RUN_AS_ROOT: "1",
          OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
          CATALOG_HOST: "127.0.0.1",
          CATALOG_PORT: String(catalog.port),
        },
      },
    );
    await until(() => typesOf(catalog).includes("wq_master"), {
      what: "the record of makeflow's manager",
      timeoutMs: 30_000,
    });
    // A second one, whose name no reader of cctools would bear in the form it is sent in.
    catalog.store.update('{"type":"wq_master","project":"caf\\uffffffc3\\uffffffa9","port":5}', {
      address: "10.0.0.1",
      name: "h",
    });
    const status = await run(bed, ["work_queue_status", "-C", host, "-t", "10"]);
    assert.equal(status.code, 0, status.stdout + status.stderr);
    const rows = status.stdout.trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/));
    const [project, , , waiting, running, complete] = rows.find(([name]) =>
      name!.startsWith("flow")
    )!;
    assert.equal(project!.startsWith("flow-"), true);
    assert.deepEqual([running, complete], ["0", "0"]);
    assert.ok(waiting === "0" || waiting === "1");
    assert.equal(rows.length, 2);
  },
});

Deno.test({
  ...needsParts(
    "a real worker with -M asks a wqx catalog, and is told where the manager is",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await using catalog = await TestCatalog.start(bed.folder);
    using manager = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = manager.addr;
    catalog.store.update(
      `{"type":"wq_master","project":"ana-1","port":${port},"protocol":9,"owner":"me"}`,
      { address: "127.0.0.1", name: "localhost" },
    );
    await using _worker = bed.start(
      ["-C", `127.0.0.1:${catalog.port}`, "-M", "ana-.*", "-t", "5", "--single-shot"],
      { command: ["work_queue_worker"] },
    );
    using connection = await manager.accept();
    const buffer = new Uint8Array(200);
    const count = await connection.read(buffer);
    assert.match(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), /^workqueue \d+ /);
  },
});

Deno.test({
  ...needsParts(
    "catalog_server reads a folder of a wqx catalog, and a wqx catalog one of catalog_server",
    "catalog_server",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const source = { address: "10.0.0.1", name: "h" };
    const update = (catalog: TestCatalog, text: string) => catalog.store.update(text, source);
    {
      await using catalog = await TestCatalog.start(bed.folder);
      update(catalog, '{"type":"x","port":1,"v":1,"gone":true,"n":{"a":[1,2.5]}}');
      update(catalog, '{"type":"x","port":1,"v":2,"n":{"a":[1]}}');
      update(catalog, '{"type":"y","port":2,"text":"a\\nb \\"c\\""}');
    }
    {
      await using server = bed.start(
        ["-u", "127.0.0.1:1", "-Z", "port", "-H", "history"],
        { command: ["catalog_server"] },
      );
      const port = await until(
        async () =>
          Number(await Deno.readTextFile(bed.folder.join("port")).catch(() => "")) || null,
        {
          what: "the port of catalog_server",
        },
      );
      const answer = await until(async () => {
        const text = await rawRequest(port, "GET /query.json HTTP/1.1\r\nHost: h\r\n\r\n")
          .catch(() => "");
        return text.includes("]") && text;
      }, { what: "its answer" });
      const found = JSON.parse(answer.split(/\r?\n\r?\n/)[1]!) as Record<string, unknown>[];
      const shown = found.map(({ type, port, v, gone, n, text }) => [type, port, v, gone, n, text]);
      assert.deepEqual(shown.sort(), [
        ["x", 1, 2, undefined, { a: [1] }, undefined],
        ["y", 2, undefined, undefined, undefined, 'a\nb "c"'],
      ]);
      // Its own lines, with a removal that is glued to the next.
      for (const text of ['{"type":"z","port":3,"v":1,"s":1}', '{"type":"z","port":3,"v":2}']) {
        using connection = await Deno.connect({ hostname: "127.0.0.1", port: port + 1 });
        await connection.write(new TextEncoder().encode(text));
        connection.close();
        await until(async () => {
          const body = await rawRequest(port, "GET /query.json HTTP/1.1\r\nHost: h\r\n\r\n");
          return body.includes(text.slice(1, -1));
        }, { what: text });
      }
      server.signal("SIGKILL");
      await server.ended;
    }
    await using catalog = await TestCatalog.start(bed.folder);
    assert.deepEqual(typesOf(catalog), ["x", "y", "z"]);
    const z = [...catalog.store.records()].find((record) => record.get("type") === "z")!;
    assert.deepEqual([z.get("v"), z.has("s")], [2n, false]);
    assert.deepEqual(catalog.notes, []);
  },
});
