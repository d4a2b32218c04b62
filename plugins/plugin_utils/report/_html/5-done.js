// SPDX-License-Identifier: GPL-3.0-or-later
// --- what was done to a host: the outcome of each step, the time without protection, the live test

const deedOf = (row) => row[DEED] || null;
const runOf = (deed) => data.runs[deed[D_RUN]].map((number) => (number < 0 ? null : data.ends[number]));
const performed = (deed) => Boolean(deed) && data.phases[deed[D_PHASES]].length > 0;
const secondsOf = (deed) => {
  const gap = text[deed[D_GAP]];
  return /^[0-9]/.test(gap) ? `${gap} without protection` : gap && "protection has not come back";
};

function counts(deed) {
  const ends = runOf(deed).filter((end) => end !== null);
  const parts = data.status.map(([, , words], status) => [ends.filter((end) => end[E_STATUS] === status).length, words]);
  return parts.filter(([number]) => number).map(([number, words]) => `${number} ${words}`).join(", ");
}

function proofTag(deed) {
  if (deed[D_PROOF] < 0) return null;
  const [group, words] = data.proved[data.proofs[deed[D_PROOF]][0]];
  return tag(group, `live test: ${words}`);
}

// Beside the verdict, in a run that changes hosts.
function doneOf(row) {
  const deed = deedOf(row);
  if (!deed) return null;
  const words = [counts(deed), secondsOf(deed)].filter(Boolean).join("; ");
  return words ? el("span", { class: "acts done-line" }, words) : null;
}

function endOf(end, seconds) {
  const [, group, words] = data.status[end[E_STATUS]];
  const [, why, kind, code, meaning] = end.slice(E_ID).map((number) => text[number]);
  return el(
    "div",
    { class: "end" },
    tag(group, words + (seconds ? `, ${seconds} s` : "")),
    why ? said(`: ${why}`) : null,
    kind ? el("p", { class: "failure" }, el("b", { class: "said" }, kind + (code ? ` (code ${code})` : "")), said(`: ${meaning}`)) : null,
  );
}

const openEnd = () => el("div", { class: "end" }, tag("open", "no outcome on record"));

// The outcome beside step number `place` of the plan; nothing where nothing was begun.
function endBeside(deed, place) {
  if (!performed(deed) || !deed[D_STEPS]) return null;
  const end = runOf(deed)[place];
  return end ? endOf(end, deed[D_SECONDS][place]) : openEnd();
}

// Outcomes that stand beside no step, since the plan they belong to is not the one that is shown.
function endsAlone(deed) {
  const rest = runOf(deed).slice(deed[D_STEPS]);
  return rest.map((end, at) =>
    el("li", {}, el("b", { class: "said" }, text[end[E_ID]]), endOf(end, deed[D_SECONDS][deed[D_STEPS] + at])),
  );
}

function doneBody(deed) {
  const proof = deed[D_PROOF] < 0 ? null : data.proofs[deed[D_PROOF]];
  const facts = [
    ["Steps", [said(counts(deed))], performed(deed) && counts(deed)],
    ["Without protection", [said(text[deed[D_GAP]])], text[deed[D_GAP]]],
    ["Phases", data.phases[deed[D_PHASES]].map((number) => el("p", { class: "said" }, text[number])), performed(deed)],
    ["Live test", proof && [proofTag(deed), ...proof[2].map((number) => el("p", { class: "said" }, text[number]))], proof],
  ].filter(([, , there]) => there);
  return el("dl", {}, ...facts.flatMap(([name, children]) => [el("dt", {}, name), el("dd", {}, ...children)]));
}

function deedSection(row) {
  const deed = deedOf(row);
  if (!deed) return null;
  const alone = endsAlone(deed);
  return el(
    "section",
    { class: "wide plan did" },
    el("h3", {}, "What was done"),
    doneBody(deed),
    alone.length ? el("ol", {}, ...alone) : null,
  );
}

// --- on paper: each host with what was done; its steps in full where something needs attention or hosts are few

const FEW = 50;

function deedPaper(row, full) {
  const deed = row[DEED];
  const head = el("h3", {}, said(text[row[HOST]]), `: ${verdictOf(row)[1]}`);
  const run = runOf(deed);
  if (!full) {
    const test = deed[D_PROOF] < 0 ? "" : `live test: ${data.proved[data.proofs[deed[D_PROOF]][0]][1]}`;
    const rest = [verdictOf(row)[1], counts(deed), secondsOf(deed), test].filter(Boolean).join("; ");
    return el("p", { class: "close" }, el("b", { class: "said" }, text[row[HOST]]), said(`: ${rest}`));
  }
  const steps = row[PLAN] ? data.orders[row[PLAN][ORDER]] : [];
  const lines = run.map((end, place) => {
    const step = place < deed[D_STEPS] ? data.steps[steps[place]] : null;
    return el(
      "tr",
      {},
      el("td", {}, said(text[end ? end[E_ID] : step[S_ID]])),
      el("td", {}, said(step ? `${text[step[S_KIND]]} ${text[step[S_TARGET]]}` : "")),
      el("td", {}, end ? endOf(end, deed[D_SECONDS][place]) : openEnd()),
    );
  });
  const digest = row[PLAN] ? el("p", { class: "digest" }, `Plan ${text[row[PLAN][DIGEST]]}`) : null;
  return el(
    "section",
    { class: "plan paper did" },
    head,
    digest,
    doneBody(deed),
    lines.length ? printTable(["Step", "What", "What became of it"], lines) : null,
  );
}

function deedDocument(numbers) {
  const some = numbers.map((number) => rows[number]).filter((row) => performed(deedOf(row)));
  if (!some.length) return [];
  const full = (row) => some.length <= FEW || isLoud(row);
  const made = [...some.filter(full), ...some.filter((row) => !full(row))].map((row) => deedPaper(row, full(row)));
  return [el("h2", {}, `What was done (${some.length} hosts)`), ...made];
}
