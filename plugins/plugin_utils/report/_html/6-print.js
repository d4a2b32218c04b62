// SPDX-License-Identifier: GPL-3.0-or-later
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
    el("td", {}, tag(verdictOf(row)[2], verdictOf(row)[1]), actsOf(row), doneOf(row)),
    el("td", {}, said(text[row[PLATFORM]])),
    el("td", {}, asked(row) ? protectionOf(row)[2] : ""),
    el("td", {}, said(productsOf(row))),
  );
  if (loud) {
    // Beside a plan the reasons are enough: what is approved are its steps, not a page of files for each host.
    const evidence = row[PLAN] ? [] : row[PRODUCTS].flatMap((product) => product[4]);
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
  const loud = shown.filter((number) => isLoud(rows[number]));
  const changed = shown.filter((number) => acts(rows[number]));
  const rest = shown.filter((number) => !isLoud(rows[number]) && !acts(rows[number]));
  const full = shown.length <= FULL;
  const basics = ["Host", "Verdict", "Platform", "Protection", "Products"];
  if (filter.length) $("print").append(el("p", {}, `Only hosts that pass this filter: ${filter.join(", ")}`));
  for (const [numbers, title, titles] of [
    [loud, "Hosts that need attention", [...basics, "Why, and what could not be inspected"]],
    [changed, "Hosts that would be changed", [...basics, "Why"]],
    [rest, loud.length + changed.length ? "All other hosts" : "Hosts", basics],
  ]) {
    if (!numbers.length) continue;
    $("print").append(el("h2", {}, `${title} (${numbers.length})`));
    if (full) $("print").append(printTable(titles, numbers.map((number) => inFull(rows[number], numbers !== rest))));
    else $("print").append(...close(numbers, numbers !== rest));
  }
  $("print").append(...(data.acted ? deedDocument(shown) : planDocument(shown)));
  $("print").hidden = false;
}

function printed() {
  $("print").replaceChildren();
  $("print").hidden = true;
}

