import assert from "node:assert/strict";
import * as axis from "../../core/histogram/axis.ts";
import { Hist } from "../../core/histogram/hist.ts";
import { renderSvg } from "../../io/svg.ts";

const mass = axis.regular(60, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" });
const dataset = axis.category([], { name: "dataset", growth: true });
const pt = axis.regular(20, 0, 100, { name: "pt" });

const peak = Float64Array.from({ length: 1000 }, (_, i) => 91 + 3 * Math.tan((i - 500) / 330));

function pictures(): Record<string, Hist> {
  return {
    steps: new Hist([mass]).fill({ mass: peak }),
    weighted: new Hist([mass], { storage: "weighted" }).fill({ mass: peak, weight: -0.3 }),
    overlay: new Hist([mass, dataset], { log: true }).fill({ mass: peak, dataset: "DY" })
      .fill({ mass: peak.map((m) => m + 9), dataset: "tt" }),
    heat: new Hist([mass, pt]).fill({ mass: peak, pt: peak.map((m) => m - 50) }),
    categories: new Hist([dataset]).fill({ dataset: ["DY", "a much longer name of a dataset"] }),
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
