"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  const coarse = matchMedia("(pointer: coarse)").matches; // there a finger on a figure is to scroll the page
  const PAPER = { wide: 680, half: 330 }; // pixels: A4 less its margins
  const NARROW = 620;
  const COLOURED = new Set(["color", "fillcolor", "bgcolor"]);

  // --- what the page holds ---

  const held = new Map();
  function study(id) {
    if (!held.has(id)) {
      const told = JSON.parse(document.getElementById(`${id}-data`).textContent);
      const view = { hidden: new Set(), logx: false, logy: false, seeds: true, bands: true, from: null, to: null, epoch: null };
      held.set(id, { ...told, view });
    }
    return held.get(id);
  }

  // --- colours: names in the figures, values in the style sheet, so that they follow light, dark and print ---

  function palette() {
    const style = getComputedStyle(root);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  function colour(text, of) {
    const [name, alpha] = text.slice(1).split("/");
    const value = of(/^\d$/.test(name) ? `c${name}` : name);
    if (!alpha) return value;
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(value.slice(at, at + 2), 16));
    return `rgba(${r},${g},${b},${alpha})`;
  }

  function coloured(value, of, key) {
    if (typeof value === "string") return COLOURED.has(key) && value[0] === "@" ? colour(value, of) : value;
    if (Array.isArray(value)) return value.length && typeof value[0] === "object" ? value.map((one) => coloured(one, of)) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, coloured(inner, of, name)]));
  }

  // --- a figure, from what the page holds and how it is looked at ---

  function traces(spec, of, { columns, view }) {
    const log = spec.logy && view.logy;
    const shown = spec.data.filter(({ arm, part }) =>
      !(arm !== undefined && view.hidden.has(arm)) &&
      !(part === "seed" && !view.seeds) &&
      !((part === "low" || part === "band") && !view.bands) &&
      !(part === "mean" && !view.bands && view.seeds && spec.data.some((one) => one.arm === arm && one.part === "seed")));
    let floor = Infinity;
    if (log) for (const { y, part } of spec.data) if (part !== "low") for (const one of y) if (one > 0 && one < floor) floor = one;
    return shown.map(({ arm, part, ...rest }) => {
      const trace = { ...spec.each, ...coloured(rest, of) }; // what all of them have, and its own
      for (const axis of ["x", "y"]) if (typeof trace[axis] === "number") trace[axis] = columns[trace[axis]];
      // a band that reaches below 0 has no end on a logarithmic axis: it ends at the least value there is
      if (log && part === "low") trace.y = trace.y.map((one) => (one === null ? null : Math.max(one, floor)));
      if (trace.colorscale === "@shades") trace.colorscale = [[0, of("paper")], [1, of("shade")]];
      return trace;
    });
  }

  function layout(place, spec, of, { view }) {
    const width = paper.matches || printing ? (spec.wide ? PAPER.wide : PAPER.half) : null;
    const given = coloured(spec.layout, of);
    const axis = { gridcolor: of("rule"), zerolinecolor: of("rule"), linecolor: of("muted"), automargin: true, fixedrange: coarse };
    const made = {
      font: { family: "system-ui, sans-serif", size: 12, color: of("text") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
      dragmode: coarse ? false : "zoom", margin: { l: 52, r: 14, t: 8, b: 44 },
      hoverlabel: { bgcolor: of("paper"), bordercolor: of("muted"), font: { color: of("text") }, align: "left", namelength: 60 },
      ...given,
      xaxis: { ...axis, ...given.xaxis },
      yaxis: { ...axis, ...given.yaxis },
    };
    if (width) made.width = width;
    else made.autosize = true;
    if (spec.aspect) made.height = spec.aspect * ((width || place.clientWidth) - made.margin.l - made.margin.r) + made.margin.t + made.margin.b;
    if (spec.notes) {
      const narrow = (width || place.clientWidth) < NARROW ? 1 : 0;
      made.height = spec.heights[narrow];
      made.annotations = made.annotations.map((note, i) => ({ ...note, text: spec.notes[narrow][i] }));
    }
    if (spec.logx !== undefined) {
      const log = view.logx;
      made.xaxis.type = log ? "log" : "linear";
      if (view.from !== null || view.to !== null) {
        const end = (value) => (value === null || (log && value <= 0) ? null : log ? Math.log10(value) : value);
        made.xaxis.range = [end(view.from), end(view.to)];
        made.xaxis.autorange = made.xaxis.range.includes(null) ? (made.xaxis.range[0] === null ? (made.xaxis.range[1] === null ? true : "min") : "max") : false;
      }
      if (spec.logy) {
        made.yaxis.type = view.logy ? "log" : "linear";
        if (view.logy) Object.assign(made.yaxis, { exponentformat: "power", minexponent: 2 });
      }
      // what was zoomed with the mouse stays until an axis is changed
      made.uirevision = [view.logx, view.logy, view.from, view.to].join();
    } else made.uirevision = "kept";
    if (spec.frames) made.images = [{ ...given.images[0], source: frame(spec, view.epoch).source }];
    return made;
  }

  function frame(spec, epoch) {
    let found = spec.frames[epoch === null ? spec.frames.length - 1 : 0];
    if (epoch !== null) for (const one of spec.frames) if (one.epoch <= epoch) found = one;
    return found;
  }

  let printing = false;
  const places = [...document.querySelectorAll(".plot")];
  const drawn = new Set();

  // Plotly's five megabytes are run when the first figure is drawn: until then the page is read, sorted and searched
  function library() {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return window.Plotly;
  }

  function draw(place) {
    const of = palette();
    const told = study(place.dataset.study);
    const spec = told.figures[place.dataset.figure];
    drawn.add(place);
    place.style.minHeight = "";
    return library().react(place, traces(spec, of, told), layout(place, spec, of, told), { displayModeBar: false, responsive: true, doubleClick: "reset" });
  }

  const redraw = (id) => places.filter((one) => drawn.has(one) && (!id || one.dataset.study === id)).forEach(draw);

  // --- drawn when they come near; all of them before the page is printed ---

  const near = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  places.forEach((place) => near.observe(place));

  let opened = [];
  function print(on) {
    if (on === printing) return;
    printing = on;
    root.classList.toggle("on-paper", on);
    if (on) {
      opened = [...document.querySelectorAll("details:not([open])")];
      opened.forEach((one) => { one.open = true; });
      places.forEach(draw);
    } else {
      opened.forEach((one) => { one.open = false; });
      // a width that was given would stay: these are drawn anew
      places.forEach((place) => { Plotly.purge(place); draw(place); });
    }
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  paper.addEventListener("change", () => print(paper.matches));
  dark.addEventListener("change", () => redraw());

  let width = innerWidth;
  addEventListener("resize", () => {
    if ((width < NARROW) !== (innerWidth < NARROW)) redraw();
    width = innerWidth;
  });

  // --- legend, axes, slider ---

  document.querySelectorAll("button[data-arm]").forEach((button) => button.addEventListener("click", () => {
    const { view } = study(button.dataset.study);
    const arm = Number(button.dataset.arm);
    if (!view.hidden.delete(arm)) view.hidden.add(arm);
    button.setAttribute("aria-pressed", String(!view.hidden.has(arm)));
    redraw(button.dataset.study);
  }));

  document.querySelectorAll(".tools[data-study]").forEach((tools) => {
    const id = tools.dataset.study;
    const ends = [...tools.querySelectorAll("input[data-range]")];
    tools.querySelectorAll("button[data-toggle]").forEach((button) => button.addEventListener("click", () => {
      const { view } = study(id);
      view[button.dataset.toggle] = !view[button.dataset.toggle];
      button.setAttribute("aria-pressed", String(view[button.dataset.toggle]));
      redraw(id);
    }));
    ends.forEach((input) => input.addEventListener("change", () => {
      study(id).view[input.dataset.range] = input.value === "" || Number.isNaN(input.valueAsNumber) ? null : input.valueAsNumber;
      redraw(id);
    }));
    tools.querySelector("[data-reset]").addEventListener("click", () => {
      ends.forEach((input) => { input.value = ""; });
      Object.assign(study(id).view, { from: null, to: null });
      places.filter((one) => drawn.has(one) && one.dataset.study === id && study(id).figures[one.dataset.figure].logx !== undefined)
        .forEach((one) => draw(one).then(() => Plotly.relayout(one, { "xaxis.autorange": true, "yaxis.autorange": true })));
    });
  });

  document.querySelectorAll("input[data-epochs]").forEach((slider) => {
    const epochs = slider.dataset.epochs.split(" ").map(Number);
    const id = slider.dataset.study;
    slider.addEventListener("input", () => {
      const { view, figures } = study(id);
      view.epoch = epochs[slider.valueAsNumber];
      slider.setAttribute("aria-valuetext", `epoch ${view.epoch}`);
      slider.parentElement.querySelector("output").textContent = view.epoch;
      for (const place of places) {
        const spec = figures[place.dataset.figure];
        if (place.dataset.study !== id || !spec.frames) continue;
        const now = frame(spec, view.epoch);
        const said = document.querySelector(`[data-for="${id}-${place.dataset.figure}"]`);
        if (said) said.textContent = `epoch ${now.epoch}`;
        if (drawn.has(place)) Plotly.relayout(place, { "images[0].source": now.source });
      }
    });
  });

  // --- tables ---

  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const key = (row) => ({ row, text: row.cells[column].textContent, value: row.cells[column].dataset.value });
      const order = (a, b) => {
        if (a.value !== undefined && b.value !== undefined) return (up ? 1 : -1) * (a.value - b.value);
        if (a.value !== undefined || b.value !== undefined) return a.value === undefined ? 1 : -1; // what is missing, last
        return (up ? 1 : -1) * a.text.localeCompare(b.text, "en", { numeric: true });
      };
      body.append(...[...body.rows].map(key).sort(order).map(({ row }) => row));
    }));
  });

  document.querySelectorAll("button[data-csv]").forEach((button) => button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([study(button.dataset.study).csv[button.dataset.csv]], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }));
})();
