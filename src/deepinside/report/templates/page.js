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
    const caption = card.closest("figure")?.querySelector("figcaption"); // the strip of a table's row has none
    image.src = picture.src;
    image.alt = picture.alt;
    image.classList.toggle("tiny", picture.classList.contains("tiny"));
    zoom.classList.remove("whole");
    image.classList.toggle("small", Math.max(picture.naturalWidth, picture.naturalHeight) < 640);
    find("zoom-title").textContent = caption?.querySelector("b").textContent ?? card.dataset.title;
    const texts = caption ? [...caption.querySelectorAll("span")].map((one) => one.textContent) : [picture.alt];
    find("zoom-caption").textContent = texts.join(" ");
    find("zoom-place").textContent = `${place + 1} of ${cards.length}`;
    find("zoom-file").href = card.getAttribute("href");
    for (const id of ["zoom-previous", "zoom-next"]) find(id).hidden = cards.length < 2;
  };
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const from = event.target.closest("a.show");
    const card = from ? document.getElementById(from.hash.slice(1)) : event.target.closest("a.open, a.strip");
    if (!card) return;
    opener = from;
    event.preventDefault();
    const gallery = card.closest(".gallery, table");
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
  zoom.addEventListener("close", () => {
    if (opener) {
      opener.focus();
      return;
    }
    const details = cards[place]?.closest("details");
    if (details) details.open = true;
    cards[place]?.focus();
  });

  // A link to something inside a closed part opens it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    target?.closest("details:not([open])")?.setAttribute("open", "");
  };
  addEventListener("hashchange", reveal);
  reveal();

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
