"use strict";
(() => {
  const body = document.querySelector("#videos tbody");
  if (!body) return;
  const heads = [...document.querySelectorAll("#videos th")];
  const value = (row, column) => row.cells[column].dataset.value;
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", ({ currentTarget }) => {
    const before = head.getAttribute("aria-sort"), opposite = { ascending: "descending", descending: "ascending" };
    const order = opposite[before] ?? currentTarget.dataset.first ?? "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = column === 0
      ? (a, b) => value(a, 0).localeCompare(value(b, 0), undefined, { numeric: true })
      : (a, b) => Number(value(a, column)) - Number(value(b, column));
    body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
  }));
  document.getElementById("filter").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    for (const row of body.rows) row.hidden = !value(row, 0).toLowerCase().includes(wanted);
  });
})();
