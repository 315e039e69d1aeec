/** What goes wrong, and the sentence that a user gets for it. */
import assert from "node:assert/strict";
import { HttpFiles } from "../support/http_files.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { demo, readJson, TestBed } from "../support/wqx.ts";

const data = `${demo}/data/dimuon_b.root`;

const countEvents = `
import type { Processor } from "wqx";
export default {
  columns: ["nMuon"],
  process: (events) => ({ events: events.length }),
} satisfies Processor;
`;

/** An analysis of `files` with a processor of this text; every failure is tried once more. */
async function write(bed: TestBed, files: readonly string[], processor = countEvents) {
  await bed.folder.write("processor.ts", processor);
  await bed.folder.write(
    "analysis.yaml",
    [
      "name: faults",
      "datasets:",
      "  some:",
      ...files.map((file) => `    - ${file}`),
      "processor: processor.ts",
      "chunksize: 10000",
      "retries: 1",
    ].join("\n"),
  );
}

const manage = (bed: TestBed, ...options: string[]) =>
  bed.run(["manager", "analysis.yaml", "--output", "out", ...options]);

Deno.test("a processor that throws ends the run with file, range, host, exit code and its own stack", async () => {
  await using bed = await TestBed.create();
  await write(
    bed,
    [data],
    `
import type { Processor } from "wqx";
export default {
  columns: ["nMuon"],
  process(events) {
    if (events.metadata.start >= 10000) return fill(events.length);
    return { events: events.length };
  },
} satisfies Processor;

function fill(n: number): never {
  throw new RangeError(\`bin \${n} is not there\`);
}
`,
  );
  const wqx = await manage(bed);
  assert.equal(wqx.code, 1);
  assert.match(
    wqx.stderr,
    /Failed processing events \[\d0000, \d0000\) of ".*dimuon_b\.root" \(dataset some\)/,
  );
  assert.match(wqx.stderr, /on host \S+, exit code 1, after 2 attempts/);
  assert.match(wqx.stderr, /bin 10000 is not there/);
  assert.match(wqx.stderr, /at fill .*processor\.ts:12:9/);
  assert.match(wqx.stderr, /processor\.ts:6:\d+/);
  assert.doesNotMatch(wqx.stderr, /analysis\/|core\//, "frames of wqx are nobody's business");
  assert.match(wqx.stderr, /trying again/);
  const result = await readJson(bed.folder.join("out/result.json"));
  assert.equal(result.partial, true);
  assert.deepEqual(result.result, { events: 10_000 }, "what was processed is kept");
  assert.match((await readJson(bed.folder.join("out/report.json"))).why, /bin 10000 is not there/);
  await bed.clean();
});

Deno.test("a truncated ROOT file is named, and --skip-bad-files leaves it out and lists it", async () => {
  await using bed = await TestBed.create();
  const whole = await Deno.readFile(data);
  await Deno.writeFile(bed.folder.join("cut.root"), whole.subarray(0, whole.length >> 1));
  await write(bed, [data, "cut.root"]);
  const strict = await manage(bed);
  assert.equal(strict.code, 1);
  assert.match(strict.stderr, /"cut\.root".*(truncated|shorter|cut off)/);

  const lenient = await manage(bed, "--skip-bad-files");
  assert.equal(lenient.code, 0, lenient.stderr);
  assert.match(lenient.stderr, /Left out: "cut\.root" \(dataset some\)/);
  const result = await readJson(bed.folder.join("out/result.json"));
  assert.deepEqual([result.partial, result.result], [true, { events: 40_000 }]);
  const { leftOut } = await readJson(bed.folder.join("out/report.json"));
  assert.deepEqual(leftOut.map((one: { file: string }) => one.file), ["cut.root"]);
  await bed.clean();
});

Deno.test("a column that is not there is named with its nearest, and is no bad file", async () => {
  await using bed = await TestBed.create();
  await write(bed, [data], countEvents.replace(`"nMuon"`, `"nMuom"`));
  const wqx = await manage(bed, "--skip-bad-files");
  assert.equal(wqx.code, 1);
  assert.match(wqx.stderr, /"nMuom".*dimuon_b\.root|dimuon_b\.root.*"nMuom"/);
  assert.match(wqx.stderr, /did you mean "nMuon"/i);
  await bed.clean();
});

Deno.test("files are read over HTTP in ranges, and a URL that nobody serves is named", async () => {
  await using bed = await TestBed.create();
  await using server = new HttpFiles(`${demo}/data`);
  await write(bed, [server.url("dimuon_b.root")]);
  const good = await manage(bed);
  assert.equal(good.code, 0, good.stderr);
  assert.deepEqual((await readJson(bed.folder.join("out/result.json"))).result, { events: 40_000 });
  assert.ok(server.requests.length > 4 && server.requests.every(({ range }) => range !== null));

  const missing = server.url("nothing.root");
  await write(bed, [missing]);
  const bad = await manage(bed);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, new RegExp(`Failed preprocessing "${missing}".*404`, "s"));
  await bed.clean();
});

