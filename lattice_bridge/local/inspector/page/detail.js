/** One entry: its summary, the time of each step, and tabs for what went in, what was decided and what came out. */

import { get, post } from "./api.js";
import { bodyView, facts, headersView, logView } from "./body.js";
import { WAYS, announce, byId, clock, copy, h, milliseconds, outcomeOf, reasonOf, tenantChip, visible } from "./dom.js";
import { decisionView } from "./decision.js";
import { comparison, replayForm } from "./replay.js";

export const TABS = { came: "Came in", event: "Event", decision: "Decision", payload: "Payload", answer: "Answer", reply: "Reply" };
const COPIES = { curl: "curl", event: "event", test: "[[test]]" };
const KEPT = 30; // details that are fetched once, so that going up and down the list is immediate

export class DetailView {
  /** `app` has the state, the tenant header, and `go(values)`, which changes the address. */
  constructor(pane, app) {
    this.pane = pane;
    this.app = app;
    this.cache = new Map();
    this.entry = null;
    this.asked = null; // the last call of `show`: only what it asked for is shown, in whatever order details arrive
    this.shownFor = null;
    this.isAwaited = false; // the focus goes to the entry as soon as it is drawn
  }

  close() {
    this.entry = this.asked = null;
    this.isAwaited = false;
    this.shownFor = null;
    this.pane.replaceChildren();
  }

  /** Gives the focus to the entry: if it is still on its way, when it arrives. */
  focus() {
    const title = byId("entry-title");
    this.isAwaited = this.entry !== null && !title;
    title?.focus();
  }

  /** Shows an entry, or its comparison with another one. */
  async show(entry, tab, other) {
    this.entry = entry;
    const asked = (this.asked = {});
    const wanted = `${entry.n} ${other?.n ?? ""}`;
    if (this.shownFor !== wanted) this.pane.setAttribute("aria-busy", "true");
    try {
      const [detail, second] = await Promise.all([this.fetch(entry), other ? this.fetch(other) : null]);
      if (this.asked !== asked) return;
      this.draw(detail, second, tab);
    } catch (error) {
      if (this.asked !== asked) return;
      if (this.app.failed(error)) return;
      this.pane.replaceChildren(this.head(entry), h("p", { class: "empty" }, error.status === 404 ? "This entry was dropped: newer ones took its place." : visible(error.message)));
    }
    this.shownFor = wanted;
    this.pane.removeAttribute("aria-busy");
  }

  async fetch(entry) {
    const found = this.cache.get(entry.n);
    if (found && found.entry === entry) return found.detail;
    const detail = await get(`/api/entries/${entry.n}`);
    this.cache.delete(entry.n);
    this.cache.set(entry.n, { entry, detail });
    if (this.cache.size > KEPT) this.cache.delete(this.cache.keys().next().value);
    return detail;
  }

