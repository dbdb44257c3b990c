/**
 * The list of entries, the newest first.
 *
 * Rule: only rows in sight are in the document. All changes until the next frame are drawn once, in that frame. If the
 * list is scrolled, new entries do not move what is being read.
 */

import { WAYS, clock, h, hueOf, milliseconds, outcomeOf, reasonOf, visible } from "./dom.js";
import { placeOf } from "./store.js";

const BEYOND = 6; // rows above and below those in sight
const PATH_LENGTH = 300;

export class TimelineView {
  /** `box` scrolls; it contains `space`, as high as all rows, and in it `rows`. */
  constructor(box, store, onSelect) {
    this.box = box;
    this.store = store;
    this.onSelect = onSelect;
    this.space = box.querySelector(".space");
    this.rows = box.querySelector(".rows");
    this.more = document.getElementById("more");
    this.selected = null;
    this.drawn = new Map();
    this.anchor = null;
    this.seen = 0;
    this.rowHeight = this.height = 0;
    this.scheduled = 0;
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    // Pointerdown, not click: with 200 new rows a second, another row is under the pointer when the button goes up.
    box.addEventListener("pointerdown", (event) => this.pressed(event));
    box.addEventListener("pointerover", (event) => this.pointed(event));
    this.more.addEventListener("click", () => this.toTop());
    this.measure();
    new ResizeObserver(() => this.measure()).observe(box);
  }

  get entries() {
    return this.store.shown;
  }

  schedule() {
    if (!this.scheduled) this.scheduled = requestAnimationFrame(() => this.draw());
  }

  scrolled() {
    this.keepPlace();
    this.schedule();
  }

  /** Notes what is at the upper edge, unless the list is at its top, where it follows. */
  keepPlace() {
    const top = this.box.scrollTop;
    const height = this.rowHeight;
    const entry = this.entries[this.entries.length - 1 - Math.floor(top / height)];
    this.anchor = top < 2 || !entry ? null : { n: entry.n, offset: top % height };
  }

  pressed(event) {
    const row = event.target.closest("[data-n]");
    if (!row || event.button !== 0) return;
    this.onSelect(Number(row.dataset.n));
  }

  /** Gives the row under the pointer its whole text, of which the list may show a part. */
  pointed(event) {
    const row = event.target.closest("[data-n]");
    const entry = row && this.store.get(Number(row.dataset.n));
    if (!entry) return;
    const { method, path, caller, tenant, replay_of: original } = entry;
    const lines = [`${method ?? ""} ${path}`.trim(), reasonOf(entry), tenant === null ? "" : `tenant ${tenant}`, caller, original === null ? "" : `replay of #${original}`];
    row.title = lines.filter(Boolean).map((line) => visible(line)).join("\n");
  }

  /** Reads the height of a row, which depends on the width of the list. It is a whole number of pixels. */
  measure() {
    const size = parseFloat(getComputedStyle(this.box).getPropertyValue("--row-rem"));
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const before = this.height && this.rowHeight; // while the list is empty, its box is hidden
    this.rowHeight = Math.round(size * rem);
    this.box.style.setProperty("--row-height", `${this.rowHeight}px`);
    this.box.parentElement.style.setProperty("--gutter", `${this.box.offsetWidth - this.box.clientWidth}px`);
    this.height = this.box.clientHeight;
    this.schedule();
    if (before !== this.rowHeight && this.selected !== null) {
      this.draw(); // an entry that opens makes rows higher, and may move its own out of sight
      this.reveal(this.selected);
    }
  }

  toTop() {
    this.anchor = null;
    this.box.scrollTop = 0;
    this.schedule();
  }

  /** Selects an entry. `reveal` scrolls to it. */
  select(n, { reveal = false } = {}) {
    this.selected = n;
    if (reveal) this.reveal(n);
    this.schedule();
  }

  reveal(n) {
    const place = placeOf(this.entries, n);
    if (this.entries[place]?.n !== n) return;
    const height = this.rowHeight;
    const top = (this.entries.length - 1 - place) * height;
    const { scrollTop, clientHeight } = this.box;
    this.space.style.height = `${this.entries.length * height}px`;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.box.scrollTop = top + height - clientHeight;
    this.keepPlace();
  }

  /** The entry `by` rows below the selected one; the nearest, if there are not as many. */
  neighbour(by) {
    const { entries } = this;
    if (!entries.length) return null;
    const last = entries.length - 1;
    if (this.selected === null) return entries[by === Infinity ? 0 : last].n;
    const place = placeOf(entries, this.selected);
    const isThere = entries[place]?.n === this.selected;
    const next = isThere ? place - by : by > 0 ? place - by : place - by - 1;
    return entries[Math.max(0, Math.min(last, next))].n;
  }

