/**
 * ROOT trees as columns, from disk, by HTTP or by XRootD. Only the baskets that overlap the events asked for,
 * of the branches asked for, are read.
 */
import type { Column } from "../../core/columns.ts";
import { DataError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { blaming } from "./blame.ts";
import { headBytes, uuidFromHead } from "./header.ts";
import { openUrl } from "./http.ts";
import * as jsroot from "./jsroot.ts";
import { Reader } from "./reader.ts";
import { type ByteSource, openPath, readOne, type SourceOptions } from "./source.ts";
import { checkedTree } from "./tree.ts";
import { unpack } from "./unpack.ts";

export interface ColumnInfo {
  readonly name: string;
  /** As NumPy names it ("float32", "bool", …); the C++ type if it cannot be read. */
  readonly type: string;
  /** A run of values an event; fixed arrays too. */
  readonly jagged: boolean;
  /** False if `read` would throw `unsupported`. */
  readonly readable: boolean;
}

/** An open tree; dispose of it to close the file. */
export interface TreeReader extends AsyncDisposable {
  /** How many events there are. */
  readonly entries: number;
  /** Of the file, as `uproot.open(file).file.uuid` prints it: another one is another file. */
  readonly uuid: string;
  /** Fetched so far, of file header and tree as well. */
  readonly bytesRead: number;
  columns(): readonly ColumnInfo[];
  /**
   * The columns named, for events `start` to `stop` (exclusive), in the order of `names`. Throws
   * DataError for what the file is to blame for, RangeError for events that the tree has not.
   */
  read(names: readonly string[], start: number, stop: number): Promise<Map<string, Column>>;
}

/**
 * Opens a tree of a ROOT file: `source` is a path, an http(s) or a root URL, `tree` may name folders
 * (`folder/Events`). Throws DataError whose message names the file, or the signal's reason.
 */
export async function openTree(
  source: string,
  tree: string,
  options: SourceOptions = {},
): Promise<TreeReader> {
  const bytes = await openSource(source, options);
  try {
    const head = await readOne(bytes, 0, Math.min(headBytes, bytes.size));
    const uuid = uuidFromHead(bytes.name, head, bytes.size);
    const file = await openFile(bytes);
    return new Reader(bytes, file, uuid, tree, await readTree(bytes, file, tree));
  } catch (error) {
    await bytes[Symbol.asyncDispose]();
    throw error;
  }
}

function openSource(source: string, options: SourceOptions): Promise<ByteSource> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return openPath(source, options);
    case "http":
    case "https":
      return openUrl(source, options);
    case "root":
    case "roots":
    case "xroot":
    case "xroots":
      return import("./xrootd.ts").then(({ openXrootd }) => openXrootd(source, options));
    default:
      throw new DataError(
        "unreachable",
        `Cannot read ${JSON.stringify(source)}: ${scheme}:// is not spoken here; ` +
          "use an http(s) or root address of the same file, or a copy on disk",
      );
  }
}

function openFile(source: ByteSource): Promise<jsroot.RootFile> {
  return blaming(
    source,
    "its list of contents",
    () =>
      jsroot.openFile(source.name, source.size, async (ranges) => {
        const parts: Uint8Array[] = [];
        // jsroot asks for some hundred bytes of header, even of a file that has fewer.
        const within = ranges.map(({ start, bytes }) =>
          start < headBytes
            ? { start, bytes: Math.min(bytes, source.size - start) }
            : { start, bytes }
        );
        await source.read(within, (bytes, i) => void (parts[i] = bytes));
        return parts;
      }),
  );
}

async function readTree(source: ByteSource, file: jsroot.RootFile, name: string) {
  const key = await blaming(source, "its list of contents", () => jsroot.findKey(file, name));
  if (key === null) {
    const keys = await blaming(source, "its list of contents", () => jsroot.listKeys(file));
    const trees = [...new Set(keys.filter((k) => isTree(k.className)).map((k) => k.path))];
    const there = trees.length > 0 ? `it has ${trees.join(", ")}` : "it has no trees at all";
    throw new DataError(
      "no-tree",
      `Cannot read ${source.name}: there is no tree "${name}" in it${
        didYouMean(name, trees) || `; ${there}`
      }`,
    );
  }
  if (key.fClassName.includes("RNTuple")) {
    throw new DataError(
      "unsupported",
      `Cannot read ${source.name}: "${name}" is an RNTuple, and only TTree is read so far`,
    );
  }
  if (!isTree(key.fClassName)) {
    throw new DataError(
      "no-tree",
      `Cannot read ${source.name}: "${name}" is no tree but a ${key.fClassName}`,
    );
  }
  return await blaming(source, `tree "${name}"`, async () => {
    const packed = await readOne(source, key.fSeekKey + key.fKeylen, key.fNbytes - key.fKeylen);
    return checkedTree(
      await jsroot.streamObject(file, key, await unpack(packed, key.fObjlen)),
    );
  });
}

function isTree(className: string): boolean {
  return className === "TTree" || className === "TNtuple" || className === "TNtupleD";
}
