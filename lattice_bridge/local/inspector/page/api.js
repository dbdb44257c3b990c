/**
 * The server's API: requests with the token, and the stream of entries.
 *
 * Rule: the page keeps the token in this tab's session storage, and sends it in the header Authorization. It leaves the
 * address bar at once, so that neither a screenshot nor a copied address contains it. The browser's own list of visited
 * pages may still contain the URL that was opened; its token ends with the stack.
 */

const TOKEN = "lattice-bridge-inspector-token";
const SILENCE_MS = 40_000; // the server sends a ping every 15 s
const PAUSES_MS = [250, 500, 1000, 2000, 5000];

/** The page has no token, or the server has refused it. */
export class NoToken extends Error {
  constructor(isRefused) {
    super(isRefused ? "the server does not accept the token" : "no token");
    this.isRefused = isRefused;
  }
}
/** The server refused a request. The message is the server's. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Moves the token from the address bar to this tab's storage. Whether there was one. */
export function takeToken() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const given = parameters.get("token");
  if (given === null) return false;
  sessionStorage.setItem(TOKEN, given);
  parameters.delete("token");
  const rest = parameters.toString();
  history.replaceState(null, "", rest ? `#${rest}` : location.pathname);
  return true;
}

/** Uses the token in what the user pasted: the whole URL, or the token alone. */
export function giveToken(pasted) {
  const text = pasted.trim();
  sessionStorage.setItem(TOKEN, text.match(/[#&]token=([^&\s]+)/)?.[1] ?? text);
}

export const forgetToken = () => sessionStorage.removeItem(TOKEN);

async function request(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  if (!token) throw new NoToken(false);
  if (/[^\x21-\x7e]/.test(token)) throw new NoToken(true); // no header can contain it
  const headers = { ...options.headers, authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  if (response.status === 401) throw new NoToken(true);
  if (response.ok) return response;
  const text = await response.text();
  let message = `${path}: status ${response.status}`;
  try {
    message = JSON.parse(text).error ?? message;
  } catch {
    // not the inspector's own answer
  }
  throw new ApiError(response.status, message);
}

export const get = async (path, options) => (await request(path, options)).json();

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/**
 * Follows the stream until `signal` ends it, and connects again when it breaks off.
 *
 * `on.event(name, data)` gets each event, `on.state("live" | "disconnected", why)` each change, with the server's message
 * if it has refused the stream, and `on.noToken(error)` the end.
 */
export async function follow(on, signal) {
  let change = 0;
  let failures = 0;
  while (!signal.aborted) {
    let why = "";
    try {
      for await (const [name, data] of events(`/api/stream?after=${change}`, signal, () => on.state("live"))) {
        failures = 0;
        if (typeof data.change === "number") change = data.change;
        on.event(name, data);
      }
    } catch (error) {
      if (error instanceof NoToken) return on.noToken(error);
      if (error instanceof ApiError) why = error.message;
    }
    if (signal.aborted) return;
    on.state("disconnected", why);
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]));
  }
}

/** The events of a stream in the format of server-sent events. `EventSource` cannot send a token. */
async function* events(path, signal, onOpen) {
  const broken = new AbortController();
  const stop = () => broken.abort();
  signal.addEventListener("abort", stop);
  let watchdog = setTimeout(stop, SILENCE_MS);
  try {
    const response = await request(path, { signal: broken.signal });
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
      const blocks = (rest + part.value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    broken.abort();
  }
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = line.match(/^([a-z]+): ?(.*)$/) ?? [];
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? [name, JSON.parse(data.join("\n"))] : null;
}
