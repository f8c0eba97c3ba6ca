document.querySelectorAll("table[data-sortable]").forEach(function (table) {
  var body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach(function (head, column) {
    var button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("th[aria-sort]").forEach(function (th) { th.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var key = function (row) {
        var cell = row.cells[column], number = cell.dataset.sort;
        return number === undefined ? cell.textContent.trim().toLowerCase() : parseFloat(number);
      };
      var totals = Array.from(body.querySelectorAll("tr.total"));
      Array.from(body.rows).filter(function (row) { return !row.classList.contains("total"); }).sort(function (a, b) {
        var x = key(a), y = key(b), order = x < y ? -1 : x > y ? 1 : 0;
        return down ? -order : order;
      }).concat(totals).forEach(function (row) { body.appendChild(row); });
    });
  });
});
