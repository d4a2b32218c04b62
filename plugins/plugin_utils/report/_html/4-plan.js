// SPDX-License-Identifier: GPL-3.0-or-later
// --- the plan of a host, on the screen and on paper

const words = (numbers) => numbers.map((number) => text[number]);

function hitItem(numbers) {
  const [id, title, diagnosis, remedy, never] = words(numbers);
  const waiver = numbers.slice(H_WAIVER);
  return el(
    "li",
    { class: waiver.length ? "waived" : "blocks" },
    el("b", {}, waiver.length ? "waived: " : "blocked: "),
    el("b", { class: "said" }, id),
    said(`: ${title}`),
    el("p", {}, "Seen: ", said(diagnosis)),
    el("p", {}, "Remedy: ", said(remedy)),
    waiver.length ? el("p", {}, "Waiver: ", said(waiverOf(waiver))) : null,
    never ? el("p", {}, said(never)) : null,
  );
}

function stepItem(step, end) {
  const [, id, kind, target, reason, when, facts] = words(step.slice(0, S_ARGS));
  return el(
    "li",
    {},
    el("b", { class: "said" }, id),
    said(`: ${kind} ${target}`),
    end,
    el("p", {}, "Why: ", said(reason)),
    when ? el("p", { class: "when" }, "Condition: ", said(when)) : null,
    ...words(step[S_ARGS]).map((arg) => el("p", { class: "said arg" }, arg)),
    el("p", { class: "quiet" }, facts),
  );
}

// Steps in their order, numbered through, with a heading for each part and the point of no return between two of them.
function stepList(plan, deed) {
  const made = [];
  let head = "";
  let list = null;
  data.orders[plan[ORDER]].forEach((number, place) => {
    const step = data.steps[number];
    if (text[step[S_HEAD]] !== head || place === plan[MARKER]) {
      if (text[step[S_HEAD]] !== head) made.push(el("h4", {}, text[step[S_HEAD]]));
      if (place === plan[MARKER]) {
        made.push(el("p", { class: "no-return", role: "separator" }, "Point of no return: from here on nothing is undone"));
      }
      head = text[step[S_HEAD]];
      list = el("ol", { start: String(place + 1) });
      made.push(list);
    }
    list.append(stepItem(step, endBeside(deed, place)));
  });
  return made;
}

// All that a plan says but what is the host's own: several hosts may have the same.
function planBody(plan, deed) {
  const rest = data.rests[plan[REST]];
  const [replacement, fallback] = words(rest[R_PROVIDERS]);
  const gap = words(rest[R_GAP]);
  const part = (title, ...children) => (children.length ? el("div", { class: "part" }, el("h4", {}, title), ...children) : null);
  const facts = [
    ["Removed", rest[R_PRODUCTS].map((product) => words(product).filter(Boolean).join(" ")).join(", then ")],
    ["Replacement", replacement && `${replacement}, fallback: ${fallback || "none"}`],
    ["Without protection", gap.length ? `${gap[0]} s expected, ${gap[1]} s at most: ${gap[2]}` : ""],
    ["Excepted", rest[R_EXCEPTED].length ? waiverOf(rest[R_EXCEPTED]) : ""],
  ].filter(([, value]) => value);
  const manual = rest[R_MANUAL].map((task) => {
    const [what, why, remedy] = words(task);
    return el("li", {}, el("b", { class: "said" }, what), el("p", {}, "Why: ", said(why)), el("p", {}, "Remedy: ", said(remedy)));
  });
  const hits = plan[HITS].map((number) => hitItem(data.hits[number]));
  return [
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "said" }, value)])),
    hits.length ? part("What stands in the way", el("ul", { class: "hits" }, ...hits)) : null,
    el("div", { class: "steps" }, ...stepList(plan, deed)),
    manual.length ? part("What stays for a person", el("ul", {}, ...manual)) : null,
    rest[R_NOTES].length ? part("Notes", el("ul", {}, ...words(rest[R_NOTES]).map((note) => el("li", {}, said(note))))) : null,
  ].filter((child) => child !== null);
}

function planTitle(plan) {
  const steps = data.orders[plan[ORDER]].length;
  return stateOf(plan)[1] + (steps ? `, ${steps} step${steps === 1 ? "" : "s"}` : "");
}

// What the verdict does not tell: that the host would be changed.
const actsOf = (row) => (acts(row) ? el("span", { class: "acts" }, `plan: ${planTitle(row[PLAN])}`) : null);

function planOf(plan, deed) {
  const [digest, made, expires, machine] = words(plan.slice(DIGEST, ORDER));
  const own = [["Digest", digest], ["Machine", machine], ["Made", made], ["Valid until", expires]].filter(([, value]) => value);
  return el(
    "section",
    { class: "wide plan" },
    el("h3", {}, "Plan: ", tag(stateOf(plan)[2], planTitle(plan))),
    el("dl", {}, ...own.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "said" }, value)])),
    ...planBody(plan, deed),
  );
}

// --- the approval document: plans that are the same but for the host stand in it once, with all their hosts

function planGroups(numbers) {
  const groups = new Map();
  for (const number of numbers) {
    const plan = rows[number][PLAN];
    if (!plan || stateOf(plan)[0] === "nothing_to_do" || stateOf(plan)[0] === "undecided") continue;
    const key = [plan[STATE], plan[ORDER], plan[MARKER], plan[REST], ...plan[HITS]].join();
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(rows[number]);
  }
  return [...groups.values()].sort((one, other) => one[0][PLAN][STATE] - other[0][PLAN][STATE]);
}

function planPaper(group) {
  const plan = group[0][PLAN];
  const name = group.length === 1 ? text[group[0][HOST]] : `${group.length} hosts with the same plan`;
  const lines = group.map((row) =>
    el(
      "tr",
      {},
      el("td", {}, said(text[row[HOST]])),
      el("td", {}, said(text[row[PLAN][MACHINE]])),
      el("td", { class: "digest" }, text[row[PLAN][DIGEST]]),
      el("td", {}, text[row[PLAN][EXPIRES]]),
    ),
  );
  return el(
    "section",
    { class: "plan paper" },
    el("h3", {}, said(name), `: ${planTitle(plan)}`),
    printTable(["Host", "Machine", "Digest of its plan", "Valid until"], lines),
    ...planBody(plan, null),
  );
}

function signature(number) {
  const line = (title) => el("div", { class: "line" }, el("span", {}, title));
  return el(
    "section",
    { class: "signature" },
    el("h2", {}, "Approval"),
    el(
      "p",
      {},
      `Approved are the plans of ${number} host${number === 1 ? "" : "s"} with steps in this document, of the run ${data.run}, `,
      "each by its digest and until the time it is valid. A host whose plan has another digest by then is not touched.",
    ),
    line("Name"),
    line("Date"),
    line("Signature"),
  );
}

function planDocument(numbers) {
  const groups = planGroups(numbers);
  if (!groups.length) return [];
  const act = groups.flat().filter((row) => stateOf(row[PLAN])[0] === "act").length;
  return [el("h2", {}, `Plans (${groups.flat().length} hosts)`), ...groups.map(planPaper), ...(act ? [signature(act)] : [])];
}
