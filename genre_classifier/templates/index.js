"use strict";
// The table over all trailers: sorted by the column whose head is pressed, numbers the largest first, words from A to Z;
// filtered by name; and drawn a page at a time, so that many thousand trailers open as quickly as ten.
(() => {
  const ROWS = 100; // of a page
  const { genres, videos, pages } = JSON.parse(document.getElementById("data").textContent);
  const element = id => document.getElementById(id);
  const body = element("table").tBodies[0], heads = [...element("table").tHead.rows[0].cells];
  const collator = new Intl.Collator(undefined, { numeric: true });
  // What a column is sorted by; the second one, the timeline, is not.
  const keys = [video => video.source, null, video => video.seconds, video => video.segments, ...pages ? [video => video.done] : [],
    ...genres.map((_, genre) => video => video.shares[genre] ?? -1)];
  const opposite = { ascending: "descending", descending: "ascending" };
  let sorted = videos, found = videos, first = 0, came = null;

  // Label pages keep in the browser what is marked on them. Where a browser lets no page see that of another, the label
  // files that lay beside the pages when this page was written are all that is known.
  const STATES = ["", "begun", "saved", "saved, checked"];
  const named = genre => genres.findIndex(one => one.name === genre);
  function marked(video) {
    video.done = video.saved ? 2 : 0;
    let kept;
    try { kept = JSON.parse(localStorage.getItem(video.kept)); } catch { /* a browser that keeps nothing */ }
    if (!kept || !Array.isArray(kept.spans)) return;
    const whole = video.seconds - video.start; // that has pictures
    const spans = (kept.whole ? [{ genre: kept.whole, start: video.start, end: video.seconds }] : kept.spans)
      .filter(one => named(one.genre) >= 0);
    video.done = kept.saved !== true ? 1 : kept.checked ? 3 : 2;
    video.spans = spans.map(one => [named(one.genre), 1000 * one.start / video.seconds, 1000 * (one.end - one.start) / video.seconds]);
    video.segments = spans.length;
    video.shares = genres.map(({ name }) => spans.reduce((sum, one) => sum + (one.genre === name ? 100 * (one.end - one.start) / whole : 0), 0));
  }
  function mark() {
    videos.forEach(marked);
    const count = states => videos.filter(video => states.includes(video.done)).length;
    element("done").textContent = `${count([2, 3])} saved, ${count([1])} begun.`;
  }
  if (pages) mark();

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
      row.classList.toggle("came", video === came);
      const link = make(make(row, "td", "name"), "a");
      link.href = video.link;
      if (video.picture) Object.assign(make(link, "img"), { loading: "lazy", alt: "", src: video.picture });
      make(link, "span", "", video.source);
      timeline(make(row, "td", "mini"), video);
      make(row, "td", "number", video.duration);
      make(row, "td", "number", video.segments);
      if (pages) make(row, "td", "", STATES[video.done]);
      video.shares.forEach((percent, genre) => share(row, genre, percent));
    }
    const last = Math.min(first + ROWS, found.length);
    element("pages").hidden = found.length <= ROWS;
    element("shown").textContent = `${(first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
    element("previous").disabled = first === 0;
    element("next").disabled = last === found.length;
  }

  function filter() {
    const wanted = element("filter").value.trim().toLowerCase(), genre = named(element("genre").value);
    found = sorted.filter(video => video.source.toLowerCase().includes(wanted) && (genre < 0 || video.shares[genre] > 0));
    first = 0;
    draw();
    remember();
  }

  // Sorting and filters hold while this tab goes from page to page; "next" on a page follows them.
  const STORE = `genre-classifier index ${location.pathname}`;
  function remember() {
    const column = heads.findIndex(head => head.hasAttribute("aria-sort")), order = heads[column]?.getAttribute("aria-sort");
    try { sessionStorage.setItem(STORE, JSON.stringify({ column, order, name: element("filter").value, genre: element("genre").value })); } catch { /* a browser that keeps nothing */ }
  }
  function recall() {
    if (heads[0].hasAttribute("aria-sort")) sort(0, "ascending"); // label pages stand as they were given
    try {
      const { column, order, name, genre } = JSON.parse(sessionStorage.getItem(STORE));
      element("filter").value = name; element("genre").value = genre;
      if (keys[column] && opposite[order]) sort(column, order);
    } catch { /* nothing was kept */ }
    filter();
  }

  function sort(column, order) {
    const key = keys[column], sign = order === "ascending" ? 1 : -1;
    for (const other of heads) other.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", order);
    sorted = [...sorted].sort((a, b) => sign * (column === 0 ? collator.compare(key(a), key(b)) : key(a) - key(b)));
  }
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    sort(column, opposite[head.getAttribute("aria-sort")] ?? (column === 0 ? "ascending" : "descending"));
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
  element("genre").addEventListener("change", filter);

  // A page asks for the one before or after it here, since only here stands which one that is: #next=./film/viewer.html
  function go() {
    const [, step, from] = /^#(next|previous)=(.*)$/.exec(location.hash) ?? [];
    if (!step) return;
    came = videos.find(video => video.link === from);
    const row = found.includes(came) ? found : sorted, to = row[row.indexOf(came) + (step === "next" ? 1 : -1)];
    if (came && to) { location.replace(to.link); return; }
    history.replaceState(null, "", location.pathname + location.search); // there is none: the table, where the page stands in it
    first = Math.max(0, Math.floor(found.indexOf(came) / ROWS) * ROWS);
    draw();
    document.querySelector("tr.came")?.scrollIntoView({ block: "center" });
  }
  addEventListener("pageshow", event => { if (event.persisted) location.reload(); }); // what is done has changed
  // Another page kept something: in another tab, or in this one a moment ago, in a process that is not waited for.
  if (pages) addEventListener("storage", () => { mark(); draw(); });
  recall();
  go();
})();
