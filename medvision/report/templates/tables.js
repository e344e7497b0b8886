const ROWS_A_PAGE = 25;
const ROWS_SHOWN_WHOLE = 40;
const readCell = (cell) => {
  const parts = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) parts.push(node.data);
    else if (node.getAttribute?.("aria-hidden") !== "true") node.childNodes.forEach(walk);
  };
  walk(cell);
  const text = parts.join(" ").replace(/\s+/g, " ").trim();
  return text === "–" ? "" : cell.classList.contains("num") ? text.replaceAll("−", "-") : text;
};
const readTable = (table) => {
  const grid = [], below = [];
  for (const row of table.rows) {
    if (row.hidden) continue;
    const y = grid.length;
    let x = 0;
    grid[y] = [];
    for (const cell of row.cells) {
      for (; below[x] > 0; below[x++] -= 1) grid[y][x] = grid[y - 1][x];
      below[x] = cell.rowSpan - 1;
      grid[y][x++] = readCell(cell);
    }
  }
  const drawn = [...(table.tHead?.rows[0]?.cells ?? [])].flatMap((cell, n) => ("drawn" in cell.dataset ? [n] : []));
  return grid.map((row) => row.filter((_, n) => !drawn.includes(n)));
};
const writeCsv = (rows) => {
  const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // A spreadsheet takes a file without this mark for another encoding.
  return `\ufeff${rows.map((row) => row.map(quote).join(",")).join("\n")}\n`;
};
const makeButton = (text, onClick) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", onClick);
  return button;
};
const addDownload = (table, bar, name) => {
  const button = makeButton("Download CSV", () => {
    const link = document.createElement("a");
    link.download = `${name}.csv`;
    link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(writeCsv(readTable(table)))}`;
    link.click();
  });
  button.setAttribute("aria-label", `Download CSV: ${table.caption?.textContent.trim() ?? name}`);
  bar.append(button);
};
const addPages = (table, bar) => {
  const body = table.tBodies[0];
  if (!body || body.rows.length <= ROWS_SHOWN_WHOLE) return;
  let page = 0;
  const place = document.createElement("output");
  // A page never parts rows that share a cell.
  const listPages = (rows) => {
    const pages = [[0, 0]];
    let open = 0;
    rows.forEach((row, n) => {
      const last = pages.at(-1);
      if (open <= 0 && last[1] - last[0] > 0) {
        let end = n + 1, held = Math.max(...[...row.cells].map((cell) => cell.rowSpan));
        for (; held > 1 && end < rows.length; end += 1) held = Math.max(held - 1, ...[...rows[end].cells].map((cell) => cell.rowSpan));
        if (end - last[0] > ROWS_A_PAGE) pages.push([n, n]);
      }
      open = Math.max(open, ...[...row.cells].map((cell) => cell.rowSpan)) - 1;
      pages.at(-1)[1] = n + 1;
    });
    return pages;
  };
  const show = () => {
    const rows = [...body.rows].filter((row) => !row.hidden);
    const pages = listPages(rows), last = pages.length - 1;
    page = Math.min(Math.max(page, 0), last);
    const [start, end] = pages[page];
    rows.forEach((row, n) => row.classList.toggle("off", n < start || n >= end));
    place.textContent = rows.length ? `Rows ${start + 1} to ${end} of ${rows.length}` : "No rows";
    back.disabled = page === 0;
    next.disabled = page === last;
  };
  const turn = (by) => () => {
    page += by;
    show();
  };
  const [back, next] = [makeButton("Previous", turn(-1)), makeButton("Next", turn(1))];
  const pager = document.createElement("span");
  pager.className = "pager";
  pager.setAttribute("role", "group");
  pager.setAttribute("aria-label", "Pages of the table");
  pager.append(back, place, next);
  bar.append(pager);
  table.addEventListener("rowschange", () => {
    page = 0;
    show();
  });
  show();
};
const counts = new Map();
for (const table of document.querySelectorAll("main table")) {
  const section = table.closest("main > section")?.id ?? "table";
  counts.set(section, (counts.get(section) ?? 0) + 1);
  const bar = document.createElement("p");
  bar.className = "tools";
  addPages(table, bar);
  addDownload(table, bar, `${section}-${counts.get(section)}`);
  (table.closest(".scroll") ?? table).after(bar);
}
