/** What pages and the JSON interface are told of the catalog server itself. */

export interface CatalogFacts {
  /** Host name under which it presents itself (`--name`). */
  readonly name: string;
  /** Of queries and pages; read when it is needed, after the server listens. */
  readonly port: number;
  /** Of wqx. */
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  /** Longest time that a record is kept after its last update. */
  readonly lifetimeMs: number;
  /** Milliseconds since 1970, now. */
  nowMs(): number;
  /** Ends event streams, which otherwise would keep a stopping server waiting. */
  readonly closing: AbortSignal;
}
