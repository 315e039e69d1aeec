/**
 * The user's own stack trace. A processor arrives as one bundled file; Deno already maps its frames
 * back through the inline source map, so what remains is to leave out the frames of wqx.
 */
import { fileURLToPath, pathToFileURL } from "node:url";

/** `    at process (file:///home/me/processor.ts:12:5)`, or without function and parentheses. */
const frameOf = /^\s+at (?:.*? \()?((?:file|https?|data|blob|node|ext):.*?):\d+:\d+\)?$/;

/**
 * The name, the message and those frames of a thrown value (and of its causes) that lie in the
 * files bundled into `code`, as paths. Anything but an Error has no frames.
 */
export function userStack(thrown: unknown, code: string): string {
  const sources = sourcesOf(code);
  const shown: string[] = [];
  // A chain of causes may be a ring.
  for (let error = thrown, depth = 0; depth < 5 && error !== undefined; depth++) {
    const text = error instanceof Error ? error.stack ?? String(error) : inspect(error);
    const lines = text.split("\n").flatMap((line) => {
      if (!/^\s+at /.test(line)) return [line];
      const location = frameOf.exec(line)?.[1];
      // Frames show URLs with spaces and letters that URLs proper have encoded.
      const url = location === undefined ? null : URL.parse(location);
      if (location === undefined || url === null || !sources.has(url.href)) return [];
      return [line.replace(location, () => fileURLToPath(url))];
    });
    shown.push((depth > 0 ? "Caused by: " : "") + lines.join("\n"));
    error = error instanceof Error ? error.cause : undefined;
  }
  return shown.join("\n");
}

function inspect(value: unknown): string {
  return `${Deno.inspect(value)} (thrown as it is; an Error would tell where)`;
}

/** URLs of the files that were bundled into `code`, from the source map at its end. */
function sourcesOf(code: string): Set<string> {
  const map = /\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/.exec(code)?.[1];
  if (map === undefined) return new Set();
  const json = new TextDecoder().decode(Uint8Array.fromBase64(map));
  const { sources, sourceRoot } = JSON.parse(json) as { sources: string[]; sourceRoot?: string };
  const base = sourceRoot ?? pathToFileURL(`${Deno.cwd()}/`).href;
  return new Set(sources.flatMap((source) => {
    const url = URL.parse(source, base);
    return url?.protocol === "file:" ? [url.href] : [];
  }));
}
