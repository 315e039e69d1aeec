/** The single file has all that reading from XRootD needs beside its bundle. */
import assert from "node:assert/strict";
import { buildSelfExtracting, wqxOptions } from "../../scripts/build.ts";
import { needs } from "../support/skip.ts";
import { demo, readJson, TestBed } from "../support/wqx.ts";
import { xrootdHere, xrootdReason, XrootdServer } from "../support/xrootd.ts";

Deno.test({
  ...needs(xrootdHere, xrootdReason, "the single file reads from XRootD"),
  async fn() {
    await using bed = await TestBed.create();
    // A stand-in for Deno that is quick to pack and unpack.
    const deno = await bed.folder.write("deno", `#!/bin/sh\nexec "${Deno.execPath()}" "$@"\n`);
    await Deno.chmod(deno, 0o755);
    const program = bed.folder.join("wqx");
    await buildSelfExtracting({ ...wqxOptions(program), deno });
    await using server = await XrootdServer.start([`${demo}/data/dimuon_b.root`]);
    const analysis = {
      datasets: { far: server.url("dimuon_b.root") },
      processor: { command: `echo '{"chunks": 1}' >"$WQX_RESULT"` },
      chunksize: 20_000,
    };
    await bed.folder.write("far.yaml", JSON.stringify(analysis));
    const wqx = await bed.run(["manager", "far.yaml", "--output", "out"], {
      command: [program],
      env: { XDG_CACHE_HOME: bed.folder.join("cache") },
    });
    assert.equal(wqx.code, 0, wqx.stderr);
    const { result, events } = await readJson(bed.folder.join("out/result.json"));
    assert.deepEqual([result, events.processed], [{ chunks: 2 }, 40_000]);
  },
});
