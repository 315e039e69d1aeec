/** How a manager serves its links: who may come in, and what it does about slow tasks. */
import type { ConnectionMode } from "../core/catalog/selection.ts";
import { UsageError } from "../core/errors.ts";
import { catalogsOf } from "../io/catalog_client.ts";
import { readPasswordFile } from "../io/handshake.ts";
import type { TlsIdentity } from "../io/tls_identity.ts";
import type { Advertising } from "./advertise.ts";

export interface Serving {
  /** Workers, and who asks for the status, have to know it; `null`: anybody may come. */
  readonly password: { readonly content: Uint8Array; readonly path: string } | null;
  /** `null`: plain text. */
  readonly identity: TlsIdentity | null;
  /** A task so many times slower than the average of its category gets a second copy. */
  readonly stragglerFactor: number | null;
  /** `null`: in no catalog. */
  readonly advertising: Advertising | null;
  /** How workers that find it in a catalog should connect. */
  readonly preferredConnection: ConnectionMode;
  /** The file to which the port is written; `null`: none. */
  readonly portFile: string | null;
}

/** For anybody, in plain text. */
export const openToAll: Serving = {
  password: null,
  identity: null,
  stragglerFactor: null,
  advertising: null,
  preferredConnection: "by_ip",
  portFile: null,
};

/** What the command line says of it. */
export interface ServingOptions {
  readonly password: string | undefined;
  readonly ssl: boolean;
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
  const { password, ssl, sslKey, sslCert, fastAbort, project, portFile } = options;
  if ((sslKey === undefined) !== (sslCert === undefined)) {
    throw new UsageError("Cannot use TLS with one of --ssl-key and --ssl-cert: it takes both");
  }
  return {
    password: password === undefined
      ? null
      : { content: await readPasswordFile(password, warn), path: password },
    identity: await identityOf(ssl, sslKey, sslCert),
    stragglerFactor: fastAbort ?? null,
    // The catalogs of the environment are none of our business without a name.
    advertising: project === undefined ? null : { project, catalogs: catalogsOf(options.catalogs) },
    preferredConnection: options.preferredConnection ?? "by_ip",
    portFile: portFile ?? null,
  };
}

async function identityOf(
  ssl: boolean,
  key: string | undefined,
  certificate: string | undefined,
): Promise<TlsIdentity | null> {
  if (key !== undefined && certificate !== undefined) {
    const { readIdentity } = await import("../io/tls_identity.ts");
    return await readIdentity(key, certificate);
  }
  if (!ssl) return null;
  const { selfSignedIdentity } = await import("../io/tls_identity.ts");
  return await selfSignedIdentity();
}
