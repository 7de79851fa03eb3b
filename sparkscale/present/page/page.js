"use strict";
(async () => {
  const figures = [...document.querySelectorAll("figure")];
  const hidden = { engine: new Set(), fraction: new Set(), cluster: new Set() };
  const FEW = 60;
  const DIGITS = { maximumSignificantDigits: 6 };
  const WHOLE = { maximumFractionDigits: 0 };
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map(); // what is drawn, by figure
  const drawings = new Map(); // when each figure that was ever drawn is ready, by figure

  async function content(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // Axes and legends take the colours of the page. The style sheet colours the texts.
  function config() {
    const soft = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    return {
      background: "transparent",
      axis: { gridColor: soft, domainColor: soft, tickColor: soft, gridOpacity: 0.5 },
      view: { stroke: soft },
      axisX: { labelOverlap: "greedy", labelSeparation: 8, labelFlush: false },
      legend: { orient: "bottom", columns: Math.max(1, Math.floor(innerWidth / 220)), labelLimit: 320 },
    };
  }

  let specifications = [];

  function specification(figure) {
    return structuredClone(specifications[figures.indexOf(figure)]);
  }

  function isShown(value, hasFractions) {
    const names = [value.name, ...(value.of || [])];
    return !names.some((name) => hidden.engine.has(name)) && !(hasFractions && hidden.fraction.has(value.fraction));
  }

  // Hidden engines leave the legend, too.
  function withoutHidden(encoding) {
    const { field, scale } = encoding;
    if (field !== "name") return;
    const kept = (name) => !hidden.engine.has(name);
    if (encoding.sort) encoding.sort = encoding.sort.filter(kept);
    if (!scale || !scale.domain) return;
    scale.range = scale.range.filter((_, number) => kept(scale.domain[number]));
    scale.domain = scale.domain.filter(kept);
  }

  function shown(figure) {
    const spec = specification(figure);
    delete spec.title;
    // a median over several fractions is not filtered by fraction, so neither are its executions
    const hasFractions = (spec.datasets.points || []).every((value) => value.fraction);
    for (const [name, values] of Object.entries(spec.datasets))
      spec.datasets[name] = values.filter((value) => isShown(value, hasFractions));
    for (const layer of spec.layer) Object.values(layer.encoding).forEach(withoutHidden);
    spec.layer = spec.layer.filter((layer) => spec.datasets[layer.data.name].length);
    return spec;
  }

  // Draws a figure again after everything that is still being drawn in its place, so that the last filter counts.
  function draw(figure) {
    const drawn = (drawings.get(figure) || Promise.resolve()).then(() => drawNow(figure));
    drawings.set(figure, drawn);
    return drawn;
  }

  async function drawNow(figure) {
    const place = figure.querySelector(".chart");
    const dark = isDark.matches ? [["#000000", "#c9d1d9"], ["#57606a", "#9ea7b3"]] : [];
    const kept = shown(figure);
    const before = views.get(figure);
    if (before) before.finalize();
    views.delete(figure);
    if (!kept.layer.some((layer) => layer.encoding.color)) {
      place.textContent = "The filter hides all of this figure.";
      return;
    }
    let spec = JSON.stringify(kept);
    for (const [from, to] of dark) spec = spec.replaceAll(from, to);
    const options = { actions: false, renderer: "svg", config: config() };
    views.set(figure, await vegaEmbed(place, JSON.parse(spec), options));
  }

  function save(name, type, content) {
    const link = document.createElement("a");
    link.download = name;
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // Quotes a cell. A leading =, +, - or @ of a text would be a formula in a spreadsheet.
  function cell(value) {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(figure) {
    const columns = document.querySelector("main").dataset.columns.split(",");
    const lines = [columns.join(",")];
    for (const [name, values] of Object.entries(specification(figure).datasets))
      for (const value of values)
        lines.push(columns.map((column) => cell(column === "part" ? name.split("-")[0] : value[column])).join(","));
    return lines.join("\r\n") + "\r\n";
  }

  async function saveFigure(figure, form) {
    const name = `sparkscale-${figure.id}.${form}`;
    if (form === "csv") return save(name, "text/csv", csv(figure));
    // on its own, a figure is printed on white
    const place = document.createElement("div");
    const options = { renderer: "none", actions: false };
    const spec = { ...specification(figure), width: 640, background: "white" };
    const { view } = await vegaEmbed(place, spec, options);
    if (form === "svg") return save(name, "image/svg+xml", await view.toSVG());
    const canvas = await view.toCanvas(2);
    canvas.toBlob((blob) => save(name, "image/png", blob));
  }

  // A table that is wider than the screen can be scrolled by keyboard.
  function reachable(place) {
    const label = place.querySelector("caption").textContent;
    for (const [key, value] of [["role", "region"], ["tabindex", 0], ["aria-label", label]])
      place.setAttribute(key, value);
    return place;
  }

  const number = (value) =>
    typeof value !== "number" ? "–" : value.toLocaleString("en", value < 1e6 && value > -1e6 ? DIGITS : WHOLE);

  function makeTable(caption, columns, rows) {
    const made = element("table", "");
    made.append(element("caption", caption));
    const head = made.createTHead().insertRow();
    columns.forEach((name, at) => head.append(element("th", name, { scope: "col", class: at ? "number" : "name" })));
    const body = made.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      row.forEach((text, at) => line.append(element(at ? "td" : "th", text, at ? {} : { scope: "row", class: "name" })));
    }
    const place = element("div", "", { class: "scroll" });
    place.append(made);
    return reachable(place);
  }

  // Two tables: the medians or estimates with the cases without a result, and the executions that are drawn.
  function tables(figure) {
    const { datasets, layer } = specification(figure);
    const caption = figure.querySelector("figcaption").textContent;
    const isRanking = layer.some(({ encoding }) => encoding.y && encoding.y.field === "name");
    const titled = (axis) => layer.map(({ encoding }) => encoding[axis]).find((one) => one && one.title);
    const axes = [["x", titled("x")], ...(isRanking ? [] : [["y", titled("y")]])].filter(([, one]) => one);
    const titles = axes.map(([, one]) => one.title);
    const values = (one) => axes.map(([axis]) => number(one[axis]));
    const failed = datasets.failed || [];
    const made = [
      makeTable(
        caption,
        ["series", ...titles, "from", "to", ...(failed.length ? ["no result"] : [])],
        [...(datasets.points || []), ...failed].map((one) => [
          one.name,
          ...(one.reason && isRanking ? axes.map(() => "–") : values(one)),
          number(one.low),
          number(one.high),
          ...(failed.length ? [one.reason || "–"] : []),
        ]),
      ),
    ];
    if (datasets.executions)
      made.push(
        makeTable(
          "Its executions",
          ["series", ...titles, "fraction", "round", "record"],
          datasets.executions.map((one) => [one.name, ...values(one), one.fraction, one.round, one.record]),
        ),
      );
    return made;
  }

  function addTools(figure) {
    const tools = element("div", "", { class: "tools" });
    for (const [form, text] of [["csv", "Data (CSV)"], ["svg", "Figure (SVG)"], ["png", "Figure (PNG)"]]) {
      const button = element("button", text, { type: "button" });
      button.addEventListener("click", () => saveFigure(figure, form));
      tools.append(button);
    }
    const details = element("details", "");
    details.append(element("summary", "The figure as a table"));
    details.addEventListener("toggle", () => details.children.length > 1 || details.append(...tables(figure)));
    const { layer, datasets } = specification(figure);
    const what = /estimate/.test(JSON.stringify(layer)) ? "estimate" : "median";
    const range = what === "estimate" ? "interval" : "range";
    const key = [`● ${what}`, `│ ${range}`, ...(datasets.executions ? ["○ one execution"] : []),
      ...(datasets.failed ? ["✕ no result"] : [])];
    const place = figure.querySelector(".chart");
    place.after(...(datasets.points ? [element("p", key.join("\u2003"), { class: "note key" })] : []), tools, details);
  }

  function filter() {
    const by = Object.keys(hidden);
    const marked = by.map((name) => `tr[data-${name}], section[data-${name}]`).join(", ");
    for (const one of document.querySelectorAll(marked))
      one.hidden = by.some((name) => hidden[name].has(one.dataset[name]));
    for (const figure of drawings.keys()) draw(figure);
  }

  document.querySelectorAll(".scroll").forEach(reachable);

  const choices = document.querySelector(".filter");
  if (choices) {
    choices.hidden = false;
    for (const box of choices.querySelectorAll("input"))
      box.addEventListener("change", () => {
        const values = hidden[box.closest("fieldset").dataset.by];
        if (box.checked) values.delete(box.value);
        else values.add(box.value);
        filter();
      });
  }

  // Within a notebook's frame, a link to a part would load the notebook.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const part = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!part || location.protocol !== "about:") return;
    event.preventDefault();
    part.setAttribute("tabindex", "-1");
    part.focus();
    part.scrollIntoView();
  });

  if (!figures.length) return;
  try {
    document.head.append(element("script", await content("vega")));
    specifications = JSON.parse(await content("figures"));
  } catch (error) {
    const sentence = `This browser cannot draw the figures (${error.message}). The tables have their numbers.`;
    document.getElementById("content").prepend(element("p", sentence, { class: "warning" }));
    return;
  }
  figures.forEach((figure, number) => {
    figure.id = `figure-${number + 1}`;
    const place = figure.querySelector(".chart");
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", specifications[number].description);
    addTools(figure);
  });
  isDark.addEventListener("change", () => [...drawings.keys()].forEach(draw));
  // The figures of a short report are drawn at once, so that it can be printed. Others wait until they are near.
  if (figures.length <= FEW) return figures.forEach(draw);
  const near = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen)
        if (isIntersecting) {
          near.unobserve(target);
          draw(target);
        }
    },
    { rootMargin: "600px" },
  );
  figures.forEach((figure) => near.observe(figure));
  addEventListener("beforeprint", () => {
    for (const figure of figures) if (!drawings.has(figure)) figure.querySelector("details").open = true;
  });
})();
