"use strict";
// Long tables: searched, filtered, sorted, and shown a few rows at a time.
(() => {
  const FEW = 20;
  const MORE = 60;
  const browsers = new Map();

  // A picture hangs once in its gallery; the row borrows it when it is first shown.
  const thumbnail = (row) => {
    const link = row.querySelector("a[data-picture]:not(:has(img), .strip ~ *)");
    const source = link && document.getElementById(link.dataset.picture)?.querySelector("img");
    if (!source) return;
    const image = new Image();
    image.className = "thumb";
    image.alt = "";
    image.src = source.src;
    link.prepend(image);
  };

  const start = (root) => {
    const body = root.querySelector("tbody");
    const rows = [...body.rows].map((row) => ({
      row,
      words: row.textContent.toLowerCase(),
      texts: [...row.cells].map((cell) => (cell.firstElementChild?.matches(".badge") ? cell.firstElementChild : cell).textContent.trim()),
      keys: [...row.cells].map((cell) => cell.dataset.key ?? cell.textContent.trim()),
    }));
    const find = (selector) => root.querySelector(selector);
    const search = find("input[type=search]");
    const choices = [...root.querySelectorAll("select")];
    const slider = find("input[type=range]");
    const further = find(".further");
    let limit = FEW;

    const fits = (one) => {
      const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      return (
        terms.every((term) => one.words.includes(term)) &&
        choices.every((select) => !select.value || one.texts[select.dataset.column] === select.value) &&
        (!slider || Number(slider.value) === 0 || Number(one.keys[slider.dataset.column]) >= Number(slider.value))
      );
    };
    const update = () => {
      const fitting = rows.filter(fits);
      for (const one of rows) {
        one.row.hidden = true;
        one.row.toggleAttribute("data-out", !fitting.includes(one)); // not in the file of the table
      }
      for (const one of fitting.slice(0, limit)) {
        one.row.hidden = false;
        thumbnail(one.row);
      }
      const all = fitting.length === rows.length ? "" : ` of ${rows.length}`;
      const seen = fitting.length > limit ? `, the first ${limit} shown` : "";
      find(".matches").textContent = `${fitting.length}${all} ${root.dataset.noun}${seen}`;
      further.hidden = fitting.length <= limit;
      further.textContent = `Show ${Math.min(MORE, fitting.length - limit)} more`;
      find(".nothing").hidden = fitting.length > 0;
      find(".scroll").hidden = fitting.length === 0;
      const untouched = !search.value && choices.every((select) => !select.value) && !(slider && Number(slider.value));
      find(".filters .clear").hidden = untouched;
      if (slider) find("output").textContent = slider.value;
      for (const chip of root.querySelectorAll(".chips button")) {
        chip.setAttribute("aria-pressed", String(search.value === chip.dataset.term));
      }
    };
    // The filter is part of the address, and the way back leads through the filters.
    const prefix = `#table/${root.id}?`;
    const record = (anew) => {
      const query = new URLSearchParams();
      if (search.value) query.set("words", search.value);
      for (const select of choices) if (select.value) query.set(select.dataset.name, select.value);
      if (slider && Number(slider.value)) query.set("least", slider.value);
      const address = query.size ? prefix + query : `#${root.id}`;
      if (anew || !location.hash.startsWith(prefix)) history.pushState(null, "", address);
      else history.replaceState(null, "", address);
    };
    const filter = () => {
      limit = FEW;
      update();
    };
    const clear = () => {
      search.value = "";
      for (const select of choices) select.value = "";
      if (slider) slider.value = 0;
      filter();
    };
    const restore = () => {
      if (location.hash.startsWith(prefix)) {
        const query = new URLSearchParams(location.hash.slice(prefix.length));
        search.value = query.get("words") ?? "";
        for (const select of choices) select.value = query.get(select.dataset.name) ?? "";
        if (slider) slider.value = query.get("least") ?? 0;
        filter();
        return true;
      }
      if (location.hash === "" || location.hash === `#${root.id}`) clear();
      return false;
    };
    const sort = (place, heading) => {
      const numeric = heading.classList.contains("number");
      const before = heading.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : !numeric;
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const compare = (a, b) => {
        const [one, other] = [a.keys[place], b.keys[place]];
        if (!one || !other) return !one - !other; // what is not known comes last, whichever way
        const order = numeric ? Number(one) - Number(other) : one.localeCompare(other, "en", { numeric: true });
        return ascending ? order : -order;
      };
      rows.sort(compare);
      body.append(...rows.map((one) => one.row));
      filter();
    };

    for (const [place, heading] of [...root.querySelectorAll("thead th")].entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => sort(place, heading));
    }
    const changed = (anew) => () => {
      filter();
      record(anew);
    };
    for (const control of [search, slider]) control?.addEventListener("input", changed(false));
    for (const select of choices) select.addEventListener("change", changed(true));
    for (const button of root.querySelectorAll(".clear")) {
      button.addEventListener("click", () => {
        clear();
        record(true);
        search.focus();
      });
    }
    for (const chip of root.querySelectorAll(".chips button")) {
      chip.addEventListener("click", () => {
        search.value = search.value === chip.dataset.term ? "" : chip.dataset.term;
        changed(true)();
      });
    }
    further.addEventListener("click", () => {
      const first = limit;
      limit += MORE;
      update();
      rows.filter(fits)[first]?.row.querySelector("a")?.focus();
    });
    for (const part of root.querySelectorAll(".filters, .chips")) part.hidden = false;
    update();
    browsers.set(root.id, (values) => {
      clear();
      for (const select of choices) select.value = values[select.dataset.column] ?? "";
      changed(true)();
    });
    addEventListener("popstate", restore);
    if (restore()) root.scrollIntoView({ behavior: "instant" });
  };
  for (const root of document.querySelectorAll(".browse")) start(root);

  for (const button of document.querySelectorAll(".pick")) {
    button.addEventListener("click", () => {
      browsers.get(button.dataset.for)(JSON.parse(button.dataset.pick));
      document.getElementById(button.dataset.for).scrollIntoView({ block: "nearest" });
    });
  }
})();
