/** The page: it connects, and divides what arrives and what the user does among the views. */

import * as address from "./address.js";
import { ApiError, NoToken, follow, forgetToken, get, giveToken, post, takeToken } from "./api.js";
import { announce, byId, copyButton, count, h, visible, WAYS } from "./dom.js";
import { DetailView } from "./detail.js";
import { RunsView } from "./runs.js";
import { NO_FILTER, Store, WITHOUT } from "./store.js";
import { TimelineView } from "./timeline.js";

const FILTERS = Object.keys(NO_FILTER);
const FACETS_MS = 500;
const SPLIT = "lattice-bridge-inspector-split";

class App {
  constructor() {
    this.state = { identities: [], can_replay: false };
    this.connection = "connecting";
    this.why = ""; // the server has refused the stream
    this.store = new Store(() => this.changed());
    this.timeline = new TimelineView(byId("timeline"), this.store, (n) => this.choose(n));
    this.detail = new DetailView(byId("detail"), this);
    this.runs = new RunsView(byId("runs"), this);
    this.facetsAt = 0;
    this.following = null;
  }

  async start() {
    try {
      this.state = await get("/api/state");
    } catch (error) {
      if (!this.failed(error)) {
        this.connected("disconnected", error instanceof ApiError ? error.message : "");
        setTimeout(() => this.start(), 2000);
      }
      return;
    }
    const { state } = this;
    this.store.kept = state.kept ?? this.store.kept;
    byId("ask-token").hidden = true;
    byId("page").hidden = false;
    byId("what").textContent = visible(state.title ?? "");
    byId("version").textContent = state.version ? `lattice-bridge ${state.version}` : "";
    document.title = `${state.title ? `${visible(state.title)} – ` : ""}lattice-bridge inspector`;
    document.body.dataset.mode = state.mode;
    byId("show-runs").hidden = state.mode === "file";
    this.readAddress();
    this.following = new AbortController();
    follow({ event: (name, data) => this.event(name, data), state: (name, why) => this.connected(name, why), noToken: (error) => this.failed(error) }, this.following.signal);
  }

  event(name, data) {
    if (name === "entries") this.store.add(data.entries);
    else if (name === "cleared") this.store.clear(data.until);
  }

  connected(state, why = "") {
    if (this.connection !== state || this.why !== why) announce(state === "live" ? "Connected" : why || "Disconnected. The page connects again by itself.");
    this.connection = state;
    this.why = why;
    this.drawState();
  }

  /** Handles a refused token. Returns whether it was one. */
  failed(error) {
    if (error instanceof NoToken) {
      this.askForToken(error.isRefused);
      return true;
    }
    if (!(error instanceof ApiError) && error.name !== "TypeError") throw error;
    return false;
  }

  askForToken(isRefused) {
    this.following?.abort();
    this.runs.close();
    forgetToken();
    byId("page").hidden = true;
    byId("ask-token").hidden = false;
    byId("token-problem").hidden = !isRefused;
    byId("token").focus();
  }

  // ---- the address ---------------------------------------------------------------------------------------------

  go(values, options) {
    address.write(values, options);
    this.readAddress();
  }

  choose(n) {
    this.go({ n: n ?? "", with: "" });
  }

  refresh() {
    this.detail.shownFor = null;
    this.readAddress();
  }

  readAddress() {
    const found = address.read();
    const isRuns = found.view === "runs" && this.state.mode !== "file";
    const filter = Object.fromEntries(FILTERS.map((name) => [name, found[name]]));
    if (FILTERS.some((name) => filter[name] !== this.store.filter[name])) {
      this.timeline.anchor = null;
      this.timeline.box.scrollTop = 0;
      this.store.setFilter(filter);
    }
    for (const name of FILTERS) if (byId(`filter-${name}`).value !== filter[name]) this.setControl(name, filter[name]);
    byId("show-requests").setAttribute("aria-pressed", !isRuns);
    byId("show-runs").setAttribute("aria-pressed", isRuns);
    byId("requests").hidden = isRuns;
    byId("runs").hidden = !isRuns;
    byId("filters").hidden = isRuns;
    byId("pause").hidden = byId("clear").hidden = isRuns || this.state.mode === "file";
    if (isRuns) this.runs.open();
    else this.runs.close();
    this.showChosen(found);
  }

  setControl(name, value) {
    const control = byId(`filter-${name}`);
    if (control.tagName === "SELECT" && ![...control.options].some((one) => one.value === value)) control.append(h("option", { value }, visible(value)));
    control.value = value;
  }