  draw(detail, second, tab) {
    const open = this.pane.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = this.shownFor?.startsWith(`${detail.summary.n} `) ? this.pane.querySelector(".panel")?.scrollTop : 0;
    const head = this.head(detail.summary, detail);
    if (second) this.pane.replaceChildren(head, comparison(detail, second, this.app));
    else {
      const { list, panel } = this.tabs(detail, tab);
      this.pane.replaceChildren(head, stepsView(detail), list, panel);
      panel.scrollTop = scrolled ?? 0;
      list.querySelector("[aria-selected=true]").scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (this.isAwaited) this.focus();
    else if (open) byId(open)?.focus();
  }

  head(entry, detail = null) {
    const problem = h("p", { class: "note bad", role: "alert", id: "problem", hidden: true });
    const close = h("button", { type: "button", class: "quiet", id: "close", "aria-label": "Close the entry", title: "Close (Esc)", on: { click: () => this.app.choose(null) } }, "✕");
    const where = entry.source ? `${WAYS[entry.way] ?? entry.way} ${visible(entry.source)}` : WAYS[entry.way];
    const words = [`#${entry.n}`, clock(entry.at), where, entry.ms === null ? null : milliseconds(entry.ms), visible(entry.caller ?? ""), visible(entry.id)].filter(Boolean);
    const reason = reasonOf(entry);
    return h(
      "header",
      { class: "head" },
      h("div", { class: "title" }, h("span", { class: "badge", "data-outcome": entry.outcome ?? "running" }, String(entry.status ?? outcomeOf(entry))), h("h2", { tabindex: "-1", id: "entry-title" }, entry.method ? `${entry.method} ` : "", visible(entry.path)), close),
      h("div", { class: "under" }, tenantChip(entry.tenant), h("span", {}, words.join(" · ")), entry.cold ? h("span", { class: "cold" }, "cold start") : null, entry.replay_of === null ? null : this.link(entry)),
      reason || detail?.text ? h("p", { class: "cause", "data-outcome": entry.outcome ?? "running" }, reason ? h("code", {}, visible(reason)) : null, reason && detail?.text ? " – " : null, visible(detail?.text ?? "")) : null,
      detail ? this.actions(detail) : null,
      detail ? problem : null,
    );
  }

  link(entry) {
    const original = entry.replay_of;
    return h("button", { type: "button", class: "link", on: { click: () => this.app.go({ n: entry.n, with: original }, { remember: true }) } }, `replay of #${original}: compare`);
  }

  actions(detail) {
    const { n } = detail.summary;
    const canReplay = this.app.state.can_replay && isRepeatable(detail);
    const replay = h("button", { type: "button", id: "replay", on: { click: (event) => this.replayAsIs(n, event.target) } }, "Replay");
    const edit = h("button", { type: "button", class: "second", id: "edit", on: { click: () => this.edit(detail) } }, "Edit and replay");
    const button = (as, name, label) => h("button", { type: "button", class: "quiet", "aria-label": name, on: { click: (event) => this.copy(n, as, event.target) } }, label);
    const copies = h("span", { class: "group" }, h("span", { class: "none" }, "copy as"), Object.entries(COPIES).filter(([as]) => hasPartsOf(detail, as)).map(([as, label]) => button(as, `Copy as ${label}`, label)), hasPartsOf(detail, "fixture") ? button("fixture", "Save as fixture", "save fixture") : null);
    return h("div", { class: "actions", role: "group", "aria-label": "Actions" }, canReplay ? h("span", { class: "group" }, replay, edit) : null, detail.dropped ? null : copies);
  }

  /** Shows an error of an action, unless it ends everything. */
  fail(error) {
    if (this.app.failed(error)) return;
    this.say(error.message);
  }

  say(message) {
    const note = byId("problem");
    if (!note) return; // another entry is shown meanwhile
    note.textContent = visible(message);
    note.hidden = message === "";
  }

  async replayAsIs(n, button) {
    this.say("");
    const message = await this.replay(n, button);
    if (message) this.say(message);
  }

  async replay(n, button, changes = {}) {
    button.disabled = true;
    try {
      const { n: fresh } = await post("/api/replay", { n, ...changes });
      announce(`Sent again as entry ${fresh}`);
      this.app.go({ n: fresh, with: n }, { remember: true });
    } catch (error) {
      if (!this.app.failed(error)) return error.message;
    } finally {
      button.disabled = false;
    }
    return null;
  }

  edit(detail) {
    this.asked = null; // details that are still on their way must not replace the form
    this.pane.removeAttribute("aria-busy");
    const form = replayForm(detail, this.app, {
      send: (changes, button) => this.replay(detail.summary.n, button, changes),
      cancel: () => this.app.refresh(),
    });
    this.pane.replaceChildren(this.head(detail.summary), form);
    form.querySelector("input, textarea, select")?.focus();
  }

  async copy(n, as, button) {
    this.say("");
    try {
      const file = await get(`/api/entries/${n}/copy?as=${as}`);
      if (as === "fixture") save(file);
      else await copy(file.text, button);
    } catch (error) {
      this.fail(error);
    }
  }

  tabs(detail, wanted) {
    const name = Object.hasOwn(TABS, wanted) ? wanted : detail.decision ? "decision" : "came";
    const panel = h("div", { class: "panel", role: "tabpanel", id: "panel", tabindex: "0", "aria-labelledby": `tab-${name}` }, PANELS[name](detail, this.app));
    const buttons = Object.entries(TABS).map(([key, label]) =>
      h("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-selected": String(key === name), "aria-controls": "panel", tabindex: key === name ? "0" : "-1", on: { click: () => this.app.go({ tab: key }) } }, label),
    );
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the entry", on: { keydown: move } }, buttons);
    return { list, panel };
  }
}

