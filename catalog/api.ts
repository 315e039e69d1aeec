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

  const list = <Row extends ServiceRow>(
    context: Context,
    kind: RecordKind,
    rowOf: (record: JxObject) => Row,
  ) => {
    const query = listQuery.safeParse(context.req.query());
    if (!query.success) {
      const [issue] = query.error.issues;
      const error = `Cannot read the parameter "${issue?.path.join(".")}": ${issue?.message}`;
      return context.json({ error } satisfies z.output<typeof answers.error>, 400);
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
  };

  routes.get("/api/v1/managers", (context) => list(context, "manager", managerRow));
  routes.get("/api/v1/factories", (context) => list(context, "factory", factoryRow));
  routes.get("/api/v1/services", (context) => list(context, "service", serviceRow));

  routes.get("/api/v1/managers/:key", (context) => {
    const key = context.req.param("key");
    const record = view.get(key);
    if (record === undefined || kindOf(record) !== "manager") {
      return context.json({ error: "The catalog knows no such manager (any more)" }, 404);
    }
    const answer: z.output<typeof answers.manager> = {
      key,
      ...managerDetail(record),
      series: view.series(key),
      record: toJson(record),
    };
    return context.json(answer);
  });

  routes.get("/api/v1/events", (context) => {
    // Of a record that changes faster than the stream speaks, the newest is told.
    const pending = new Map<string, JxObject | null>();
    const tell = () => {
      const changes = [...pending].map(([key, record]) => changeOf(key, record));
      pending.clear();
      return changes.map((data) => ({ event: "change", data }));
    };
    const concerns = ({ key, record }: CatalogChange) => {
      pending.set(key, record);
      return true;
    };
    return liveStream(context, view, facts, tell, { concerns });
  });

  routes.get("/api/v1/health", (context) => {
    let records = 0;
    for (const _ of view.records()) records++;
    const { name, version, startedMs } = facts;
    const answer: z.output<typeof answers.health> = {
      status: "ok",
      name,
      version,
      nowMs: facts.nowMs(),
      startedMs,
      records,
    };
    return context.json(answer);
  });

  routes.get("/api/openapi.json", (context) => context.json(openApiDocument(facts.version)));

  routes.all("/api/v1/*", (context) =>
    context.json(
      {
        error: `Nothing at ${context.req.path}: /api lists what there is`,
      } satisfies z.output<typeof answers.error>,
      404,
    ));
  return routes;
}

function changeOf(key: string, record: JxObject | null): Change {
  if (record === null) return { key, kind: null, row: null };
  const kind = kindOf(record);
  const row = { manager: managerRow, factory: factoryRow, service: serviceRow }[kind](record);
  return { key, kind, row: { key, ...row } };
}
