/** In which order packages go into a prefix. */
import { nameOfDependency } from "./match_spec.ts";
import type { PackageRecord } from "./record.ts";

/**
 * Each after all that it depends on, and Python before all that use it. Where packages depend on
 * one another in a circle, names decide; so the order follows from the records alone.
 */
export function linkOrder(records: readonly PackageRecord[]): readonly PackageRecord[] {
  const byName = new Map([...records].sort(byNames).map((record) => [record.name, record]));
  const order: PackageRecord[] = [];
  const seen = new Set<string>();
  // A stack of its own: chains of dependencies may be longer than calls can nest.
  for (const root of byName.values()) {
    const open: { record: PackageRecord; needs: string[] }[] = [];
    const enter = (record: PackageRecord) => {
      seen.add(record.name);
      open.push({ record, needs: needsOf(record, byName) });
    };
    if (!seen.has(root.name)) enter(root);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const name = top.needs.shift();
      if (name === undefined) order.push(open.pop()!.record);
      else if (!seen.has(name)) enter(byName.get(name)!);
    }
  }
  return order;
}

function byNames(a: PackageRecord, b: PackageRecord): number {
  return a.name < b.name ? -1 : 1;
}

/** Names that it must come after. Python asks for pip, which is linked with Python's help. */
function needsOf(
  record: PackageRecord,
  byName: ReadonlyMap<string, PackageRecord>,
): string[] {
  const names = [...new Set(record.depends.map((text) => nameOfDependency(text) ?? ""))];
  const there = names.filter((name) => name !== record.name && byName.has(name)).sort();
  if (record.name !== "python") {
    return there.includes("python") ? ["python", ...there.filter((n) => n !== "python")] : there;
  }
  return there.filter((name) => {
    const needed = byName.get(name)!;
    return needed.noarch !== "python" &&
      !needed.depends.some((text) => nameOfDependency(text) === "python");
  });
}
