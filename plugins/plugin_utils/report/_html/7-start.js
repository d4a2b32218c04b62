// SPDX-License-Identifier: GPL-3.0-or-later
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
