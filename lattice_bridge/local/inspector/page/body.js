/**
 * Bodies and headers: JSON that folds, text, hex.
 *
 * Rule: JSON is shown as it came. `JSON.parse` would change the order of members, lose a repeated one, and round large
 * numbers, so the text is divided into tokens here, and each token is shown with its own characters.
 */

import { bytes, copyButton, h, visible } from "./dom.js";

const OPEN_DEPTH = 3;
const OPEN_MEMBERS = 60;
const MAX_DEPTH = 100;
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|([^\s{}[\],:"]+))/gy;
const MASK = /^"?•••• /;

const NOTES = { empty: "no body", hex: "binary", json: "JSON", text: "text" };

/** A body with its kind and size, and a button to copy it. */
export function bodyView(body, label) {
  if (!body || body.kind === "empty") return h("p", { class: "none" }, `${label}: no body`);
  const facts = [NOTES[body.kind] ?? body.kind, bytes(body.bytes)];
  if (body.shown < body.bytes) facts.push(`the first ${bytes(body.shown)} are shown`);
  if (body.masked) facts.push(`${body.masked} masked`);
  return h(
    "div",
    { class: "body" },
    h("div", { class: "bar" }, h("h3", {}, label), h("span", { class: "facts" }, facts.join(" · ")), copyButton(() => body.text)),
    content(body, label),
  );
}

function content(body, label) {
  const focus = { tabindex: "0", role: "group", "aria-label": label };
  if (body.kind === "json") {
    const tree = parsed(body.text);
    if (tree) return h("div", { class: "code json", ...focus }, shown(tree, 0));
  }
  return h("pre", { class: `code ${body.kind === "hex" ? "hex" : "text"}`, ...focus }, visible(body.text, { lines: true }));
}

/** Names and values as they came, masked ones marked. */
export function headersView(headers, label) {
  if (!headers?.length) return h("p", { class: "none" }, `${label}: none`);
  const rows = headers.map(([name, value, masked]) =>
    h("div", {}, h("dt", {}, visible(name)), h("dd", { class: masked ? "masked" : null }, visible(value))),
  );
  const text = () => headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  return h("div", { class: "body" }, h("div", { class: "bar" }, h("h3", {}, label), copyButton(text)), h("dl", { class: "headers" }, rows));
}

/** Names and values that are facts of ours. A value is a string or a node. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "fact-list" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value instanceof Node ? value : visible(value)))));
}

/** Log lines, with control characters made visible. */
export function logView(lines, label = "Log") {
  if (!lines?.length) return h("p", { class: "none" }, `${label}: nothing was printed`);
  return h(
    "div",
    { class: "body" },
    h("div", { class: "bar" }, h("h3", {}, label), h("span", { class: "facts" }, `${lines.length} lines`), copyButton(() => lines.join("\n"))),
    h("pre", { class: "code text", tabindex: "0", role: "group", "aria-label": label }, visible(lines.join("\n"), { lines: true })),
  );
}

// ---- JSON ----------------------------------------------------------------------------------------------------------

/**
 * The tree of a JSON text: {open, close, members: [{name, value}]}, or a token as a string. Of a text that is cut off,
 * the part that is there. Null if it is none, or nested too deep to be drawn.
 */
export function parsed(text) {
  TOKEN.lastIndex = 0;
  const root = { open: "", close: "", members: [] };
  const stack = [root];
  let name = null;
  let pending = null; // a string that may be a name
  const flush = () => {
    if (pending === null) return;
    stack.at(-1).members.push({ name, value: pending });
    name = pending = null;
  };
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const [, mark, string, other] = match;
    if (string !== undefined || other !== undefined) {
      flush();
      pending = string ?? other;
    } else if (mark === ":") {
      name = pending;
      pending = null;
    } else if (mark === ",") flush();
    else if (mark === "{" || mark === "[") {
      const node = { open: mark, close: mark === "{" ? "}" : "]", members: [], isCut: true };
      stack.at(-1).members.push({ name, value: node });
      name = null;
      stack.push(node);
      if (stack.length > MAX_DEPTH) return null;
    } else {
      flush();
      const closed = stack.pop();
      if (closed === root || closed.close !== mark) return null;
      closed.isCut = false;
    }
  }
  flush();
  return root.members.length === 1 ? root.members[0].value : null;
}

function shown(value, depth, name = null, comma = "") {
  const key = name === null ? [] : [h("span", { class: "key" }, visible(name)), ": "];
  if (typeof value === "string") return h("div", { class: "line" }, key, token(value), comma);
  if (!value.members.length) return h("div", { class: "line" }, key, value.open + value.close, comma);
  const isOpen = depth < OPEN_DEPTH && value.members.length <= OPEN_MEMBERS;
  const hint = `${value.members.length} ${value.open === "{" ? "member" : "item"}${value.members.length === 1 ? "" : "s"}`;
  const summary = h("summary", {}, key, value.open, h("span", { class: "fold" }, ` ${hint} `, value.close, comma));
  const node = h("details", { open: isOpen }, summary);
  const fill = () => {
    if (node.childElementCount > 1) return;
    const last = value.members.length - 1;
    const children = value.members.map((one, place) => shown(one.value, depth + 1, one.name, place < last ? "," : ""));
    const end = value.isCut ? "… cut off" : value.close + comma;
    node.append(h("div", { class: "members" }, children), h("div", { class: "line" }, end));
  };
  if (isOpen) fill();
  else node.addEventListener("toggle", fill, { once: true });
  return node;
}

function token(text) {
  const kind = MASK.test(text) ? "masked" : text.startsWith('"') ? "string" : "number";
  return h("span", { class: kind }, visible(text));
}
