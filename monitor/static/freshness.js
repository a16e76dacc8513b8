/* Tells on a page of events how old they are while SQS cannot be read. Text enters the page as text only. */
"use strict";

(() => {
  const place = document.getElementById("freshness");
  const prefix = document.getElementById("url_prefix").value.replace(/^\/+|\/+$/g, "");
  const path = `${prefix ? `/${prefix}` : ""}/api/events/freshness`;

  function show(said, failure) {
    place.hidden = said === "";
    place.querySelector("[data-said]").textContent = said;
    place.querySelector("[data-failure]").textContent = failure;
  }

  async function refresh() {
    try {
      const answer = await fetch(path, { cache: "no-store" });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const freshness = await answer.json();
      show(freshness.said, freshness.failure);
    } catch (error) {
      show("Flower does not answer; what is shown is of before.", "");
    }
    if (place.dataset.refresh === "on") setTimeout(refresh, 3000);
  }

  if (place.dataset.refresh === "on") setTimeout(refresh, 3000);
})();
