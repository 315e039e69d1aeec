/** "Did you mean …?": the known word that is nearest to a misspelt one. */
import { distance } from "fastest-levenshtein";

/** The candidate nearest to `word`, or `null` if none is near enough to be meant by it. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const wanted = word.toLowerCase();
  let best: string | null = null;
  let bestEdits = Infinity;
  for (const candidate of candidates) {
    const edits = editsBetween(wanted, candidate.toLowerCase());
    if (edits < bestEdits) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return bestEdits <= editsMax(wanted.length) ? best : null;
}

/** `: did you mean "chunksize"?`, or nothing, to end a sentence about an unknown word. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === null ? "" : `: did you mean "${found}"?`;
}

/** A word cut short ("chunk" for "chunksize") is one slip, however much is missing. */
function editsBetween(word: string, candidate: string): number {
  const cut = word.length >= 3 && candidate.startsWith(word);
  return Math.min(distance(word, candidate), cut ? 1 : Infinity);
}

/** Two letters swapped count two edits, so that four letters must allow two. */
function editsMax(length: number): number {
  if (length <= 1) return 0;
  return length <= 3 ? 1 : Math.max(2, Math.floor(length * 0.4));
}