/** Whether the server has everything that it needs to send an entry again. */
function isRepeatable({ dropped, came_in: came }) {
  if (dropped || !came) return false;
  return came.kind === "http" ? came.body !== null : came.kind !== "record" || came.edit !== null;
}

/** Whether an entry has what a copy of it is made of. */
function hasPartsOf({ came_in: came, event, decision }, as) {
  if (as === "curl") return came?.kind === "http" && came.body !== null;
  return as === "test" ? decision !== null : event !== null;
}

function move(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const tabs = [...event.currentTarget.children];
  const place = tabs.indexOf(document.activeElement);
  const next = by ? (place + by + tabs.length) % tabs.length : { Home: 0, End: tabs.length - 1 }[event.key];
  if (next === undefined || place < 0) return;
  event.preventDefault();
  event.stopPropagation();
  tabs[next].focus();
  tabs[next].click();
}

function save({ text, name, also = null }) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  if (also) save(also);
}

// ---- the time of each step -----------------------------------------------------------------------------------------

const INNER = "bridge: "; // the bridge's own steps share a row: most are shorter than a pixel

function stepsView(detail) {
  const { steps, summary } = detail;
  if (!steps?.length) return "";
  const total = Math.max(summary.ms ?? 0, ...steps.map((one) => one.from + one.ms), 0.001);
  const bar = (one) => h("span", { class: one.cold ? "bar-of cold-bar" : "bar-of", title: `${one.name} ${milliseconds(one.ms)}`, style: { "--from": `${(100 * one.from) / total}%`, "--long": `${(100 * one.ms) / total}%` } });
  const inner = steps.filter((one) => one.name.startsWith(INNER));
  const rows = steps.map((one) => {
    if (one.name.startsWith(INNER)) {
      if (one !== inner[0]) return null;
      const texts = inner.map(({ name, ms }) => `${visible(name.slice(INNER.length))} ${milliseconds(ms)}`);
      return h("li", {}, h("span", { class: "step-name" }, "its steps"), h("span", { class: "track" }, inner.map(bar)), h("small", {}, texts.join(" · ")));
    }
    const tag = one.cold && !one.name.includes("cold") ? h("span", { class: "cold" }, "cold") : null;
    return h("li", {}, h("span", { class: "step-name" }, visible(one.name), tag), h("span", { class: "track" }, bar(one)), h("span", { class: "step-ms" }, milliseconds(one.ms)));
  });
  return h("ol", { class: "steps", "aria-label": `Time of each step, of ${milliseconds(total)}` }, rows.filter(Boolean));
}

// ---- the tabs ------------------------------------------------------------------------------------------------------

const GONE = "The content is no longer kept: newer entries took its place. The summary is what is left.";
const gone = () => h("p", { class: "empty" }, GONE);
const nothing = (text) => h("p", { class: "empty" }, text);

const PANELS = {
  came: (detail) => (detail.dropped ? gone() : detail.came_in ? CAME[detail.came_in.kind](detail.came_in, detail.summary) : nothing("The recording does not contain what came in.")),
  event: (detail) => (detail.dropped ? gone() : detail.event ? bodyView(detail.event, "The event as the platform builds it") : nothing("No event was built: the request was answered before a function was invoked.")),
  decision: (detail, app) => (detail.dropped && !detail.decision ? gone() : decisionView(detail.decision, app.state.header)),
  payload: (detail) => (detail.dropped ? gone() : payloads(detail)),
  answer: (detail) => (detail.dropped ? gone() : answers(detail)),
  reply: (detail) => (detail.dropped ? gone() : replyView(detail)),
};

