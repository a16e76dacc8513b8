/* A line chart of samples against seconds ago, as SVG. Text enters the page as text only. */
"use strict";

const depthChart = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const HEIGHT = 176;
  const LEFT = 44, RIGHT = 10, TOP = 10, BOTTOM = 22;

  function element(name, attributes, text) {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  /* The least of 4 × (1, 2, 3, 4, 5, 6, 8) × 10ⁿ that holds the value, so that four grid steps are whole numbers. */
  function ceiling(value) {
    for (let power = 1; ; power *= 10)
      for (const step of [1, 2, 3, 4, 5, 6, 8])
        if (4 * step * power >= value) return 4 * step * power;
  }

  function ago(seconds) {
    if (seconds === 0) return "now";
    return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
  }

  /* A line breaks where readings are missing: a gap is not a straight line between what was known. */
  function path(points, gapSeconds, x, y) {
    let d = "", before = null;
    for (const [secondsAgo, value] of points) {
      const joined = before !== null && before - secondsAgo <= gapSeconds;
      d += `${joined ? "L" : "M"}${x(secondsAgo).toFixed(1)},${y(value).toFixed(1)}`;
      if (!joined) d += "h0.01";
      before = secondsAgo;
    }
    return d;
  }

  /* series: [{className, points: [[seconds ago, value], …] from old to new}, …] */
  function draw(svg, series, spanSeconds, gapSeconds) {
    const width = Math.max(320, svg.clientWidth || 800);
    const top = ceiling(Math.max(1, ...series.flatMap((one) => one.points.map((point) => point[1]))));
    const x = (secondsAgo) => LEFT + (1 - Math.min(1, secondsAgo / spanSeconds)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.replaceChildren();
    for (let step = 0; step <= 4; step++) {
      const value = (top * step) / 4;
      svg.append(element("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
      svg.append(element("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString("en-US")));
    }
    for (let step = 0; step <= 3; step++) {
      const secondsAgo = spanSeconds * (1 - step / 3);
      const anchor = ["start", "middle", "middle", "end"][step];
      svg.append(element("text", { x: x(secondsAgo), y: HEIGHT - 5, "text-anchor": anchor }, ago(secondsAgo)));
    }
    for (const one of series)
      svg.append(element("path", { class: one.className, d: path(one.points, gapSeconds, x, y) }));
  }

  return { draw };
})();
