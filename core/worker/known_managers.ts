/**
 * What a worker goes by while no catalog answers: the managers that one named last. They are
 * connected to with all that was said of them, so that another manager at such an address by now is
 * refused by its name or its key.
 */
import type { FoundManager } from "../catalog/selection.ts";

export class KnownManagers {
  #told: readonly FoundManager[] = [];
  #servedLast: string | null = null;

  /** A catalog has answered: what was known before counts no more. */
  told(managers: readonly FoundManager[]): void {
    this.#told = managers;
  }

  served({ label }: FoundManager): void {
    this.#servedLast = label;
  }

  /** In the order in which to try them: the one served last may want what we have of its tasks. */
  get inOrder(): readonly FoundManager[] {
    const isLast = ({ label }: FoundManager) => label === this.#servedLast;
    return [...this.#told.filter(isLast), ...this.#told.filter((one) => !isLast(one))];
  }
}
