/* Correcting segments on the page that shows them: labels for training, kept in the browser until they are saved. */
(() => {
  const { data, genres, duration, borders, timeline, hooks, element, clock, percent, limit } = page;
  const $ = (id) => document.getElementById(id);
  const STORE = data.kept; // of these tags: others begin anew
  const WIDE = matchMedia("(min-width: 600px)");
  const GRIP = 8; // pixels on either side of an edge
  const REACH = 6; // pixels from which a cut draws an edge
  const HOLD = 400; // milliseconds from which a key is held, not pressed
  let on = false, selected = null, drag = null, past = [], future = [];
  const open = new Map(); // genres that began with a key: name -> { genre, start, code, since, node }
  let work = null; // { spans: [{ genre, start, end }], whole, checked }: names of genres, seconds; whole: of the whole trailer, or ""
  let apart = []; // kept segments of genres that this page does not have: they stay kept
  let file = null; // that the person chose to save into

  /* ---- the labels ---- */
  const found = () => ({
    spans: genres.flatMap((genre) => genre.segments.map(({ start, end }) => ({ genre: genre.name, start, end }))), whole: "", checked: false,
  });
  const copy = (state) => JSON.parse(JSON.stringify(state));
  function snap(time) {
    const at = page.frameAt(limit(time, 0, duration)), low = borders[at], high = borders[at + 1];
    return time - low < high - time ? low : high;
  }
  /* With the mouse, edges go to cuts that are near. */
  function snapNear(time) {
    const reach = REACH / timeline.querySelector(".lane").clientWidth * duration;
    const near = data.cuts.filter((cut) => Math.abs(cut - time) <= reach).sort((a, b) => Math.abs(a - time) - Math.abs(b - time))[0];
    return snap(near ?? time);
  }
  /* Segments of a genre that overlap or touch are one, as in every label file. */
  function joined(spans) {
    const kept = [];
    for (const one of [...spans].sort((a, b) => a.genre < b.genre ? -1 : a.genre > b.genre ? 1 : a.start - b.start)) {
      const before = kept.at(-1);
      if (before && before.genre === one.genre && one.start <= before.end) before.end = Math.max(before.end, one.end);
      else kept.push({ ...one });
    }
    return kept.sort((a, b) => a.start - b.start);
  }
  /* Genres that exclude each other: what is chosen takes its time from the others. */
  function alone(spans, genre, time) {
    const mine = spans.find((one) => one.genre === genre && one.start <= time && time < one.end);
    if (!mine) return spans;
    const without = (one) => [{ ...one, end: Math.min(one.end, mine.start) }, { ...one, start: Math.max(one.start, mine.end) }];
    return spans.flatMap((one) => one.genre === genre ? [one] : without(one).filter((part) => part.start < part.end)).sort((a, b) => a.start - b.start);
  }
  const at = (genre, time) => work.spans.find((one) => one.genre === genre && one.start <= time && time < one.end) ?? null;

  /* A change to a copy; `chosen` is what is selected afterwards: [genre, time inside]. */
  function change(edit, chosen = null) {
    const next = copy(work);
    edit(next);
    next.spans = joined(next.spans);
    if (data.segments && chosen) next.spans = alone(next.spans, ...chosen);
    if (JSON.stringify(next) === JSON.stringify(work)) return;
    past.push(work); future = [];
    work = next;
    selected = chosen && at(...chosen);
    keep(); show();
  }
  function step(from, to) {
    if (!from.length) return;
    to.push(work);
    work = from.pop();
    selected = null;
    keep(); show();
  }
  const undo = () => step(past, future), redo = () => step(future, past);
  /* The index over label pages reads this, too: what is done. */
  function keep(saved = false) { try { localStorage.setItem(STORE, JSON.stringify({ ...work, spans: [...work.spans, ...apart], saved })); } catch { /* a browser that keeps nothing */ } }
  function restored() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE)), names = genres.map((genre) => genre.name);
      const right = (one) => 0 <= one.start && one.start < one.end && one.end <= duration + 1e-6, known = (one) => names.includes(one.genre);
      if (!kept || !Array.isArray(kept.spans) || !kept.spans.every(right) || !["", ...names].includes(kept.whole)) return null;
      apart = kept.spans.filter((one) => !known(one));
      const spans = kept.spans.filter(known);
      return spans.length || !apart.length ? { spans, whole: kept.whole, checked: kept.checked === true } : null;
    } catch { return null; }
  }

  /* ---- what is shown ---- */
  function show() {
    page.refresh();
    $("undo").disabled = !past.length; $("redo").disabled = !future.length;
    for (const id of ["split", "join", "remove", "regenre"]) $(id).disabled = !selected;
    $("regenre").value = selected?.genre ?? "";
    $("whole").value = work.whole;
    $("checked").checked = work.checked || Boolean(work.whole);
    $("checked").disabled = Boolean(work.whole);
    for (const node of document.querySelectorAll(".segment, #segments tr")) {
      const chosen = selected !== null && Boolean(node.segment?.span) && same(node.segment.span, selected);
      node.classList.toggle("selected", chosen);
      if (node.matches("button")) node.setAttribute("aria-pressed", String(chosen));
    }
    offer();
    say(open.size ? `${[...open.values()].map((one) => `${one.genre.name} from ${clock(one.start)}`).join(", ")}: its key again ends it`
      : work.whole ? "saved as a label of the whole trailer, without segments"
      : past.length ? `${past.length} ${past.length === 1 ? "change" : "changes"}`
      : apart.length ? `${apart.length} more of genres that this page does not have` : "");
  }
  const say = (text) => { $("edited").textContent = text; };
  /* ---- what a run proposes: drawn lightly until it is accepted ---- */
  const proposals = data.proposed.flatMap(({ genre: name, start, end }) => {
    const genre = genres.find((one) => one.name === name), from = snap(start), to = snap(end);
    if (!genre || from >= to) return [];
    const node = element("button", "proposal", genre.lane);
    node.tabIndex = -1;
    node.dataset.pattern = genre.pattern;
    node.style.left = percent(from);
    node.style.width = percent(to - from);
    node.title = `Accept ${name} ${clock(from)} – ${clock(to)} (a)`;
    node.setAttribute("aria-label", node.title);
    const one = { genre: name, start: from, end: to, node };
    node.addEventListener("click", (event) => { if (!event.detail && hooks.pick) accept([one]); }); // a key; see pointerup
    return [one];
  });
  const taken = (one) => work.spans.some((span) => span.genre === one.genre && span.start < one.end && one.start < span.end);
  const left = () => proposals.filter((one) => !taken(one));
  const accept = (some) => { if (some.length) change((next) => { next.spans.push(...some.map(({ genre, start, end }) => ({ genre, start, end }))); }, [some[0].genre, some[0].start]); };
  const acceptHere = () => { const time = page.now(), here = left().filter((one) => one.start <= time && time < one.end); if (here.length) accept(here); else say("nothing is proposed here"); };
  function offer() {
    const offered = on ? left() : [];
    for (const one of proposals) one.node.hidden = !offered.includes(one);
    $("accept").hidden = !proposals.length;
    $("accept").disabled = !offered.length;
    if (offered.length && !work.spans.length && WIDE.matches) $("count").textContent = `none yet; ${offered.length} proposed by the run: click one to accept it, or press a at the cursor`;
  }
  function segmentsOf(genre) {
    return work.spans.filter((one) => one.genre === genre.name).map((span) => {
      const first = page.frameAt(span.start + 1e-6), stop = Math.max(first + 1, page.frameAt(span.end - 1e-6) + 1);
      const scores = genre.scores.slice(first, stop);
      return { first, stop, start: span.start, end: span.end, span, score: scores.reduce((sum, one) => sum + one, 0) / scores.length };
    });
  }
  function select(span, { move = true } = {}) {
    selected = span;
    if (span && move) page.seek(span.start);
    show();
  }
  function toggle() {
    on = !on;
    selected = null; forget();
    $("edit").setAttribute("aria-pressed", String(on));
    $("editor").hidden = !on;
    if (on) work ??= restored() ?? found();
    arrange();
  }
  /* A window that is too narrow shows what is marked; what was begun goes on when it is wide again. */
  function arrange() {
    const wide = WIDE.matches, editing = on && wide;
    $("narrow").hidden = wide; $("tools").hidden = !wide;
    document.body.classList.toggle("editing", editing);
    hooks.segments = on ? segmentsOf : null;
    hooks.pick = editing ? (one) => select(one.span) : null;
    hooks.moved = editing ? paint : null;
    if (on) show(); else page.refresh();
  }
  WIDE.addEventListener("change", arrange);

  /* ---- what can be done ---- */
  const remove = () => change((next) => { next.spans = next.spans.filter((one) => !same(one, selected)); });
  const same = (one, other) => one.genre === other.genre && one.start === other.start && one.end === other.end;
  const own = (next, span) => next.spans.find((one) => same(one, span));
  function split() {
    const time = snap(page.now()), { genre, start, end } = selected;
    if (!(start < time && time < end)) { say("the cursor is not inside the selected segment"); return; }
    /* One frame apart: segments that touch are one. */
    const gap = borders.find((border) => border > time) ?? end;
    if (gap >= end) { say("too short to be split here"); return; }
    change((next) => { own(next, selected).end = time; next.spans.push({ genre, start: gap, end }); }, [genre, start]);
  }
  function joinNext() {
    const { genre, start, end } = selected;
    const next = work.spans.find((one) => one.genre === genre && one.start >= end);
    if (!next) { say(`no later segment of ${genre}`); return; }
    change((state) => { own(state, selected).end = next.end; }, [genre, start]);
  }
  const check = () => { if (!work.whole) change((next) => { next.checked = !next.checked; }, selected && [selected.genre, selected.start]); };
  const regenre = (genre) => { const { start } = selected; change((next) => { own(next, selected).genre = genre; }, [genre, start]); };
  function edge(which) {
    const time = snap(page.now()), { genre, start, end } = selected;
    if (which === "start" ? time >= end : time <= start) { say("it would end before it begins"); return; }
    change((next) => { own(next, selected)[which] = time; }, [genre, which === "start" ? time : start]);
  }
  /* Genres that began with a key grow with the position, until their key ends them: pressed again, or let go. */
  function begin(genre, { code, timeStamp: since }) {
    const node = element("div", "segment drawing");
    node.dataset.pattern = genre.pattern;
    open.set(genre.name, { genre, start: snap(page.now()), code, since, node });
    show();
  }
  function paint(time) {
    for (const { genre, start, node } of open.values()) {
      if (!node.isConnected) genre.lane.append(node);
      node.style.left = percent(Math.min(start, time));
      node.style.width = percent(Math.abs(time - start));
    }
  }
  function end({ genre, start, node }) {
    const time = snap(page.now()), from = Math.min(start, time), to = Math.max(start, time);
    node.remove();
    open.delete(genre.name);
    if (from < to) change((next) => { next.spans.push({ genre: genre.name, start: from, end: to }); }, [genre.name, from]);
    else show();
  }
  function forget() {
    for (const { node } of open.values()) node.remove();
    open.clear();
  }
  function labels() {
    const cell = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const row = (...cells) => cells.map(String).map(cell).join(",");
    const other = genres.some((genre) => genre.name === "other"), checked = work.checked ? "yes" : "no";
    if (!work.whole && !work.spans.length && !(other && work.checked)) {
      say(other ? "nothing to save: no segment, and not checked" : "nothing to save: no segment, and no genre that is called other");
      return null;
    }
    const rows = work.whole ? [row(data.trailer, "", "", work.whole, "yes")]
      : work.spans.length ? work.spans.map((one) => row(data.trailer, one.start, one.end, one.genre, checked))
      : [row(data.trailer, 0, "inf", "other", "yes")];
    return ["trailer,start,end,genre,checked", ...rows, ""].join("\n");
  }
  const stem = data.trailer.split("/").at(-1).replace(/\.[^.]*$/, "");
  /* With the time (UTC): a later file comes after an earlier one, and the browser need not call it "(1)". */
  const fileName = () => `${stem.replace(/[<>:"/\\|?*]/g, "_")}.${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}.labels.csv`;
  const endOpen = () => { for (const one of [...open.values()]) end(one); };
  async function save() {
    endOpen();
    const text = labels();
    if (text === null) return;
    if (file) { await writeFile(text); return; }
    const link = element("a", "", document.body);
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = fileName();
    link.click();
    link.remove();
    keep(true);
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`saved ${link.download}`);
  }
  /* Into a file of the person's choice, and there again from then on, where the browser can. */
  async function choose() {
    endOpen();
    const text = labels();
    if (text === null) return;
    try { file = await window.showSaveFilePicker({ suggestedName: `${stem}.labels.csv` }); } catch { return; /* none was chosen */ }
    await writeFile(text);
  }
  async function writeFile(text) {
    try {
      const stream = await file.createWritable();
      await stream.write(text);
      await stream.close();
      keep(true);
      say(`saved ${file.name}`);
    } catch (error) {
      say(`not saved: ${error.message}`);
      file = null;
    }
  }

  /* ---- pointer: before the page's own, which scrubs ---- */
  timeline.addEventListener("pointerdown", (event) => {
    const lane = event.target.closest(".lane");
    if (!hooks.pick || event.button || !lane) return;
    event.stopImmediatePropagation();
    const genre = genres.find((one) => one.lane === lane), node = event.target.closest(".segment"), span = node?.segment.span;
    drag = { genre, node, span, from: event.clientX, origin: page.timeAt(event), mode: "draw", moved: false, proposal: event.target.closest(".proposal") };
    if (node) {
      const box = node.getBoundingClientRect(), grip = Math.min(GRIP, box.width / 3);
      drag.mode = event.clientX - box.left < grip ? "start" : box.right - event.clientX < grip ? "end" : "select";
    }
    timeline.setPointerCapture(event.pointerId);
  }, true);
  timeline.addEventListener("pointermove", (event) => {
    if (!drag) return;
    event.stopImmediatePropagation();
    drag.moved ||= Math.abs(event.clientX - drag.from) > 3;
    if (!drag.moved || drag.mode === "select") return;
    const time = snapNear(page.timeAt(event));
    const fixed = drag.mode === "draw" ? snapNear(drag.origin) : drag.mode === "start" ? drag.span.end : drag.span.start;
    drag.range = [Math.min(fixed, time), Math.max(fixed, time)];
    drag.node ??= Object.assign(element("div", "segment drawing", drag.genre.lane), { segment: null });
    drag.node.dataset.pattern = drag.genre.pattern;
    drag.node.style.left = percent(drag.range[0]);
    drag.node.style.width = percent(drag.range[1] - drag.range[0]);
    say(`${drag.genre.name} ${clock(drag.range[0])} – ${clock(drag.range[1])}`);
  }, true);
  for (const name of ["pointerup", "pointercancel"]) timeline.addEventListener(name, (event) => {
    if (!drag) return;
    event.stopImmediatePropagation();
    const { genre, span, range, moved, origin, mode, node, proposal } = drag;
    drag = null;
    if (mode === "draw") node?.remove();
    if (name === "pointercancel") { show(); return; }
    if (!moved && !span) {
      const one = proposals.find((each) => each.node === proposal);
      if (one) accept([one]); else select(null);
      page.seek(one ? one.start : origin);
      return;
    }
    if (!moved || mode === "select") { select(span); return; }
    if (!range || range[1] <= range[0] || (span && !own(work, span))) { show(); return; } // undone meanwhile
    change((next) => {
      if (span) Object.assign(own(next, span), { start: range[0], end: range[1] });
      else next.spans.push({ genre: genre.name, start: range[0], end: range[1] });
    }, [genre.name, range[0]]);
    page.refresh(); show();
  }, true);
  /* A click follows each press: selecting was done already. */
  timeline.addEventListener("click", (event) => { if (hooks.pick && event.target.closest(".segment") && event.detail) event.stopImmediatePropagation(); }, true);
  timeline.addEventListener("dblclick", (event) => {
    const one = hooks.pick && event.target.closest(".segment")?.segment;
    if (one) page.playSegment(one);
  });

  /* Another tab of this page: what was marked there last is what is kept. */
  addEventListener("storage", (event) => {
    const other = event.key === STORE && work && restored();
    if (!other || JSON.stringify(other) === JSON.stringify(work)) return;
    past.push(work); future = [];
    work = other;
    selected = null;
    if (!on) return;
    show();
    say("changed in another tab");
  });
  $("video").addEventListener("ended", endOpen);

  /* ---- keys: before the page's own ---- */
  const playSelected = () => { const one = genres.flatMap((genre) => genre.segments).find((each) => same(each.span, selected)); if (one) page.playSegment(one); };
  document.addEventListener("keydown", (event) => {
    if ($("keys").open) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=range]), select, textarea"), plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const take = (action) => { event.preventDefault(); event.stopImmediatePropagation(); action(); };
    if (plain && event.key === "e" && !typing && data.scored) { take(toggle); return; }
    if (!hooks.pick) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      const key = event.key.toLowerCase();
      if (key === "z") take(event.shiftKey ? redo : undo);
      else if (key === "y") take(redo);
      else if (key === "s") take(save);
      return;
    }
    if (!plain || typing) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1] ?? /^Numpad([1-9])$/.exec(event.code)?.[1], genre = digit && genres[digit - 1];
    if (genre) {
      if (!event.shiftKey) take(() => { if (!event.repeat) { if (open.has(genre.name)) end(open.get(genre.name)); else begin(genre, event); } });
      else if (selected) take(() => regenre(genre.name));
      return;
    }
    const mine = { Delete: remove, Backspace: remove, s: split, j: joinNext, "[": () => edge("start"), "]": () => edge("end") };
    if (selected && mine[event.key]) take(mine[event.key]);
    else if (selected && event.key === "Enter" && !event.target.closest("button, a")) take(playSelected);
    else if (event.key === "n" || event.key === "p") take(() => { const one = page.neighbour(event.key === "n" ? 1 : -1); if (one) select(one.span); });
    else if (event.key === "c") take(check);
    else if (event.key === "a" && proposals.length) take(acceptHere);
    else if (event.key === "Escape") take(() => { forget(); select(null); });
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") event.stopImmediatePropagation(); // thresholds are none of editing
    else if (event.key === "?") take(() => $("keys").showModal());
  }, true);
  document.addEventListener("keyup", (event) => {
    const held = [...open.values()].find((one) => one.code === event.code);
    if (held && hooks.pick && event.timeStamp - held.since >= HOLD && snap(page.now()) !== held.start) end(held);
  });

  /* ---- building ---- */
  for (const genre of genres) {
    for (const id of ["regenre", "whole"]) element("option", "", $(id), genre.name).value = genre.name;
  }
  $("edit").addEventListener("click", toggle);
  if (!data.scored) toggle();
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("split").addEventListener("click", split);
  $("join").addEventListener("click", joinNext);
  $("remove").addEventListener("click", remove);
  $("save").addEventListener("click", save);
  $("accept").addEventListener("click", () => accept(left()));
  $("choose").hidden = !window.showSaveFilePicker;
  $("choose").addEventListener("click", choose);
  $("checked").addEventListener("change", check);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("regenre").addEventListener("change", () => { if (selected) regenre($("regenre").value); });
  $("whole").addEventListener("change", () => change((next) => { next.whole = $("whole").value; }));
})();
