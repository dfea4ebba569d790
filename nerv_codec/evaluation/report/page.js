"use strict";
for (const figure of document.querySelectorAll(".compare")) {
  const input = figure.querySelector("input");
  const show = () => figure.style.setProperty("--at", input.value + "%");
  input.addEventListener("input", show);
  figure.querySelector(".stack").addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse") return;
    const box = figure.getBoundingClientRect();
    input.value = (100 * (event.clientX - box.left)) / box.width;
    show();
  });
  show();
}
for (const svg of document.querySelectorAll("svg[data-cross]")) {
  const data = JSON.parse(svg.dataset.cross);
  const readout = svg.parentElement.querySelector(".readout");
  const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
  svg.append(group);
  const add = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    group.append(element);
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
    let at = 0;
    data.x.forEach((value, index) => { if (Math.abs(value - x) < Math.abs(data.x[at] - x)) at = index; });
    group.replaceChildren();
    add("path", { class: "cross", d: `M${data.x[at]} 14V274` });
    readout.textContent = data.at[at];
    for (const line of data.lines) {
      add("circle", { class: `dot c${line.c}`, cx: data.x[at], cy: line.y[at], r: 4 });
      const bold = document.createElement("b");
      bold.className = `c${line.c}`;
      bold.textContent = `${line.name} ${line.v[at]}`;
      readout.append(bold);
    }
  });
  svg.addEventListener("pointerleave", () => { group.replaceChildren(); readout.textContent = ""; });
}
