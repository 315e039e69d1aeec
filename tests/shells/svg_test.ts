import assert from "node:assert/strict";
import { Timeline } from "../../core/analysis/timeline.ts";
import * as axis from "../../core/histogram/axis.ts";
import { Hist } from "../../core/histogram/hist.ts";
import { coursePictures } from "../../core/plot/course.ts";
import { renderSpec, renderSvg } from "../../io/svg.ts";
import { type RunOutputs, writeOutputs } from "../../manager/outputs.ts";
import { RunFolder } from "../../manager/run_folder.ts";
import { analysisSpec, resources } from "../support/builders.ts";
import { attemptOf, chunkOf, measuredOf, sampleCourse } from "../support/course.ts";
import { TempFolder } from "../support/temp.ts";

const mass = axis.regular(60, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" });
const dataset = axis.category([], { name: "dataset", growth: true });
const pt = axis.regular(20, 0, 100, { name: "pt" });
const wide = axis.variable([1, 2, 5, 10, 20, 50, 100, 200], { name: "mass" });

const peak = Float64Array.from({ length: 1000 }, (_, i) => 91 + 3 * Math.tan((i - 500) / 330));

function pictures(): Record<string, Hist> {
  return {
    steps: new Hist([mass]).fill({ mass: peak }),
    weighted: new Hist([mass], { storage: "weighted" }).fill({ mass: peak, weight: -0.3 }),
    overlay: new Hist([mass, dataset], { log: true }).fill({ mass: peak, dataset: "DY" })
      .fill({ mass: peak.map((m) => m + 9), dataset: "tt" }),
    heat: new Hist([mass, pt]).fill({ mass: peak, pt: peak.map((m) => m - 50) }),
    categories: new Hist([dataset]).fill({ dataset: ["DY", "a much longer name of a dataset"] }),
    spectrum: new Hist([wide, dataset]).fill({ mass: peak, dataset: "DY" }),
    "logarithmic heat": new Hist([wide, { ...wide, name: "pt" }]).fill({ mass: peak, pt: 30 }),
    "short logarithmic": new Hist([
      axis.regular(9, 60, 120, { name: "m", metadata: { log: true } }),
    ]),
    empty: new Hist([mass, pt], { log: true }),
    nothing: new Hist([dataset]),
  };
}

/** Tags in order; throws if one is not closed or an attribute is not quoted. */
function tagsOf(svg: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const tag = /<(\/?)([\w:]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/y;
  for (let at = 0; at < svg.length;) {
    const next = svg.indexOf("<", at);
    const text = svg.slice(at, next < 0 ? undefined : next);
    assert.doesNotMatch(text.replaceAll(/&(lt|gt|amp|quot|#\d+);/g, ""), /[&>]/);
    if (next < 0) break;
    tag.lastIndex = next;
    const match = tag.exec(svg);
    assert.ok(match, `no well-formed tag at ${svg.slice(next, next + 80)}`);
    const [whole, closing, name = "", , selfClosed] = match;
    if (closing) assert.equal(open.pop(), name);
    else {
      seen.push(name);
      if (!selfClosed) open.push(name);
    }
    at = next + whole.length;
  }
  assert.deepEqual(open, []);
  return seen;
}

/** Each opening tag with where its groups and itself have moved it. */
function* placedTags(svg: string): Generator<{ tag: string; after: string; x: number; y: number }> {
  const groups: { x: number; y: number }[] = [{ x: 0, y: 0 }];
  for (const match of svg.matchAll(/<(\/?)(\w+)([^>]*?)(\/?)>/g)) {
    const [tag, closing, name, attributes, selfClosed] = match;
    if (closing) {
      if (name === "g") groups.pop();
      continue;
    }
    const [, x = "0", y = "0"] = /transform="translate\(([-\d.]+),([-\d.]+)\)/.exec(attributes!) ??
      [];
    const outer = groups.at(-1)!;
    const here = { x: outer.x + Number(x), y: outer.y + Number(y) };
    if (name === "g" && !selfClosed) groups.push(here);
    yield { tag, after: svg.slice(match.index + tag.length), ...here };
  }
}

function texts(svg: string): { text: string; x: number; y: number }[] {
  return [...placedTags(svg)].filter(({ tag }) => tag.startsWith("<text"))
    .map(({ after, x, y }) => ({ text: after.slice(0, after.indexOf("<")), x, y }));
}

function lines(svg: string): { width: string; y: number; dy: number }[] {
  return [...placedTags(svg)].filter(({ tag }) => tag.startsWith("<line")).map(({ tag, y }) => ({
    width: /stroke-width="([^"]*)"/.exec(tag)![1]!,
    y,
    dy: Number(/y2="([^"]*)"/.exec(tag)![1]),
  }));
}

Deno.test("every kind of picture is one well-formed SVG of the size of a slide", async () => {
  for (const [name, hist] of Object.entries(pictures())) {
    const svg = await renderSvg(hist, { title: name, partial: true });
    assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    assert.match(svg, /viewBox="0 0 1280 720"/);
    assert.ok(tagsOf(svg).includes("text"), name);
    assert.ok(!svg.includes("NaN") && !svg.includes("undefined"), name);
  }
  assert.match(await renderSvg(pictures()["steps"]!, { size: "4:3" }), /viewBox="0 0 960 720"/);
});

Deno.test("a picture shows the titles, the counts and what is partial", async () => {
  const svg = await renderSvg(pictures()["overlay"]!, { title: "Z peak", partial: "2 of 3 files" });
  for (
    const text of [
      "Z peak",
      "m(μμ) [GeV]",
      "Events / 1 GeV",
      "2,000 entries · underflow",
      "DY",
      "tt",
      "PARTIAL",
      "partial result: 2 of 3 files",
    ]
  ) assert.ok(svg.includes(text), text);
  assert.ok(!(await renderSvg(pictures()["overlay"]!)).includes("PARTIAL"));
});

/** What a run leaves that found this, in a folder of its own. */
function outputsOf(given: Partial<RunOutputs>): RunOutputs {
  return {
    spec: analysisSpec(),
    version: "",
    startedAt: new Date(0),
    elapsedMs: 0,
    result: null,
    pickle: null,
    untold: [],
    events: { processed: 0, total: 0 },
    partial: false,
    stopped: null,
    leftOut: [],
    seen: [],
    categories: [],
    allocations: [],
    chunks: { current: 0, smallest: 0, split: 0, eventsExhausted: 0 },
    tasks: [],
    missing: [],
    failures: [],
    sessions: [],
    course: sampleCourse(),
    workers: [],
    ...given,
  };
}

Deno.test("the pictures of a result are titled by their labels, else by their keys", async () => {
  await using temp = await TempFolder.create();
  await using folder = await RunFolder.open(temp.join("out"));
  const muons = { pt: new Hist([pt]), mass: new Hist([mass], { label: "Z peak" }) };
  await writeOutputs(folder, outputsOf({ result: { muons } }));
  const shown = async (name: string) =>
    texts(await Deno.readTextFile(`${folder.path}/${name}`)).map(({ text }) => text);
  assert.ok((await shown("muons-pt.svg")).includes("muons pt"));
  const mine = await shown("muons-mass.svg");
  assert.ok(mine.includes("Z peak") && !mine.includes("muons mass"));
});

Deno.test("pictures of the run lie in a folder of their own, which the report names once", async () => {
  await using temp = await TempFolder.create();
  const path = temp.join("out");
  {
    await using folder = await RunFolder.open(path);
    const outputs = await writeOutputs(folder, outputsOf({}));
    assert.deepEqual(outputs, [`${path}/report.json`]);
    const names = [...Deno.readDirSync(`${path}/run`)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["allocation.svg", "chunks.svg", "tasks.svg"]);
    const report = await Deno.readTextFile(`${path}/report.json`);
    assert.equal(JSON.parse(report).runPictures, "run");
    assert.ok(!report.includes("allocation.svg"));
  }
  await using folder = await RunFolder.open(path);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), [".parts"]);
});

