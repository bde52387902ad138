// Removes pixels in their order: the image, the curve of confidence with a marker, and a slider.

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 300;
const EDGE = { left: 78, right: 14, top: 14, bottom: 46 };
const NARROW = 640; // px; below, the curve stands under the image
const FRAME_MS = 90;

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function mark(tag, attributes, text) {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function numbers(base64, Kind) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function canvas(width, height) {
  const node = document.createElement("canvas");
  node.width = width;
  node.height = height;
  return node;
}

// Slanted lines at the size of the screen, so that they cannot be taken for pixels of the image.
function hatch(context, [dark, light]) {
  const tile = canvas(8, 8);
  const pen = tile.getContext("2d");
  const dots = pen.createImageData(8, 8);
  for (let dot = 0; dot < 64; dot += 1) {
    const slanted = ((dot % 8) + Math.floor(dot / 8)) % 8 < 4;
    dots.data.set([...(slanted ? dark : light), 255], 4 * dot);
  }
  pen.putImageData(dots, 0, 0);
  return context.createPattern(tile, "repeat");
}

function painter(data, box) {
  const factor = Math.max(1, Math.floor(box / Math.max(data.width, data.height)));
  const shown = canvas(data.width * factor, data.height * factor);
  const layer = canvas(shown.width, shown.height);
  const mask = canvas(data.width, data.height);
  const ranks = numbers(data.ranks, Int32Array);
  const [pen, over, small] = [shown, layer, mask].map((node) => node.getContext("2d"));
  const lines = hatch(over, data.hatch);
  const dots = small.createImageData(data.width, data.height);
  const image = new Image();
  let removed = 0;
  const paint = () => {
    for (let pixel = 0; pixel < ranks.length; pixel += 1) {
      const hidden = ranks[pixel] >= 0 && ranks[pixel] < removed;
      dots.data[4 * pixel + 3] = hidden ? 255 : 0;
    }
    small.putImageData(dots, 0, 0);
    pen.imageSmoothingEnabled = over.imageSmoothingEnabled = false;
    over.globalCompositeOperation = "source-over";
    over.clearRect(0, 0, layer.width, layer.height);
    over.drawImage(mask, 0, 0, layer.width, layer.height);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = lines;
    over.fillRect(0, 0, layer.width, layer.height);
    pen.drawImage(image, 0, 0, shown.width, shown.height);
    pen.drawImage(layer, 0, 0);
  };
  image.onload = paint;
  image.src = data.source;
  shown.setAttribute("role", "img");
  const show = (count, alt) => {
    removed = count;
    shown.setAttribute("aria-label", alt);
    if (image.complete) paint();
  };
  return { shown, show, factor };
}

function plotter(data) {
  const svg = mark("svg", { class: "curve", height: HEIGHT, role: "img" });
  let width = 0;
  let pointer = null;
  const x = (share) => EDGE.left + share * (width - EDGE.left - EDGE.right);
  const y = (share) => HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.top - EDGE.bottom);
  const draw = (wide) => {
    width = wide;
    svg.replaceChildren(mark("title", {}, data.title));
    svg.setAttribute("width", wide);
    for (const tick of data.ticks_y) {
      svg.append(mark("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick.at), y2: y(tick.at) }));
      const text = { class: "tick", x: x(0) - 6, y: y(tick.at) + 4, "text-anchor": "end" };
      svg.append(mark("text", text, tick.name));
    }
    for (const tick of data.ticks_x) {
      const line = { class: "grid", x1: x(tick.at), x2: x(tick.at), y1: y(0), y2: y(0) + 5 };
      svg.append(mark("line", line));
      const text = { class: "tick", x: x(tick.at), y: y(0) + 18, "text-anchor": "middle" };
      svg.append(mark("text", text, tick.name));
    }
    const below = { class: "tick", x: x(0.5), y: HEIGHT - 8, "text-anchor": "middle" };
    svg.append(mark("text", below, data.axis_x));
    const level = y(data.threshold);
    svg.append(mark("line", { class: "threshold", x1: x(0), x2: x(1), y1: level, y2: level }));
    if (data.subset !== null) {
      const at = x(data.subset);
      svg.append(mark("line", { class: "subset", x1: at, x2: at, y1: y(0), y2: y(1) }));
    }
    const points = data.points.filter((point) => point.y !== null);
    const path = points.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" ");
    svg.append(mark("polyline", { class: "line", points: path }));
    pointer = mark("g", { class: "pointer" });
    svg.append(pointer);
  };
  const show = (index) => {
    const point = data.points[index];
    const at = x(point.x);
    pointer.replaceChildren(mark("line", { x1: at, x2: at, y1: y(0), y2: y(1) }));
    if (point.y !== null) pointer.append(mark("circle", { cx: at, cy: y(point.y), r: 5 }));
  };
  return { svg, draw, show };
}

export default function ({ data, parentElement }) {
  parentElement.oversureLeave?.(); // Streamlit calls only the last function returned
  const old = parentElement.querySelector(".player");
  const same = old && old.dataset.key === data.key;
  const box = element("div", "player");
  box.dataset.key = data.key;
  const picture = painter(data, data.box);
  const plot = plotter(data);
  const left = element("div", "left");
  const key = element("div", "key");
  const swatch = element("span", "swatch");
  swatch.style.background =
    `repeating-linear-gradient(135deg, rgb(${data.hatch[0]}) 0 3px, rgb(${data.hatch[1]}) 3px 6px)`;
  const scale = picture.factor > 1 ? `, shown ${picture.factor}×` : "";
  key.append(swatch, `removed · ${data.width} × ${data.height} px${scale}`);
  left.append(picture.shown, key);
  const right = element("div", "right");
  const title = element("div", "title", data.title);
  const legend = element("div", "key", data.legend);
  right.append(title, plot.svg, legend);
  const panes = element("div", "panes");
  panes.append(left, right);

  const slider = element("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = data.points.length - 1;
  slider.value = same ? old.querySelector("input").value : data.start;
  slider.setAttribute("aria-label", "Pixels removed, in their order");
  const play = element("button", "play", "Play");
  const status = element("div", "status");
  const show = () => {
    const point = data.points[Number(slider.value)];
    slider.setAttribute("aria-valuetext", point.text);
    status.textContent = point.text;
    picture.show(data.total - point.kept, `${data.name}: ${point.text}`);
    plot.show(Number(slider.value));
  };
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const step = () => {
    if (Number(slider.value) >= data.points.length - 1) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  };
  play.onclick = () => {
    if (timer) return stop();
    if (Number(slider.value) >= data.points.length - 1) slider.value = 0;
    timer = setInterval(step, FRAME_MS);
    play.textContent = "Pause";
  };
  slider.oninput = () => {
    stop();
    show();
  };
  const controls = element("div", "controls");
  controls.append(play, slider);
  box.append(controls, status, panes);
  if (old) old.replaceWith(box);
  else parentElement.append(box);

  const observer = new ResizeObserver(() => {
    box.classList.toggle("narrow", box.clientWidth < NARROW);
    if (right.clientWidth > 0) plot.draw(right.clientWidth);
    show();
  });
  observer.observe(box);
  parentElement.oversureLeave = () => {
    stop();
    observer.disconnect();
  };
  return () => parentElement.oversureLeave();
}
