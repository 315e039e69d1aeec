/**
 * The solver, in a thread of its own: it is WebAssembly that stops whoever calls it for as long as
 * it thinks, and that breaks for good where its authors expected something else. The single file
 * has this module bundled beside it.
 */
import { simpleSolve } from "@conda-org/rattler";
import type { Platform } from "../core/package/platform.ts";

export interface SolveRequest {
  readonly specs: readonly string[];
  readonly target: Platform;
  /** Texts of `repodata.json` for the target and for `noarch`. */
  readonly platform: string;
  readonly noarch: string;
}

export type SolveAnswer =
  | { readonly is: "solved"; readonly fileNames: readonly string[] }
  /** The solver's words: a tree of what conflicts, or what it could not read. */
  | { readonly is: "refused"; readonly text: string }
  /** It is of no more use; why, in its own words. */
  | { readonly is: "broke"; readonly text: string };

/** The solver fetches repodata itself, over HTTP only: from a host that does not exist. */
const channel = "http://channel.invalid/c/";

let repodata: ReadonlyMap<string, string> = new Map();

globalThis.fetch = (input) => {
  const { url } = input instanceof Request ? input : new Request(input);
  const text = repodata.get(url);
  const response = text === undefined ? new Response("", { status: 404 }) : new Response(text);
  // It reads the URL of the answer, which those made here lack.
  return Promise.resolve(Object.defineProperty(response, "url", { value: url }));
};

/** It says why it panics there, and then fails in a way that tells nothing. */
let panic = "";
Object.assign(console, { error: (text: unknown) => panic = String(text) });

async function solve(request: SolveRequest): Promise<SolveAnswer> {
  const { specs, target, platform, noarch } = request;
  repodata = new Map([
    [`${channel}${target}/repodata.json`, platform],
    [`${channel}noarch/repodata.json`, noarch],
  ]);
  try {
    const found = await simpleSolve([...specs], [channel], [target, "noarch"], undefined);
    return { is: "solved", fileNames: found.map(({ filename }) => filename) };
  } catch (error) {
    return typeof error === "string" ? { is: "refused", text: error } : broken(error);
  }
}

function broken(error: unknown): SolveAnswer {
  const said = /panicked at [^\n]*\n([^\n]*)/.exec(panic)?.[1] ?? "";
  const own = error instanceof Error ? error.message : String(error);
  return { is: "broke", text: said === "" ? own : said };
}

// A panic passes by the call that it happens in.
self.addEventListener("error", (event) => {
  event.preventDefault();
  self.postMessage(broken(event.error));
});
self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  self.postMessage(broken(event.reason));
});

self.onmessage = async ({ data }: MessageEvent<SolveRequest>) => {
  self.postMessage(await solve(data));
};
