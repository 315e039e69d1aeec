/** The JSON interface under /api/v1; what it answers is laid down in api_schema.ts. */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { z } from "zod";
import {
  factoryRow,
  isAbout,
  kindOf,
  managerDetail,
  managerRow,
  type RecordKind,
  type ServiceRow,
  serviceRow,
} from "../core/catalog/views.ts";
import { toJson } from "../core/jx/json.ts";
import type { JxObject } from "../core/jx/value.ts";
import { type answers, type changeEvent, listQuery, openApiDocument } from "./api_schema.ts";
import type { CatalogFacts } from "./facts.ts";
import { liveStream } from "./live.ts";
import type { CatalogChange, CatalogView } from "./view.ts";

type Change = z.output<typeof changeEvent>;

/** Paths under `/api/v1`, and `/api/openapi.json`. Read-only, and open to pages of other hosts. */
export function apiRoutes(view: CatalogView, facts: CatalogFacts): Hono {
  const routes = new Hono();
  routes.use("/api/*", cors(), async (context, next) => {
    context.header("Cache-Control", "no-store");
    context.header("X-Content-Type-Options", "nosniff");
    await next();
  });
  routes.get("/api/v1/managers", (context) => list(context, view, "manager", managerRow));
  routes.get("/api/v1/factories", (context) => list(context, view, "factory", factoryRow));
  routes.get("/api/v1/services", (context) => list(context, view, "service", serviceRow));
  routes.get("/api/v1/managers/:key", (context) => {
    const key = context.req.param("key");
    const record = view.get(key);
    if (record === undefined || kindOf(record) !== "manager") {
      return refuse(context, 404, "The catalog knows no such manager (any more)");
    }
    const answer: z.output<typeof answers.manager> = {
      key,
      ...managerDetail(record),
      series: view.series(key),
      record: toJson(record),
    };
    return context.json(answer);
  });
  routes.get("/api/v1/events", (context) => changes(context, view, facts));
  routes.get("/api/v1/health", (context) => {
    const { name, version, startedMs } = facts;
    const answer: z.output<typeof answers.health> = {
      status: "ok",
      name,
      version,
      nowMs: facts.nowMs(),
      startedMs,
      records: [...view.records()].length,
    };
    return context.json(answer);
  });
  routes.get("/api/openapi.json", (context) => context.json(openApiDocument(facts.version)));
  routes.all(
    "/api/v1/*",
    (context) => refuse(context, 404, `Nothing at ${context.req.path}: /api lists what there is`),
  );
  return routes;
}

function refuse(context: Context, status: 400 | 404, error: string): Response {
  return context.json({ error } satisfies z.output<typeof answers.error>, status);
}

/** All records of a kind, as rows, or those that the query asks for. */
function list<Row extends ServiceRow>(
  context: Context,
  view: CatalogView,
  kind: RecordKind,
  rowOf: (record: JxObject) => Row,
): Response {
  const query = listQuery.safeParse(context.req.query());
  if (!query.success) {
    const [issue] = query.error.issues;
    const where = `Cannot read the parameter "${issue?.path.join(".")}"`;
    return refuse(context, 400, `${where}: ${issue?.message}`);
  }
  const { filter, limit } = query.data;
  const all = [...view.records()].filter((record) => kindOf(record) === kind);
  const rows = all.map((record) => ({ key: view.keyOf(record), ...rowOf(record) }));
  const matching = filter.trim() === "" ? rows : rows.filter((row) => isAbout(row, filter));
  return context.json({
    all: all.length,
    matching: matching.length,
    rows: matching.slice(0, limit),
  });
}

/** A stream. Of a record that changes faster than it speaks, the newest is told. */
function changes(context: Context, view: CatalogView, facts: CatalogFacts): Response {
  const pending = new Map<string, JxObject | null>();
  const tell = () => {
    const told = [...pending].map(([key, record]) => changeOf(key, record));
    pending.clear();
    return told.map((data) => ({ event: "change", data }));
  };
  const concerns = ({ key, record }: CatalogChange) => {
    pending.set(key, record);
    return true;
  };
  return liveStream(context, view, facts, tell, { concerns });
}

function changeOf(key: string, record: JxObject | null): Change {
  if (record === null) return { key, kind: null, row: null };
  const kind = kindOf(record);
  const row = { manager: managerRow, factory: factoryRow, service: serviceRow }[kind](record);
  return { key, kind, row: { key, ...row } };
}
