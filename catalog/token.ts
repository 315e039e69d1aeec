/**
 * The token of a catalog's pages: who has it once in the address (`?token=…`) gets a cookie. What
 * cctools' programs ask is answered without, as they know of none; so it keeps browsers out, and no
 * record is a secret of it.
 */
import { createHmac } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { sameText } from "../core/pin.ts";

const cookieName = "wqx_catalog";

/** A browser asks for the token again after so long; seconds. */
const cookieSeconds = 30 * 24 * 3600;

/** Answers 401 to whoever shows no token: as a cookie, in the address, or as `Bearer`. */
export function tokenGuard(token: string): MiddlewareHandler {
  // Whoever reads the cookie shall not know the token.
  const cookie = createHmac("sha256", token).update("cookie of wqx catalog").digest("base64url");
  return async (context, next) => {
    const { req } = context;
    if (req.path.startsWith("/assets/")) return await next(); // the same for every catalog
    const shown = req.query("token");
    if (shown !== undefined) {
      if (!sameText(shown, token)) return refuse(context);
      const secure = new URL(req.url).protocol === "https:";
      const path = { path: "/", maxAge: cookieSeconds };
      setCookie(context, cookieName, cookie, { ...path, httpOnly: true, sameSite: "Lax", secure });
      const asked = new URL(req.url);
      asked.searchParams.delete("token");
      // Out of the address, which is shown, kept and passed on.
      return context.redirect(`${asked.pathname}${asked.search}`);
    }
    const [, bearer] = /^Bearer (\S+)$/i.exec(req.header("Authorization") ?? "") ?? [];
    const known = bearer === undefined
      ? sameText(getCookie(context, cookieName) ?? "", cookie)
      : sameText(bearer, token);
    return known ? await next() : refuse(context);
  };
}

/** The path of a request as it may be logged. */
export function withoutToken(path: string): string {
  return path.replace(/([?&]token=)[^&]*/g, "$1…");
}

function refuse(context: Context): Response {
  const error = "This catalog wants a token: add ?token=TOKEN to the address once, or send it as " +
    "Authorization: Bearer TOKEN";
  context.header("WWW-Authenticate", 'Bearer realm="wqx catalog"');
  context.header("Cache-Control", "no-store");
  return context.req.path.startsWith("/api/")
    ? context.json({ error }, 401)
    : context.text(`${error}\n`, 401);
}