const CAME = {
  http: (came, { caller }) => [
    h("pre", { class: "request-line", tabindex: "0", "aria-label": "Request line" }, visible(`${came.method} ${came.target}`), h("span", { class: "none" }, ` ${came.version?.startsWith("HTTP") ? came.version : `HTTP/${came.version ?? "1.1"}`}`)),
    came.identity ? facts([["signed by", came.identity.access_key], ["as", came.identity.principal]]) : caller ? null : h("p", { class: "none" }, "The request is not signed."),
    headersView(came.headers, "Headers"),
    came.body === null ? h("p", { class: "none" }, "Body: not read. The front refused the request first.") : bodyView(came.body, "Body"),
  ],
  record: (came) => [
    facts([
      ["batch", came.batch ? `${came.batch.id} – record ${came.batch.position} of ${came.batch.size}` : null],
      ["attempt", came.batch?.attempt],
      ["group", came.group],
    ]),
    Object.keys(came.attributes ?? {}).length ? headersView(Object.entries(came.attributes).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value), false]), "Attributes") : null,
    bodyView(came.record, "Record"),
  ],
  invoke: (came) => [facts([["function", came.function], ["tenant", came.tenant === null ? null : tenantChip(came.tenant)], ["type", came.type]]), bodyView(came.payload, "Payload")],
};

/** The functions that ran for the entry: neither the bridge nor an authorizer. */
const ofFunctions = ({ invocations }) => invocations.filter((one) => !one.is_bridge && one.role !== "authorizer");

function payloads(detail) {
  const found = ofFunctions(detail);
  if (!found.length) return nothing(detail.invocations.some((one) => one.is_bridge) ? "The bridge invoked no function." : "No function was invoked.");
  return found.map((one) => h("section", {}, invocationHead(one), bodyView(one.payload, "Payload")));
}

function invocationHead(one) {
  const facts = [one.environment, one.began === null ? null : `began at ${milliseconds(one.began)}`, one.init_ms ? `start ${milliseconds(one.init_ms)}` : null, one.ms === null ? "running" : `ran ${milliseconds(one.ms)}`].filter(Boolean);
  return h("div", { class: "invocation" }, h("h3", {}, visible(one.function)), one.tenant === null ? null : tenantChip(one.tenant), one.cold ? h("span", { class: "cold" }, "cold start") : null, h("span", { class: "facts" }, visible(facts.join(" · "))));
}

function answers(detail) {
  const found = ofFunctions(detail);
  const others = detail.invocations.filter((one) => !found.includes(one));
  if (!detail.invocations.length) return nothing("No function was invoked.");
  const view = (one) => h("section", {}, invocationHead(one), one.error ? h("p", { class: "note bad" }, visible(one.error)) : null, one.answer ? bodyView(one.answer, "Answer") : null, logView(one.log));
  const title = (one) => (one.is_bridge ? "The bridge's own answer and log" : "The authorizer's answer and log");
  const own = others.map((one) => h("details", { class: one.is_bridge ? "bridge" : "authorizer", open: !found.length }, h("summary", {}, title(one)), view(one)));
  return [found.length ? null : nothing(others.some((one) => one.is_bridge) ? "The bridge invoked no function." : "No function but the authorizer was invoked."), found.map(view), own];
}

function replyView({ reply, summary }) {
  if (!reply) return nothing(summary.state === "running" ? "There is no reply yet: it is still running." : "There was no reply.");
  if (reply.outcome !== undefined) return [facts([["outcome", reply.outcome]]), reply.text ? h("p", {}, visible(reply.text)) : null];
  return [facts([["status", String(reply.status)]]), headersView(reply.headers, "Headers"), bodyView(reply.body, "Body")];
}
