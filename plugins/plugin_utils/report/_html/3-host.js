// SPDX-License-Identifier: GPL-3.0-or-later
// --- one host

function list(title, items, wide) {
  if (!items.length) return null;
  return el("section", { class: wide ? "wide" : "" }, el("h3", {}, title), el("ul", {}, ...items.map((item) => el("li", {}, item))));
}

function products(title, some) {
  return some.map((product) =>
    el(
      "section",
      {},
      el("h3", {}, title),
      el("p", {}, el("b", { class: "said" }, label(product)), said(text[product[1]] ? `, ${text[product[1]]}` : "")),
      el("ul", {}, ...product[4].map((number) => el("li", {}, said(text[number])))),
    ),
  );
}

function details(row) {
  const topics = new Map();
  for (const [topic, words] of row[FACTS]) topics.set(topic, [...(topics.get(topic) || []), words]);
  const [observation, time, transport, catalog, file, record] = row[SOURCE].map((number) => text[number]);
  const origin = [
    ["Scanned", time + (transport ? `, over ${transport}` : "")],
    ["Evidence", file],
    ["Record", record],
    ["Observation", observation],
    ["Catalog", catalog],
    ["Run", data.run],
  ].filter(([, value]) => value);
  const plain = (numbers) => numbers.map((number) => said(text[number]));
  return el(
    "div",
    { class: "detail-grid" },
    list("Why this verdict", plain(row[REASONS]), true),
    deedSection(row),
    row[PLAN] ? planOf(row[PLAN], deedOf(row)) : null,
    ...products("Found", row[PRODUCTS]),
    ...products("Reported, never removed", row[REPORTED]),
    list("Could not be inspected", plain(row[UNKNOWN])),
    list(`Protection now: ${protectionOf(row)[2]}`, plain(row[PROTECTED_BY])),
    ...[...topics].map(([topic, some]) => list(`Fact: ${text[topic]}`, plain(some))),
    list("Notes", plain(row[NOTES])),
    el(
      "section",
      { class: "wide" },
      el("h3", {}, "Evidence"),
      el("dl", {}, ...origin.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "said" }, value)])),
      el("p", {}, el("a", { href: fragment({ ...EMPTY, host: text[row[HOST]] }) }, "Link to this host")),
    ),
  );
}

