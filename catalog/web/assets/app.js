// @ts-check
/**
 * Keeps a page up to date. The server sends markup that it escaped itself: parts to be replaced by
 * the id of their element, and rows of tables by key. Without this script every page still works.
 */

/** @typedef {{ order: string[], rows: Record<string, string> }} TableChange */
/** @typedef {{ nowMs: number, parts: Record<string, string>, tables: Record<string, TableChange> }} Change */

/** @type {{ morph(from: Element, to: string, options?: object): unknown }} */
const Idiomorph = Reflect.get(globalThis, "Idiomorph");

const live = /** @type {HTMLElement} */ (document.getElementById("live"));
/** Typing ends, in ms: the stream is opened anew for what was typed. */
const typingMs = 150;
/** The server's clock minus ours. */
let clockMs = Number(document.body.dataset.now) - Date.now();
let path = document.body.dataset.stream;
/** @type {EventSource | null} */
let stream = null;

open();
setInterval(showAges, 1000);
// Browsers allow few connections to a host: pages that nobody sees give theirs back.
document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
// Else the connection would keep the page from being kept for the way back.
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());

function open() {
  if (path === undefined || document.hidden || stream !== null) return;
  stream = new EventSource(path);
  stream.addEventListener("change", (event) => apply(JSON.parse(event.data)));
  stream.addEventListener("open", () => say(""));
  stream.addEventListener("error", () => {
    // A stream that was refused is not tried again by the browser.
    const refused = stream?.readyState === EventSource.CLOSED;
    say(refused ? "not live: reload to update" : "connection lost, trying again");
  });
}

function close() {
  stream?.close();
  stream = null;
}

/** @param {string} text */
function say(text) {
  live.hidden = false;
  live.textContent = text === "" ? "live" : text;
  live.dataset.state = text === "" ? "live" : "lost";
}

/** @param {Change} change */
function apply({ nowMs, parts, tables }) {
  clockMs = nowMs - Date.now();
  const focused = document.activeElement;
  for (const [id, markup] of Object.entries(parts)) {
    const part = document.getElementById(id);
    if (part !== null) morph(part, markup, "innerHTML");
  }
  for (const [id, change] of Object.entries(tables)) {
    const body = document.getElementById(`${id}-rows`);
    if (body !== null) applyRows(body, change);
  }
  // A row that moved has lost it.
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true });
  }
  showAges();
}

/**
 * @param {HTMLElement} body
 * @param {TableChange} change
 */
function applyRows(body, { order, rows }) {
  const there = new Map(rowsOf(body).map((row) => [row.dataset.key, row]));
  const wanted = new Set(order);
  for (const [key, row] of there) if (!wanted.has(String(key))) row.remove();
  order.forEach((key, at) => {
    const markup = Object.hasOwn(rows, key) ? rows[key] : undefined;
    let row = there.get(key);
    if (row === undefined) {
      if (markup === undefined) return;
      row = parseRow(markup);
    } else if (markup !== undefined) {
      const before = figures(row);
      morph(row, markup, "outerHTML");
      if (figures(row) !== before) flash(row);
    }
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
}

/**
 * @param {HTMLElement} body
 * @returns {HTMLElement[]}
 */
function rowsOf(body) {
  return /** @type {HTMLElement[]} */ ([...body.children]);
}

/**
 * @param {string} markup
 * @returns {HTMLElement}
 */
function parseRow(markup) {
  const template = document.createElement("template");
  template.innerHTML = markup;
  return /** @type {HTMLElement} */ (template.content.firstElementChild);
}

/**
 * @param {Element} element
 * @param {string} markup
 * @param {"innerHTML" | "outerHTML"} morphStyle
 */
function morph(element, markup, morphStyle) {
  Idiomorph.morph(element, markup, {
    morphStyle,
    callbacks: {
      // What the reader has opened stays open.
      /**
       * @param {string} name
       * @param {Element} node
       */
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    },
  });
}

/**
 * What a row says, but for how long ago that was.
 * @param {HTMLElement} row
 */
function figures(row) {
  const cells = [...row.querySelectorAll("td")].filter((cell) => !cell.querySelector("time"));
  return cells.map((cell) => cell.textContent).join("\n");
}

/** @param {HTMLElement} row */
function flash(row) {
  row.classList.remove("changed");
  requestAnimationFrame(() => row.classList.add("changed"));
}

/** Ages of records, and which of them are older than usual. */
function showAges() {
  const nowMs = Date.now() + clockMs;
  for (const time of document.querySelectorAll("time[data-age]")) {
    const text = span(nowMs - Date.parse(time.getAttribute("datetime") ?? "")) +
      time.getAttribute("data-age");
    if (time.textContent !== text) time.textContent = text;
  }
  for (const table of document.querySelectorAll("table[data-stale-after]")) {
    const staleAfterMs = Number(table.getAttribute("data-stale-after"));
    for (const row of table.querySelectorAll("tr[data-heard]")) {
      const silentMs = nowMs - Number(row.getAttribute("data-heard"));
      row.classList.toggle("stale", silentMs > staleAfterMs);
    }
  }
}

/**
 * As the server writes it.
 * @param {number} ms
 */
function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * Shows the overview as an address asks for it: the stream's first message brings all of it.
 * @param {URL} address
 */
function show(address) {
  history.replaceState(null, "", address);
  path = `/live/overview${address.search}`;
  close();
  open();
}

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-filter]"));
if (form !== null) {
  const input = /** @type {HTMLInputElement} */ (form.elements.namedItem("filter"));
  const button = form.querySelector("button");
  if (button !== null) button.hidden = true;
  const filter = () => {
    const address = new URL(location.href);
    if (input.value.trim() === "") address.searchParams.delete("filter");
    else address.searchParams.set("filter", input.value.trim());
    if (address.href !== location.href) show(address);
  };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(filter, typingMs);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    filter();
  });
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || !(event.target instanceof Element)) {
      return;
    }
    const link = event.target.closest("thead a");
    if (!(link instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    show(new URL(link.href));
  });
}