  showChosen({ n, tab, with: other }) {
    const number = /^\d+$/.test(n) ? Number(n) : null;
    const isOpen = number !== null;
    document.body.classList.toggle("has-detail", isOpen);
    byId("detail").hidden = byId("splitter").hidden = !isOpen;
    if (number !== this.timeline.selected) this.timeline.select(number, { reveal: true });
    if (!isOpen) return this.detail.close();
    const entry = this.store.get(number) ?? (this.detail.entry?.n === number ? this.detail.entry : null);
    if (!entry) return null; // it has not arrived yet; `changed` shows it then
    const second = /^\d+$/.test(other) ? this.store.get(Number(other)) : null;
    return this.detail.show(entry, tab, second);
  }

  // ---- what arrives --------------------------------------------------------------------------------------------

  changed() {
    this.timeline.schedule();
    this.drawState();
    const now = performance.now();
    if (now - this.facetsAt > FACETS_MS) this.drawFacets();
    else this.facetsTimer ??= setTimeout(() => this.drawFacets(), FACETS_MS);
    const found = address.read();
    const number = /^\d+$/.test(found.n) ? Number(found.n) : null;
    if (number === null) return;
    const entry = this.store.get(number);
    // A form stays when its own entry changes. It does not stay when its replay arrives, after the answer to the form.
    const isEditing = this.detail.entry?.n === number && byId("detail").querySelector("form") !== null;
    if (entry && entry !== this.detail.entry && !isEditing) {
      if (!this.detail.entry) this.timeline.select(number, { reveal: true });
      this.showChosen(found);
    }
  }

  drawState() {
    if (this.stateScheduled) return;
    this.stateScheduled = true;
    requestAnimationFrame(() => {
      this.stateScheduled = false;
      const { store, connection, state } = this;
      const name = connection !== "live" ? connection : store.paused ? "paused" : state.mode === "file" ? "file" : "live";
      const texts = { connecting: "connecting …", disconnected: this.why ? visible(this.why) : "disconnected – trying again", paused: `paused${store.held.size ? ` – ${store.held.size.toLocaleString("en")} waiting` : ""}`, file: "a file, read-only", live: "live" };
      byId("state").dataset.state = name;
      byId("state-text").textContent = texts[name];
      const shown = store.shown.length;
      const all = store.all.length;
      byId("count").textContent = shown === all ? count(all, "entry", "entries") : `${shown.toLocaleString("en")} of ${all.toLocaleString("en")}`;
      this.drawEmpty();
    });
  }

