(() => {
  "use strict";
  // A table with data-filters='{"key": "Title"}' gets one list a key; its rows have data-<key>.
  for (const table of document.querySelectorAll("table[data-filters]")) {
    const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("total"));
    const selects = [];
    const form = document.createElement("form");
    form.className = "filters";
    const shown = document.createElement("output");
    const apply = () => {
      let count = 0;
      for (const row of rows) {
        row.hidden = selects.some(([key, list]) => list.value && row.dataset[key] !== list.value);
        if (!row.hidden) count += 1;
      }
      shown.textContent = `${count} / ${rows.length}`;
    };
    for (const [key, title] of Object.entries(JSON.parse(table.dataset.filters))) {
      const words = new Map(rows.map((row) => [row.dataset[key], row.dataset[`${key}Words`]]));
      words.delete(undefined);
      if (words.size < 2) continue;
      const list = document.createElement("select");
      list.add(new Option(table.dataset.all, ""));
      for (const [value, text] of [...words].sort()) list.add(new Option(text || value, value));
      list.addEventListener("change", apply);
      const label = document.createElement("label");
      label.append(title, " ", list);
      form.append(label);
      selects.push([key, list]);
    }
    if (!selects.length) continue;
    form.append(shown);
    table.closest(".wide").before(form);
    apply();
  }
})();
