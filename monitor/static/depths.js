/* Keeps the Broker page true: figures every 2 s, charts every 5 s, both from Flower's memory. */
"use strict";

(() => {
  const page = document.getElementById("depths");
  const prefix = document.getElementById("url_prefix").value.replace(/^\/+|\/+$/g, "");
  const base = prefix ? `/${prefix}` : "";
  const SPANS = {
    minutes: { seconds: 900, gapSeconds: 35 },
    hours: { seconds: 21600, gapSeconds: 150 },
  };
  const SERIES = [
    { label: "Visible", className: "series-visible", of: (lane) => lane.queue.map(([t, visible]) => [t, visible]) },
    { label: "In flight", className: "series-in-flight", of: (lane) => lane.queue.map(([t, , flying]) => [t, flying]) },
    { label: "Delayed", className: "series-delayed", of: (lane) => lane.queue.map(([t, , , delayed]) => [t, delayed]) },
    {
      label: "Dead letters", className: "series-dead-letters",
      of: (lane) => lane.deadLetters.map(([t, ...counts]) => [t, counts.reduce((sum, count) => sum + count, 0)]),
    },
  ];
  let span = "minutes";

  function show(node, value) {
    const text = value === null || value === undefined ? "—" : typeof value === "number" ? value.toLocaleString("en-US") : value;
    if (node && node.textContent !== text) node.textContent = text;
  }

  function sum(queues, state) {
    const known = queues.map((queue) => queue[state]).filter((count) => count !== null);
    return known.length ? known.reduce((total, count) => total + count, 0) : null;
  }

  function showFreshness(text, stale, failures) {
    show(document.getElementById("depths-freshness"), text);
    document.getElementById("depths-dot").className = `status-dot status-dot-${stale ? "error" : "live"}`;
    const alert = document.getElementById("depths-failure");
    alert.hidden = failures.length === 0;
    show(alert, failures.join("\n"));
  }

  function showDepths(report) {
    const rows = new Map([...page.querySelectorAll("tr[data-queue]")].map((row) => [row.dataset.queue, row]));
    const stale = new Set(report.lanes.filter((lane) => lane.stale).map((lane) => lane.name));
    for (const queue of report.active_queues) {
      const row = rows.get(queue.name);
      if (!row) continue; /* a lane declared since: Flower has restarted, and a reload shows it */
      for (const cell of row.querySelectorAll("[data-state]")) show(cell, queue[cell.dataset.state]);
      row.querySelector("[data-missing]").hidden = !queue.missing;
      row.classList.toggle("depths-stale", stale.has(queue.lane));
    }
    const lanes = report.active_queues.filter((queue) => !queue.dead_letters);
    for (const state of ["visible", "in_flight", "delayed"])
      show(page.querySelector(`[data-total="${state}"]`), sum(lanes, state));
    const deadLetters = report.active_queues.filter((queue) => queue.dead_letters);
    show(page.querySelector('[data-total="dead_letters"]'), sum(deadLetters, "messages"));
    showFreshness(report.freshness, report.stale, report.failures);
  }

  function chartOf(lane) {
    const charts = document.getElementById("depths-charts");
    for (const chart of charts.querySelectorAll(".depths-chart"))
      if (chart.dataset.lane === lane) return chart;
    const chart = document.createElement("article");
    chart.className = "depths-chart";
    chart.dataset.lane = lane;
    const header = chart.appendChild(document.createElement("header"));
    header.appendChild(document.createElement("h3")).textContent = lane;
    for (const one of SERIES) {
      const legend = header.appendChild(document.createElement("span"));
      legend.className = `depths-legend ${one.className}`;
      legend.textContent = one.label;
    }
    const svg = chart.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Messages of ${lane} over time`);
    charts.append(chart);
    return chart;
  }

  function showHistory(queues) {
    const lanes = new Map();
    for (const queue of queues) {
      const lane = lanes.get(queue.lane) ?? { queue: [], deadLetters: [] };
      lane[queue.dead_letters ? "deadLetters" : "queue"] = queue.samples;
      lanes.set(queue.lane, lane);
    }
    for (const [name, lane] of lanes) {
      const series = SERIES.map((one) => ({ className: one.className, points: one.of(lane) }));
      depthChart.draw(chartOf(name).querySelector("svg"), series, SPANS[span].seconds, SPANS[span].gapSeconds);
    }
  }

  async function get(path) {
    const answer = await fetch(base + path, { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  }

  async function refreshDepths() {
    try {
      showDepths(await get("/api/queues/length"));
    } catch (error) {
      showFreshness("Flower does not answer; figures are of before", true, []);
    }
  }

  async function refreshHistory() {
    try {
      showHistory((await get(`/api/queues/history?span=${span}`)).history);
    } catch (error) {
      /* The figures' own refresh tells that Flower does not answer. */
    }
  }

  /* One request at a time: a slow Flower is not asked again before it has answered. */
  async function repeat(refresh, milliseconds) {
    await refresh();
    if (page.dataset.refresh === "on") setTimeout(() => repeat(refresh, milliseconds), milliseconds);
  }

  for (const button of page.querySelectorAll("[data-span]"))
    button.addEventListener("click", () => {
      span = button.dataset.span;
      for (const other of page.querySelectorAll("[data-span]")) {
        other.classList.toggle("active", other === button);
        other.setAttribute("aria-pressed", String(other === button));
      }
      refreshHistory();
    });
  window.addEventListener("resize", refreshHistory);

  repeat(refreshDepths, 2000);
  repeat(refreshHistory, 5000);
})();
