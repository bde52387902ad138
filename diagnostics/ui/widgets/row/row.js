// One row of the Inspect table: a cell per image. Text enters through textContent only.

const GAP = 8;
const NARROW = 190; // px; narrower cells say the rest on hover
const HISTOGRAM_COLOURS = ["#d55e00", "#009e73", "#0072b2"];

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Enlarge by a whole number only; where the picture must shrink, say by how much.
function fit(image, caption, picture, box, columns) {
  const room = (image.closest(".cell").clientWidth - GAP * (columns - 1)) / columns;
  const available = Math.floor(Math.min(room, box));
  if (available <= 0) return;
  const width = picture.width;
  const factor = Math.max(1, Math.floor(Math.min(available / width, box / picture.height)));
  const shrinks = width > available;
  image.classList.toggle("shrunk", shrinks);
  image.style.width = `${shrinks ? available : width * factor}px`;
  const size = `${width} × ${picture.height} px`;
  const percent = Math.round((100 * available) / width);
  const shown = shrinks ? `shown at ${percent}\u00a0%` : factor > 1 ? `shown ${factor}×` : "";
  const whole = [picture.caption, [size, shown].filter(Boolean).join(", ")];
  const short = [picture.caption, shown || size];
  caption.title = whole.filter(Boolean).join(" · ");
  caption.textContent = available < NARROW ? short.filter(Boolean).join(" · ") : caption.title;
}

// A line around a part of a picture, beside its pixels; the size of the picture is known by then.
function outline(image, picture) {
  const [left, top, right, bottom] = picture.outline;
  const scale = image.clientWidth / picture.width;
  const node = image.parentElement.querySelector(".outline") || element("span", "outline");
  const sides = { left, top, width: right - left, height: bottom - top };
  for (const [side, px] of Object.entries(sides)) node.style[side] = `${px * scale}px`;
  image.after(node);
}

function enlarge(root, picture) {
  const dialog = element("dialog");
  const image = element("img");
  image.src = picture.source;
  image.alt = picture.alt;
  const room = Math.min(innerWidth * 0.9 / picture.width, innerHeight * 0.8 / picture.height);
  image.style.width = `${picture.width * Math.max(1, Math.floor(room))}px`;
  dialog.append(image, element("p", "note", `${picture.alt} Press Escape or click to close.`));
  dialog.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  root.append(dialog);
  dialog.showModal();
}

// Which cell of a picture lies under the pointer, and where in it; null between cells.
function cellAt(image, picture, event) {
  const cells = picture.cells;
  if (!cells) return null;
  const scale = picture.width / image.clientWidth;
  const x = Math.floor(event.offsetX * scale);
  const y = Math.floor(event.offsetY * scale);
  const [across, down] = [cells.width + cells.gap, cells.height + cells.gap];
  const index = Math.floor(y / down) * cells.columns + Math.floor(x / across);
  const [row, column] = [y % down, x % across];
  const inside = Math.floor(x / across) < cells.columns && row < cells.height && column < cells.width;
  if (!inside || index >= cells.labels.length) return null;
  const place = cells.pixels ? { row, column } : { row: 0, column: 0 };
  return { label: cells.labels[index], number: cells.numbers[index], ...place };
}

function listen(image, picture, ask) {
  image.onmousemove = (event) => {
    const cell = cellAt(image, picture, event);
    const where = cell && picture.cells.pixels ? `, row ${cell.row}, column ${cell.column}` : "";
    image.title = cell ? cell.label + where : picture.cells ? "no value" : picture.alt;
  };
  if (!ask) return;
  image.classList.add("asks");
  image.onclick = (event) => {
    const cell = cellAt(image, picture, event);
    if (cell) ask(cell);
  };
}

function figure(root, picture, box, columns, resizes, ask) {
  const node = element("figure");
  const image = element("img");
  const caption = element("figcaption");
  image.src = picture.source;
  image.alt = picture.alt;
  image.title = picture.alt;
  image.tabIndex = 0;
  image.onclick = () => enlarge(root, picture);
  image.onkeydown = (event) => event.key === "Enter" && enlarge(root, picture);
  listen(image, picture, ask);
  const save = element("a", "save", "PNG");
  save.href = picture.source;
  save.download = `${picture.name}.png`;
  save.title = "Save this picture as lossless PNG";
  const tools = element("span", "tools");
  tools.append(save);
  if (ask) {
    const larger = element("button", "save", "Enlarge");
    larger.onclick = () => enlarge(root, picture);
    tools.prepend(larger);
  }
  node.append(image, tools, caption);
  resizes.push(() => {
    fit(image, caption, picture, box, columns);
    if (picture.outline) outline(image, picture);
  });
  return node;
}

function figures(root, content, box, resizes, ask) {
  const node = element("div", "figures");
  const columns = content.side_by_side ? content.pictures.length : 1;
  content.pictures.forEach((picture, place) => {
    const asks = ask && picture.cells ? (cell) => ask(place, cell) : null;
    node.append(figure(root, picture, box, columns, resizes, asks));
  });
  return node;
}

function bars(entries) {
  const node = element("div", "bar");
  for (const entry of entries) {
    const name = element("span", "name", entry.name);
    name.title = entry.title;
    const share = element("span", "share", entry.text);
    share.title = entry.title;
    const track = element("span", "track");
    const fill = element("span", "fill");
    fill.style.width = `${Math.max(0, Math.min(1, entry.share)) * 100}%`;
    track.append(fill);
    node.append(name, share, track);
  }
  return node;
}

