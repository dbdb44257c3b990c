/** What runs: execution environments, the active map, queues and streams. It asks every two seconds while in sight. */

import { get, post } from "./api.js";
import { bodyView } from "./body.js";
import { announce, bytes, count, h, morph, seconds, tenantChip, visible } from "./dom.js";

const EVERY_MS = 2000;

export class RunsView {
  constructor(pane, app) {
    this.pane = pane;
    this.app = app;
    this.timer = 0;
    this.chosen = null; // the environment whose log is open
    this.queue = null; // the queue whose messages are open
    this.messages = null;
    this.redriven = null; // what became of the messages that were moved
    this.problem = "";
    this.isOpen = false;
    pane.addEventListener("click", (event) => this.clicked(event));
  }

  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    this.load();
  }

  close() {
    this.isOpen = false;
    clearTimeout(this.timer);
  }

  async load() {
    const log = this.chosen;
    try {
      this.runs = { ...(await get(`/api/runs${log === null ? "" : `?log=${encodeURIComponent(log)}`}`)), logOf: log };
      if (!this.isOpen) return;
      this.draw();
    } catch (error) {
      if (this.app.failed(error)) return;
      if (!this.runs) this.pane.replaceChildren(h("p", { class: "empty" }, visible(error.message)));
    }
    clearTimeout(this.timer);
    if (this.isOpen) this.timer = setTimeout(() => this.load(), EVERY_MS);
  }

  draw() {
    const { runs } = this;
    const fresh = h(
      "div",
      {},
      this.problem ? h("p", { class: "note bad", role: "alert", "data-key": "problem" }, visible(this.problem)) : null,
      part("Execution environments", environments(runs, this.chosen)),
      part("The active map", maps(runs.map ?? [])),
      part("Queues", [this.redriven && note(this.redriven), queues(runs.queues ?? [], this)]),
      part("Streams", streams(runs.streams ?? [])),
    );
    morph(this.pane, fresh);
  }

  async clicked(event) {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const { do: what, name } = button.dataset;
    if (what === "log") {
      this.chosen = this.chosen === name ? null : name;
      this.draw();
      await this.load();
    }
    if (what === "messages") await this.peek(this.queue === name ? null : name);
    if (what === "more") await this.peek(this.queue, this.messages.messages.at(-1).number);
    if (what === "redrive") await this.redrive(name, button);
    this.draw();
  }

  /** Reads the messages of a queue; with `after`, those that follow the message with this number. */
  async peek(name, after = null) {
    if (name !== this.queue) this.messages = null;
    this.queue = name;
    if (name === null) return;
    try {
      const found = await get(`/api/queues/${encodeURIComponent(name)}/messages${after === null ? "" : `?after=${after}`}`);
      this.messages = after !== null && this.messages ? { ...found, messages: [...this.messages.messages, ...found.messages] } : found;
      this.problem = "";
    } catch (error) {
      this.fail(error);
    }
  }

  async redrive(name, button) {
    button.disabled = true;
    try {
      const { moved, left, why } = await post(`/api/queues/${encodeURIComponent(name)}/redrive`);
      const stays = left ? ` ${count(left, "message")} ${left === 1 ? "stays" : "stay"}${why ? `: ${why}` : "."}` : "";
      this.redriven = { text: `${count(moved, "message")} of ${name} ${moved === 1 ? "is" : "are"} back in ${moved === 1 ? "its" : "their"} source.${stays}`, isWhole: left === 0 };
      announce(this.redriven.text);
      this.problem = "";
      if (this.queue === name) await this.peek(name);
      await this.load();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    if (!this.app.failed(error)) this.problem = error.message;
  }
}

const part = (title, content) => h("section", { class: "part", "data-key": title, "aria-label": title }, h("h2", {}, title), content);
const note = ({ text, isWhole }) => h("p", { class: isWhole ? "note good" : "note bad", "data-key": "redriven" }, visible(text));
const none = (text) => h("p", { class: "none" }, text);

// ---- environments --------------------------------------------------------------------------------------------------

const nameOf = (one) => `${one.function}${one.tenant === null ? "" : `/${one.tenant}`}#${one.slot}`;

