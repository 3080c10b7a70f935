"use strict";

const chapters = JSON.parse(document.getElementById("chapters").textContent);
const frames = new Map([...document.querySelectorAll("iframe[data-chapter]")].map((frame) => [frame.dataset.chapter, frame]));
const states = new Map(), listeners = new Map();
let wanted = null; // The chapter that was gone to, until the reader moves on.
for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
  window.addEventListener(kind, () => { wanted = null; }, { passive: true });

/** The chapter and its state that the page's address names. */
function parsed() {
  const [name, state = ""] = decodeURI(location.hash).replace(/^#/, "").split(/\?(.*)/s);
  return { name, state };
}

/** For `address` in page.js: where a chapter's fragment is kept. */
window.chapterAddress = (name) => ({
  read: () => states.get(name) ?? "",
  write(hash, push) {
    states.set(name, hash);
    const state = hash.replace(/^#/, "");
    history[push ? "pushState" : "replaceState"](null, "", `#${name}${state ? `?${state}` : ""}`);
  },
  listen(take) { listeners.set(name, take); },
});

/** Puts a chapter's page into its frame, once. */
function fill(name) {
  const frame = frames.get(name);
  if (!frame || frame.dataset.filled) return;
  frame.dataset.filled = "yes";
  const pieces = chapters.pages[chapters.names.indexOf(name)];
  frame.addEventListener("load", () => {
    const inside = frame.contentDocument;
    // A link inside the chapter would otherwise open this page in its frame.
    inside.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#"]');
      if (!link || link.hash.includes("=")) return;
      event.preventDefault();
      inside.getElementById(link.hash.slice(1))?.scrollIntoView();
    });
    const fit = () => {
      frame.style.height = `${Math.ceil(inside.body.getBoundingClientRect().height) + 2}px`;
      // Chapters above it, made later, would push it away.
      if (wanted) document.getElementById(wanted).scrollIntoView();
    };
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
      inside.addEventListener(kind, () => { wanted = null; }, { passive: true });
    new ResizeObserver(fit).observe(inside.body);
    fit();
  });
  const made = pieces.map((piece) => (typeof piece === "number" ? chapters.blocks[piece] : piece)).join("");
  // Fragments are the frame's own, not those of the page around it.
  frame.srcdoc = made.replace("<head>", '<head>\n<base href="about:srcdoc">');
}

/** Goes where the address says. */
function follow() {
  const { name, state } = parsed();
  if (!frames.has(name)) return;
  const hash = state ? `#${state}` : "";
  if (states.get(name) !== hash) {
    states.set(name, hash);
    listeners.get(name)?.(hash);
  }
  wanted = name;
  fill(name);
  document.getElementById(name).scrollIntoView();
}

// A chapter is made when it comes near: all at once would keep the first one waiting.
const near = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) fill(target.dataset.chapter);
}, { rootMargin: "900px" });
for (const frame of frames.values()) near.observe(frame);
window.addEventListener("beforeprint", () => { for (const name of frames.keys()) fill(name); });
window.addEventListener("hashchange", follow);
follow();
