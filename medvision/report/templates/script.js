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
for (const box of document.querySelectorAll("[data-sortable]")) {
  const table = box.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const state = box.querySelector("select"), search = box.querySelector("input[type=search]");
  const heads = [...box.querySelectorAll("th")];
  const textOf = (row, n) => row.cells[n].textContent.trim();
  const tell = () => table.dispatchEvent(new Event("rowschange"));
  const filter = () => {
    const words = search.value.toLowerCase();
    for (const row of rows)
      row.hidden = (state.value && textOf(row, 2) !== state.value) || !row.textContent.toLowerCase().includes(words);
    box.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} rows`;
    tell();
  };
  state.addEventListener("change", filter);
  search.addEventListener("input", filter);
  filter();
  heads.forEach((head, n) => head.querySelector("button").addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const isNumber = head.classList.contains("num");
    const order = (a, b) => {
      const [one, two] = [textOf(a, n), textOf(b, n)];
      if (!isNumber) return sign * one.localeCompare(two);
      if (one === "–" || two === "–") return (one === "–") - (two === "–");
      const read = (text) => Number(text.replaceAll("−", "-"));
      return sign * (read(one) - read(two));
    };
    rows.sort(order);
    body.append(...rows);
    tell();
  }));
}
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
});