Deno.test("what others keep in a folder called run is left alone", async () => {
  await using temp = await TempFolder.create();
  await temp.write("out/report.json", "{}");
  await temp.write("out/run/allocation.svg", "");
  await temp.write("out/run/thesis.tex", "");
  await assert.rejects(RunFolder.open(temp.join("out")), {
    name: "UsageError",
    message: /it holds "run\/thesis\.tex", which is not of an earlier run; choose another folder/,
  });
  await Deno.stat(temp.join("out/run/thesis.tex"));
  await Deno.stat(temp.join("out/report.json"));
});

Deno.test("pictures of a run are well-formed, and name their axes and series", async () => {
  const shown: Record<string, readonly string[]> = {
    allocation: ["Memory [MB]", "Cores", "preprocessing", "processing", "5 attempts · 2 exhausted"],
    chunks: ["Events / chunk", "DY", "tt", "2 chunks · 2 exhausted attempts"],
    tasks: ["Tasks done", "At a time", "tasks waiting", "tasks running", "workers"],
  };
  for (const { name, spec } of coursePictures(sampleCourse(), "demo")) {
    const svg = await renderSpec(spec);
    assert.match(svg, /viewBox="0 0 1280 720"/);
    assert.ok(tagsOf(svg).includes("text"), name);
    assert.ok(!svg.includes("NaN") && !svg.includes("undefined"), name);
    const all = texts(svg).map(({ text }) => text);
    for (const text of [...shown[name]!, "Time since the start [s]"]) {
      assert.equal(all.filter((one) => one === text).length, 1, `${name}: ${text}`);
    }
  }
});

