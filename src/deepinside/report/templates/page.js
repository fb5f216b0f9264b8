"use strict";
(() => {
  const find = (id) => document.getElementById(id);

  // Copy buttons.
  const status = find("status");
  const copied = (button) => {
    button.classList.add("done");
    status.textContent = "Copied";
    setTimeout(() => {
      button.classList.remove("done");
      status.textContent = "";
    }, 1500);
  };
  const copyBySelection = (text) => {
    const box = document.createElement("textarea");
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  };
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
      } catch {
        copyBySelection(button.dataset.copy); // no clipboard for a page opened from disk in some browsers
        button.focus();
      }
      copied(button);
    });
  }

  // The enlarged picture: arrows walk through its gallery, Escape closes, focus returns to where it came from.
  const zoom = find("zoom");
  const image = find("zoom-image");
  let cards = [];
  let place = 0;
  let opener = null; // a row or a highlight that led here from outside the gallery
  const show = (index) => {
    place = (index + cards.length) % cards.length;
    const card = cards[place];
    const picture = card.querySelector("img");
    const figure = card.closest("figure"); // the strip of a table's row has none
    const caption = figure?.querySelector("figcaption > span") ?? card.closest(".gallery")?.querySelector(":scope > .caption");
    image.src = picture.src;
    image.alt = picture.alt;
    image.classList.toggle("tiny", picture.classList.contains("tiny"));
    zoom.classList.remove("whole");
    image.classList.toggle("small", Math.max(picture.naturalWidth, picture.naturalHeight) < 640);
    find("zoom-title").textContent = card.dataset.title;
    find("zoom-caption").textContent = caption?.textContent ?? (figure ? "" : picture.alt);
    find("zoom-place").textContent = `${place + 1} of ${cards.length}`;
    find("zoom-file").href = card.getAttribute("href");
    for (const id of ["zoom-previous", "zoom-next"]) find(id).hidden = cards.length < 2;
    const address = (figure ?? card).id;
    if (!address) return;
    if (history.state?.zoom) history.replaceState({ zoom: true }, "", `#${address}`);
    else history.pushState({ zoom: true }, "", `#${address}`);
  };
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const from = event.target.closest("a.show");
    const card = from ? find(from.hash.slice(1))?.querySelector("a.open") : event.target.closest("a.open, a.strip");
    if (!card) return;
    opener = from;
    event.preventDefault();
    const gallery = card.closest(".gallery, .entry, table");
    cards = [...gallery.querySelectorAll("a.open, tr:not([hidden]) a.strip")];
    show(cards.indexOf(card));
    zoom.showModal();
  });
  find("zoom-close").addEventListener("click", () => zoom.close());
  find("zoom-previous").addEventListener("click", () => show(place - 1));
  find("zoom-next").addEventListener("click", () => show(place + 1));
  image.addEventListener("click", () => zoom.classList.toggle("whole"));
  zoom.addEventListener("click", (event) => {
    if (event.target === zoom) zoom.close();
  });
  zoom.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && cards.length > 1 && !zoom.classList.contains("whole")) {
      event.preventDefault();
      show(place + step);
    }
  });
  let touched = null;
  zoom.addEventListener("touchstart", (event) => {
    touched = event.touches.length === 1 ? event.touches[0].clientX : null;
  }, { passive: true });
  zoom.addEventListener("touchend", (event) => {
    const moved = touched === null ? 0 : event.changedTouches[0].clientX - touched;
    if (Math.abs(moved) > 60 && cards.length > 1 && !zoom.classList.contains("whole")) show(place - Math.sign(moved));
  });
  addEventListener("popstate", () => {
    if (zoom.open && !history.state?.zoom) zoom.close();
  });
  zoom.addEventListener("close", () => {
    if (history.state?.zoom) history.back();
    if (opener) {
      opener.focus();
      return;
    }
    const details = cards[place]?.closest("details");
    if (details) details.open = true;
    cards[place]?.focus();
  });

  // The entry of an image or unit covers the page; it borrows its figures from there when it is first shown.
  const frame = document.querySelector(".frame");
  const borrow = (entry) => {
    const strip = find(entry.dataset.strip)?.querySelector("img");
    if (strip) entry.querySelector("h2").after(strip.cloneNode());
    for (const link of entry.querySelectorAll(".figures a")) {
      const figure = find(link.hash.slice(1))?.cloneNode(true);
      if (!figure) continue;
      figure.removeAttribute("id");
      for (const one of figure.querySelectorAll(".link, .about, details")) one.remove();
      link.after(figure);
    }
    entry.dataset.filled = "";
  };
  let moves = 0;
  let left = null; // what led to the entry, and gets the focus back
  const arrive = () => {
    const target = find(location.hash.slice(1));
    const entry = target?.matches(".entry") ? target : null;
    if (entry && !("filled" in entry.dataset)) borrow(entry);
    const back = frame.inert && !entry;
    frame.inert = Boolean(entry);
    document.documentElement.classList.toggle("covered", Boolean(entry));
    entry?.focus({ preventScroll: true });
    if (back && !zoom.open) left?.focus({ preventScroll: true });
    target?.closest("details:not([open])")?.setAttribute("open", ""); // a link to something inside a closed part opens it
  };
  const leave = () => {
    if (moves) history.back();
    else location.hash = "content";
  };
  document.addEventListener("click", (event) => {
    if (!frame.inert) left = event.target.closest("a[href^='#']") ?? left;
  });
  addEventListener("hashchange", () => {
    moves += 1;
    arrive();
  });
  arrive();
  find("entries").addEventListener("click", (event) => {
    if (!event.target.closest(".back")) return;
    event.preventDefault();
    leave();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && frame.inert && !zoom.open) leave();
  });

  // The figure at the top: from the image to its map.
  for (const figure of document.querySelectorAll(".overlay")) {
    const [, map] = figure.querySelectorAll("img");
    const slider = figure.querySelector("input");
    const mix = () => (map.style.opacity = slider.value / 100);
    slider.addEventListener("input", mix);
    slider.parentElement.hidden = false;
    mix();
  }

  // Every table as a file: what is in it, without the page's folder.
  const cell = (one) =>
    one.classList.contains("number") && one.dataset.key
      ? one.dataset.key
      : [...one.childNodes].map((part) => part.textContent.trim()).filter(Boolean).join(" ");
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const save = (name, rows) => {
    const text = rows.map((row) => [...row.cells].map((one) => quoted(cell(one))).join(",")).join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
    link.download = `${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "table"}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const table of document.querySelectorAll("main section table:not(.how table)")) {
    const name = table.caption?.textContent.trim() || table.closest("[aria-label]")?.ariaLabel || "table";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "csv";
    button.append("CSV", Object.assign(document.createElement("span"), { className: "unseen", textContent: ` of ${name}` }));
    button.addEventListener("click", () => {
      const rows = [...table.rows];
      save(`${table.closest("section").id} ${name}`, rows.filter((row) => !("out" in row.dataset)));
    });
    (table.closest(".scroll") ?? table).after(button);
  }

  // The contents: a menu on narrow screens, and the section in view marked.
  const menu = document.querySelector(".menu");
  const narrow = matchMedia("(max-width: 1099px)");
  const fold = () => menu.toggleAttribute("open", !narrow.matches);
  narrow.addEventListener("change", fold);
  fold();
  menu.addEventListener("click", (event) => {
    if (narrow.matches && event.target.closest("a")) menu.removeAttribute("open");
  });
  const links = new Map([...menu.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
      const current = [...links.keys()].find((id) => seen.has(id));
      for (const [id, link] of links) {
        if (id === current) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-15% 0px -70% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) watcher.observe(section);
})();
