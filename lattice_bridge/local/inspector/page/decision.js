/**
 * The decision as a picture: evidence, keys from specific to broad with the one that owns the request, conditions,
 * what the caller asked for, and the outcome; below it, near misses.
 *
 * It reads the document of `lattice-bridge explain --json`. What the document does not contain is not drawn.
 */

import { h, tenantChip, visible } from "./dom.js";

export function decisionView(decision, header) {
  if (!decision) return h("p", { class: "empty" }, "No bridge handled this entry, so no tenant was decided.");
  const notes = [];
  if (decision.error) notes.push(h("p", { class: "note bad" }, visible(decision.error)));
  if (decision.same_map === false) notes.push(h("p", { class: "note" }, "A different map made the original decision. This page shows what the current map decides."));
  const documents = decision.documents ?? [];
  return h("div", { class: "decision" }, notes, documents.map((one, place) => documentView(one, header, decision.map, documents.length > 1 ? place + 1 : 0)));
}

function documentView(document, header, map, number) {
  const steps = [evidence(document), keys(document), conditions(document), asked(document, header), outcome(document)];
  const label = number ? `Decision ${number}` : "Decision";
  return h(
    "section",
    { "aria-label": label },
    number ? h("h3", {}, `Record ${number}`) : null,
    h("ol", { class: "flow" }, steps.filter(Boolean)),
    misses(document),
    map ? h("p", { class: "none" }, `Decided by ${visible(map)}.`) : null,
  );
}

const step = (title, kind, ...content) => h("li", { class: `step ${kind}` }, h("h3", {}, title), ...content);

function evidence(document) {
  const { record, log } = document;
  const pairs = [];
  if (log) pairs.push(["log line", log.requestId], ["caller's key", log.callerKey], ["rule then", log.rule], ["outcome then", [log.status, log.reason].filter(Boolean).join(" ")]);
  if (record) {
    pairs.push(["source", record.source], ["sender", record.sender], ["account", record.event_account]);
    pairs.push(["bus source", record.bus_source], ["detail type", record.detail_type]);
    pairs.push([record.service === "kinesis" ? "partition key" : "group", record.group]);
  } else if (document.authenticated !== null && document.authenticated !== undefined) {
    const signed = document.caller ? (document.authenticated ? "signed, verified by IAM" : "not verified") : null;
    pairs.push(["caller", document.caller ?? "none: the request is not signed"], ["signature", signed]);
  }
  for (const one of document.verified_by ?? []) pairs.push(["verified by", one]);
  if (document.missing?.length) pairs.push(["not in the line", document.missing.join(", ")]);
  const known = pairs.filter(([, value]) => value);
  if (!known.length) return step("Evidence", "", h("p", { class: "none" }, "The bridge refused the request before it read any evidence."));
  return step("Evidence", "", h("dl", { class: "fact-list" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, visible(value))))));
}

function keys(document) {
  const { looked_for: found, owner, denied_by: denied, runner_up: next } = document;
  if (!found?.length) return null;
  const rules = new Set([owner, denied, ...(document.sources ?? []).map((one) => one.rule)].filter(Boolean));
  const rows = found.map(({ key, rule }) => {
    const isOwner = rules.has(rule);
    const note = isOwner ? (rule === denied ? "denies" : "owns the request") : rule && rule === next ? "would own it otherwise" : rule ? "broader: not read" : "";
    return h(
      "li",
      { class: isOwner ? (rule === denied ? "owner denied" : "owner") : rule ? "other" : "unused" },
      h("span", { class: "key-name" }, visible(key)),
      h("span", { class: "key-rule" }, rule ? visible(rule) : "no rule"),
      h("span", { class: "key-note" }, note),
    );
  });
  return step("Keys, from specific to broad", "", h("ol", { class: "keys" }, rows));
}

