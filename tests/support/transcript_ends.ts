/** What the ends of a transcript's links have in common. */
import { concat } from "../../core/bytes.ts";

/** What an end did: bytes on a link, or something a reader is told of. */
export type Step =
  & { readonly link: number }
  & (
    | { readonly kind: "sends"; readonly bytes: Uint8Array }
    | { readonly kind: "does"; readonly text: string }
    | { readonly kind: "closes"; readonly text: string }
  );

export interface End {
  receive(bytes: Uint8Array, nowMs: number, link: number): void;
  tick(nowMs: number): void;
  /** A stimulus of the transcript. */
  happens(word: string, args: unknown[], nowMs: number): void;
  take(): Step[];
}

/** Files of a transcript: a text is a file, `["x"]` a link to x, `null` a link to nothing. */
export type Tree = string | readonly [string] | null | { readonly [name: string]: Tree };
export type Folder = Exclude<Tree, string | readonly [string] | null>;

export function isFolder(tree: Tree): tree is Folder {
  return typeof tree === "object" && tree !== null && !Array.isArray(tree);
}

export class Steps {
  #steps: Step[] = [];

  take(): Step[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  sends(bytes: Uint8Array, link = 1): void {
    const last = this.#steps.at(-1);
    // What follows a line belongs to it, as far as a reader is concerned.
    const joined = last?.kind === "sends" && last.link === link;
    if (joined) this.#steps.pop();
    this.#steps.push({ kind: "sends", link, bytes: joined ? concat([last.bytes, bytes]) : bytes });
  }

  does(text: string, link = 1): void {
    this.#steps.push({ kind: "does", link, text });
  }

  closes(text: string, link = 1): void {
    this.#steps.push({ kind: "closes", link, text });
  }
}