  draw() {
    this.scheduled = 0;
    const { entries, box } = this;
    const height = this.rowHeight;
    const total = entries.length;
    let top = box.scrollTop; // read before the first change, which would cost one more layout
    this.space.style.height = `${total * height}px`;
    if (this.anchor) {
      const index = total - 1 - Math.min(total - 1, placeOf(entries, this.anchor.n));
      const wanted = Math.round(index * height + this.anchor.offset);
      if (Math.abs(top - wanted) >= 1) box.scrollTop = wanted;
      top = wanted;
    }
    top = Math.max(0, Math.min(top, total * height - this.height));
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    const last = Math.min(total, Math.ceil((top + this.height) / height) + BEYOND);
    this.rows.style.transform = `translateY(${first * height}px)`;
    this.place(first, last, total);
    this.drawMore();
  }

  place(first, last, total) {
    const old = this.drawn;
    this.drawn = new Map();
    for (let index = first; index < last; index += 1) {
      const { n } = this.entries[total - 1 - index];
      const row = old.get(n);
      if (row) this.drawn.set(n, row);
      old.delete(n);
    }
    const spare = [...old.values()]; // rows out of sight show other entries now: to make one takes longer
    let cursor = this.rows.firstChild;
    let active = null;
    for (let index = first; index < last; index += 1) {
      const entry = this.entries[total - 1 - index];
      const row = this.drawn.get(entry.n) ?? spare.pop() ?? newRow();
      this.drawn.set(entry.n, row);
      if (row.entry !== entry) fill(row, entry);
      row.element.setAttribute("aria-posinset", index + 1);
      row.element.setAttribute("aria-setsize", total);
      const isSelected = entry.n === this.selected;
      if (row.isSelected !== isSelected) row.element.setAttribute("aria-selected", isSelected);
      row.isSelected = isSelected;
      if (isSelected) active = row.element.id;
      if (cursor === row.element) cursor = cursor.nextSibling;
      else this.rows.insertBefore(row.element, cursor);
    }
    for (const { element } of spare) element.remove();
    if (active) this.box.setAttribute("aria-activedescendant", active);
    else this.box.removeAttribute("aria-activedescendant");
  }

  drawMore() {
    const newest = this.entries.length ? this.entries[this.entries.length - 1].n : 0;
    if (!this.anchor) this.seen = newest;
    const fresh = this.entries.length - placeOf(this.entries, this.seen + 1);
    this.more.hidden = fresh === 0 || this.seen === 0;
    if (fresh) this.more.textContent = `↑ ${fresh.toLocaleString("en")} new`;
  }
}

const CELLS = ["status", "time", "way", "path", "who", "caller", "ms"];

function newRow() {
  const cells = Object.fromEntries(CELLS.map((name) => [name, h("span", { class: `cell ${name}` })]));
  const element = h("div", { role: "option", class: "row", "aria-selected": "false" });
  element.append(...Object.values(cells));
  for (const name of ["method", "text", "reason"]) cells.path.append((cells[name] = h("span", { class: name })));
  return { element, cells, entry: null, isSelected: false };
}

function fill(row, entry) {
  const { cells, element } = row;
  if (row.entry?.n !== entry.n) {
    element.id = `entry-${entry.n}`;
    element.dataset.n = entry.n;
  }
  row.entry = entry;
  const path = visible(entry.path.slice(0, PATH_LENGTH));
  const [time, fraction] = clock(entry.at).split(".");
  cells.time.replaceChildren(time, h("span", { class: "fraction" }, `.${fraction}`));
  cells.status.textContent = entry.status ?? outcomeOf(entry);
  cells.way.textContent = entry.source ? `${WAYS[entry.way] ?? entry.way} ${visible(entry.source)}` : WAYS[entry.way];
  cells.method.textContent = entry.method ?? "";
  cells.text.textContent = entry.replay_of === null ? path : `↻ ${path}`;
  cells.reason.textContent = visible(reasonOf(entry));
  element.removeAttribute("title");
  cells.who.textContent = entry.tenant === null ? "–" : visible(entry.tenant);
  cells.who.classList.toggle("tenant", entry.tenant !== null);
  if (entry.tenant !== null) cells.who.style.setProperty("--hue", hueOf(entry.tenant));
  cells.caller.textContent = visible(entry.caller ?? "");
  cells.ms.replaceChildren(entry.cold ? h("span", { class: "cold" }, "cold") : "", entry.cold ? " " : "", milliseconds(entry.ms));
  element.dataset.outcome = entry.outcome ?? "running";
}
