/**
 * All that the catalog answers by HTTP: questions of cctools' programs, pages, the JSON interface.
 * It never listens; `app.request(path)` is how tests ask it.
 */
import { Hono } from "hono";
import { questionOf } from "../core/catalog/target.ts";
import { apiRoutes } from "./api.ts";
import type { CatalogFacts } from "./facts.ts";
import { Answers, type QuestionOptions } from "./questions.ts";
import { tokenGuard } from "./token.ts";
import { webRoutes } from "./web/mod.ts";

/** The client of cctools reads until the end of the connection, and no other coding than this. */
const answerHeaders = {
  "content-type": "text/plain; charset=utf-8",
  "connection": "close",
  "access-control-allow-origin": "*",
  "x-content-type-options": "nosniff",
};

export interface AppOptions extends QuestionOptions {
  /** Of pages and the JSON interface; `null`: they are for everybody. */
  readonly token: string | null;
}

export function catalogApp(options: AppOptions, facts: CatalogFacts): Hono {
  const answers = new Answers(options);
  const app = new Hono();
  // With any method, as in catalog_server.
  app.use(async ({ req }, next) => {
    const question = questionOf(decoded(req.path));
    if (question === null) return await next();
    const { status, body } = await answers.to(question, req.raw.signal);
    return new Response(body, { status, headers: answerHeaders });
  });
  if (options.token !== null) app.use(tokenGuard(options.token));
  app.route("/", apiRoutes(options.store, facts));
  app.route("/", webRoutes(options.store, facts));
  app.notFound((c) => c.text("There is nothing here; the overview is at /\n", 404));
  return app;
}

/** Some clients write `=` as `%3D`. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
