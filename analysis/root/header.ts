/** The first bytes of a ROOT file: what they say about it, and whether the file is all there. */
import { DataError } from "../../core/errors.ts";

/** Enough for the header and for the directory record that follows it. */
export const headBytes = 1024;

/** As `uproot.open(file).file.uuid` prints it. Throws DataError `not-root` or `truncated`. */
export function uuidFromHead(name: string, head: Uint8Array, fileBytes: number): string {
  if (fileBytes === 0) throw new DataError("not-root", `Cannot read ${name}: the file is empty`);
  const text = new TextDecoder("latin1").decode(head.subarray(0, 64));
  if (!text.startsWith("root")) {
    const page = /^\s*<(!doctype|html)/i.test(text) ? "a web page" : "something else";
    throw new DataError(
      "not-root",
      `Cannot read ${name}: this is no ROOT file but ${page} (it starts with ${
        JSON.stringify(text.slice(0, 8))
      }, not with "root")`,
    );
  }
  // Layout: ROOT, TFile::Init. From version 1,000,000 on, file positions take 8 bytes.
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const big = head.length >= 8 && view.getUint32(4) >= 1_000_000;
  const uuidAt = big ? 59 : 47;
  const cut = (whole: string) =>
    new DataError(
      "truncated",
      `Cannot read ${name}: it is cut off: ${fileBytes} bytes of ${whole}. Copy it again`,
    );
  if (head.length < uuidAt + 16) throw cut("a longer file");
  const end = big ? Number(view.getBigUint64(12)) : view.getUint32(12);
  if (end > fileBytes) throw cut(`${end}`);
  const seekInfo = big ? view.getBigUint64(45) : BigInt(view.getUint32(37));
  if (seekInfo === 0n) {
    throw new DataError(
      "truncated",
      `Cannot read ${name}: its writer never closed it, so that its list of contents is missing`,
    );
  }
  return head.subarray(uuidAt, uuidAt + 16).toHex()
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
