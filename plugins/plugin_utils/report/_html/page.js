// SPDX-License-Identifier: GPL-3.0-or-later
// Texts get into the page through textContent only: what a host said is never markup, an address or a style.
"use strict";
(() => {
  const PAGE = 100; // hosts shown at a time
  const FULL = 1000; // hosts that are printed with all that is said of them
  const data = JSON.parse(document.getElementById("data").textContent);
  const text = data.strings;
  const [HOST, VERDICT, PLATFORM, PROTECTION, PRODUCTS, REPORTED, REASONS, UNKNOWN, NOTES, PROTECTED_BY, FACTS, SOURCE] =
    Array.from({ length: 12 }, (_, place) => place);
  const rows = data.rows; // in natural order of names
  const $ = (id) => document.getElementById(id);
  const EMPTY = { q: "", verdict: "", protection: "", platform: "", product: "", sort: "verdict", page: 1, host: "" };
  const FILTERS = ["q", "verdict", "protection", "platform", "product"];
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

  // --- the state lives in the fragment, so that a view can be linked to

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const next = { ...EMPTY };
    for (const name of Object.keys(EMPTY)) if (given.has(name)) next[name] = given.get(name);
    next.page = Math.max(1, parseInt(next.page, 10) || 1);
    if (!COLUMNS.some((column) => column.key === next.sort.replace(/^-/, ""))) next.sort = EMPTY.sort;
    return next;
  }

  function fragment(some) {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(some)) if (String(value) !== String(EMPTY[name])) kept.set(name, value);
    return "#" + kept;
  }

  function go(change) {
    state = { ...state, ...change };
    try {
      history.replaceState(null, "", fragment(state));
    } catch {
      // a viewer that forbids it: the table works, only the address stays as it was
    }
    show();
  }

  // --- filter, search and sort work on numbers; texts are looked at once, however many hosts share them

  const lower = [];
  function finder(words) {
    const each = words.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
      const hit = new Uint8Array(text.length);
      for (let n = 0; n < text.length; n++) {
        if (lower[n] === undefined) lower[n] = text[n].toLowerCase();
        if (lower[n].includes(word)) hit[n] = 1;
      }
      const verdicts = data.verdicts.map((v) => v[0].includes(word) || v[1].includes(word));
      return { hit, verdicts };
    });
    const within = (part, hit) => (Array.isArray(part) ? part.some((inner) => within(inner, hit)) : hit[part] === 1);
    return (row) =>
      each.every(
        ({ hit, verdicts }) =>
          verdicts[row[VERDICT]] ||
          row.some((part, place) => place !== VERDICT && place !== PROTECTION && within(part, hit)),
      );
  }

  const hasProduct = (row, id) => row[PRODUCTS].some((p) => text[p[0]] === id) || row[REPORTED].some((p) => text[p[0]] === id);

  function select() {
    const { verdict, protection, platform, product, q } = state;
    const found = q.trim() ? finder(q) : null;
    const numbers = [];
    rows.forEach((row, number) => {
      if (verdict === "attention" ? verdictOf(row)[3] : verdict && verdictOf(row)[0] !== verdict) return;
      if (protection && protectionKey(protectionOf(row)) !== protection) return;
      if (platform && (text[row[PLATFORM]] || "not_known") !== platform) return;
      if (product && !hasProduct(row, product)) return;
      if (found && !found(row)) return;
      numbers.push(number);
    });
    return numbers;
  }

  const COLUMNS = [
    { key: "host", title: "Host" }, // rows come in this order
    { key: "verdict", title: "Verdict", by: (row) => row[VERDICT] },
    { key: "platform", title: "Platform", by: (row) => text[row[PLATFORM]] },
    { key: "protection", title: "Protection", by: (row) => row[PROTECTION] },
    { key: "products", title: "Products", by: (row) => labels(row[PRODUCTS]) || "\uffff" + labels(row[REPORTED]) },
    { key: "why", title: "Why", by: (row) => why(row) || "\uffff" },
  ];

  function sort(numbers) {
    const down = state.sort.startsWith("-") ? -1 : 1;
    const { by } = COLUMNS.find((column) => column.key === state.sort.replace(/^-/, ""));
    if (!by) return down > 0 ? numbers : numbers.reverse();
    const keys = new Map(numbers.map((number) => [number, by(rows[number])]));
    return numbers.sort((a, b) => {
      const one = keys.get(a);
      const other = keys.get(b);
      return one < other ? -down : one > other ? down : a - b;
    });
  }

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

  // --- the table

  function line(row, number) {
    const host = text[row[HOST]];
    const open = state.host === host;
    const verdict = verdictOf(row);
    const protection = protectionOf(row);
    const name = el("button", { type: "button", "aria-expanded": String(open), "data-row": String(number) }, said(host));
    name.addEventListener("click", () => {
      go({ host: state.host === host ? "" : host });
      document.querySelector(`[data-row="${number}"]`)?.focus();
    });
    const found = el("td", {}, said(labels(row[PRODUCTS])));
    if (row[REPORTED].length) {
      found.append(el("span", { class: "said reported" }, (row[PRODUCTS].length ? "; " : "") + "reported: " + labels(row[REPORTED])));
    }
    const made = el(
      "tr",
      { class: "host" },
      el("td", { class: "name" }, name),
      el("td", {}, tag(verdict[2], verdict[1])),
      el("td", {}, said(text[row[PLATFORM]])),
      el("td", {}, row[PROTECTION] === data.protection.length - 1 ? "" : tag(protection[1], protection[2])),
      found,
      el("td", { class: "why" }, said(why(row))),
    );
    return open ? [made, el("tr", { class: "detail" }, el("td", { colspan: COLUMNS.length }, details(row)))] : [made];
  }

  function heads() {
    const key = state.sort.replace(/^-/, "");
    const down = state.sort.startsWith("-");
    $("heads").replaceChildren(
      ...COLUMNS.map((column) => {
        const active = column.key === key;
        const button = el(
          "button",
          { type: "button", "data-sort": column.key },
          column.title,
          el("span", { class: "arrow", "aria-hidden": "true" }, active ? (down ? "\u2193" : "\u2191") : ""),
        );
        button.addEventListener("click", () => {
          go({ sort: active && !down ? "-" + column.key : column.key, page: 1 });
          document.querySelector(`[data-sort="${column.key}"]`)?.focus();
        });
        return el("th", { scope: "col", "aria-sort": active ? (down ? "descending" : "ascending") : "none" }, button);
      }),
    );
  }

  function pager(pages) {
    for (const id of ["pager", "pager-below"]) {
      const step = (words, to) => {
        const button = el("button", { type: "button", "data-page": words }, words);
        button.disabled = to < 1 || to > pages;
        button.addEventListener("click", () => {
          go({ page: to });
          document.querySelector(`#${id} [data-page="${words}"]`)?.focus();
        });
        return button;
      };
      $(id).replaceChildren(
        ...(pages > 1 ? [step("Back", state.page - 1), el("span", {}, `page ${state.page} of ${pages}`), step("Next", state.page + 1)] : []),
      );
    }
  }

  function show() {
    shown = sort(select());
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(state.page, pages);
    const from = (state.page - 1) * PAGE;
    const part = shown.slice(from, from + PAGE);
    heads();
    pager(pages);
    $("body").replaceChildren(...part.flatMap((number) => line(rows[number], number)));
    const all = shown.length === rows.length ? "" : ` (of ${rows.length})`;
    $("status").textContent = shown.length
      ? `${from + 1} to ${from + part.length} of ${shown.length} hosts${all}`
      : `No host passes this filter${all}.`;
    for (const name of FILTERS) if ($("f-" + name).value !== state[name]) $("f-" + name).value = state[name];
  }

  // A link names a host, and perhaps a view in which it does not occur: then the view gives way.
  function follow() {
    state = read();
    if (state.host) {
      const place = () => sort(select()).findIndex((number) => text[rows[number][HOST]] === state.host);
      let at = place();
      if (at < 0) {
        state = { ...EMPTY, host: state.host };
        at = place();
      }
      if (at >= 0) state.page = Math.floor(at / PAGE) + 1;
    }
    show();
    const opened = document.querySelector('#body [aria-expanded="true"]');
    if (opened) {
      opened.scrollIntoView({ block: "start" });
      opened.focus({ preventScroll: true });
    } else if (location.hash.length > 1 && !location.hash.startsWith("#host=")) {
      $("app").scrollIntoView({ block: "start" });
    }
  }

  // --- choices of the filter, with how many hosts each has

  function choices(id, all, entries) {
    $(id).replaceChildren(
      el("option", { value: "" }, all),
      ...entries.map(([value, words, number]) => el("option", { value }, `${words} (${number})`)),
    );
  }

  function count(keys) {
    const counts = new Map();
    for (const row of rows) for (const key of new Set(keys(row))) counts.set(key, (counts.get(key) || 0) + 1);
    return counts;
  }

  function fill() {
    const verdicts = count((row) => [row[VERDICT]]);
    const loud = rows.filter((row) => !verdictOf(row)[3]).length;
    choices("f-verdict", "all", [
      ...(loud ? [["attention", "needs attention", loud]] : []),
      ...data.verdicts.flatMap((v, n) => (verdicts.has(n) ? [[v[0], v[1], verdicts.get(n)]] : [])),
    ]);
    const protection = count((row) => [row[PROTECTION]]);
    choices("f-protection", "all", data.protection.flatMap((p, n) => (protection.has(n) ? [[protectionKey(p), p[2], protection.get(n)]] : [])));
    const platforms = count((row) => [text[row[PLATFORM]]]);
    choices("f-platform", "all", [...platforms].sort().map(([name, number]) => [name || "not_known", name || "not known", number]));
    const ids = count((row) => [...row[PRODUCTS], ...row[REPORTED]].map((p) => text[p[0]]));
    choices("f-product", "all", [...ids].sort().map(([name, number]) => [name, name, number]));
  }

  // --- on paper: every host of the filter. Those that need attention come first and with their reasons. What would
  // be a thousand pages of tables is set close instead: a line for each of them, and the names of all others.

  const productsOf = (row) =>
    [labels(row[PRODUCTS]), row[REPORTED].length ? "reported: " + labels(row[REPORTED]) : ""].filter(Boolean).join("; ");
  const asked = (row) => row[PROTECTION] !== data.protection.length - 1;

  function printTable(titles, lines) {
    const heads = titles.map((title) => el("th", { class: "flat", scope: "col" }, title));
    return el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...lines));
  }

  function inFull(row, loud) {
    const made = el(
      "tr",
      {},
      el("td", {}, said(text[row[HOST]])),
      el("td", {}, tag(verdictOf(row)[2], verdictOf(row)[1])),
      el("td", {}, said(text[row[PLATFORM]])),
      el("td", {}, asked(row) ? protectionOf(row)[2] : ""),
      el("td", {}, said(productsOf(row))),
    );
    if (loud) {
      const evidence = row[PRODUCTS].flatMap((product) => product[4]);
      const numbers = [...new Set([...row[REASONS], ...evidence, ...row[UNKNOWN]])];
      made.append(el("td", {}, ...numbers.map((number) => el("p", { class: "said" }, text[number]))));
    }
    return made;
  }

  function close(numbers, loud) {
    const made = [];
    const by = new Map();
    for (const number of numbers) {
      const row = rows[number];
      const title = verdictOf(row)[1] + (asked(row) ? `, protection ${protectionOf(row)[2]}` : "");
      if (!by.has(title)) by.set(title, []);
      by.get(title).push(row);
    }
    for (const [title, some] of by) {
      made.push(el("h3", {}, `${title} (${some.length})`));
      if (loud) {
        for (const row of some) {
          const rest = [text[row[PLATFORM]], productsOf(row), why(row)].filter(Boolean).join("; ");
          made.push(el("p", { class: "close" }, el("b", { class: "said" }, text[row[HOST]]), said(rest ? `: ${rest}` : "")));
        }
      } else {
        for (let n = 0; n < some.length; n += PAGE) {
          const names = some.slice(n, n + PAGE).map((row) => text[row[HOST]] + (row[REPORTED].length ? ` (${productsOf(row)})` : ""));
          made.push(el("p", { class: "close" }, ...names.flatMap((name, at) => [at ? ", " : "", said(name)])));
        }
      }
    }
    return made;
  }

  function print() {
    if ($("print").childElementCount) return;
    const filter = FILTERS.filter((name) => state[name]).map((name) => `${name === "q" ? "search" : name}: ${state[name]}`);
    const loud = shown.filter((number) => !verdictOf(rows[number])[3]);
    const rest = shown.filter((number) => verdictOf(rows[number])[3]);
    const full = shown.length <= FULL;
    const basics = ["Host", "Verdict", "Platform", "Protection", "Products"];
    if (filter.length) $("print").append(el("p", {}, `Only hosts that pass this filter: ${filter.join(", ")}`));
    for (const [numbers, title, titles] of [
      [loud, "Hosts that need attention", [...basics, "Why, and what could not be inspected"]],
      [rest, loud.length ? "All other hosts" : "Hosts", basics],
    ]) {
      if (!numbers.length) continue;
      $("print").append(el("h2", {}, `${title} (${numbers.length})`));
      if (full) $("print").append(printTable(titles, numbers.map((number) => inFull(rows[number], numbers === loud))));
      else $("print").append(...close(numbers, numbers === loud));
    }
    $("print").hidden = false;
  }

  function printed() {
    $("print").replaceChildren();
    $("print").hidden = true;
  }

  // --- begin

  let waiting = 0;
  $("f-q").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => go({ q: $("f-q").value, page: 1, host: "" }), 120);
  });
  for (const name of FILTERS.slice(1)) $("f-" + name).addEventListener("change", () => go({ [name]: $("f-" + name).value, page: 1, host: "" }));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    go({ ...EMPTY });
  });
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("h-hosts").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      $("f-q").focus();
    }
  });
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", print);
  addEventListener("afterprint", printed);
  matchMedia("print").addEventListener("change", (event) => (event.matches ? print() : printed()));
  $("app").hidden = false;
  fill();
  follow();
})();
