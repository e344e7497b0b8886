const readVariable = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const nearest = (values, from) => {
  for (let n = 0; n < values.length; n += 1) {
    if (values[from - n] != null) return from - n;
    if (values[from + n] != null) return from + n;
  }
  return null;
};
const describePoint = (held, series, n) => {
  const span = series.low?.[n] == null ? "" : ` (${series.low[n]} to ${series.high[n]})`;
  const count = series.n ? `, ${series.n[n]} images` : "";
  const name = (label) => label.charAt(0).toLowerCase() + label.slice(1);
  const value = `${name(held.y_label)} ${series.y[n]}${span}`;
  const told = "top" in held ? `${series.name} ${series.y[n]}` : `${series.name}: ${value}`;
  return `${told} at ${name(held.x_label)} ${held.x[n]}${count}`;
};
const makePlot = (figure) => {
  let held = JSON.parse(figure.dataset.plot);
  const box = document.createElement("div");
  box.className = "plot";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  const readout = document.createElement("output");
  readout.className = "readout";
  readout.textContent = "Point at a curve, or use the arrow keys, to read its values.";
  const key = document.createElement("p");
  key.className = "key";
  const drawn = figure.querySelector("svg");
  if (drawn) drawn.after(key, box, readout);
  else figure.prepend(key, box, readout);
  figure.classList.add("live");
  const describe = () => {
    const named = (held.lines ?? []).filter((each) => each.name);
    const lines = named.map((each) => `${each.name} at ${each.y}`).join(", ");
    const what = held.scatter ? "the points of a network" : "a curve";
    box.setAttribute("aria-label", `Plot of values: ${held.y_label} by ${held.x_label}.${lines && ` Lines: ${lines}.`} Left and right arrows step along ${what}, up and down arrows change it.`);
    readout.textContent = `Point at ${held.scatter ? "a point" : "a curve"}, or use the arrow keys, to read its values.`;
    key.replaceChildren(...("top" in held ? [] : [...held.series, ...named.filter((each) => !each.dotted && !held.scatter)]).map((series) => {
      const name = document.createElement("span");
      name.style.setProperty("--key", `var(--${series.colour})`);
      if (series.dotted) name.className = "dotted";
      name.textContent = series.name;
      return name;
    }));
  };
  let chart = null, at = [0, -1];
  const xRange = () => held.x_range ?? held.range, yRange = () => held.y_range ?? held.range ?? [0, 1.05 * held.top || 1];
  const findNearest = (u, s) => {
    const { left, top } = u.cursor;
    let best = [Infinity, null];
    held.series[s].y.forEach((y, n) => {
      const far = y == null ? Infinity : Math.hypot(u.valToPos(y, "y") - top, u.valToPos(held.x[n], "x") - left);
      if (far < best[0]) best = [far, n];
    });
    return best[1];
  };
  const tell = (s, n) => {
    at = [s, n];
    readout.textContent = describePoint(held, held.series[s], n);
  };
  const pointTo = (u) => {
    const { cursor: { left, top, idx }, valToPos } = u;
    if (idx == null || left < 0) return;
    let best = [Infinity, 0, idx];
    held.series.forEach((series, s) => {
      const n = held.scatter ? findNearest(u, s) : nearest(series.y, idx);
      if (n === null) return;
      const far = Math.hypot(valToPos(series.y[n], "y") - top, valToPos(held.x[n], "x") - left);
      if (far < best[0]) best = [far, s, n];
    });
    tell(best[1], best[2]);
  };
  const line = (u, from, to, style) => {
    const { ctx } = u;
    ctx.save();
    Object.assign(ctx, { strokeStyle: style.colour, lineWidth: style.width * devicePixelRatio, globalAlpha: style.alpha ?? 1 });
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.setLineDash((style.dash ?? []).map((n) => n * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(u.valToPos(from[0], "x", true) + (style.shift ?? 0), u.valToPos(from[1], "y", true));
    ctx.lineTo(u.valToPos(to[0], "x", true) + (style.shift ?? 0), u.valToPos(to[1], "y", true));
    ctx.stroke();
    ctx.restore();
  };
  const drawIntervals = (u, s) => {
    const series = held.series[s - 1];
    if (series.dotted) return;
    series.low?.forEach((low, n) => {
      const style = { colour: readVariable(series.colour), width: 1.2, alpha: 0.5, shift: 2 * (s - 1) * devicePixelRatio };
      if (low != null) line(u, [held.x[n], low], [held.x[n], Math.min(series.high[n], u.scales.y.max)], style);
    });
  };
  const drawLines = (u) => {
    if (held.diagonal) line(u, Array(2).fill(held.diagonal[0]), Array(2).fill(held.diagonal[1]), { colour: readVariable("muted"), width: 1, dash: [3, 3] });
    for (const each of held.lines ?? [])
      line(u, [u.scales.x.min, each.y], [u.scales.x.max, each.y], { colour: readVariable(each.colour), width: 1.1, dash: each.dotted ? [4, 3] : [] });
    for (const { level, colour } of held.series)
      if (level != null) line(u, [u.scales.x.min, level], [u.scales.x.max, level], { colour: readVariable(colour), width: 1, dash: [3, 3] });
  };
  const measure = () => {
    const width = Math.max(200, Math.min(box.clientWidth || figure.clientWidth, 448));
    return { width, height: Math.round(width * (held.ratio ?? ("top" in held ? 0.71 : 0.94))) };
  };
  const axis = (label, size) => ({
    label, size, labelSize: 18, gap: 4, labelGap: 2, font: "11px sans-serif", labelFont: "11px sans-serif",
    stroke: readVariable("muted"), grid: { stroke: readVariable("rule"), width: 1 },
    ticks: { stroke: readVariable("muted"), width: 1, size: 4 }, space: 40,
    values: (_, places) => places.map((place) => String(Number(place.toFixed(3)))),
  });
  const options = () => ({
    ...measure(),
    legend: { show: false },
    padding: [8, 14, 0, 0],
    cursor: {
      drag: { x: false, y: false, setScale: false }, points: { show: held.series.length <= 4, size: 7 },
      dataIdx: (u, s, n) => (!s ? n : (held.scatter ? findNearest(u, s - 1) : nearest(held.series[s - 1].y, n)) ?? n),
    },
    scales: { x: { time: false, ...(xRange() ? { range: xRange() } : {}) }, y: { range: yRange() } },
    axes: [axis(held.x_label, 26), axis(held.y_label, 34)],
    series: [{}, ...held.series.map((series) => ({
      stroke: readVariable(series.colour), width: series.dotted ? 1 : 1.6, dash: series.dotted ? [2, 3] : [], alpha: "top" in held ? 0.8 : held.scatter ? Math.max(0.3, Math.min(0.8, 8 / Math.sqrt(held.x.length))) : 1,
      spanGaps: true, points: { show: Boolean(series.points || held.scatter), size: 6, fill: readVariable(series.colour) },
      ...(held.scatter ? { paths: () => null } : {}),
      ...(series.steps ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
    }))],
    hooks: { drawAxes: [drawLines], drawSeries: [drawIntervals], setCursor: [pointTo] },
  });
  const draw = () => {
    chart?.destroy();
    chart = new uPlot(options(), [held.x, ...held.series.map((series) => series.y)], box);
  };
  box.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const s = Math.min(Math.max(at[0] + move[0], 0), held.series.length - 1), values = held.series[s].y;
    let n = Math.min(Math.max(at[1] + move[1], 0), values.length - 1);
    while (values[n] == null && values[n + move[1]] !== undefined && move[1]) n += move[1];
    n = nearest(values, n);
    if (n === null) return;
    chart.setCursor({ left: chart.valToPos(held.x[n], "x"), top: chart.valToPos(values[n], "y") }, false);
    tell(s, n);
  });
  describe();
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => {
    const size = measure();
    if (size.width !== chart.width) chart.setSize(size);
  }).observe(figure);
  return (other) => {
    held = other;
    at = [0, -1];
    describe();
    draw();
  };
};
const plots = new Map([...document.querySelectorAll("figure[data-plot]")].map((figure) => [figure, makePlot(figure)]));
for (const box of document.querySelectorAll("[data-chooser]")) {
  const select = box.querySelector("select");
  select.addEventListener("change", () => {
    const chosen = select.selectedOptions[0];
    for (const figure of box.querySelectorAll("figure[data-plot]")) plots.get(figure)(JSON.parse(chosen.dataset[figure.dataset.of]));
  });
}