Deno.test("a full disk in the sandbox is said to be one", {
  ignore: !canMount(),
}, async () => {
  await using bed = await TestBed.create();
  await using disk = await SmallDisk.mount(4);
  await write(
    bed,
    [data],
    `
import type { Processor } from "wqx";
export default {
  columns: ["nMuon"],
  process: () => ({ big: new Float64Array(1_000_000) }),
} satisfies Processor;
`,
  );
  await using manager = bed.start(
    ["manager", "analysis.yaml", "--output", "out", "--workers", "none"],
  );
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using worker = bed.start(["worker", "127.0.0.1", port!, "-s", disk.path]);
  assert.equal(await manager.ended, 1);
  assert.match(manager.stderr, /no space left/i);
  assert.match(manager.stderr, /Failed processing events .* of ".*dimuon_b\.root"/);
  await worker.ended;
  await bed.clean();
});

Deno.test("a port in use is said to be, with what would do", async () => {
  await using bed = await TestBed.create();
  using taken = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  await write(bed, [data]);
  const wqx = await manage(bed, "--port", String(taken.addr.port));
  assert.equal(wqx.code, 1);
  assert.match(
    wqx.stderr,
    new RegExp(`Cannot listen on port ${taken.addr.port}: in use.*--port`, "s"),
  );
  await bed.clean();
});

Deno.test("a typo in the YAML is shown by file, line and column before anything starts", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("analysis.yaml", `name: x\ndatasets:\n  a: ${data}\nprocesor: p.ts\n`);
  const wqx = await manage(bed);
  assert.equal(wqx.code, 2);
  assert.match(wqx.stderr, /analysis\.yaml:4:1: .*"procesor".*did you mean "processor"/is);
  await assert.rejects(Deno.stat(bed.folder.join("out")), Deno.errors.NotFound);
  await bed.clean();
});

Deno.test("an output folder that holds other things is left alone", async () => {
  await using bed = await TestBed.create();
  await write(bed, [data]);
  await bed.folder.write("out/thesis.tex", "years of work");
  const wqx = await manage(bed);
  assert.equal(wqx.code, 2);
  assert.match(wqx.stderr, /Cannot write to the output folder .*thesis\.tex.*--output/s);
  assert.equal(await Deno.readTextFile(bed.folder.join("out/thesis.tex")), "years of work");
});

Deno.test("local workers that cannot start end the run with what they said", async () => {
  await using bed = await TestBed.create();
  await write(bed, [data]);
  const wqx = await bed.run(
    ["manager", "analysis.yaml", "--output", "out"],
    { env: { CCTOOLS_TEMP: "/nonexistent" } },
  );
  assert.equal(wqx.code, 1);
  assert.match(wqx.stderr, /Local workers end as soon as they start.*\/nonexistent/s);
});

function canMount(): boolean {
  const { ignore } = needs(
    Deno.build.os === "linux" && Deno.uid() === 0,
    "mounting a small disk needs root",
    "a full disk in the sandbox is said to be one",
  );
  return !ignore;
}

/** A tmpfs of a few MB. */
class SmallDisk implements AsyncDisposable {
  private constructor(private readonly folder: TempFolder) {}

  static async mount(mb: number): Promise<SmallDisk> {
    const folder = await TempFolder.create();
    await run("mount", ["-t", "tmpfs", "-o", `size=${mb}m`, "tmpfs", folder.path]);
    return new SmallDisk(folder);
  }

  get path(): string {
    return this.folder.path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", [this.path]);
    await this.folder[Symbol.asyncDispose]();
  }
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
