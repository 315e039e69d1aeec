/**
 * The web pages of `wqx catalog`: routes, assets and the policy that keeps pages from loading or
 * sending anything elsewhere.
 */
import { type Context, Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { etag } from "hono/etag";
import idiomorph from "idiomorph/dist/idiomorph.min.js" with { type: "text" };
import { showAddress } from "../../core/addresses.ts";
import { kindOf, managerRow, type ServiceRow } from "../../core/catalog/views.ts";
import type { CatalogFacts } from "../facts.ts";
import type { CatalogView } from "../view.ts";
import { apiPage } from "./api_page.ts";
import app from "./assets/app.js" with { type: "text" };
import icon from "./assets/icon.svg" with { type: "text" };
import base from "./assets/base.css" with { type: "text" };
import chart from "./assets/chart.css" with { type: "text" };
import narrow from "./assets/narrow.css" with { type: "text" };
import tables from "./assets/tables.css" with { type: "text" };
import { document, empty, type Html, type Page, textOf } from "./layout.ts";
import { liveStream, type Teller } from "../live.ts";
import { goneMarkup, managerPage, managerParts, type Visit } from "./manager_page.ts";
import {
  overviewOf,
  overviewPage,
  overviewParts,
  type OverviewQuery,
  overviewRows,
  parseOverviewQuery,
  showOverviewQuery,
} from "./overview.ts";
import { missingPage, recordPage } from "./record_page.ts";

const assets: Readonly<Record<string, { readonly type: string; readonly body: string }>> = {
  "app.js": { type: "text/javascript", body: app },
  "idiomorph.js": { type: "text/javascript", body: idiomorph },
  "style.css": { type: "text/css", body: base + tables + chart + narrow },
  "icon.svg": { type: "image/svg+xml", body: icon },
};

const guarded = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
  },
  // A catalog is reached by plain HTTP as well; to forbid that is its owner's affair.
  strictTransportSecurity: false,
});

/** Pages under `/`, `/manager`, `/detail` and `/api`, their streams and assets. */
export function webRoutes(view: CatalogView, facts: CatalogFacts): Hono {
  const routes = new Hono();
  const page = (context: Context, shown: Page) => {
    context.header("Cache-Control", "no-store");
    return context.html(document(shown, facts), shown.status ?? 200);
  };
  const overview = (context: Context) => {
    const query = parseOverviewQuery((name) => context.req.query(name));
    return page(context, {
      title: "Overview",
      main: overviewPage(view, query, facts.nowMs()),
      stream: `/live/overview${showOverviewQuery(query)}`,
    });
  };
  const missing = (context: Context, what: string) =>
    page(context, { title: "Not here", main: missingPage(what), status: 404 });

  routes.get("/", guarded, overview);
  // The address of the original's page.
  routes.get("/query.html", guarded, overview);

  routes.get("/live/overview", guarded, (context) => {
    const query = parseOverviewQuery((name) => context.req.query(name));
    return liveStream(context, view, facts, overviewTeller(view, query));
  });

  routes.get("/manager/:key", guarded, (context) => {
    const key = context.req.param("key");
    const parts = managerParts(view, key, visitOf(context, facts));
    if (parts === null) return missing(context, "The catalog knows no such manager (any more).");
    const title = managerRow(view.get(key)!).project ?? "Manager";
    const stream = `/live/manager/${encodeURIComponent(key)}`;
    return page(context, { title, main: managerPage(parts), stream });
  });

  routes.get("/live/manager/:key", guarded, (context) => {
    const key = context.req.param("key");
    const tell = managerTeller(view, key, visitOf(context, facts));
    return liveStream(context, view, facts, tell, {
      concerns: (change) =>
        change.key === key || change.record === null || kindOf(change.record) === "factory",
    });
  });

  routes.get("/detail/:key", guarded, (context) => {
    const key = context.req.param("key");
    const record = view.get(key);
    if (record === undefined) {
      return missing(context, "The catalog has no record under this key (any more).");
    }
    return page(context, { title: "Record", main: recordPage(key, record, facts.nowMs()) });
  });

  routes.get("/api", guarded, (context) => page(context, { title: "API", main: apiPage(facts) }));

  routes.get("/assets/:name", guarded, etag(), (context) => {
    const name = context.req.param("name");
    const asset = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (asset === undefined) return context.text("Not here\n", 404);
    // Asked for again each time, and then answered in a line, so that a new release is seen.
    context.header("Cache-Control", "no-cache");
    return context.body(asset.body, 200, { "Content-Type": `${asset.type}; charset=utf-8` });
  });
  return routes;
}

/** Tells the parts and rows that differ from what this stream was told before. */
function overviewTeller(view: CatalogView, query: OverviewQuery): Teller {
  const toldParts = new Map<string, string>();
  const toldRows = new Map<string, Map<string, { row: ServiceRow; depth: number }>>();
  const toldOrders = new Map<string, string>();
  return (nowMs: number) => {
    const overview = overviewOf(view, query);
    const parts = changedParts(toldParts, overviewParts(overview, query));
    const tables: Record<string, { order: string[]; rows: Record<string, string> }> = {};
    for (const [id, { listed, markup }] of Object.entries(overviewRows(overview))) {
      const before = toldRows.get(id);
      const rows: Record<string, string> = Object.create(null);
      listed.forEach(({ key, row, depth }, at) => {
        const told = before?.get(key);
        if (told?.row !== row || told.depth !== depth) rows[key] = markup(at, nowMs);
      });
      const order = listed.map(({ key }) => key);
      const shownOrder = order.join("\n");
      if (Object.keys(rows).length > 0 || toldOrders.get(id) !== shownOrder) {
        tables[id] = { order, rows };
      }
      toldOrders.set(id, shownOrder);
      toldRows.set(id, new Map(listed.map(({ key, row, depth }) => [key, { row, depth }])));
    }
    if (Object.keys(parts).length === 0 && Object.keys(tables).length === 0) return [];
    return [{ event: "change", data: { nowMs, parts, tables } }];
  };
}

function managerTeller(view: CatalogView, key: string, visit: Visit): Teller {
  const told = new Map<string, string>();
  return (nowMs: number) => {
    const parts = managerParts(view, key, { ...visit, nowMs });
    const changed = changedParts(
      told,
      parts === null ? { gone: goneMarkup() } : { ...parts, gone: empty },
    );
    if (Object.keys(changed).length === 0) return [];
    return [{ event: "change", data: { nowMs, parts: changed, tables: {} } }];
  };
}

function changedParts(
  told: Map<string, string>,
  parts: Readonly<Record<string, Html>>,
): Record<string, string> {
  const changed: Record<string, string> = {};
  for (const [id, markup] of Object.entries(parts)) {
    const text = textOf(markup);
    if (told.get(id) === text) continue;
    told.set(id, text);
    changed[id] = text;
  }
  return changed;
}

/** Workers reach the catalog under the name that brought the visitor here, if that is no loopback. */
function visitOf(context: Context, facts: CatalogFacts): Visit {
  const asked = context.req.header("Host") ?? "";
  const local = /^(localhost|127\.[\d.]+|\[::1\])(:|$)/.test(asked);
  const usable = /^[\w.-]+(:\d+)?$|^\[[0-9a-f:.]+\](:\d+)?$/i.test(asked) && !local;
  const catalog = usable ? asked : showAddress({ host: facts.name, port: facts.port });
  return { catalog, nowMs: facts.nowMs() };
}