Deno.test("dots stand where the amounts are, and those at zero within a logarithmic scale", async () => {
  const timeline = new Timeline(0);
  const used = [0, 10, 100, 1000];
  used.forEach((memoryMb, i) => {
    const times = { startedMs: 0, endedMs: 1000 * i };
    timeline.attempt(chunkOf(100), attemptOf({ ...times, measured: measuredOf(memoryMb) }));
  });
  const [allocation] = coursePictures(timeline.course, "");
  const svg = await renderSpec(allocation!.spec);
  const path = /<path[^>]*stroke-linecap="round"[^>]*>/.exec(svg)![0];
  const dots = [...path.matchAll(/M([-\d.]+),([-\d.]+)/g)].map((
    [, x, y],
  ) => [Number(x), Number(y)]);
  const [zero, ten, hundred, thousand] = dots as [number, number][];
  assert.equal(dots.length, used.length);
  assert.ok(Math.abs((thousand![0] - zero![0]) - 3 * (ten![0] - zero![0])) < 0.1, path);
  assert.ok(Math.abs((ten![1] - hundred![1]) - (hundred![1] - thousand![1])) < 0.1, path);
  // The lowest end of the upper panel, which has two thirds of the height.
  assert.ok(zero![1] > ten![1] && zero![1] < 0.65 * Number(allocation!.spec.height), path);
});

Deno.test("a longer run has no larger pictures, with its marks in a path for each series", async () => {
  const timeline = new Timeline(0);
  for (let i = 0; i < 30_000; i++) {
    const times = { startedMs: i, endedMs: i + 100, measured: measuredOf(100 + i % 50) };
    timeline.attempt(chunkOf(1000 + i % 9), attemptOf(times));
    timeline.counts({ waiting: i % 7, running: 4, done: i, workers: 2 }, i);
  }
  for (const { name, spec } of coursePictures(timeline.course, "")) {
    const svg = await renderSpec(spec);
    assert.ok(svg.length < 250_000, `${name}: ${svg.length} characters`);
  }
});

Deno.test("a run of which nothing lasted, or everything took nothing, has pictures too", async () => {
  const timeline = new Timeline(0);
  const box = resources(0, 0);
  const measured = { memoryPeakMb: 0, cpuUserMs: 0, cpuSystemMs: 0 };
  timeline.attempt(chunkOf(0), attemptOf({ startedMs: 0, endedMs: 0, wallMs: 0, box, measured }));
  timeline.counts({ waiting: 0, running: 0, done: 0, workers: 0 }, 0);
  const pictures = coursePictures(timeline.course, "");
  assert.equal(pictures.length, 3);
  for (const { name, spec } of pictures) {
    const svg = await renderSpec(spec);
    assert.ok(!svg.includes("NaN") && !svg.includes("Infinity"), name);
  }
});

Deno.test("ticks of a logarithmic axis are evenly spaced decades with their numbers", async () => {
  const placed = texts(await renderSvg(pictures()["spectrum"]!, { log: false }));
  const [one, ten, hundred] = ["1", "10", "100"].map((label) => {
    // The axis along the bottom is below everything else but its title.
    const found = placed.filter(({ text }) => text === label).sort((a, b) => b.y - a.y)[0];
    return found!.x;
  });
  assert.ok(ten! - one! > 300);
  assert.ok(Math.abs((hundred! - ten!) - (ten! - one!)) < 2);
  const short = texts(await renderSvg(pictures()["short logarithmic"]!)).map(({ text }) => text);
  for (const label of ["60", "70", "90"]) assert.ok(short.includes(label), label);
});

