/** Whatever a decoder throws on bad bytes becomes a sentence about the file. */
import { DataError, messageOf } from "../../core/errors.ts";
import type { ByteSource } from "./source.ts";

/**
 * Runs `body`; what it throws becomes DataError `corrupt` about `what`, unless it is a DataError
 * already or the reason for which reading was ended.
 */
export async function blaming<T>(
  source: ByteSource,
  what: string,
  body: () => Promise<T> | T,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    source.signal?.throwIfAborted();
    if (error instanceof DataError) throw error;
    throw new DataError(
      "corrupt",
      `Cannot read ${source.name}: ${what} cannot be decoded (${messageOf(error)}); ` +
        "the file is damaged",
      { cause: error },
    );
  }
}
