/**
 * Sends an entry again, edited, and compares two entries.
 *
 * Rule: a masked value never was in the browser. What the user did not change is therefore not sent, and the server
 * takes it from the original.
 */

import { bodyView } from "./body.js";
import { count, h, milliseconds, outcomeOf, tenantChip, visible } from "./dom.js";

const OWN = new Set(["authorization", "x-amz-date", "x-amzn-requestid"]); // each request has its own
const MASK = "••••";
const SAME = " same"; // no access key begins with a space
const MAX_LINES = 3000; // the comparison of lines takes as many steps as the product of both numbers

const field = (label, control, hint) => h("label", { class: "field" }, h("span", {}, label), control, hint ? h("small", {}, hint) : null);
const input = (value, attributes = {}) => h("input", { type: "text", value, autocomplete: "off", spellcheck: "false", ...attributes });

/** The form for an edited replay. `send(changes, button)` gives the server's message if it refuses. */
export function replayForm(detail, app, { send, cancel }) {
  const came = detail.came_in ?? { kind: "none" };
  const parts = { http: ofHttp, record: ofRecord, invoke: ofInvoke }[came.kind]?.(came, app) ?? { fields: [], read: () => ({}) };
  const problem = h("p", { class: "note bad", role: "alert", hidden: true });
  const button = h("button", { type: "submit" }, "Send");
  const form = h(
    "form",
    { class: "replay", "aria-label": "Edit and replay" },
    parts.fields,
    problem,
    h("div", { class: "actions" }, button, h("button", { type: "button", class: "quiet", on: { click: cancel } }, "Cancel")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const message = await send(parts.read(), button);
    if (!message) return;
    problem.textContent = message;
    problem.hidden = false;
  });
  return form;
}

function ofHttp(came, app) {
  const method = input(came.method, { class: "short" });
  const target = input(came.target);
  const headers = headerRows(came.headers);
  const body = bodyField(came.body);
  const identities = app.state.identities ?? [];
  const was = came.identity ? `as the original (${came.identity.access_key})` : "as the original (not signed)";
  const options = [[SAME, was], ["", "not signed"], ...identities.map((one) => [one.access_key, `${one.name} (${one.access_key})`])];
  const identity = h("select", {}, options.map(([value, label]) => h("option", { value }, label)));
  const tenant = input("", { placeholder: "as the original" });
  const fields = [
    h("div", { class: "pair" }, field("Method", method), field("Target", target)),
    h("div", { class: "pair even" }, field("Identity", identity), field(`Tenant asked for${app.state.header ? ` (${app.state.header})` : ""}`, tenant, "Empty: as the original. A single - : none.")),
    headers.element,
    body.element,
  ];
  const read = () => ({
    ...(method.value !== came.method ? { method: method.value } : {}),
    ...(target.value !== came.target ? { target: target.value } : {}),
    ...(identity.value !== SAME ? { identity: identity.value || null } : {}),
    ...(tenant.value !== "" ? { tenant: tenant.value === "-" ? null : tenant.value } : {}),
    ...headers.read(),
    ...body.read(),
  });
  return { fields, read };
}

/** What the source of the record takes: a queue its attributes, a stream its partition key. */
function ofRecord({ edit }) {
  const body = bodyField(edit.body, "Content");
  const group = edit.group_name === null ? null : textField(capital(edit.group_name), "group", edit.group);
  const attributes = edit.attributes === null ? null : attributeRows(edit.attributes);
  const parts = [group, attributes, body].filter(Boolean);
  return { fields: parts.map((one) => one.element), read: () => Object.assign({}, ...parts.map((one) => one.read())) };
}