function conditions(document) {
  const found = document.conditions ?? [];
  if (!document.owner && !document.denied_by) return null;
  if (!found.length && !document.sources?.length) return null;
  const rows = found.map(({ name, expected, actual, holds, rule }) =>
    h(
      "li",
      { class: holds ? "holds" : "fails" },
      h("span", { class: "mark", "aria-hidden": "true" }, holds ? "✓" : "✕"),
      h("b", {}, visible(name)),
      h("code", {}, visible(expected ?? "")),
      holds ? null : h("span", {}, "but it is ", actual === null ? "absent" : h("code", {}, visible(actual))),
      rule ? h("span", { class: "none" }, `in rule ${visible(rule)}`) : null,
    ),
  );
  const allows = (document.sources ?? []).map(({ rule, allows: what }) => h("li", { class: "allows" }, h("span", {}, "rule ", h("b", {}, visible(rule))), h("span", {}, "allows ", named(what))));
  const title = rows.length ? "Conditions, and what the rule allows" : "What the rule allows";
  return step(title, "", h("ul", { class: "conditions" }, rows, document.denied_by ? null : allows));
}

/** The tenants in `allows`, as chips if these are names alone. */
function named(allows) {
  const names = allows.split(", ");
  const isNames = names.length <= 12 && names.every((name) => /^[^\s:"]+$/.test(name));
  return isNames ? h("span", { class: "chips" }, names.map((name) => tenantChip(name))) : visible(allows);
}

function asked(document, header) {
  const { record } = document;
  if (record) {
    if (record.claim_from === null && record.claim === null) return step("Asked for", "", h("p", { class: "none" }, "Nothing: the event source has no claim."));
    const from = record.claim_from ? ` by ${visible(record.claim_from)}` : "";
    return step("Asked for", "", h("p", {}, record.claim === null ? h("span", { class: "none" }, "none that could be read") : tenantChip(record.claim), from));
  }
  if (document.authenticated === null || document.missing?.includes("header")) return null;
  const name = header ?? "the tenant header";
  if (document.header === null) return step("Asked for", "", h("p", { class: "none" }, `Nothing: ${name} is absent.`));
  return step("Asked for", "", h("p", {}, tenantChip(document.header), ` by ${name}`));
}

function outcome(document) {
  const { allowed, tenant, reason, detail, status, record, chosen_by: by } = document;
  if (allowed) {
    const how = by === "rule" ? "the only tenant that is allowed" : by ? `chosen by the ${by}` : "";
    return step("Allowed", "good", h("p", { class: "verdict" }, "Runs as ", tenantChip(tenant), how ? ` – ${how}` : ""));
  }
  return step(
    record ? "Refused" : `Refused${status ? ` with ${status}` : ""}`,
    "bad",
    h("p", { class: "verdict" }, h("code", {}, visible(reason ?? "unknown")), detail ? ` – ${visible(detail)}` : ""),
    record?.outcome ? h("p", {}, OUTCOMES[record.outcome] ?? visible(record.outcome), record.quarantine && record.outcome === "quarantined" ? `: ${visible(record.quarantine)}` : "") : null,
    record?.fix ? h("p", { class: "fix" }, h("b", {}, "To allow it: "), visible(record.fix)) : null,
  );
}

const OUTCOMES = {
  quarantined: "A copy is stored in the quarantine",
  reported: "The record is reported as failed, so its source keeps it",
  raised: "The handler raises the error, so the source keeps every record of the batch",
};

function misses(document) {
  const found = document.near_misses ?? [];
  if (!found.length) return null;
  const rows = found.map(({ text, rule, expected, actual }) => {
    const [one, other] = differing(expected, actual);
    return h("tr", {}, h("td", {}, visible(text)), h("td", {}, rule ? visible(rule) : "–"), h("td", { class: "wanted" }, one), h("td", { class: "given" }, other));
  });
  const left = document.near_misses_left_out;
  return h(
    "div",
    { class: "misses" },
    h("h3", {}, "Near misses"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Near misses" }, h("table", {}, h("thead", {}, h("tr", {}, ["what differs", "rule", "expected", "actual"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows))),
    left ? h("p", { class: "none" }, `and ${left} more rules`) : null,
  );
}

/** Two strings, with the part marked in which they differ. */
function differing(expected, actual) {
  const [one, other] = [[...visible(expected)], [...visible(actual)]];
  let start = 0;
  while (start < Math.min(one.length, other.length) && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < Math.min(one.length, other.length) - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  const isAlike = start + end >= Math.max(one.length, other.length) / 3;
  const marked = (text) => {
    const middle = text.slice(start, text.length - end).join("");
    return [text.slice(0, start).join(""), middle ? h("mark", {}, middle) : "", text.slice(text.length - end).join("")];
  };
  return isAlike ? [marked(one), marked(other)] : [one.join(""), other.join("")];
}
