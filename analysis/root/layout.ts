/**
 * What a branch holds, as far as it can be read as a column: one scalar type, with a fixed or
 * counted number of values an event. Pure.
 */
import type { FlatColumn } from "../../core/columns.ts";
import type { Branch, Leaf, Tree } from "./jsroot.ts";

/** Scalar types by the names that NumPy gives them, with the typed array that holds them. */
const arrays = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

export type Scalar = keyof typeof arrays;

export function scalarBytes(scalar: Scalar): number {
  return arrays[scalar].BYTES_PER_ELEMENT;
}

export function newArray(scalar: Scalar, length: number): FlatColumn {
  return new arrays[scalar](length);
}

/** How the values of one column lie in the baskets of its branch. */
export interface Layout {
  readonly scalar: Scalar;
  /**
   * `fixed`: `perEvent` values each event. `counted`: as many as the entry offsets of the basket
   * say. `vector`: the same, after a header of ten bytes an event (std::vector).
   */
  readonly shape: "fixed" | "counted" | "vector";
  readonly perEvent: number;
  /** Where the column lies among several leaves of one branch; null if it is alone. */
  readonly record: { readonly offsetBytes: number; readonly bytes: number } | null;
}

export interface ColumnSource {
  /** Of subbranches with the names above it: `parent/child`; of one leaf of several `branch.leaf`. */
  readonly name: string;
  readonly branch: Branch;
  /** As C++ or NumPy spell it; for people. */
  readonly type: string;
  /** Null if the type cannot be read. */
  readonly layout: Layout | null;
}

/** All columns of a tree, readable or not, in its order. */
export function columnsOf(tree: Tree): ColumnSource[] {
  return tree.fBranches.arr.flatMap((branch) => columnsOfBranch(branch, ""));
}

function columnsOfBranch(branch: Branch, prefix: string): ColumnSource[] {
  const name = prefix + branch.fName;
  const children = branch.fBranches.arr;
  if (children.length > 0) {
    return children.flatMap((child) => columnsOfBranch(child, `${name}/`));
  }
  const leaves = branch.fLeaves.arr;
  const [leaf] = leaves;
  if (leaf === undefined) return [{ name, branch, type: "nothing", layout: null }];
  if (leaves.length > 1) return recordColumns(name, branch, leaves);
  const layout = branch._typename === "TBranchElement"
    ? elementLayout(branch, leaf)
    : leafLayout(leaf);
  return [{ name, branch, type: layout?.scalar ?? typeName(branch, leaf), layout }];
}

/** Leaves of one branch ("x/F:y/F") lie side by side, event after event, without padding. */
function recordColumns(name: string, branch: Branch, leaves: readonly Leaf[]): ColumnSource[] {
  const layouts = leaves.map(leafLayout);
  let bytes: number | null = 0;
  const offsets: number[] = [];
  for (const layout of layouts) {
    offsets.push(bytes ?? 0);
    bytes = layout?.shape === "fixed" && bytes !== null
      ? bytes + layout.perEvent * scalarBytes(layout.scalar)
      : null;
  }
  return leaves.map((leaf, i) => {
    const layout = layouts[i] ?? null;
    return {
      name: `${name}.${leaf.fName}`,
      branch,
      type: layout?.scalar ?? typeName(branch, leaf),
      layout: layout && bytes !== null
        ? { ...layout, record: { offsetBytes: offsets[i]!, bytes } }
        : null,
    };
  });
}

const leafScalars: Readonly<Record<string, readonly [signed: Scalar, unsigned: Scalar]>> = {
  TLeafO: ["bool", "bool"],
  TLeafB: ["int8", "uint8"],
  TLeafS: ["int16", "uint16"],
  TLeafI: ["int32", "uint32"],
  TLeafL: ["int64", "uint64"],
  TLeafG: ["int64", "uint64"], // Long_t: 8 bytes in a file on any machine
  TLeafF: ["float32", "float32"],
  TLeafD: ["float64", "float64"],
};

function leafLayout(leaf: Leaf): Layout | null {
  const scalar = leafScalars[leaf._typename]?.[leaf.fIsUnsigned ? 1 : 0];
  return scalar ? plain(scalar, leaf.fLen, leaf.fLeafCount !== null) : null;
}

/** Members of split objects and collections, and std::vector of numbers. */
function elementLayout(branch: Branch, leaf: Leaf): Layout | null {
  const type = branch.fStreamerType ?? -1;
  const scalar = streamerScalars[type % fixedArrayType];
  if (type >= 0 && type < 2 * fixedArrayType && scalar) {
    return plain(scalar, leaf.fLen, Boolean(branch.fBranchCount));
  }
  const element = /^(?:std::)?vector<([\w ]+)>$/.exec(branch.fClassName ?? "")?.[1];
  const inVector = element === undefined ? undefined : cppScalars[element];
  // Only a vector that is a branch by itself has this header; one in a class lies otherwise.
  return inVector && (branch.fType === 0) && branch.fBranches.arr.length === 0
    ? { scalar: inVector, shape: "vector", perEvent: 1, record: null }
    : null;
}

function plain(scalar: Scalar, perEvent: number, counted: boolean): Layout {
  return { scalar, shape: counted ? "counted" : "fixed", perEvent, record: null };
}

/** TVirtualStreamerInfo::EReadWrite; twenty more stands for a fixed array of the same. */
const fixedArrayType = 20;
const streamerScalars: Readonly<Record<number, Scalar>> = {
  1: "int8",
  2: "int16",
  3: "int32",
  4: "int64",
  5: "float32",
  6: "int32", // a counter
  8: "float64",
  11: "uint8",
  12: "uint16",
  13: "uint32",
  14: "uint64",
  16: "int64",
  17: "uint64",
  18: "bool",
};

const cppScalars: Readonly<Record<string, Scalar>> = {
  "bool": "bool",
  "char": "int8",
  "signed char": "int8",
  "unsigned char": "uint8",
  "short": "int16",
  "unsigned short": "uint16",
  "int": "int32",
  "unsigned int": "uint32",
  "long": "int64",
  "unsigned long": "uint64",
  "Long64_t": "int64",
  "ULong64_t": "uint64",
  "float": "float32",
  "double": "float64",
};

function typeName(branch: Branch, leaf: Leaf): string {
  if (branch.fClassName) return branch.fClassName;
  const names: Readonly<Record<string, string>> = {
    TLeafC: "string",
    TLeafF16: "Float16_t",
    TLeafD32: "Double32_t",
  };
  return names[leaf._typename] ?? leaf._typename;
}
