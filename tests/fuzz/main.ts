/**
 * `deno task fuzz [TARGET…] [--seconds N | --inputs N] [--seed S]`: inputs that reach further and
 * further into every parser, guided by the code that they run, in turns. Without targets, the
 * conversations of machines are garbled too. Prints what was tried and reached; what does not hold
 * is printed with its input, and the exit code is 1.
 *
 *   --keep         writes the corpus with what reached more
 *   --unreached    lists the code that nothing ran
 *   --input TEXT   runs one input, as a finding printed it
 */
import { parseArgs } from "node:util";
import { parseCount } from "../../core/units.ts";
import { hostileInput } from "../support/hostile.ts";
import { bytesShown, readCorpus, shown, writeCorpus } from "./corpus.ts";
import { Coverage } from "./coverage.ts";
import { type Campaign, campaign, minimized, tryInput } from "./engine.ts";
import { print, showTable, type TableRow } from "./report.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets/mod.ts";
import { Watcher } from "./watcher.ts";

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    seconds: { type: "string" },
    inputs: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    input: { type: "string" },
    keep: { type: "boolean", default: false },
    unreached: { type: "boolean", default: false },
  },
});
const unknown = positionals.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0) {
  print(
    `No target is called ${unknown.join(", ")}; there are ${
      targets.map(({ name }) => name).join(", ")
    }`,
  );
  Deno.exit(2);
}
const chosen = targets.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const seed = parseCount(values.seed);
const inputsMax = values.inputs === undefined ? Infinity : parseCount(values.inputs, { min: 1 });
const seconds = values.seconds !== undefined
  ? parseCount(values.seconds, { min: 1 })
  : inputsMax === Infinity
  ? 60
  : Infinity;

/** Of one target, until the next has its turn: what is quick gets more inputs in it. */
const turnMs = 4000;

async function fuzz(): Promise<boolean> {
  using watcher = new Watcher();
  using coverage = await Coverage.start();
  const endMs = performance.now() + seconds * 1000;
  const done = new Map<Target, Campaign>();
  let total = 0;
  for (let turn = 0; performance.now() < endMs && total < inputsMax; turn++) {
    for (const target of chosen) {
      const before = done.get(target);
      const stopMs = Math.min(endMs, performance.now() + turnMs);
      const now = await campaign(target, {
        seed: seed + turn,
        corpus: before?.kept ?? readCorpus(target.name),
        isFirst: before === undefined,
        more: (inputs) => performance.now() < stopMs && total + inputs < inputsMax,
        coverage,
        watch: (input) => watcher.runs(target.name, input),
      });
      total += now.inputs;
      done.set(target, before === undefined ? now : joined(before, now));
      for (const { input, why, stack } of now.findings) {
        if (before?.findings.some((one) => one.why === why)) continue;
        print(`Does not hold: ${target.name}: ${why}\n${stack}`);
        print(`Again: deno task fuzz ${target.name} --input '${shown(input)}'\n`);
      }
      if (performance.now() >= endMs || total >= inputsMax) break;
    }
  }
  watcher.rest();
  const rows = [...done].map(([target, campaign]): TableRow => ({
    name: target.name,
    campaign,
    reached: coverage.reached(target.code),
  }));
  showTable(rows, seed);
  if (values.unreached) {
    for (const target of chosen) {
      print(`\n${target.name}`);
      for (const line of await coverage.unreached(target.code)) print(`  ${line}`);
    }
  }
  if (values.keep) {
    for (const [target, { kept }] of done) {
      writeCorpus(target.name, await minimized(target, kept));
    }
  }
  return rows.every(({ campaign }) => campaign.findings.length === 0);
}

function joined(before: Campaign, now: Campaign): Campaign {
  const known = new Set(before.findings.map(({ why }) => why));
  return {
    inputs: before.inputs + now.inputs,
    seconds: before.seconds + now.seconds,
    kept: now.kept,
    findings: [...before.findings, ...now.findings.filter(({ why }) => !known.has(why))],
  };
}

/** Conversations with the machines, which are properties rather than parsers. */
function garble(): boolean {
  const folder = new URL("../golden/wire/", import.meta.url);
  const transcripts = [...Deno.readDirSync(folder)].map(({ name }) => name).sort()
    .map((name) => Deno.readTextFileSync(new URL(name, folder)));
  const eachMs = Math.min(seconds, 60) * 100;
  for (const { name, check } of hostileInput(transcripts)) {
    try {
      check({ seed, numRuns: 1e9, interruptAfterTimeLimit: eachMs });
    } catch (error) {
      print(error instanceof Error ? error.stack ?? error.message : String(error));
      print(`Does not hold: ${name} (--seed ${seed})`);
      return false;
    }
  }
  return true;
}

async function runOne(text: string): Promise<boolean> {
  for (const target of chosen) {
    const finding = await tryInput(target, bytesShown(text));
    print(
      finding === null
        ? `${target.name}: holds`
        : `${target.name}: ${finding.why}\n${finding.stack}`,
    );
    if (finding !== null) return false;
  }
  return true;
}

const holds = values.input !== undefined
  ? await runOne(values.input)
  : await fuzz() && (positionals.length > 0 || garble());
Deno.exit(holds ? 0 : 1);
