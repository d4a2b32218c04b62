// SPDX-License-Identifier: GPL-3.0-or-later
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
    el("td", {}, tag(verdict[2], verdict[1]), actsOf(row), doneOf(row)),
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
  const loud = rows.filter(isLoud).length;
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
  const some = rows.filter((row) => row[PLAN]);
  for (const id of ["f-plan", "f-inhibitor"]) $(id).parentElement.hidden = !some.length;
  const states = count((row) => (row[PLAN] ? [row[PLAN][STATE]] : []));
  choices("f-plan", "all", data.states.flatMap((s, n) => (states.has(n) ? [[s[0], s[1], states.get(n)]] : [])));
  const hits = count((row) => hitsOf(row).map((hit) => text[hit[H_ID]]));
  choices("f-inhibitor", "all", [...hits].sort().map(([name, number]) => [name, name, number]));
}
