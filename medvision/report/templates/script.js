"use strict";
document.documentElement.classList.add("scripted");
for (const item of document.querySelectorAll("[data-case]")) {
  const slider = item.querySelector("input[type=range]");
  if (!slider) continue;
  const rows = Number(item.dataset.rows);
  const names = item.dataset.shown.split(" ");
  const output = item.querySelector("output");
  const show = () => {
    const n = Number(slider.value);
    item.style.setProperty("--top", `${(-100 * (n * (rows + 2) + 1)) / rows}%`);
    for (const path of item.querySelectorAll(".outline path"))
      path.classList.toggle("on", Number(path.dataset.slice) === n);
    for (const mark of item.querySelectorAll(".now")) mark.setAttribute("x", String(n));
    output.textContent = names[n];
    slider.setAttribute("aria-valuetext", `slice ${names[n]}`);
  };
  slider.addEventListener("input", show);
  item.querySelector(".panels").addEventListener("wheel", (event) => {
    if (!event.shiftKey) return;
    event.preventDefault();
    slider.value = String(Number(slider.value) + Math.sign(event.deltaY || event.deltaX));
    show();
  }, { passive: false });
}
for (const box of document.querySelectorAll("[data-toggle-maps]")) {
  box.addEventListener("change", () => {
    for (const layer of document.querySelectorAll(".map")) layer.style.visibility = box.checked ? "" : "hidden";
  });
}
const links = new Map([...document.querySelectorAll("nav.contents a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const section of document.querySelectorAll("main > section")) seen.observe(section);
