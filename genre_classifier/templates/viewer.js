/* What the page offers to the editor: its parts, and hooks that take over what segments are and what a click on one does. */
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const video = $("video"), still = $("still"), timeline = $("timeline"), cursor = $("cursor"), over = $("over");
  const { duration, times, borders, rules, thumbnails } = data;
  const reach = smoothingReach(times, rules.smooth_seconds);
  const genres = data.genres.map((genre) => {
    const scores = genre.scores ?? times.map(() => 0); // no network has seen it
    return { ...genre, scores, given: genre.threshold, shown: true, smoothed: medianFilter(scores, reach), segments: [] };
  });
  const hooks = { segments: null, pick: null, moved: null };
  let stopAt = null, playing = null, drawn = null;

  const element = (tag, className, parent, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  };
  const paint = (coloured, patterned, genre) => {
    coloured.style.setProperty("--genre", genre.colour);
    patterned.dataset.pattern = genre.pattern;
  };
  const limit = (value, low, high) => Math.min(Math.max(value, low), high);
  const clock = (seconds, decimals = 1) => {
    const ticks = Math.floor(seconds * 10 ** decimals + 0.5);
    const whole = Math.floor(ticks / 10 ** decimals);
    const two = (number) => String(number).padStart(2, "0");
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    return (h ? `${h}:${two(m)}` : m) + ":" + two(whole % 60) + (decimals ? "." + String(ticks % 10 ** decimals).padStart(decimals, "0") : "");
  };
  /* Of an address; bytes of a name that are no UTF-8 stay as they are written in it. */
  const readable = (address) => address.replace(/%[0-7][0-9a-f]|(?:%[89a-f][0-9a-f])+/gi, (bytes) => { try { return decodeURIComponent(bytes); } catch { return bytes; } });
  const percent = (seconds) => `${(100 * seconds / duration).toFixed(2)}%`;
  const frameAt = (time) => {
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (borders[middle] <= time) low = middle; else high = middle - 1;
    }
    return low;
  };
  const pictureAt = (time) => thumbnails.reduce((best, one) => Math.abs(one.time - time) < Math.abs(best.time - time) ? one : best);

  /* ---- the player: the video, or the thumbnails where the browser cannot play it ---- */
  const film = {
    now: () => video.currentTime, seek: (time) => { video.currentTime = time; },
    play: () => video.play().catch(() => {}), pause: () => video.pause(), paused: () => video.paused,
  };
  const slides = (() => {
    let at = 0, since = null;
    const now = () => limit(since === null ? at : at + (performance.now() - since) / 1000 * Number($("speed").value), 0, duration);
    const hold = () => { at = now(); if (since !== null) since = performance.now(); };
    return {
      now, hold, paused: () => since === null,
      seek: (time) => { at = time; if (since !== null) since = performance.now(); update(); },
      play: () => { if (now() >= duration) at = 0; since = performance.now(); update(); },
      pause: () => { hold(); since = null; update(); },
    };
  })();
  let player = film;

  function unplayable(reason) {
    if (player === slides) return;
    const time = film.now() || wanted();
    player = slides;
    video.hidden = true; still.hidden = !thumbnails.length;
    $("sound").hidden = true;
    $("notice").hidden = false;
    $("notice").textContent = `This browser cannot show the video: ${reason} ${data.scored ? "The curves, segments" : "Segments"} and pictures still work${data.embedded || !data.scored ? "" : "; tagging it with --embed puts a copy that plays into this page"}.`;
    slides.seek(time);
  }
  video.addEventListener("error", () => unplayable(
    data.embedded ? "its format is not supported." : `its format is not supported here, or the file is no longer at ${readable(data.source).slice(2)}.`));
  video.addEventListener("loadedmetadata", () => {
    if (!video.videoWidth) unplayable("its picture is in a format that is not supported.");
    else if (wanted()) film.seek(wanted());
  });
  for (const name of ["play", "pause", "seeking", "seeked", "timeupdate", "ended"]) video.addEventListener(name, () => update());

  function seek(time) {
    stopAt = null; mark(null);
    player.seek(limit(time, 0, duration));
    update();
  }
  function playPause() { if (player.paused()) player.play(); else { player.pause(); stopAt = null; mark(null); } }
  function playSegment(segment) {
    seek(segment.start);
    stopAt = segment.end; mark(segment);
    player.play();
  }
  const pick = (segment) => (hooks.pick ?? playSegment)(segment);
  function mark(segment) {
    playing = segment;
    for (const node of document.querySelectorAll(".segment, tbody tr")) node.classList.toggle("playing", segment !== null && node.segment === segment);
  }
  /* A link may name a moment: viewer.html#t=12.5 */
  function wanted() { const found = /^#t=([\d.]+)$/.exec(location.hash); return found ? limit(Number(found[1]) || 0, 0, duration) : 0; }
  window.addEventListener("hashchange", () => seek(wanted()));

  /* ---- what follows the position ---- */
  function update() {
    const time = limit(player.now(), 0, duration), frame = frameAt(time), going = !player.paused();
    if (going && stopAt !== null && time >= stopAt) { player.pause(); stopAt = null; mark(null); return; }
    if (player === slides && going && time >= duration) { player.pause(); return; }
    cursor.style.left = percent(time);
    cursor.setAttribute("aria-valuenow", time.toFixed(2));
    cursor.setAttribute("aria-valuetext", clock(time));
    $("clock").textContent = clock(time);
    $("play").classList.toggle("playing", going);
    $("play").setAttribute("aria-label", going ? "Pause" : "Play");
    if (player === slides && thumbnails.length) { const { image } = pictureAt(time); if (still.src !== image) still.src = image; }
    const began = time >= borders[0]; // before, there is sound alone
    for (const genre of genres) genre.fill.style.width = `${began ? 100 * genre.scores[frame] : 0}%`;
    const on = genres.filter((genre) => began && genre.shown && genre.segments.some((one) => one.first <= frame && frame < one.stop));
    const names = on.map((genre) => genre.name).join();
    if (names !== $("running").dataset.names) {
      $("running").dataset.names = names;
      $("running").replaceChildren(...on.map((genre) => { const chip = element("span", "chip"); paint(chip, element("span", "swatch", chip), genre); chip.append(genre.name); return chip; }));
    }
    hooks.moved?.(time);
    if (going && drawn === null) drawn = requestAnimationFrame(() => { drawn = null; update(); });
  }

  /* ---- segments, and what depends on the thresholds ---- */
  function segment() {
    const shift = Number($("shift").value);
    for (const genre of genres) {
      if (!data.segments) {
        genre.threshold = limit(genre.base + shift, 0.01, 1);
        genre.slider.value = genre.threshold;
        genre.slider.title = `threshold of ${genre.name}: ${genre.threshold.toFixed(2)}`;
      }
      const found = hooks.segments?.(genre) ?? data.segments?.filter((one) => one.name === genre.name)
        ?? toSegments(genre.scores, genre.smoothed, borders, genre.threshold, reach, rules);
      /* What is as before keeps its nodes: a page of thousands of segments stays quick. */
      const key = `${Boolean(hooks.pick)} ${genre.threshold} ${found.map((one) => `${one.start} ${one.end}`)}`;
      if (genre.key === key) continue;
      genre.key = key;
      genre.segments = found;
      for (const one of genre.segments) one.genre = genre;
      const total = genre.segments.reduce((sum, one) => sum + one.end - one.start, 0);
      genre.share.textContent = `${Math.round(100 * total / (duration - borders[0] || Infinity))}%`; // of the time with pictures
      genre.share.classList.toggle("none", !total);
      for (const old of genre.lane.querySelectorAll(".segment")) old.remove();
      for (const one of genre.segments) {
        const node = element("button", "segment", genre.lane);
        node.segment = one;
        node.dataset.pattern = genre.pattern;
        node.tabIndex = -1;
        node.style.left = percent(one.start);
        node.style.width = percent(one.end - one.start);
        node.title = `${genre.name} ${clock(one.start)} – ${clock(one.end)}, mean score ${one.score.toFixed(2)}`;
        node.setAttribute("aria-label", `${hooks.pick ? "Select" : "Play"} ${node.title}`);
        node.addEventListener("click", () => pick(one));
      }
      draw(genre);
    }
    $("shifted").textContent = (shift > 0 ? "+" : shift < 0 ? "−" : "") + Math.abs(shift).toFixed(2);
    keeping();
    list();
    mark(null); stopAt = null;
    update();
  }
  /* What makes the files as the page shows them. */
  function keeping() {
    if (data.segments) return;
    const moved = genres.filter((genre) => Math.abs(genre.threshold - genre.given) > 1e-9);
    const number = (genre) => Number(genre.threshold.toFixed(4)), alike = genres.every((genre) => number(genre) === number(genres[0]));
    const wanted = alike ? String(number(genres[0])) : moved.map((genre) => `${genre.name}=${number(genre)}`).join();
    $("keep").hidden = !moved.length;
    $("command").textContent = `genre-classifier tag TAGS --again --threshold ${/[^\p{L}\p{N}_.,=+-]/u.test(wanted) ? `"${wanted}"` : wanted}`;
  }
  const listed = () => genres.filter((genre) => genre.shown).flatMap((genre) => genre.segments).sort((a, b) => a.start - b.start);
  function list() {
    const rows = listed();
    $("count").textContent = rows.length || (hooks.segments ? `none yet${hooks.moved ? ": draw in a lane, or hold a genre's key while it plays" : ""}` : data.segments ? "none" : "none at these thresholds");
    const focused = document.activeElement;
    $("segments").replaceChildren(...rows.map((one) => one.row ??= line(one)));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }
  function line(one) {
    const row = element("tr"), cell = (text) => { const made = element("td", "", row, text); made.setAttribute("role", "cell"); return made; };
    row.segment = one;
    row.setAttribute("role", "row"); // the style makes it no part of a table: see viewer.css
    const button = element("button", "", cell());
    const swatch = element("span", "swatch", button);
    paint(swatch, swatch, one.genre);
    button.append(one.genre.name);
    for (const text of [clock(one.start), clock(one.end), (one.end - one.start).toFixed(1), one.score.toFixed(2)]) cell(text);
    row.addEventListener("click", () => pick(one));
    return row;
  }
  function neighbour(direction) {
    const now = player.now(), rows = listed();
    return direction > 0 ? rows.find((one) => one.start > now + 0.05) : rows.findLast((one) => one.start < now - 0.5);
  }
  function jump(direction) { const found = neighbour(direction); if (found) seek(found.start); }

  /* ---- drawing ---- */
  function draw(genre) {
    const { canvas } = genre, width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d"), style = getComputedStyle(genre.fill);
    pen.scale(scale, scale);
    const x = (time) => time / duration * width, y = (score) => 1 + (1 - score) * (height - 2);
    pen.beginPath();
    pen.moveTo(x(borders[0]), height);
    /* One point for each pixel at most, the highest of its frames. */
    for (let at = 0; at < times.length;) {
      const left = x(borders[at]);
      let stop = at + 1, score = genre.scores[at];
      while (stop < times.length && x(borders[stop + 1]) - left < 1) score = Math.max(score, genre.scores[stop++]);
      pen.lineTo(stop > at + 1 ? left : x(times[at]), y(score));
      if (at === 0) pen.lineTo(x(times[0]), y(score));
      at = stop;
    }
    pen.lineTo(x(borders.at(-1)), y(genre.scores.at(-1)));
    pen.lineTo(x(borders.at(-1)), height);
    pen.fillStyle = pen.strokeStyle = style.backgroundColor;
    pen.globalAlpha = 0.8; pen.fill();
    pen.globalAlpha = 1;
    if (data.segments) return;
    pen.strokeStyle = getComputedStyle(document.body).color;
    pen.setLineDash([5, 4]); pen.lineWidth = 1; pen.globalAlpha = 0.55;
    pen.beginPath(); pen.moveTo(0, y(genre.threshold)); pen.lineTo(width, y(genre.threshold)); pen.stroke();
  }
  function drawCuts() {
    const canvas = $("cuts"), width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(timeline).getPropertyValue("--faint");
    for (const cut of data.cuts) pen.fillRect(Math.round(cut / duration * width), 0, 1, height);
  }
  /* The loudest sample of each column of pixels, up and down from the middle; quiet films are drawn larger. */
  function drawSound() {
    const loudest = data.peaks.reduce((most, peak) => Math.max(most, peak), 0.1);
    const canvas = $("wave"), width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    canvas.width = width * scale; canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(canvas).color;
    for (let x = 0; x < width; x++) {
      const first = Math.floor(x / width * duration / data.peak_seconds);
      const last = Math.max(first + 1, Math.floor((x + 1) / width * duration / data.peak_seconds));
      if (first >= data.peaks.length) break;
      const size = Math.max(1, Math.max(...data.peaks.slice(first, last)) / loudest * height);
      pen.fillRect(x, (height - size) / 2, 1, size);
    }
  }
  function layout() {
    for (const genre of genres) draw(genre);
    drawCuts();
    if (data.peaks.length) drawSound();
    const strip = $("strip"), places = Math.max(1, Math.round(strip.clientWidth / (strip.clientHeight * limit(data.aspect, 0.5, 2.4))));
    if (thumbnails.length && strip.childElementCount !== places) {
      strip.replaceChildren(...Array.from({ length: places }, (_, place) => {
        const picture = element("img");
        picture.src = pictureAt(duration * (place + 0.5) / places).image; picture.alt = "";
        return picture;
      }));
    }
    const most = Math.max(2, Math.floor(strip.clientWidth / 70));
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((one) => duration / one <= most) ?? 7200;
    axis.replaceChildren();
    for (let at = 0; at * step < duration * 0.985; at++) element("span", "", axis, clock(at * step, step < 1 ? 1 : 0)).style.left = percent(at * step);
  }

  /* ---- building ---- */
  document.documentElement.style.setProperty("--aspect", data.aspect);
  const longest = Math.max(...genres.map((genre) => genre.name.length));
  document.documentElement.style.setProperty("--names", `${limit(0.55 * longest + 1.9, 6.4, 9.5)}rem`);
  if (!thumbnails.length) $("strip").hidden = true;
  if (!data.cuts.length) $("cuts").hidden = true;
  if (!data.peaks.length) $("wave").hidden = true;
  genres.forEach((genre, index) => {
    const toggle = (parent) => {
      const button = element("button", "toggle", parent);
      element("span", "swatch", button).dataset.pattern = genre.pattern;
      element("span", "", button, genre.name);
      button.title = `Show or hide ${genre.name}${index < 9 ? ` (${index + 1})` : ""}`;
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => show(genre, !genre.shown));
      return button;
    };
    genre.base = genre.given;
    const meter = genre.meter = element("div", "meter", $("meters"));
    meter.style.setProperty("--genre", genre.colour);
    genre.toggles = [toggle(meter)];
    meter.classList.toggle("more", index >= data.few);
    const gauge = element("div", "gauge", meter);
    genre.fill = element("div", "fill", gauge);
    genre.fill.dataset.pattern = genre.pattern;
    if (!data.segments) {
      genre.slider = element("input", "", gauge);
      Object.assign(genre.slider, { type: "range", min: 0, max: 1, step: 0.01 });
      genre.slider.setAttribute("aria-label", `Threshold of ${genre.name}`);
      genre.slider.addEventListener("input", () => { genre.base = Number(genre.slider.value) - Number($("shift").value); segment(); });
    }
    genre.share = element("div", "share", meter);

    const label = element("div", "label", timeline);
    label.style.setProperty("--genre", genre.colour);
    genre.toggles.push(toggle(label));
    genre.lane = element("div", "lane", timeline);
    genre.lane.style.setProperty("--genre", genre.colour);
    genre.lane.dataset.genre = genre.name;
    genre.canvas = element("canvas", "", genre.lane);
    for (const node of [label, genre.lane]) node.classList.toggle("more", index >= data.few);
  });
  /* Of many genres the page shows those that run longest; the others unfold. */
  const more = $("more");
  more.hidden = genres.length <= data.few;
  const unfold = (open) => {
    document.body.classList.toggle("folded", !open);
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? `only the first ${data.few} genres` : `${genres.length - data.few} more genres`;
    for (const genre of genres) draw(genre);
  };
  more.addEventListener("click", () => unfold(document.body.classList.contains("folded")));
  element("div", "label strip-label", timeline);
  const axis = element("div", "axis", timeline);
  function show(genre, shown) {
    genre.shown = shown;
    for (const button of genre.toggles) button.setAttribute("aria-pressed", String(shown));
    genre.lane.classList.toggle("off", !shown);
    genre.meter.classList.toggle("off", !shown);
    draw(genre); list(); update();
  }

  /* ---- pointer and keys ---- */
  const timeAt = (event) => { const box = over.getBoundingClientRect(); return limit((event.clientX - box.left) / box.width, 0, 1) * duration; };
  const onTrack = (event) => event.target.closest(".lane, .strip, .axis") && !event.target.closest(".segment");
  let dragging = false;
  timeline.addEventListener("pointerdown", (event) => {
    if (event.button || !onTrack(event)) return;
    dragging = true;
    timeline.setPointerCapture(event.pointerId);
    seek(timeAt(event));
  });
  timeline.addEventListener("pointermove", (event) => {
    if (dragging) seek(timeAt(event));
    const hovering = event.pointerType === "mouse" && !dragging && event.target.closest(".lane, .strip, .axis");
    $("ghost").hidden = !hovering;
    if (!hovering) return;
    const time = timeAt(event), [picture, text] = $("bubble").children;
    $("ghost").style.left = percent(time);
    $("bubble").style.transform = `translateX(-${100 * limit(time / duration, 0.08, 0.92)}%)`;
    text.textContent = clock(time);
    picture.hidden = !thumbnails.length;
    if (thumbnails.length) picture.src = pictureAt(time).image;
  });
  for (const name of ["pointerup", "pointercancel"]) timeline.addEventListener(name, () => { dragging = false; });
  timeline.addEventListener("pointerleave", () => { $("ghost").hidden = true; });

  const sound = () => { video.muted = !video.muted; $("sound").setAttribute("aria-pressed", String(!video.muted)); };
  const full = () => document.fullscreenElement ? document.exitFullscreen() : $("screen").requestFullscreen?.();
  const shiftBy = (step) => { if (data.segments) return; $("shift").value = Number($("shift").value) + step; segment(); };
  const frameStep = (step) => { player.pause(); seek(times[limit(frameAt(player.now()) + step, 0, times.length - 1)] + 1e-3); };
  $("play").addEventListener("click", playPause);
  $("screen").addEventListener("click", playPause);
  $("sound").addEventListener("click", sound);
  $("full").addEventListener("click", full);
  $("speed").addEventListener("change", () => { slides.hold(); video.playbackRate = Number($("speed").value); });
  $("shift").addEventListener("input", segment);
  $("reset").addEventListener("click", () => { $("shift").value = 0; for (const genre of genres) genre.base = genre.given; segment(); });
  const up = (step) => { if (document.activeElement === cursor) seek(player.now() + step); else shiftBy(0.01 * step); };
  let keyed = false; // what was chosen with the mouse keeps no keys to itself
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => { keyed = name === "keydown"; }, true);
  document.addEventListener("change", (event) => { if (!keyed && event.target.matches("select")) event.target.blur(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const control = event.target.closest("input, select, button"), chooses = control?.matches("select");
    const own = !control ? [] : control.matches("button, [type=checkbox]") ? [" ", "Enter"] : ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
    if (own.includes(event.key) || (chooses && event.key.length === 1)) return; // letters look for an entry
    const far = event.shiftKey ? 5 : 1;
    const action = {
      " ": playPause, k: playPause, ArrowLeft: () => seek(player.now() - far), ArrowRight: () => seek(player.now() + far),
      ",": () => frameStep(-1), ".": () => frameStep(1), n: () => jump(1), p: () => jump(-1), Home: () => seek(0), End: () => seek(duration),
      ArrowUp: () => up(far), ArrowDown: () => up(-far), m: sound, f: full,
    }[event.key] ?? (genres[Number(event.key) - 1] && (() => show(genres[Number(event.key) - 1], !genres[Number(event.key) - 1].shown)));
    if (action) { event.preventDefault(); action(); }
  });

  cursor.setAttribute("aria-valuemax", duration);
  if (data.embedded) $("sound").hidden = true;
  if (!document.fullscreenEnabled) $("full").hidden = true;
  new ResizeObserver(layout).observe(timeline);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layout);
  layout();
  segment();
  unfold(false);
  if (thumbnails.length) video.poster = pictureAt(data.poster).image; // many videos begin in black
  video.src = data.source;
  return {
    data, genres, duration, borders, timeline, hooks, element, clock, percent, limit, paint, frameAt, timeAt, seek,
    neighbour, playSegment, now: () => player.now(), refresh: segment,
  };
})();