Deno.test("the legend leaves the highest bins and their errors free", async () => {
  const right = new Float64Array(900).fill(119.5);
  for (const size of ["16:9", "4:3"] as const) {
    for (const log of [false, true]) {
      for (
        const [count, name] of [[2, "tt"], [7, "a name of a dataset"], [
          10,
          "W".repeat(40),
        ]] as const
      ) {
        const hist = new Hist([mass, dataset], { log });
        const names = Array.from({ length: count }, (_, i) => `${i}${name}`.slice(0, 40));
        for (const one of names) hist.fill({ mass: right, dataset: one });
        const svg = await renderSvg(hist, { size });
        const legend = texts(svg).filter(({ text }) => names.includes(text));
        assert.equal(legend.length, count);
        const lowest = Math.max(...legend.map(({ y }) => y));
        const bars = lines(svg).filter(({ width }) => width === "1.5");
        assert.equal(bars.length, count);
        const highest = Math.min(...bars.map(({ y, dy }) => Math.min(y, y + dy)));
        // Letters such as g reach below their line.
        assert.ok(lowest + 6 < highest, `${count} ${name} ${size} ${log}: ${lowest}, ${highest}`);
      }
    }
  }
});

Deno.test("a picture has no script and nothing from elsewhere, whatever its texts say", async () => {
  const nasty = `<script>alert("1")</script> & 'x' ]]> \u0000\u001b\ud800 {{a}}`;
  const hist = new Hist([
    axis.regular(2, 0, 1, { name: nasty, label: nasty, unit: nasty }),
    axis.category([nasty, `");alert(1)//`], { name: "c", label: nasty }),
  ], { label: nasty }).fill({ [nasty]: 0.5, c: [nasty, `");alert(1)//`] });
  for (const one of [hist, hist.project("c"), hist.project(nasty)]) {
    const svg = await renderSvg(one, { partial: nasty });
    const tags = new Set(tagsOf(svg));
    for (const tag of ["script", "image", "a", "foreignObject", "use", "style"]) {
      assert.ok(!tags.has(tag), tag);
    }
    assert.doesNotMatch(svg, /href|url\((?!#)|@import/);
    // deno-lint-ignore no-control-regex -- these must not be there
    assert.doesNotMatch(svg, /[\x00-\x08\x0b-\x1f\ud800-\udfff]/);
    assert.ok(svg.includes("&lt;script&gt;"));
  }
});

Deno.test("a picture of a run has no script, whatever names say", async () => {
  const nasty = `<script>alert("1")</script> & 'x' \u0000\ud800");alert(1)//`;
  const timeline = new Timeline(0);
  for (const name of [nasty, "B"]) timeline.attempt(chunkOf(1, name), attemptOf());
  for (const { name, spec } of coursePictures(timeline.course, nasty)) {
    const svg = await renderSpec(spec);
    assert.ok(!tagsOf(svg).includes("script"), name);
    assert.ok(svg.includes("&lt;script&gt;"), name);
    // deno-lint-ignore no-control-regex -- these must not be there
    assert.doesNotMatch(svg, /[\x00-\x08\x0b-\x1f\ud800-\udfff]/);
  }
});

Deno.test("the same histogram gives the same picture, also among others", async () => {
  const hist = pictures()["heat"]!;
  const alone = await renderSvg(hist);
  const [first, , second] = await Promise.all([
    renderSvg(hist),
    renderSvg(pictures()["overlay"]!),
    renderSvg(hist),
  ]);
  assert.equal(first, alone);
  assert.equal(second, alone);
});

Deno.test("steps are as high as the contents of the bins", async () => {
  const two = new Hist([axis.integer(0, 2, { name: "n" })]).fill({ n: [0, 1, 1] });
  const svg = await renderSvg(two);
  const steps = [...svg.matchAll(/<path[^>]*stroke-width="2\.5"[^>]*>/g)];
  assert.equal(steps.length, 1);
  const path = /\bd="([^"]+)"/.exec(steps[0]![0])![1]!;
  const heights = [...path.matchAll(/[ML]?([\d.]+),([\d.]+)/g)].map((point) => Number(point[2]));
  const base = Math.max(...heights);
  const levels = [...new Set(heights.map((y) => Math.round(base - y)))].sort((a, b) => a - b);
  assert.equal(levels.length, 3, "the base and two steps");
  assert.ok(Math.abs(levels[2]! / levels[1]! - 2) < 0.01);
});
