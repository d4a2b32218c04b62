// SPDX-License-Identifier: GPL-3.0-or-later
// Texts get into the page through textContent only: what a host said is never markup, an address or a style. All files
// of this folder are joined into one script with one scope, in the order of their names.
const PAGE = 100; // hosts shown at a time
const FULL = 1000; // hosts that are printed with all that is said of them
const data = JSON.parse(document.getElementById("data").textContent);
const text = data.strings;
const [HOST, VERDICT, PLATFORM, PROTECTION, PRODUCTS, REPORTED, REASONS, UNKNOWN, NOTES, PROTECTED_BY, FACTS, SOURCE, PLAN, DEED] =
  Array.from({ length: 14 }, (_, place) => place);
// Of a plan, of its steps, of an inhibitor, of what else a plan says.
const [STATE, DIGEST, MADE, EXPIRES, MACHINE, ORDER, MARKER, HITS, REST] = Array.from({ length: 9 }, (_, place) => place);
const [S_HEAD, S_ID, S_KIND, S_TARGET, S_REASON, S_WHEN, S_FACTS, S_ARGS] = Array.from({ length: 8 }, (_, place) => place);
const [H_ID, H_TITLE, H_DIAGNOSIS, H_REMEDY, H_NEVER, H_WAIVER] = Array.from({ length: 6 }, (_, place) => place);
const [R_PROVIDERS, R_PRODUCTS, R_GAP, R_MANUAL, R_NOTES, R_EXCEPTED] = Array.from({ length: 6 }, (_, place) => place);
// Of what was done, of the outcome of a step.
const [D_GAP, D_PROOF, D_PHASES, D_RUN, D_SECONDS, D_STEPS] = Array.from({ length: 6 }, (_, place) => place);
const [E_STATUS, E_ID] = [0, 1];
const rows = data.rows; // in natural order of names
const $ = (id) => document.getElementById(id);
const EMPTY = {
  q: "", verdict: "", protection: "", platform: "", product: "", plan: "", inhibitor: "", sort: "verdict", page: 1, host: "",
};
const FILTERS = ["q", "verdict", "protection", "platform", "product", "plan", "inhibitor"];
let state = { ...EMPTY };
let shown = []; // numbers of the rows that pass the filter, sorted

// --- making elements

function el(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, react] of Object.entries(value)) made.addEventListener(event, react);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null)); // strings become text nodes
  return made;
}

function mark(group) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("class", "mark g-" + group);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#m-" + group);
  svg.append(use);
  return svg;
}

const said = (words) => el("span", { class: "said" }, words);
const verdictOf = (row) => data.verdicts[row[VERDICT]];
const protectionOf = (row) => data.protection[row[PROTECTION]];
const protectionKey = (entry) => entry[0] || "not_asked";
const tag = (group, words) => el("span", { class: "tag g-" + group }, mark(group), words);
const label = (product) => [0, 3, 2].map((place) => text[product[place]]).filter(Boolean).join(" ");
const labels = (products) => products.map(label).join(", ");

function why(row) {
  const evidence = [...row[PRODUCTS], ...row[REPORTED]].flatMap((product) => product[4]);
  const all = [row[REASONS], evidence, row[NOTES]].find((some) => some.length) || [];
  return all.length ? text[all[0]] + (all.length > 1 ? ` (+${all.length - 1})` : "") : "";
}

const stateOf = (plan) => data.states[plan[STATE]];
// Once plans were performed they are no promise any more: then only the verdict counts.
const acts = (row) => !data.acted && Boolean(row[PLAN]) && stateOf(row[PLAN])[0] === "act";
// What needs attention: every verdict that is not quiet, but for a host whose plan takes care of it.
const isLoud = (row) => !verdictOf(row)[3] && !acts(row);
const hitsOf = (row) => (row[PLAN] ? row[PLAN][HITS].map((number) => data.hits[number]) : []);
const waiverOf = (texts) => {
  const [owner, reason, ticket, expires] = texts.map((number) => text[number]);
  return `${owner} until ${expires}${ticket ? `, ticket ${ticket}` : ""}: ${reason}`;
};

