// SPDX-License-Identifier: GPL-3.0-or-later
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
const within = (part, hit) => (Array.isArray(part) ? part.some((inner) => within(inner, hit)) : hit[part] === 1);
function finder(words) {
  const each = words.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const hit = new Uint8Array(text.length);
    for (let n = 0; n < text.length; n++) {
      if (lower[n] === undefined) lower[n] = text[n].toLowerCase();
      if (lower[n].includes(word)) hit[n] = 1;
    }
    const verdicts = data.verdicts.map((v) => v[0].includes(word) || v[1].includes(word));
    // Parts of plans are looked at once, too.
    const [steps, hits, rests] = [data.steps, data.hits, data.rests].map((table) => table.map((part) => within(part, hit)));
    const orders = data.orders.map((order) => order.some((number) => steps[number]));
    const ends = data.ends.map((end) => end.slice(E_ID).some((number) => hit[number] === 1));
    const runs = data.runs.map((run) => run.some((number) => ends[number]));
    const phases = data.phases.map((part) => within(part, hit));
    const proofs = data.proofs.map((proof) => within(proof.slice(1), hit));
    return { hit, verdicts, hits, rests, orders, runs, phases, proofs };
  });
  const inPlan = (plan, { hit, hits, rests, orders }) =>
    orders[plan[ORDER]] ||
    rests[plan[REST]] ||
    plan[HITS].some((number) => hits[number]) ||
    [DIGEST, EXPIRES, MACHINE].some((place) => hit[plan[place]] === 1);
  const inDeed = (deed, { runs, phases, proofs }) =>
    runs[deed[D_RUN]] || phases[deed[D_PHASES]] || (deed[D_PROOF] >= 0 && proofs[deed[D_PROOF]]);
  return (row) =>
    each.every(
      (word) =>
        word.verdicts[row[VERDICT]] ||
        (row[PLAN] && inPlan(row[PLAN], word)) ||
        (row[DEED] && inDeed(row[DEED], word)) ||
        row.some((part, place) => ![VERDICT, PROTECTION, PLAN, DEED].includes(place) && within(part, word.hit)),
    );
}

const hasProduct = (row, id) => row[PRODUCTS].some((p) => text[p[0]] === id) || row[REPORTED].some((p) => text[p[0]] === id);

function select() {
  const { verdict, protection, platform, product, plan, inhibitor, q } = state;
  const found = q.trim() ? finder(q) : null;
  const numbers = [];
  rows.forEach((row, number) => {
    if (verdict === "attention" ? !isLoud(row) : verdict && verdictOf(row)[0] !== verdict) return;
    if (protection && protectionKey(protectionOf(row)) !== protection) return;
    if (platform && (text[row[PLATFORM]] || "not_known") !== platform) return;
    if (product && !hasProduct(row, product)) return;
    if (plan && !(row[PLAN] && stateOf(row[PLAN])[0] === plan)) return;
    if (inhibitor && !hitsOf(row).some((hit) => text[hit[H_ID]] === inhibitor)) return;
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

