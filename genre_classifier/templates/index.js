"use strict";
// The table over all trailers: sorted by the column whose head is pressed, numbers the largest first, words from A to Z;
// filtered by name; and drawn a page at a time, so that many thousand trailers open as quickly as ten.
(() => {
  const ROWS = 100; // of a page
  const { genres, videos } = JSON.parse(document.getElementById("data").textContent);
  const element = id => document.getElementById(id);
  const body = element("table").tBodies[0], heads = [...element("table").tHead.rows[0].cells];
  const collator = new Intl.Collator(undefined, { numeric: true });
  // What a column is sorted by; the second one, the timeline, is not.
  const keys = [video => video.source, null, video => video.seconds, video => video.segments,
    ...genres.map((_, genre) => video => video.shares[genre] ?? -1)];
  const opposite = { ascending: "descending", descending: "ascending" };
  let sorted = videos, found = videos, first = 0;

  const make = (parent, name, classes, text) => {
    const made = parent.appendChild(document.createElement(name));
    if (classes) made.className = classes;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const shape = (parent, name, attributes) => {
    const made = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  function timeline(cell, video) {
    const picture = shape(cell, "svg", { viewBox: `0 0 1000 ${10 * genres.length}`, preserveAspectRatio: "none",
      role: "img", "aria-label": `segments of ${video.source} over time` });
    for (let line = 1; line < genres.length; line++) shape(picture, "path", { d: `M0 ${10 * line}H1000` });
    for (const [genre, left, width] of video.spans)
      shape(picture, "rect", { x: left, y: 10 * genre + 1, width, height: 8 })
        .style.setProperty("--genre", genres[genre].colour);
  }

  function share(row, genre, percent) {
    const cell = make(row, "td", `number share${percent ? "" : " none"}`);
    if (percent === null) {
      make(cell, "span", "", "–").setAttribute("aria-label", "not known to its run");
      return;
    }
    cell.style.setProperty("--genre", genres[genre].colour);
    cell.style.setProperty("--share", `${percent}%`);
    make(cell, "span", "", `${Math.round(percent)}%`);
  }

  function draw() {
    body.replaceChildren();
    for (const video of found.slice(first, first + ROWS)) {
      const row = make(body, "tr");
      make(make(row, "td", "name"), "a", "", video.source).href = video.link;
      timeline(make(row, "td", "mini"), video);
      make(row, "td", "number", video.duration);
      make(row, "td", "number", video.segments);
      video.shares.forEach((percent, genre) => share(row, genre, percent));
    }
    const last = Math.min(first + ROWS, found.length);
    element("pages").hidden = found.length <= ROWS;
    element("shown").textContent = `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
    element("previous").disabled = first === 0;
    element("next").disabled = last === found.length;
  }

  function filter() {
    const wanted = element("filter").value.trim().toLowerCase();
    found = wanted ? sorted.filter(video => video.source.toLowerCase().includes(wanted)) : sorted;
    first = 0;
    draw();
  }

  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const key = keys[column], words = column === 0;
    const order = opposite[head.getAttribute("aria-sort")] ?? (words ? "ascending" : "descending");
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    sorted = [...sorted].sort((a, b) => sign * (words ? collator.compare(key(a), key(b)) : key(a) - key(b)));
    filter();
  }));
  const turn = rows => {
    first += rows;
    draw();
    element("table").scrollIntoView();
  };
  element("previous").addEventListener("click", () => turn(-ROWS));
  element("next").addEventListener("click", () => turn(ROWS));
  element("filter").addEventListener("input", filter);
  draw();
})();
