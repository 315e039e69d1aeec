/** Programs that die and are run again, with a journal. */
import assert from "node:assert/strict";
import { coffeas, makeEvents, noCoffea } from "../support/coffea.ts";
import { modulePython, startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const found = modulePython();
const python = "path" in found ? found.path : "";
const reason = "missing" in found ? found.missing : "";
const squares = (offset: number, factor: number, third: string) =>
  Array.from({ length: 12 }, (_, i) => i === 3 ? third : ((i * i + offset) * factor).toFixed(1))
    .join(", ");

async function run(bed: TestBed, ...args: string[]): Promise<Wqx> {
  const { path } = bed.folder;
  const env = { WQX_JOURNAL: `${path}/journal` };
  return await startProgram(bed, python, "journaled.py", { args: [path, ...args], env });
}

async function runs(bed: TestBed): Promise<number[]> {
  const text = await Deno.readTextFile(bed.folder.join("runs")).catch(() => "");
  return text.trim().split("\n").filter((line) => line !== "").map(Number);
}

Deno.test({
  ...needs(
    python !== "",
    reason,
    "a program that was killed is run again: what had ended is given back, once, while its inputs " +
      "are the same",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await bed.folder.write("offset", "1");
    {
      await using program = await run(bed, "5");
      assert.notEqual(await program.ended, 0);
    }
    const before = await runs(bed);
    assert.ok(before.length >= 5 && before.length < 12, String(before));
    {
      await using program = await run(bed, "0");
      assert.equal(await program.ended, 0, program.stderr);
      assert.match(program.stdout, new RegExp(`^\\[${squares(1, 1, "'not yet'")}\\]$`, "m"));
    }
    const after = (await runs(bed)).slice(before.length);
    const again = after.filter((number) => before.includes(number));
    // What was under way when it died, and what raised.
    assert.ok(again.filter((number) => number !== 3).length <= 1, `${before} then ${after}`);
    await bed.folder.write("runs.mended", "");
    {
      await using program = await run(bed, "0");
      assert.equal(await program.ended, 0, program.stderr);
      assert.match(program.stdout, new RegExp(`^\\[${squares(1, 1, "10.0")}\\]$`, "m"));
    }
    const third = (await runs(bed)).slice(before.length + after.length);
    assert.deepEqual(third, [3], "only what raised is run again");
    {
      await using program = await run(bed, "0", "2");
      assert.equal(await program.ended, 0, program.stderr);
      assert.match(program.stdout, new RegExp(`^\\[${squares(1, 2, "20.0")}\\]$`, "m"));
    }
    const fourth = (await runs(bed)).slice(before.length + after.length + third.length);
    assert.equal(fourth.length, 12, "the function is another one");
    await bed.folder.write("offset", "2");
    {
      await using program = await run(bed, "0");
      assert.equal(await program.ended, 0, program.stderr);
      assert.match(program.stdout, new RegExp(`^\\[${squares(2, 1, "11.0")}\\]$`, "m"));
    }
    await bed.clean();
  },
});

for (const coffea of coffeas) {
  const name = `with ${coffea.variable.replace("WQX_TEST_", "")} too: chunks that had ended are ` +
    "not run again, and the result is the same";
  Deno.test({
    ...needs(coffea.python !== "", noCoffea(coffea.variable), name),
    async fn() {
      await using bed = await TestBed.create();
      const file = await makeEvents(coffea, bed, 6000);
      const results: string[] = [];
      const start = async (folder: string, diesAfter: number) => {
        const env = { WQX_JOURNAL: `${folder}/journal` };
        const args = [file, folder, String(diesAfter)];
        return await startProgram(bed, coffea.python, "coffea_journaled.py", { args, env });
      };
      const toItsEnd = async (folder: string) => {
        await using program = await start(folder, 0);
        assert.equal(await program.ended, 0, program.stderr);
        results.push(/^result .*$/m.exec(program.stdout)?.[0] ?? "none");
      };
      const chunksRun = async (folder: string) =>
        (await Deno.readTextFile(`${folder}/runs`)).trim().split("\n");
      const [whole, killed] = [bed.folder.join("whole"), bed.folder.join("killed")];
      await Deno.mkdir(whole);
      await Deno.mkdir(killed);
      await toItsEnd(whole);
      const chunks = (await chunksRun(whole)).toSorted();
      assert.ok(chunks.length >= 12, String(chunks));
      {
        await using program = await start(killed, 6);
        assert.notEqual(await program.ended, 0);
      }
      await toItsEnd(killed);
      const all = await chunksRun(killed);
      assert.deepEqual([...new Set(all)].toSorted(), chunks);
      const again = all.length - chunks.length;
      assert.ok(again <= 2, `what was under way is run again, and no more: ${all}`);
      assert.match(results[0]!, /^result 6000 /);
      // Of coffea 0.7 the order of merging, and so the last bits, depend on arrival.
      if (coffea.variable === "WQX_TEST_COFFEA") assert.equal(results[1], results[0]);
      else assert.match(results[1]!, /^result 6000 /);
      await bed.clean();
    },
  });
}
