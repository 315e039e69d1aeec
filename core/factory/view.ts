/** What a factory sees of managers, foremen and other factories in the records it is given. */
import { isFactory, managersNamed, projectPattern } from "../catalog/selection.ts";
import { integerOf, type JxObject } from "../jx/value.ts";
import type { FactorySettings } from "./settings.ts";

export interface View {
  readonly managers: readonly JxObject[];
  /** `null`: managers get the workers. */
  readonly foremen: readonly JxObject[] | null;
  /** Of all factories, ours too. */
  readonly factories: readonly JxObject[];
  /** Managers of the project that our workers cannot serve. */
  readonly foreign: readonly JxObject[];
}

export const emptyView: View = { managers: [], foremen: null, factories: [], foreign: [] };

export interface Answer {
  /** All records of a catalog. */
  readonly records: readonly JxObject[];
  /** What the manager at the address of the command line answered; `null`: found by name. */
  readonly direct: JxObject | null;
}

/**
 * Those that the settings name. `protocols` are what our workers speak; `null`: whatever comes.
 * Throws a UsageError where a name is no regular expression.
 */
export function viewOf(
  { records, direct }: Answer,
  settings: FactorySettings,
  protocols: readonly number[] | null,
): View {
  const ofProject = (name: string) => managersNamed(records, projectPattern(name));
  const { managerName, foremenName } = settings;
  const named = direct !== null ? [direct] : managerName === null ? [] : ofProject(managerName);
  const speaks = (record: JxObject) => {
    const protocol = integerOf(record, "protocol");
    return protocols === null || protocol === 0 || protocols.includes(protocol);
  };
  return {
    managers: named.filter(speaks),
    foremen: foremenName === null ? null : ofProject(foremenName),
    factories: records.filter(isFactory),
    foreign: named.filter((record) => !speaks(record)),
  };
}