function environments(runs, chosen) {
  const { environments: running, functions } = runs;
  if (!functions.length) return none("The template has no functions.");
  const tenants = [...new Set(running.map((one) => one.tenant))].sort((one, other) => (one === null ? -1 : other === null ? 1 : one.localeCompare(other)));
  const columns = tenants.length ? tenants : [null];
  const head = h("tr", {}, h("th", { scope: "col" }, "function"), columns.map((tenant) => h("th", { scope: "col" }, tenant === null ? "without tenant" : tenantChip(tenant))));
  const rows = functions.map(({ name, isolated, runtime }) =>
    h(
      "tr",
      { "data-key": name },
      h("th", { scope: "row" }, h("b", {}, visible(name)), h("small", {}, [isolated ? "one for each tenant" : "shared", runtime].filter(Boolean).map(visible).join(" · "))),
      columns.map((tenant) => h("td", { "data-label": tenant ?? "without tenant" }, running.filter((one) => one.function === name && one.tenant === tenant).map((one) => tile(one, chosen)))),
    ),
  );
  const open = running.find((one) => nameOf(one) === chosen);
  return [
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Functions and tenants", "data-key": "grid" }, h("table", { class: "grid stack" }, h("thead", {}, head), h("tbody", {}, rows))),
    running.length ? null : none("None runs now. The first request of a tenant starts one."),
    open ? h("div", { class: "log", "data-key": `log ${chosen}` }, h("h3", {}, `Log of ${visible(chosen)}`), runs.logOf !== chosen ? none("Loading …") : open.log.length ? h("pre", { class: "code text", tabindex: "0", role: "group", "aria-label": "Log" }, visible(open.log.join("\n"), { lines: true })) : none("Nothing was printed.")) : null,
  ];
}

function tile(one, chosen) {
  const name = nameOf(one);
  const idle = one.state === "idle" ? `idle ${seconds(one.idle)}` : one.state;
  const words = [count(one.invocations, "call"), one.memory === null ? null : bytes(one.memory), `${seconds(one.age)} old`].filter(Boolean);
  return h(
    "button",
    { type: "button", class: "tile", "data-do": "log", "data-name": name, "data-key": name, "data-state": one.state, "aria-expanded": String(name === chosen), title: "Show its log" },
    h("span", { class: "tile-state" }, `#${one.slot} ${idle}`),
    h("span", { class: "tile-facts" }, words.join(" · ")),
  );
}

// ---- the map -------------------------------------------------------------------------------------------------------

