// A canvas to draw letters and digits on; what is drawn is handed over while the pen moves.

const SIDE = 280;
const PAUSE_MS = 350;
const COLOURS = { dark: ["#000", "#fff"], bright: ["#fff", "#000"] };

export default function ({ data, parentElement, setTriggerValue }) {
  const canvas = parentElement.querySelector("canvas");
  if (canvas.dataset.ready) return;
  canvas.dataset.ready = "yes";
  const [pen, eraser, ground, clear] = ["pen", "eraser", "ground", "clear"].map((name) =>
    parentElement.querySelector(`[name=${name}]`),
  );
  const context = canvas.getContext("2d", { alpha: false });
  let last = null;
  let waiting = 0;

  const colours = () => COLOURS[ground.checked ? "bright" : "dark"];
  const wipe = () => {
    context.fillStyle = colours()[0];
    context.fillRect(0, 0, SIDE, SIDE);
  };
  const hand = () => {
    clearTimeout(waiting);
    waiting = 0;
    setTriggerValue("drawn", canvas.toDataURL("image/png"));
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = SIDE / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const stroke = (event) => {
    if (!last) return;
    const next = place(event);
    context.strokeStyle = colours()[eraser.checked ? 0 : 1];
    context.lineWidth = Number(pen.value) + (eraser.checked ? 4 : 0); // soft edges go as well
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
    waiting ||= setTimeout(hand, PAUSE_MS);
  };

  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(event);
  };
  canvas.onpointermove = stroke;
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (last) hand();
    last = null;
  };
  clear.onclick = () => {
    wipe();
    hand();
  };
  ground.onchange = () => {
    const picture = context.getImageData(0, 0, SIDE, SIDE);
    for (let at = 0; at < picture.data.length; at += 1) {
      if (at % 4 !== 3) picture.data[at] = 255 - picture.data[at];
    }
    context.putImageData(picture, 0, 0);
    hand();
  };
  ground.checked = data.bright;
  wipe();
}
