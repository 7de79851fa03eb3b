"use strict";
(() => {
  const figures = [...document.querySelectorAll("figure")];
  const hidden = new Set();
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

  function valuesOf(spec, layer) {
    return (layer.data.name ? spec.datasets[layer.data.name] : layer.data.values) || [];
  }

  function shown(figure) {
    const spec = specification(figure);
    delete spec.title;
    for (const layer of spec.layer)
      layer.data = { values: valuesOf(spec, layer).filter((value) => !hidden.has(value.name)) };
    spec.layer = spec.layer.filter((layer) => layer.data.values.length);
    delete spec.datasets;
    return spec;
  }

  async function draw(figure) {
    const place = figure.querySelector(".chart");
    const black = isDark.matches ? [["#000000", "#c9d1d9"]] : [];
    const kept = shown(figure);
    let spec = JSON.stringify(kept);
    for (const [from, to] of black) spec = spec.replaceAll(from, to);
    if (!kept.layer.length) {
      place.textContent = "All engines of this figure are hidden.";
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
    const spec = specification(figure);
    const columns = ["name", "x", "y", "low", "high", "details", "reason"];
    const lines = new Set();
    for (const layer of spec.layer)
      for (const value of valuesOf(spec, layer)) lines.add(columns.map((column) => cell(value[column])).join(","));
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
    for (const row of document.querySelectorAll("tr[data-engine]")) row.hidden = hidden.has(row.dataset.engine);
    for (const figure of figures) draw(figure);
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
        if (box.checked) hidden.delete(box.value);
        else hidden.add(box.value);
        filter();
      });
  }
})();
