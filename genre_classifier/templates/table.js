"use strict";
// Tables sort by the column whose head is pressed: numbers (`data-sort`) the largest first, words from A to Z. Folded
// sections open when a link leads there, and on paper.
(() => {
  const open = section => { if (section instanceof HTMLDetailsElement) section.open = true; };
  const named = () => open(document.getElementById(location.hash.slice(1)));
  addEventListener("hashchange", named);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(open));
  document.querySelectorAll("nav a").forEach(link => link.addEventListener("click", () => open(document.querySelector(link.hash))));
  named();
  for (const select of document.querySelectorAll("select[data-filter]")) // of a table: rows that have a word among their values
    select.addEventListener("change", () => {
      for (const row of document.getElementById(select.dataset.filter).tBodies[0].rows)
        row.hidden = select.value !== "" && !row.dataset.values.split(" ").includes(select.value);
    });
  const opposite = { ascending: "descending", descending: "ascending" };
  const compare = (a, b) => a.dataset.sort === undefined
    ? a.textContent.trim().localeCompare(b.textContent.trim(), undefined, { numeric: true })
    : Number(a.dataset.sort) - Number(b.dataset.sort);
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const [body] = table.tBodies, heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
      const rows = [...body.rows].filter(row => !row.classList.contains("total"));
      const numbers = rows.some(row => row.cells[column]?.dataset.sort !== undefined);
      const order = opposite[head.getAttribute("aria-sort")] ?? (numbers ? "descending" : "ascending");
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((a, b) => sign * compare(a.cells[column], b.cells[column]));
      body.append(...rows, ...body.querySelectorAll("tr.total")); // totals stay below
    }));
  }
})();
