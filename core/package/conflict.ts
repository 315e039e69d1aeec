/**
 * Why there is no solution, in words. The solver tells it as a tree in which one requirement
 * leads to the next; what matters is at its leaves: what no channel has, and what two packages
 * want of a third.
 */
import { nearest } from "../suggest.ts";
import { isVirtual, nameOfDependency } from "./match_spec.ts";
import { withoutRanges } from "./prefix_ranges.ts";
import { askedName, pinsName } from "./solver_input.ts";
import { virtualOptions, type VirtualPackage } from "./virtual.ts";

/** What a sentence about a missing package is made from. */
export interface ChannelFacts {
  /** Every name that there is in the channels. */
  readonly names: () => Iterable<string>;
  /** Versions that may be taken, with their builds or without; none if the name is unknown. */
  readonly versionsOf: (name: string, builds: boolean) => readonly string[];
  /** What is not looked at, and why: `channel B has 3.1, but channel A comes first`. */
  readonly passedOver: (name: string) => string | null;
  readonly virtual: readonly VirtualPackage[];
}

interface Node {
  readonly text: string;
  readonly children: Node[];
}

/** Something that is wanted of a package. */
interface Demand {
  readonly name: string;
  /** Version and build, as the solver writes them; `*` for any. */
  readonly wanted: string;
  /** Who wants it, nearest first; empty for what was asked for. */
  readonly by: readonly string[];
  /** No package that there is fits it, or none beside the other demands. */
  readonly is: "met" | "missing" | "conflicting";
}

/** Names and versions told at most. */
const toldMax = 5;

/** Sentences, and below them the solver's tree. */
export function explainConflict(solverText: string, facts: ChannelFacts): string {
  const roots = readTree(withoutRanges(solverText));
  const demands = roots.flatMap((root) => [...demandsOf(root, [])]);
  const sentences = new Set<string>();
  for (const demand of demands) {
    if (demand.is === "missing") sentences.add(missingSentence(demand, facts));
  }
  const torn = new Set(demands.filter((d) => d.is === "conflicting").map(({ name }) => name));
  for (const name of torn) {
    const wishes = distinct(demands.filter((demand) => demand.name === name));
    if (wishes.length > 0) sentences.add(tornSentence(name, wishes, facts));
  }
  const told = [...sentences];
  const words = told.length === 0
    ? ["What was asked for cannot be installed together."]
    : told.slice(0, toldMax);
  if (told.length > toldMax) words.push(`And ${told.length - toldMax} more.`);
  return `${words.join(" ")}\n\nThe solver says:\n${showTree(roots)}`;
}

/** `No channel has a package "nmupy": did you mean "numpy" or "numba"?` */
export function unknownPackage(name: string, names: Iterable<string>, by = ""): string {
  const all = new Set(names);
  const near: string[] = [];
  for (let i = 0; i < 3; i++) {
    const next = nearest(name, all);
    if (next === null) break;
    near.push(`"${next}"`);
    all.delete(next);
  }
  const hint = near.length === 0 ? "" : `: did you mean ${near.join(" or ")}?`;
  return `No channel has a package "${name}"${by}${hint || "."}`;
}

/** Versions for people, newest first and not all of them. */
export function someVersions(versions: readonly string[]): string {
  const order = new Intl.Collator("en", { numeric: true });
  const sorted = [...new Set(versions)].sort((a, b) => order.compare(b, a));
  const more = sorted.length > toldMax ? ` and ${sorted.length - toldMax} more` : "";
  return sorted.slice(0, toldMax).join(", ") + more;
}

function missingSentence({ name, wanted, by }: Demand, facts: ChannelFacts): string {
  const who = neededBy(by);
  if (isVirtual(name)) {
    const have = facts.virtual.find((known) => known.name === name);
    const option = virtualOptions.get(name);
    const has = have === undefined
      ? "none"
      : `${have.version}${name === "__archspec" ? ` ${have.build}` : ""}`;
    const remedy = option === undefined ? "" : `; if all of them have it, say so: ${option}`;
    return `${name} ${wanted} is ${who}, but workers are taken to have ${has}${remedy}.`;
  }
  const versions = facts.versionsOf(name, wanted.includes(" "));
  const passedOver = facts.passedOver(name);
  if (versions.length === 0 && passedOver === null) {
    return unknownPackage(name, facts.names(), ` (${who})`);
  }
  const there = versions.length === 0 ? "there is none" : `there is ${someVersions(versions)}`;
  const rest = passedOver === null ? "" : `; ${passedOver}`;
  return `No ${name} fits ${wanted} (${who}): ${there}${rest}.`;
}