function maps(found) {
  if (!found.length) return none("No bridge runs, so there is no map.");
  return found.map((map) =>
    h(
      "div",
      { class: "card", "data-key": `${map.function} ${map.file}` },
      h("p", { class: "facts" }, h("b", {}, visible(map.function)), " uses ", h("b", {}, visible(map.file)), `, read at ${new Date(map.loaded_at * 1000).toLocaleTimeString()} · sha256 `, h("code", { title: map.sha256 }, visible((map.sha256 ?? "none").slice(0, 12)))),
      faults("The map does not load, so the bridge answers 503:", map.faults),
      faults("The last change was refused, and this older map is active:", map.refused),
      h("p", { class: "chips" }, map.tenants.map(({ id, state }) => h("span", { "data-key": id }, tenantChip(id), state && state !== "active" ? h("span", { class: "tag warn" }, visible(state)) : null)), map.left_out ? h("span", { class: "none" }, `and ${map.left_out} more`) : null),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Rules of ${map.file}`, "data-key": "rules" }, table(["rule", "for", "tenants", "conditions", "line"], map.rules.map((rule) => [h("b", {}, visible(rule.id)), visible(rule.key), allowed(rule.tenants, map.tenants), conditionsOf(rule.conditions), rule.line === null || rule.line === undefined ? "–" : String(rule.line)]))),
    ),
  );
}

const faults = (title, found) => found.length > 0 && h("div", { class: "note bad", "data-key": title }, h("p", {}, h("b", {}, title)), h("ul", {}, found.map((one) => h("li", {}, visible(one)))));

/** The tenants of a rule: names as chips, and words such as "any registered tenant" as they are. */
function allowed(tenants, registered) {
  const names = Array.isArray(tenants) ? tenants : String(tenants ?? "–").split(", ");
  const known = new Set(registered.map(({ id }) => id));
  if (names.length === 0) return "none: it denies";
  if (names.length === 1 && names[0] === "*") return "any registered tenant";
  if (!names.every((name) => known.has(name) || (Array.isArray(tenants) && !/[\s{}]/.test(name)))) return visible(names.join(", "));
  return h("span", { class: "chips" }, names.map((name) => tenantChip(name)));
}

const conditionsOf = (found) => (Array.isArray(found) ? found.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).map(visible).join("; ") : visible(found ?? "")) || h("span", { class: "none" }, "none");

const table = (heads, rows) => h("table", { class: "stack" }, h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, place) => h("td", { "data-label": place ? heads[place] : null }, cell))))));

// ---- queues and streams --------------------------------------------------------------------------------------------

function queues(found, view) {
  if (!found.length) return none("The template has no queues.");
  const heads = ["queue", "kind", "visible", "in flight", "delayed", "oldest", ""];
  const rows = found.map((queue) => {
    const { name } = queue;
    const tags = [queue.is_quarantine ? "quarantine" : null, queue.is_dead_letters ? "dead letters" : null].filter(Boolean);
    const isFull = tags.length > 0 && queue.visible > 0;
    const actions = [
      h("button", { type: "button", class: "quiet", "data-do": "messages", "data-name": name, "aria-expanded": String(view.queue === name), "aria-label": `Messages of ${name}` }, "Messages"),
      tags.length && view.app.state.can_replay ? h("button", { type: "button", class: "quiet", "data-do": "redrive", "data-name": name, disabled: queue.visible === 0, "aria-label": `Redrive ${name}`, title: "Move its messages back to the queue they came from" }, "Redrive") : null,
    ];
    return h(
      "tr",
      { "data-key": name, class: isFull ? "full" : null },
      h("th", { scope: "row" }, visible(name), tags.map((tag) => h("span", { class: "tag warn" }, tag)), queue.dead_letters ? h("small", {}, `dead letters: ${visible(queue.dead_letters)}`) : null),
      h("td", { "data-label": "kind" }, queue.kind === "fifo" ? "FIFO" : queue.kind),
      [queue.visible, queue.in_flight, queue.delayed].map((number, place) => h("td", { class: "number", "data-label": heads[2 + place] }, String(number))),
      h("td", { class: "number", "data-label": "oldest" }, seconds(queue.oldest)),
      h("td", {}, h("div", { class: "actions" }, actions)),
    );
  });
  return [
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Queues", "data-key": "queues" }, h("table", { class: "stack" }, h("thead", {}, h("tr", {}, heads.map((name) => (name ? h("th", { scope: "col" }, name) : h("td", {}))))), h("tbody", {}, rows))),
    view.queue !== null && view.messages ? messages(view) : null,
  ];
}

function messages({ queue, messages: found }) {
  const cards = found.messages.map((one) =>
    h(
      "details",
      { class: "card message", "data-key": one.id, "data-keep": "1" },
      h("summary", {}, h("code", {}, visible(one.id)), one.group ? [" group ", h("b", {}, visible(one.group))] : null, one.receives ? ` · received ${count(one.receives, "time")}` : null, one.reason ? h("span", { class: "tag warn" }, visible(one.reason.reason ?? "quarantined")) : null),
      one.reason ? h("dl", { class: "fact-list" }, Object.entries(one.reason).map(([name, value]) => h("div", {}, h("dt", {}, visible(name)), h("dd", {}, visible(typeof value === "string" ? value : JSON.stringify(value)))))) : null,
      bodyView(one.body, "Body"),
    ),
  );
  return h("div", { class: "messages", "data-key": `messages ${queue}` }, h("h3", {}, `Messages of ${visible(queue)}`), cards.length ? cards : none("There are none."), found.more ? h("button", { type: "button", class: "quiet", "data-do": "more", "data-key": "more" }, "Show more") : null);
}

function streams(found) {
  if (!found.length) return none("The template has no streams.");
  const rows = found.flatMap(({ name, service, shards }) => shards.map(({ id, records, behind, oldest }, place) => [place ? "" : h("b", {}, visible(name)), place ? "" : visible(service), visible(id), String(records), behind === null ? "–" : String(behind), seconds(oldest)]));
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Streams", "data-key": "streams" }, table(["stream", "service", "shard", "records", "not yet delivered", "oldest of them"], rows));
}