function ofInvoke(came) {
  const tenant = textField("Tenant asked for", "tenant", came.tenant, "Empty: none.");
  const body = bodyField(came.payload, "Payload");
  return { fields: [tenant.element, body.element], read: () => ({ ...tenant.read(), ...body.read() }) };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A text that may be absent: an empty field. */
function textField(label, name, value, hint = "") {
  const control = input(value ?? "", { placeholder: "none" });
  const read = () => (control.value === (value ?? "") ? {} : { [name]: control.value || null });
  return { element: field(label, control, hint), read };
}

/** The attributes of a message. One that is masked or binary is sent as the original has it, and a removed one as null. */
function attributeRows(given) {
  const before = Object.entries(given).map(([name, value]) => (value === null ? [name, "binary", true] : [name, value, value.includes(MASK)]));
  const rows = headerRows(before, "Attributes");
  const read = () => {
    const left = new Map(rows.rows());
    const removed = before.filter(([name]) => !left.has(name)).map(([name]) => [name, null]);
    const changed = [...left].filter(([name, value]) => value !== null && (!Object.hasOwn(given, name) || given[name] !== value));
    const found = [...removed, ...changed];
    return found.length ? { attributes: Object.fromEntries(found) } : {};
  };
  return { element: rows.element, read };
}

function headerRows(given, label = "Headers") {
  const rows = h("div", { class: "header-rows" });
  const add = (name, value, masked) => {
    const row = h("div", { class: "header-row" });
    const one = input(name, { "aria-label": "Name", readonly: masked });
    const other = input(masked ? "" : value, { "aria-label": `Value of ${name || "the new line"}`, placeholder: masked ? `as the original (${value})` : "" });
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${name || "the line"}`, on: { click: () => row.remove() } }, "✕");
    row.append(one, other, remove);
    row.read = () => (one.value ? [one.value, masked && other.value === "" ? null : other.value] : null);
    rows.append(row);
    return one;
  };
  for (const [name, value, masked] of given ?? []) add(name, value, masked);
  const all = () => [...rows.children].map((row) => row.read()).filter(Boolean);
  const initial = JSON.stringify(all());
  const more = h("button", { type: "button", class: "quiet", on: { click: () => add("", "", false).focus() } }, "Add");
  const element = h("fieldset", {}, h("legend", {}, label), rows, more);
  const read = () => (JSON.stringify(all()) === initial ? {} : { headers: all() });
  return { element, read, rows: all };
}

function bodyField(body, label = "Body") {
  const isHex = body?.kind === "hex";
  const isWhole = !body || body.kind === "empty" || (body.shown === body.bytes && !body.masked);
  const text = isHex ? hexOf(body.text) : (body?.text ?? "");
  const area = h("textarea", { rows: "8", spellcheck: "false", readonly: !isWhole });
  area.value = text;
  const edit = h("input", { type: "checkbox", on: { change: () => (area.readOnly = !edit.checked) } });
  const why = body?.masked ? `${count(body.masked, "value")} ${body.masked === 1 ? "is" : "are"} masked` : "the body is shortened";
  const notice = isWhole ? null : h("label", { class: "check" }, edit, ` Replace it: ${why}, so without this, the original's is sent`);
  const element = h("div", {}, field(isHex ? `${label}, as hex digits` : label, area), notice);
  const read = () => {
    if (area.readOnly || area.value === text) return {};
    return { body: isHex ? { hex: area.value.replace(/\s+/g, "") } : { text: area.value } };
  };
  return { element, read };
}

/** The digits of a hex dump. In each line, they are between its offset and its column of characters. */
const hexOf = (dump) => dump.split("\n").map((line) => line.slice(10, 58).trim()).join("\n");

// ---- comparison ----------------------------------------------------------------------------------------------------

/** A replay beside its original: what is equal in grey, what differs marked. */
export function comparison(detail, original, app) {
  const both = [original, detail];
  const decisions = both.map((one) => one.decision?.documents?.[0] ?? null);
  const body = (one) => one.came_in?.body ?? one.came_in?.record ?? one.came_in?.payload ?? null;
  const reply = (one) => one.reply?.body ?? null;
  const rows = [
    ["Result"],
    ["outcome", ...both.map(({ summary }) => `${summary.status ?? ""} ${outcomeOf(summary)}`.trim())],
    ["reason", ...both.map(({ summary }) => summary.reason)],
    ["tenant", ...both.map(({ summary }) => summary.tenant), tenantChip],
    ["time", ...both.map(({ summary }) => milliseconds(summary.ms)), null, true],
    ["Came in"],
    ["request line", ...both.map(({ came_in: came }) => (came?.kind === "http" ? `${came.method} ${came.target}` : null))],
    ["signed by", ...both.map(({ came_in: came }) => came?.identity?.access_key ?? null)],
    ["group", ...both.map(({ came_in: came }) => came?.group ?? null)],
    ...named(both.map(({ came_in: came }) => came?.headers ?? [])).map(markedIfOwn),
    ["body", ...both.map(body), linesOf],
    ["Decision"],
    ["caller", ...decisions.map((one) => one?.caller ?? null)],
    ["owner", ...decisions.map((one) => one?.owner ?? null)],
    ["asked for", ...decisions.map((one) => one?.header ?? one?.record?.claim ?? null)],
    ["decision", ...decisions.map((one) => (one ? (one.allowed ? `allowed: ${one.tenant}` : `refused: ${one.reason}`) : null))],
    ["Reply"],
    ["status", ...both.map(({ reply: one }) => one?.status ?? one?.outcome ?? null)],
    ...named(both.map(({ reply: one }) => one?.headers ?? [])).map(markedIfOwn),
    ["body", ...both.map(reply), linesOf],
  ];
  const heads = both.map(({ summary }, place) => h("th", { scope: "col" }, h("button", { type: "button", class: "link", on: { click: () => app.go({ n: summary.n, with: "" }, { remember: true }) } }, `#${summary.n} ${place ? "replay" : "original"}`)));
  const drawn = rows.map((row, place) => {
    if (row.length > 1) return compared(...row);
    const isEmpty = rows[place + 1]?.length !== undefined && !rows.slice(place + 1, nextHead(rows, place)).some(([, one, other]) => present(one) || present(other));
    return isEmpty ? null : h("tr", { class: "part" }, h("th", { colspan: "3", scope: "rowgroup" }, row[0]));
  });
  return h(
    "div",
    { class: "panel compare", tabindex: "0", role: "group", "aria-label": "Comparison" },
    h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, drawn.filter(Boolean))),
  );
}