function tornSentence(name: string, wishes: readonly Demand[], facts: ChannelFacts): string {
  const [only] = wishes;
  if (wishes.length === 1) {
    const there = someVersions(facts.versionsOf(name, only!.wanted.includes(" ")));
    return `No ${name} that fits the rest is ${only!.wanted} (${
      neededBy(only!.by)
    }): there is ${there}.`;
  }
  const told = wishes.slice(0, toldMax).map(({ wanted, by }) => `${wanted} (${neededBy(by)})`);
  if (wishes.length > toldMax) told.push(`${wishes.length - toldMax} more`);
  return `${name} cannot be at once ${told.slice(0, -1).join(", ")} and ${told.at(-1)}.`;
}

function neededBy(by: readonly string[]): string {
  if (by.length === 0) return "asked for";
  if (by[0] === pinsName) return "pinned";
  return `needed by ${by.map((name, i) => i === 0 ? name : `, which ${name} needs`).join("")}`;
}

function distinct(demands: readonly Demand[]): Demand[] {
  const seen = new Map<string, Demand>();
  for (const demand of demands) {
    const key = `${demand.wanted} ${demand.by.join()}`;
    if (demand.wanted !== "*" && !seen.has(key)) seen.set(key, demand);
  }
  return [...seen.values()];
}

/** The solver's lines; what is ours among them, and its first words, are left out. */
function readTree(text: string): Node[] {
  const top: Node = { text: "", children: [] };
  const open: Node[] = [top];
  let margin = 1;
  for (const line of text.replace(/^Cannot solve the request because of: /, "").split("\n")) {
    const [, bars = "", words = ""] = /^([│├└─ ]*)(.*)$/.exec(line) ?? [];
    if (words === "") continue;
    // A single root stands at the margin; several below these words, with bars of their own.
    const several = words === "The following packages are incompatible";
    if (bars === "") margin = several ? 0 : 1;
    if (several) continue;
    const depth = Math.min(bars.length / 3 + margin, open.length);
    const node: Node = { text: words, children: [] };
    open[depth - 1]!.children.push(node);
    open.splice(depth, Infinity, node);
  }
  return top.children.flatMap(withoutOurs);
}

/** `_wqx-asked`, and below it its only version, stand before what users asked for. */
function withoutOurs(node: Node): Node[] {
  return node.text.startsWith(askedName) ? node.children.flatMap(withoutOurs) : [node];
}

function* demandsOf(node: Node, by: readonly string[]): Generator<Demand> {
  const requirement =
    /^(?:No candidates were found for )?(\S+) (.+?)(?:, (?:which|for which) (.*)| (can(?:not)? be installed .*)|\.|)$/
      .exec(node.text);
  const needing = /^(\S+) (.*) would (?:require|constrain)$/.exec(node.text);
  if (needing !== null) {
    const name = needing[1]!;
    const who = name === pinsName ? name : `${name} ${shortened(needing[2]!)}`;
    for (const child of node.children) yield* demandsOf(child, [who, ...by]);
    return;
  }
  if (requirement !== null && nameOfDependency(requirement[1]!) !== null) {
    const [, name = "", wanted = "", which = "", root = ""] = requirement;
    const missing = which.startsWith("no candidates") || node.text.startsWith("No candidates");
    const torn = which.startsWith("conflicts") ||
      node.children.some(({ text }) => / conflicts with the versions reported/.test(text));
    if (missing || torn || which !== "" || root !== "") {
      yield { name, wanted, by, is: missing ? "missing" : torn ? "conflicting" : "met" };
    }
  }
  for (const child of node.children) {
    if (!/conflicts with the versions reported/.test(child.text)) yield* demandsOf(child, by);
  }
}

/** Versions that behave alike stand in one line: `1.24 | 1.25 | 1.26`. */
function shortened(versions: string): string {
  const all = versions.split(" | ");
  return all.length <= 3 ? all.join(" or ") : `${all[0]} … ${all.at(-1)}`;
}

function showTree(nodes: readonly Node[], bars = ""): string {
  return nodes.map((node, i) => {
    const last = i === nodes.length - 1;
    const words = node.text.replaceAll(pinsName, "what is pinned");
    const below = showTree(node.children, `${bars}${last ? "   " : "│  "}`);
    return `${bars}${last ? "└─" : "├─"} ${words}${below === "" ? "" : `\n${below}`}`;
  }).join("\n");
}
