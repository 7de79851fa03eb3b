"use strict";
(() => {
  const figures = [...document.querySelectorAll("figure")];
  const hidden = { engine: new Set(), fraction: new Set(), cluster: new Set() };
  const views = new Map();

  const isDark = matchMedia("(prefers-color-scheme: dark)");

  // Axes and legends take the colours of the page. The style sheet colours the texts.
  function config() {
    const soft = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    return {
      background: "transparent",
      axis: { gridColor: soft, domainColor: soft, tickColor: soft, gridOpacity: 0.5 },
      view: { stroke: soft },
      legend: { orient: "bottom", columns: Math.max(1, Math.floor(innerWidth / 220)), labelLimit: 320 },
    };
  }

  function specification(figure) {
    return JSON.parse(figure.querySelector("script").textContent);
  }

  function isShown(value) {
    return !hidden.engine.has(value.name) && !hidden.fraction.has(value.fraction);
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
    for (const layer of spec.layer) {
      layer.data = { values: layer.data.values.filter(isShown) };
      Object.values(layer.encoding).forEach(withoutHidden);
    }
    spec.layer = spec.layer.filter((layer) => layer.data.values.length);
    return spec;
  }

  async function draw(figure) {
    const place = figure.querySelector(".chart");
    const black = isDark.matches ? [["#000000", "#c9d1d9"], ["#57606a", "#9ea7b3"]] : [];
    const kept = shown(figure);
    let spec = JSON.stringify(kept);
    for (const [from, to] of black) spec = spec.replaceAll(from, to);
    if (!kept.layer.some((layer) => layer.encoding.color)) {
      place.textContent = "The filter hides all of this figure.";
      return;
    }
    const options = { actions: false, renderer: "svg", config: config() };
    const result = await vegaEmbed(place, JSON.parse(spec), options);
    const before = views.get(figure);
    if (before) before.finalize();
    views.set(figure, result);
    figure.querySelector(".tools").hidden = false;
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
    const lines = new Set();
    for (const { data } of specification(figure).layer) {
      const part = data.name.split("-")[0];
      if (part === "bands") continue; // the limits have the same rows
      for (const value of data.values)
        lines.add(columns.map((column) => cell(column === "part" ? part : value[column])).join(","));
    }
    return [columns.join(","), ...lines].join("\r\n") + "\r\n";
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

  function filter() {
    const by = Object.keys(hidden);
    const marked = by.map((name) => `tr[data-${name}], section[data-${name}]`).join(", ");
    for (const element of document.querySelectorAll(marked))
      element.hidden = by.some((name) => hidden[name].has(element.dataset[name]));
    for (const figure of figures) if (!figure.closest("section").hidden) draw(figure);
  }

  for (const figure of figures) {
    draw(figure);
    for (const button of figure.querySelectorAll("button"))
      button.addEventListener("click", () => saveFigure(figure, button.dataset.save));
  }
  isDark.addEventListener("change", () => figures.forEach(draw));

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
})();
