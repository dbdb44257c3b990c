/**
 * Elements, and strings as the page shows them.
 *
 * Rule: what a request contained reaches the page by text nodes and attributes, never as HTML. The page's security
 * policy admits neither inline scripts nor style attributes; positions and colours are set by the CSSOM.
 */

/**
 * Makes an element. A child is a node or a string; null and false are left out.
 *
 *     h("button", { class: "quiet", "aria-pressed": "false", on: { click: pause } }, "Pause")
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

const NAMES = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/**
 * Makes characters visible that otherwise are none, or that change what is around them: ESC is ⟨ESC⟩, a mark of the
 * writing direction is ⟨U+202E⟩. Few fonts have the pictures of Unicode for control characters.
 */
export function visible(text, { lines = false } = {}) {
  return String(text).replace(HIDDEN, (character) => {
    const code = character.codePointAt(0);
    if (lines && (code === 0x0a || code === 0x09)) return character;
    if (code < 0x20) return `⟨${NAMES[code]}⟩`;
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

const COLOURS = new Map([["red", 25], ["orange", 55], ["yellow", 100], ["green", 150], ["blue", 258], ["purple", 305], ["pink", 350]]);

/**
 * The hue of a tenant, the same in each session and on each machine: FNV-1a of its name. A tenant whose whole name is a
 * colour has this colour: "blue" in red would mislead.
 */
export function hueOf(name) {
  const named = COLOURS.get(name);
  if (named !== undefined) return named;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % 360;
}

/** A tenant's name in its colour. */
export function tenantChip(name, extra = {}) {
  if (name === null || name === undefined) return h("span", { class: "none" }, "no tenant");
  return h("span", { ...extra, class: "tenant", style: { "--hue": hueOf(name) } }, visible(name));
}

const OUTCOMES = { ok: "ok", refused: "refused", failed: "failed", quarantined: "quarantined", fixed: "fixed response" };

/** The outcome in words, for entries that have no status. */
export const outcomeOf = (entry) => (entry.outcome === null ? "running" : OUTCOMES[entry.outcome] ?? entry.outcome);

/** The reason of an outcome that needs one. */
export const reasonOf = (entry) => (entry.outcome === "ok" ? "" : (entry.reason ?? ""));

export const WAYS = {
  lattice: "Lattice",
  api: "API",
  load_balancer: "ALB",
  function_url: "URL",
  queue: "queue",
  stream: "stream",
  table: "table",
  bus: "bus",
  async: "async",
  invoke: "invoke",
};

export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86400 ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 86400)} d`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(1)} KB` : `${(count / 1e6).toFixed(1)} MB`;
}

export const count = (number, noun, several = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : several}`;

const two = (number) => String(number).padStart(2, "0");

export function clock(at) {
  const time = new Date(at * 1000);
  const ms = String(time.getMilliseconds()).padStart(3, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${ms}`;
}

let announcing = 0;

/** Says something to screen readers, and only the last of several things within half a second. */
export function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => (byId("announcement").textContent = text), 500);
}

/** A button that copies a string. */
export function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", class: "quiet copy", on: { click: () => copy(text(), button) } }, label);
  return button;
}

/** Copies a string, and shows in the button whether the browser has permitted it. */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser refused";
  }
  announce(button.textContent);
  setTimeout(() => (button.textContent = label), 1500);
}

/**
 * Makes the children of `old` equal to those of `fresh`, and keeps elements that are the same, so that focus, scroll
 * positions and open parts stay. An element's `data-key` says which one it is.
 */
export function morph(old, fresh) {
  const keyed = new Map([...old.children].filter((one) => one.dataset.key).map((one) => [one.dataset.key, one]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const found = wanted.dataset?.key ? keyed.get(wanted.dataset.key) : place?.dataset?.key ? null : place;
    if (!found || found.nodeName !== wanted.nodeName) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (found === place) place = place.nextSibling;
    else old.insertBefore(found, place);
    if (found.nodeType === Node.TEXT_NODE) {
      if (found.data !== wanted.data) found.data = wanted.data;
    } else if (!found.dataset.keep) {
      morphAttributes(found, wanted);
      morph(found, wanted);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (name === "open" || old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = fresh.style.cssText;
    else old.setAttribute(name, value);
  }
}
