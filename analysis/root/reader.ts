/** Reads columns of an open tree: which baskets are wanted, their bytes, their values. */
import type { Column } from "../../core/columns.ts";
import { DataError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { blaming } from "./blame.ts";
import { type Basket, decode, int32s } from "./decode.ts";
import * as jsroot from "./jsroot.ts";
import { columnsOf, type ColumnSource, type Layout } from "./layout.ts";
import type { ColumnInfo, TreeReader } from "./mod.ts";
import type { ByteSource, Range } from "./source.ts";
import { unpack } from "./unpack.ts";

/** Bit of ROOT::TIOFeatures. */
const generateOffsetMap = 1;

const readableTypes = "numbers, booleans, their arrays and std::vectors of them can be read";

type Readable = ColumnSource & { readonly layout: Layout };

/** A basket of a column, and which of its events are wanted. */
interface Wanted {
  readonly column: Readable;
  readonly events: number;
  readonly from: number;
  readonly to: number;
  /** Where it is in the file, or the basket itself if it is stored inside the tree. */
  readonly at: Range | jsroot.BasketHeader;
}

/** The tree of an open file; owns the source. */
export class Reader implements TreeReader {
  readonly entries: number;
  readonly #columns: ReadonlyMap<string, ColumnSource>;

  constructor(
    private readonly source: ByteSource,
    private readonly file: jsroot.RootFile,
    readonly uuid: string,
    private readonly treeName: string,
    tree: jsroot.Tree,
  ) {
    this.entries = tree.fEntries;
    this.#columns = new Map(columnsOf(tree).map((column) => [column.name, column]));
  }

  get bytesRead(): number {
    return this.source.bytesRead;
  }

  columns(): readonly ColumnInfo[] {
    return Array.from(this.#columns.values(), ({ name, type, layout }) => ({
      name,
      type,
      jagged: layout !== null && (layout.shape !== "fixed" || layout.perEvent !== 1),
      readable: layout !== null,
    }));
  }

  async read(
    names: readonly string[],
    start: number,
    stop: number,
  ): Promise<Map<string, Column>> {
    if (!(Number.isInteger(start) && 0 <= start && start <= stop && stop <= this.entries)) {
      throw new RangeError(`events ${start} to ${stop} are not within 0 to ${this.entries}`);
    }
    const columns = [...new Set(names)].map((name) => this.#readable(name));
    const wanted = columns.map((column) => this.#overlapping(column, start, stop));
    const baskets = await this.#fetch(wanted.flat());
    const result = new Map<string, Column>();
    for (const [i, column] of columns.entries()) {
      const own = wanted[i]!.map((basket) => baskets.get(basket)!);
      result.set(column.name, await this.#blaming(column, () => decode(column.layout, own)));
      // Two copies of every column need not be held until the last is decoded.
      for (const basket of wanted[i]!) baskets.delete(basket);
    }
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
  }

  #readable(name: string): Readable {
    const column = this.#columns.get(name);
    if (column === undefined) {
      throw new DataError(
        "no-branch",
        `Cannot read ${this.source.name}: tree "${this.treeName}" has no branch "${name}"` +
          (didYouMean(name, this.#columns.keys()) || `; it has ${this.#columns.size} others`),
      );
    }
    const { layout } = column;
    if (layout === null) throw this.#unsupported(column, `has type ${column.type}`, readableTypes);
    const made = (column.branch.fIOFeatures?.fIOBits ?? 0) & generateOffsetMap;
    if (made !== 0 && layout.shape !== "fixed") {
      const remedy = "write it without ROOT's option kGenerateOffsetMap";
      throw this.#unsupported(column, "has no entry offsets", remedy);
    }
    const elsewhere = column.branch.fFileName;
    if (elsewhere !== "") {
      throw this.#unsupported(column, `is kept in another file, ${elsewhere}`, "read that one");
    }
    return { ...column, layout };
  }

  #unsupported({ name }: ColumnSource, why: string, remedy: string): DataError {
    return new DataError(
      "unsupported",
      `Cannot read branch "${name}" of ${this.source.name}: it ${why}; ${remedy}`,
    );
  }

  #blaming<T>(column: ColumnSource, body: () => Promise<T> | T): Promise<T> {
    return blaming(this.source, `branch "${column.name}"`, body);
  }

  /** The baskets that hold any of the events, in order. */
  #overlapping(column: Readable, start: number, stop: number): Wanted[] {
    const { fBasketEntry, fBasketSeek, fBasketBytes, fBaskets, fWriteBasket, fEntries } =
      column.branch;
    const found: Wanted[] = [];
    let covered = start;
    for (let i = 0; i <= fWriteBasket && covered < stop; i++) {
      const inTree = fBaskets.arr[i];
      const first = fBasketEntry[i] ?? fEntries;
      const end = i < fWriteBasket ? fBasketEntry[i + 1] ?? fEntries : fEntries;
      if (end <= covered || (i === fWriteBasket && !inTree)) continue;
      if (first > covered) break; // a gap
      found.push({
        column,
        events: end - first,
        from: covered - first,
        to: Math.min(stop, end) - first,
        at: inTree?.fBufferRef ? inTree : { start: fBasketSeek[i]!, bytes: fBasketBytes[i]! },
      });
      covered = Math.min(stop, end);
    }
    if (covered < stop) {
      throw new DataError(
        "corrupt",
        `Cannot read ${this.source.name}: branch "${column.name}" has no data for event ` +
          `${covered} of ${this.entries}; the file is damaged`,
      );
    }
    return found;
  }

  async #fetch(wanted: readonly Wanted[]): Promise<Map<Wanted, Basket>> {
    const baskets = new Map<Wanted, Basket>();
    const ranges: Range[] = [];
    const onDisk: Wanted[] = [];
    for (const basket of wanted) {
      const { at } = basket;
      if ("start" in at) {
        ranges.push(at);
        onDisk.push(basket);
      } else {
        baskets.set(basket, await this.#blaming(basket.column, () => storedInTree(basket, at)));
      }
    }
    await this.source.read(ranges, async (bytes, i) => {
      const basket = onDisk[i]!;
      baskets.set(
        basket,
        await this.#blaming(basket.column, () => this.#unpacked(basket, bytes)),
      );
    });
    return baskets;
  }

  async #unpacked({ column, events, from, to }: Wanted, bytes: Uint8Array): Promise<Basket> {
    const { fNbytes, fObjlen, fKeylen, fNevBuf, fLast } = jsroot.basketHeader(this.file, bytes);
    if (fNbytes !== bytes.length || fNevBuf !== events || fKeylen > fNbytes) {
      throw new Error("there is no basket where one should be");
    }
    const content = await unpack(bytes.subarray(fKeylen), fObjlen);
    const border = fLast - fKeylen;
    if (border < 0 || border > content.length) throw new Error("a basket has an impossible size");
    const values = content.subarray(0, border);
    const hasOffsets = column.layout.shape !== "fixed" && border < content.length;
    // Before the offsets stands how many there are.
    const entryOffsets = hasOffsets ? int32s(content.subarray(border + 4)) : null;
    return { from, to, events, values, entryOffsets, base: fKeylen };
  }
}

/** A basket that ROOT left in the tree because it was not full; it is never compressed. */
function storedInTree({ from, to, events }: Wanted, header: jsroot.BasketHeader): Basket {
  const content = header.fBufferRef?.arr;
  const valueBytes = header.fLast - header.fKeylen;
  if (!content || valueBytes > content.byteLength) throw new Error("a basket is cut off");
  const values = new Uint8Array(content.buffer, content.byteOffset, valueBytes);
  const entryOffsets = header.fEntryOffset ?? null;
  return { from, to, events, values, entryOffsets, base: header.fKeylen };
}