const ICONS = { trust: "\u2713", distrust: "\u2715", cannot_tell: "?", waiting: "\u2026" };

// A verdict; a click on it opens and closes its evidence.
function card(content, asks) {
  const ask = content.kind === "waiting" ? null : asks;
  const node = element(ask ? "button" : "div", `card ${content.kind}`);
  const word = element("span", "word");
  const icon = element("span", "icon", ICONS[content.kind]);
  icon.setAttribute("aria-hidden", "true");
  word.append(icon, element("span", "", content.word));
  node.append(word);
  if (content.sentence) node.append(element("span", "sentence", content.sentence));
  if (content.advice) node.append(element("span", "advice", content.advice));
  node.title = [content.sentence, content.advice].filter(Boolean).join("\n");
  if (!ask) return node;
  node.type = "button";
  node.classList.toggle("open", content.is_open);
  node.setAttribute("aria-expanded", String(content.is_open));
  node.append(element("span", "more", content.is_open ? "Hide the evidence" : "Show the evidence"));
  node.onclick = () => ask(0, { number: 0, row: 0, column: 0 });
  return node;
}

function histogram(counts, alt) {
  const space = "http://www.w3.org/2000/svg";
  const node = document.createElementNS(space, "svg");
  const bins = counts[0].length;
  const most = Math.max(1, ...counts.flat());
  node.setAttribute("viewBox", `0 0 ${bins} 20`);
  node.setAttribute("preserveAspectRatio", "none");
  node.setAttribute("class", "histogram");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", alt);
  counts.forEach((channel, index) => {
    const line = document.createElementNS(space, "path");
    const steps = channel.map((count, bin) => {
      const top = 20 - 19 * Math.sqrt(count / most);
      return `L${bin} ${top} L${bin + 1} ${top}`;
    });
    line.setAttribute("d", `M0 20 ${steps.join(" ")} L${bins} 20 Z`);
    const colour = counts.length === 1 ? "currentColor" : HISTOGRAM_COLOURS[index];
    line.setAttribute("fill", colour);
    line.setAttribute("fill-opacity", "0.45");
    node.append(line);
  });
  const title = document.createElementNS(space, "title");
  title.textContent = alt;
  node.append(title);
  return node;
}

function cell(root, content, box, resizes, ask) {
  const node = element("div", "cell");
  if (content.title) {
    const title = element("div", content.names ? "name-of-image" : "title", content.title);
    title.title = content.hover || content.title;
    node.append(title);
  }
  if (content.answer) {
    const answer = element("div", "answer", content.answer);
    answer.append(element("div", "confidence", content.confidence));
    node.append(answer);
  }
  if (content.card) node.append(card(content.card, ask));
  if (content.bars.length) node.append(bars(content.bars));
  if (content.empty) node.append(element("div", "empty", content.empty));
  if (content.pictures.length) node.append(figures(root, content, box, resizes, ask));
  const aside = element("div", "aside");
  if (content.counts.length) aside.append(histogram(content.counts, content.counts_alt));
  for (const note of content.notes) aside.append(element("div", "note", note));
  for (const detail of content.details) aside.append(element("div", "note detail", detail));
  aside.title = content.details.join("\n");
  for (const warning of content.warnings) aside.append(element("div", "note warning", warning));
  if (aside.childElementCount) node.append(aside);
  return node;
}

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.oversureLeave?.(); // Streamlit calls only the last function returned
  const old = parentElement.querySelector(".row");
  const left = old ? old.scrollLeft : window.oversureScroll || 0;
  const row = element("div", "row");
  const resizes = [];
  row.style.gridTemplateColumns = `repeat(${data.cells.length}, minmax(${data.least}px, 1fr))`;
  row.classList.toggle("pinned", data.pinned);
  row.classList.toggle("single", data.cells.length === 1);
  data.cells.forEach((content, image) => {
    const ask = data.asks
      ? (picture, at) => setTriggerValue("clicked", { image, picture, ...at })
      : null;
    row.append(cell(parentElement, content, data.box, resizes, ask));
  });
  if (old) old.replaceWith(row);
  else parentElement.append(row);

  const hintMore = () => {
    row.classList.toggle("more", row.scrollLeft + row.clientWidth < row.scrollWidth - 4);
  };
  const resize = () => {
    resizes.forEach((run) => run());
    hintMore();
  };
  const observer = new ResizeObserver(resize);
  observer.observe(row);
  resize();
  row.scrollLeft = left;

  // All rows scroll together, so that an image stays in its column.
  const follow = (event) => {
    if (event.detail.row !== row) row.scrollLeft = event.detail.left;
  };
  row.onscroll = () => {
    hintMore();
    if (window.oversureScroll === row.scrollLeft) return;
    window.oversureScroll = row.scrollLeft;
    const detail = { row, left: row.scrollLeft };
    window.dispatchEvent(new CustomEvent("oversure-scroll", { detail }));
  };
  window.addEventListener("oversure-scroll", follow);
  parentElement.oversureLeave = () => {
    observer.disconnect();
    window.removeEventListener("oversure-scroll", follow);
  };
  return () => parentElement.oversureLeave();
}
