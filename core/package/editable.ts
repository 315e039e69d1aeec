/**
 * Projects that somebody works on: installed as editable for the Python in use, they are taken
 * from their working copies, whatever version a specification asks for, as poncho does it.
 */
import { parseMatchSpec } from "./match_spec.ts";
import { normalizedName, requirementName } from "./requirement.ts";
import type { PackageSpec } from "./spec.ts";

/** A project of which the Python in use runs the working copy. */
export interface EditableProject {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

/** Replaces what names an editable project by its working copy; notes say so. */
export function withEditables(
  spec: PackageSpec,
  editables: readonly EditableProject[],
): { readonly spec: PackageSpec; readonly notes: readonly string[] } {
  const byName = new Map(editables.map((project) => [normalizedName(project.name), project]));
  const notes: string[] = [];
  const locals = [...spec.locals];
  const replaced = (line: string, name: string | null): boolean => {
    const project = name ? byName.get(normalizedName(name)) : undefined;
    if (project === undefined) return false;
    const extras = /^[^[\s]+\s*(\[[^\]=]*\])/.exec(line)?.[1] ?? "";
    const local = `${project.path}${extras}`;
    if (!locals.includes(local)) locals.push(local);
    notes.push(`"${line}" is taken from its working copy, ${project.path}`);
    return true;
  };
  const dependencies = spec.dependencies.filter((line) =>
    !replaced(line, parseMatchSpec(line).name)
  );
  const pip = spec.pip.filter((line) => !replaced(line, requirementName(line)));
  const used = new Set(locals);
  const others = editables.filter(({ path }) =>
    ![...used].some((local) => local === path || local.startsWith(`${path}[`))
  );
  if (others.length > 0) {
    const named = others.map(({ name }) => name).join(", ");
    notes.push(`Installed here as editable, and not asked for: ${named}`);
  }
  return { spec: { ...spec, dependencies, pip, locals }, notes };
}