  drawEmpty() {
    const { all, shown } = this.store;
    const empty = byId("empty");
    const kind = shown.length ? "" : all.length ? `filtered ${all.length}` : `${this.state.mode} ${this.connection}`;
    if (empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    empty.hidden = kind === "";
    byId("timeline").hidden = kind !== "";
    if (kind.startsWith("filtered")) {
      const hidden = `${count(all.length, "entry", "entries")} ${all.length === 1 ? "is" : "are"} hidden.`;
      empty.replaceChildren(h("h2", {}, "No entry matches the filters"), h("p", {}, hidden), h("button", { type: "button", on: { click: () => this.go({ ...NO_FILTER }) } }, "Remove the filters"));
    } else if (kind) empty.replaceChildren(...(this.state.mode === "file" ? noEntries() : firstRequest(this.state)));
  }

  drawFacets() {
    clearTimeout(this.facetsTimer);
    this.facetsTimer = null;
    this.facetsAt = performance.now();
    const { tenants, sources } = this.store.facets();
    const named = (key) => {
      const [way, ...rest] = key.split("/");
      return `${WAYS[way] ?? way} ${rest.join("/")}`.trim();
    };
    fillSelect(byId("filter-tenant"), "all tenants", tenants, (name) => (name === WITHOUT ? "no tenant" : name));
    fillSelect(byId("filter-source"), "all sources", sources, named);
  }

  // ---- what the user does --------------------------------------------------------------------------------------

  pause() {
    const paused = !this.store.paused;
    this.store.pause(paused);
    byId("pause").setAttribute("aria-pressed", paused);
    byId("pause").textContent = paused ? "Resume" : "Pause";
    announce(paused ? "Paused" : "Live again");
  }

  async clear() {
    try {
      const { until } = await post("/api/clear");
      this.store.clear(until);
      this.go({ n: "", with: "" });
      announce("The list is empty");
    } catch (error) {
      this.failed(error);
    }
  }

  step(by) {
    const next = this.timeline.neighbour(by);
    if (next === null) return;
    this.choose(next);
    this.timeline.reveal(next);
  }
}

function fillSelect(select, all, found, label) {
  if (document.activeElement === select) return; // an open list would close
  const { value } = select;
  if (value && !found.has(value)) found.set(value, 0);
  const names = [...found.keys()].sort((one, other) => label(one).localeCompare(label(other)));
  const key = names.join("\n");
  if (select.dataset.names === key) return;
  select.dataset.names = key;
  select.replaceChildren(h("option", { value: "" }, all), ...names.map((name) => h("option", { value: name }, visible(label(name)))));
  select.value = value;
}

function firstRequest(state) {
  const { example } = state;
  return [
    h("h2", {}, "Nothing came in yet"),
    h("p", {}, `Each request and each record appears here as it happens.${example ? " Send the first one:" : ""}`),
    example ? h("div", { class: "example" }, h("pre", { class: "code", tabindex: "0", "aria-label": "Command" }, visible(example, { lines: true })), copyButton(() => example)) : null,
    state.aws ? h("p", { class: "none" }, "Queues, streams and buses: ", h("code", {}, `AWS_ENDPOINT_URL=${visible(state.aws)} aws sqs send-message …`)) : null,
  ].filter(Boolean);
}

const noEntries = () => [h("h2", {}, "The file has no entries"), h("p", {}, "Give a recording of lattice-bridge local --record, or log lines of a bridge.")];

// ---- keys ------------------------------------------------------------------------------------------------------------

const PAGE = 15;

function keyed(app, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open || byId("page").hidden) return;
  const { target, key } = event;
  const isTyping = target.matches("input, textarea, select");
  if (key === "Escape") return escape(app, event);
  if (isTyping) return;
  const isList = target === byId("timeline") || target === document.body;
  const actions = {
    j: () => app.step(1),
    k: () => app.step(-1),
    p: () => app.state.mode === "file" || app.pause(),
    "/": () => byId("filter-q").focus(),
    "?": () => byId("help").showModal(),
    ...(isList ? { ArrowDown: () => app.step(1), ArrowUp: () => app.step(-1), PageDown: () => app.step(PAGE), PageUp: () => app.step(-PAGE), Home: () => app.step(-Infinity), End: () => app.step(Infinity), Enter: () => app.detail.focus() } : {}),
  };
  if (!Object.hasOwn(actions, key) || (byId("requests").hidden && key !== "?")) return;
  event.preventDefault();
  actions[key]();
}

function escape(app, event) {
  const { target } = event;
  if (target.matches("#filters *")) {
    byId("timeline").focus();
  } else if (byId("detail").querySelector("form")) app.refresh();
  else if (document.body.classList.contains("has-detail")) {
    app.choose(null);
    byId("timeline").focus();
  } else return;
  event.preventDefault();
}

// ---- the splitter ----------------------------------------------------------------------------------------------------

function splitter(bar, box) {
  const set = (percent) => {
    const share = Math.round(Math.max(20, Math.min(75, percent)));
    box.style.setProperty("--split", `${share}%`);
    bar.setAttribute("aria-valuenow", share);
    localStorage.setItem(SPLIT, share);
  };
  set(Number(localStorage.getItem(SPLIT)) || 46);
  bar.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    bar.setPointerCapture(event.pointerId);
    bar.focus();
  });
  bar.addEventListener("pointermove", (event) => {
    if (!bar.hasPointerCapture(event.pointerId)) return;
    const { left, width } = box.getBoundingClientRect();
    set((100 * (event.clientX - left)) / width);
  });
  bar.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    set(Number(bar.getAttribute("aria-valuenow")) + by);
  });
}

// ---- start -----------------------------------------------------------------------------------------------------------

function listen(app) {
  byId("pause").addEventListener("click", () => app.pause());
  byId("clear").addEventListener("click", () => app.clear());
  byId("show-help").addEventListener("click", () => byId("help").showModal());
  byId("close-help").addEventListener("click", () => byId("help").close());
  byId("show-requests").addEventListener("click", () => app.go({ view: "" }, { remember: true }));
  byId("show-runs").addEventListener("click", () => app.go({ view: "runs" }, { remember: true }));
  for (const name of FILTERS) {
    const control = byId(`filter-${name}`);
    control.addEventListener("input", () => {
      app.go({ [name]: control.value });
      announce(byId("count").textContent);
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => keyed(app, event));
  window.addEventListener("popstate", () => (takeToken() ? location.reload() : app.readAddress()));
  byId("ask-token").addEventListener("submit", (event) => {
    event.preventDefault();
    giveToken(byId("token").value);
    location.reload(); // what the page has may be of another stack
  });
  splitter(byId("splitter"), byId("requests"));
}

takeToken();
const app = new App();
listen(app);
app.start();
