"use strict";
(() => {
  const form = document.querySelector(".search");
  const list = document.getElementById("list");
  const query = () => "#q=" + encodeURIComponent(form.q.value.trim());
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!list) location.href = form.dataset.list + query();
  });
  if (!list) return;

  const sections = [...list.children].map((section) => ({
    section,
    rows: [...section.querySelectorAll("li")].map((row) => ({
      row,
      text: (section.firstElementChild.textContent + " " + row.textContent).toLowerCase(),
    })),
  }));
  const found = document.getElementById("found");
  const links = [...document.querySelectorAll(".pager a, #more")];
  const targets = links.map((link) => link.getAttribute("href"));

  const search = () => {
    const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { section, rows } of sections) {
      let shown = 0;
      for (const { row, text } of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      section.hidden = !shown;
      count += shown;
    }
    const where = links.length ? " found on this page of the list." : " found.";
    found.textContent = words.length ? count.toLocaleString("en") + where : "";
    // Other pages of the list are searched for the same words.
    links.forEach((link, i) => (link.href = targets[i] + (words.length ? query() : "")));
  };
  const read = () => {
    const hash = location.hash;
    if (hash.startsWith("#q=")) {
      try {
        form.q.value = decodeURIComponent(hash.slice(3));
      } catch {
        return; // not made by this page
      }
      search();
    }
  };
  form.q.addEventListener("input", search);
  addEventListener("hashchange", read);
  read();
})();
