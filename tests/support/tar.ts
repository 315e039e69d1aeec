/** Tar archives for tests, also such as no program would make. */
import { gzipSync } from "node:zlib";
import { concat } from "../../core/bytes.ts";
import { tarEnd, type TarEntry, tarHeader, tarPadding } from "../../core/package/tar_header.ts";

export interface Member extends Partial<TarEntry> {
  readonly path: string;
  readonly text?: string;
  /** In place of the letter that the kind has. */
  readonly typeFlag?: string;
  /** In place of the length of the text. */
  readonly size?: number;
}

/** Bytes of an archive; paths and links are written as they are. */
export function tarOf(members: readonly Member[], end: Uint8Array = tarEnd): Uint8Array {
  return concat([...members.flatMap(piecesOf), end]);
}

function piecesOf({ text = "", typeFlag, ...member }: Member): Uint8Array[] {
  const content = new TextEncoder().encode(text);
  const entry = { kind: "file", mode: 0o644, timeS: 1_700_000_000, ...member } as const;
  const header = tarHeader({ ...entry, size: member.size ?? content.length });
  if (typeFlag !== undefined) {
    header.set(withFlag(header.subarray(-512), typeFlag), header.length - 512);
  }
  return [header, content, tarPadding(content.length)];
}

function withFlag(block: Uint8Array, typeFlag: string): Uint8Array {
  const changed = block.slice();
  changed[156] = typeFlag.charCodeAt(0);
  return checked(changed);
}

/** The header with its sum made right. */
export function checked(block: Uint8Array): Uint8Array {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(new TextEncoder().encode(sum.toString(8).padStart(6, "0") + "\0 "), 148);
  return block;
}

/** What every environment needs. */
export const environmentMembers: readonly Member[] = [
  {
    path: "bin/activate",
    text: 'CONDA_PREFIX=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)\n' +
      'export CONDA_PREFIX PATH="$CONDA_PREFIX/bin:$PATH"\n',
  },
  { path: "bin/hello", text: "#!/bin/sh\necho hello from $CONDA_PREFIX: $*\n", mode: 0o755 },
];

/** Writes it gzipped, and returns the path. */
export async function writeArchive(path: string, members: readonly Member[]): Promise<string> {
  await Deno.writeFile(path, gzipSync(tarOf(members)));
  return path;
}
