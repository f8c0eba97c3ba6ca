"use strict";
/* Scores to segments: the same rules as genre_classifier/tagging/segments.py, held together by a test. */

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function smoothingReach(times, seconds) {
  if (times.length < 2) return 0;
  const steps = times.slice(1).map((time, index) => time - times[index]);
  return Math.trunc(seconds / 2 / median(steps) + 1e-3);
}

function medianFilter(values, reach) {
  if (!reach) return values;
  const last = values.length - 1;
  return values.map((_, at) => {
    const near = [];
    for (let k = at - reach; k <= at + reach; k++) near.push(values[Math.min(Math.max(k, 0), last)]);
    return median(near);
  });
}

/** Returns [{first, stop, start, end, score}]: frames first <= i < stop, seconds, mean score. */
function toSegments(scores, smoothed, borders, threshold, reach, rules) {
  let runs = [];
  for (let at = 0; at < smoothed.length; at++) {
    if (smoothed[at] < threshold * rules.off_ratio) continue;
    const run = { first: at, stop: at, peak: 0 };
    for (; at < smoothed.length && smoothed[at] >= threshold * rules.off_ratio; at++) run.peak = Math.max(run.peak, smoothed[at]);
    run.stop = at;
    if (run.peak >= threshold) runs.push(run);
  }
  const tooShort = (first, stop, seconds) => borders[stop] - borders[first] < seconds || stop - first <= reach;
  const closed = [];
  for (const run of runs) {
    const before = closed.at(-1);
    if (before && tooShort(before.stop, run.first, rules.min_gap_seconds)) before.stop = run.stop;
    else closed.push({ first: run.first, stop: run.stop });
  }
  return closed
    .filter((run) => !tooShort(run.first, run.stop, rules.min_seconds))
    .map(({ first, stop }) => {
      let sum = 0;
      for (let at = first; at < stop; at++) sum += scores[at];
      return { first, stop, start: borders[first], end: borders[stop], score: sum / (stop - first) };
    });
}