const markedIfOwn = (row) => (OWN.has(row[0]) ? [...row, null, true] : row);

const nextHead = (rows, place) => {
  const next = rows.findIndex((row, index) => index > place && row.length === 1);
  return next < 0 ? rows.length : next;
};
const present = (value) => value !== null && value !== undefined && value !== "" && value.kind !== "empty";

/** Rows for the names of both lists, in the order of the first. Values of a repeated name are joined. */
function named(lists) {
  const [one, other] = lists.map((list) => {
    const found = new Map();
    for (const [name, value] of list) found.set(name.toLowerCase(), found.has(name.toLowerCase()) ? `${found.get(name.toLowerCase())}, ${value}` : value);
    return found;
  });
  return [...new Set([...one.keys(), ...other.keys()])].map((name) => [name, one.get(name) ?? null, other.get(name) ?? null]);
}

function compared(name, one, other, draw = null, isNeverEqual = false) {
  if (!present(one) && !present(other)) return null;
  const isBody = draw === linesOf;
  const differs = !isNeverEqual && (isBody ? (one?.text ?? "") !== (other?.text ?? "") : String(one ?? "") !== String(other ?? ""));
  const cells = isBody ? linesOf(one, other) : [one, other].map((value) => (present(value) ? (draw ? draw(value) : visible(String(value))) : h("span", { class: "none" }, "–")));
  const mark = differs ? h("span", { class: "differs", title: "differs" }, "≠ ") : "";
  return h("tr", { class: differs ? "changed" : "equal" }, h("th", { scope: "row" }, mark, visible(name)), cells.map((cell) => h("td", {}, cell)));
}

/** Both bodies by lines; those that only one of them has are marked. */
function linesOf(one, other) {
  const [left, right] = [one, other].map((body) => (body?.text ? body.text.split("\n") : []));
  if (left.length * right.length > MAX_LINES * MAX_LINES || (left.length < 2 && right.length < 2)) {
    return [one, other].map((body) => (body && body.kind !== "empty" ? bodyView(body, "Body") : h("span", { class: "none" }, "–")));
  }
  const common = inBoth(left, right);
  return [left, right].map((lines, side) => (lines.length ? h("pre", { class: "code text" }, lines.map((line, place) => h("span", { class: common[side].has(place) ? "line" : "line only" }, visible(line) || " "))) : h("span", { class: "none" }, "–")));
}

/** The places of the lines of a longest common subsequence, in both. */
function inBoth(left, right) {
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      lengths[at] = left[i] === right[j] ? lengths[at + width + 1] + 1 : Math.max(lengths[at + width], lengths[at + 1]);
    }
  }
  const found = [new Set(), new Set()];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) {
      found[0].add(i++);
      found[1].add(j++);
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return found;
}
