/** How a manager serves its links: who may come in, and what it does about slow tasks. */
import type { ConnectionMode } from "../core/catalog/selection.ts";
import { UsageError } from "../core/errors.ts";
import { catalogsOf } from "../io/catalog_client.ts";
import { readPasswordFile } from "../io/handshake.ts";
import { keptIdentity, pinned, type PinnedIdentity } from "../io/kept_identity.ts";
import type { Advertising } from "./advertise.ts";

export interface Serving {
  /** Workers, and who asks for the status, have to know it; `null`: anybody may come. */
  readonly password: { readonly content: Uint8Array; readonly path: string } | null;
  /** `null`: plain text only. */
  readonly tls: ServingTls | null;
  /** A task so many times slower than the average of its category gets a second copy. */
  readonly stragglerFactor: number | null;
  /** `null`: in no catalog. */
  readonly advertising: Advertising | null;
  /** How workers that find it in a catalog should connect. */
  readonly preferredConnection: ConnectionMode;
  /** The file to which the port is written; `null`: none. */
  readonly portFile: string | null;
}

export interface ServingTls {
  readonly identity: PinnedIdentity;
  /** Everybody has to; otherwise who begins in plain text, as Work Queue's workers do, may go on. */
  readonly required: boolean;
}

/** For anybody, in plain text. */
export const openToAll: Serving = {
  password: null,
  tls: null,
  stragglerFactor: null,
  advertising: null,
  preferredConnection: "by_ip",
  portFile: null,
};

/** What the command line says of it. */
export interface ServingOptions {
  readonly password: string | undefined;
  readonly ssl: boolean;
  readonly plain: boolean;
  readonly sslKey: string | undefined;
  readonly sslCert: string | undefined;
  readonly fastAbort: number | undefined;
  readonly project: string | undefined;
  readonly catalogs: string | undefined;
  readonly preferredConnection: ConnectionMode | undefined;
  readonly portFile: string | undefined;
}

/** Reads the files; throws a UsageError for what cannot be used. */
export async function prepareServing(
  options: ServingOptions,
  warn: (line: string) => void,
): Promise<Serving> {
  const { password, sslKey, sslCert, fastAbort, project, portFile } = options;
  if ((sslKey === undefined) !== (sslCert === undefined)) {
    throw new UsageError("Cannot use TLS with one of --ssl-key and --ssl-cert: it takes both");
  }
  return {
    password: password === undefined
      ? null
      : { content: await readPasswordFile(password, warn), path: password },
    tls: await tlsOf(options, warn),
    stragglerFactor: fastAbort ?? null,
    // The catalogs of the environment are none of our business without a name.
    advertising: project === undefined ? null : { project, catalogs: catalogsOf(options.catalogs) },
    preferredConnection: options.preferredConnection ?? "by_ip",
    portFile: portFile ?? null,
  };
}

async function tlsOf(
  { ssl, plain, sslKey, sslCert }: ServingOptions,
  warn: (line: string) => void,
): Promise<ServingTls | null> {
  if (sslKey !== undefined && sslCert !== undefined) {
    if (plain) throw new UsageError("Cannot take --plain and --ssl-key: is it to be TLS or not?");
    const { readIdentity } = await import("../io/tls_identity.ts");
    return { identity: await pinned(await readIdentity(sslKey, sslCert)), required: true };
  }
  if (!plain) return { identity: await keptIdentity(warn), required: ssl };
  if (ssl) throw new UsageError("Cannot take --plain and --ssl: is it to be TLS or not?");
  return null;
}
