/**
 * The entries that the page has, and those of them that the filters show.
 *
 * Rule: both lists are in the order of `n`, whatever the order of arrival, and have no more entries than the server
 * keeps.
 */

export const NO_FILTER = Object.freeze({ tenant: "", outcome: "", source: "", q: "" });
/** The value of the filter for entries without a tenant. No tenant has this name. */
export const WITHOUT = "(none)";

export const sourceOf = (entry) => (entry.source ? `${entry.way}/${entry.source}` : entry.way);

export class Store {
  constructor(onChange) {
    this.onChange = onChange;
    this.kept = 10_000;
    this.all = [];
    this.shown = [];
    this.filter = NO_FILTER;
    this.fits = fitsOf(NO_FILTER);
    this.paused = false;
    this.held = new Map();
  }

  get(n) {
    const place = placeOf(this.all, n);
    return this.all[place]?.n === n ? this.all[place] : null;
  }

  /** Adds new entries, and replaces changed ones. */
  add(entries) {
    if (this.paused) {
      for (const entry of entries) this.held.set(entry.n, entry);
      for (const n of this.held.keys()) {
        if (this.held.size <= this.kept) break;
        this.held.delete(n);
      }
    } else {
      for (const entry of entries) {
        put(this.all, entry, true);
        put(this.shown, entry, this.fits(entry));
      }
      this.drop();
    }
    this.onChange();
  }

  drop() {
    const surplus = this.all.length - this.kept;
    if (surplus <= 0) return;
    const first = this.all[surplus].n;
    this.all.splice(0, surplus);
    this.shown.splice(0, placeOf(this.shown, first));
  }

  /** Forgets the entries up to `until`. */
  clear(until) {
    for (const n of [...this.held.keys()]) if (n <= until) this.held.delete(n);
    this.all.splice(0, placeOf(this.all, until + 1));
    this.shown.splice(0, placeOf(this.shown, until + 1));
    this.onChange();
  }

  setFilter(filter) {
    this.filter = filter;
    this.fits = fitsOf(filter);
    this.shown = this.all.filter(this.fits);
    this.onChange();
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) {
      const held = [...this.held.values()];
      this.held.clear();
      this.add(held);
    }
    this.onChange();
  }

  /** What can be chosen: the tenants and sources of the entries, with their counts. */
  facets() {
    const tenants = new Map();
    const sources = new Map();
    for (const entry of this.all) {
      const tenant = entry.tenant ?? WITHOUT;
      const source = sourceOf(entry);
      tenants.set(tenant, (tenants.get(tenant) ?? 0) + 1);
      sources.set(source, (sources.get(source) ?? 0) + 1);
    }
    return { tenants, sources };
  }
}

/** The place of the first entry whose number is `n` or larger. */
export function placeOf(list, n) {
  if (!list.length || list[list.length - 1].n < n) return list.length; // nearly always: it is new
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].n < n) low = middle + 1;
    else high = middle;
  }
  return low;
}

function put(list, entry, fits) {
  const place = placeOf(list, entry.n);
  const present = list[place]?.n === entry.n ? 1 : 0;
  if (fits) {
    if (place === list.length) list.push(entry);
    else list.splice(place, present, entry);
  } else if (present) list.splice(place, 1);
}

function fitsOf(filter) {
  const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
  return (entry) =>
    (!filter.tenant || (entry.tenant ?? WITHOUT) === filter.tenant) &&
    (!filter.outcome || (entry.outcome ?? "running") === filter.outcome) &&
    (!filter.source || sourceOf(entry) === filter.source) &&
    (!words.length || words.every((word) => wordsOf(entry).includes(word)));
}

const TEXTS = new WeakMap();

function wordsOf(entry) {
  let text = TEXTS.get(entry);
  if (text === undefined) {
    const { method, path, id, caller, tenant, reason, source, status, outcome } = entry;
    const functions = entry.function;
    text = [method, path, id, caller, tenant, reason, source, status, outcome, functions].join(" ").toLowerCase();
    TEXTS.set(entry, text);
  }
  return text;
}
