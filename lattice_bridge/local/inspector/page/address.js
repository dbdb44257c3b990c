/** The part of the address behind #: the view, the chosen entry and the filters, so that a reload keeps them. */

const NAMES = ["view", "n", "tab", "with", "tenant", "outcome", "source", "q"];

export function read() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(NAMES.map((name) => [name, parameters.get(name) ?? ""]));
}

/** Writes the values that differ. An entry of the history is made only where "back" is to lead somewhere. */
export function write(values, { remember = false } = {}) {
  const merged = { ...read(), ...values };
  const given = NAMES.filter((name) => merged[name] !== "" && merged[name] !== null && merged[name] !== undefined);
  const hash = new URLSearchParams(given.map((name) => [name, merged[name]])).toString();
  if (hash === location.hash.slice(1)) return;
  const url = hash ? `#${hash}` : location.pathname;
  if (remember) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}
