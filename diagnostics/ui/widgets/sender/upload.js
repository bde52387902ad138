// Sends one file, or a folder as one, to the server while the script may run as often as it likes.

const UNITS = ["B", "KiB", "MiB", "GiB"];
const POINTER = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"];
const GUARDED = ["beforeunload", "keydown", ...POINTER];
const SECONDS_SMOOTHED = 3;
const ARCHIVE = /\.(zip|tar)$/i;
const READ = "PNG, JPEG, WebP, BMP, TIFF, GIF";

const amount = (bytes) => {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(power > 2 ? 1 : 0))} ${UNITS[power]}`;
};

const wait = (seconds) => {
  if (!Number.isFinite(seconds)) return "";
  const whole = Math.max(1, Math.round(seconds));
  return whole < 90 ? ` · about ${whole} s left` : ` · about ${Math.round(whole / 60)} min left`;
};

class Sender {
  constructor(root) {
    this.root = root;
    this.request = null;
    this.browse = this.find("[name=browse]");
    this.cancel = this.find("[name=cancel]");
    const [zone, archive] = [this.find(".zone"), this.find("[name=archive]")];
    const [file, folder] = [this.find("[name=file]"), this.find("[name=folder]")];
    this.browse.onclick = () => (this.data.folder ? folder : file).click();
    archive.onclick = () => file.click();
    this.cancel.onclick = () => this.request?.abort();
    const chosen = (input, take) => {
      const files = [...input.files];
      input.value = ""; // so that the same can be chosen again
      if (files.length) take(files);
    };
    file.onchange = () => chosen(file, ([one]) => this.send(one));
    folder.onchange = () => chosen(folder, (files) => this.pack(chosenIn(files)));
    zone.ondragover = (event) => {
      event.preventDefault();
      zone.classList.add("over");
    };
    zone.ondragleave = () => zone.classList.remove("over");
    zone.ondrop = (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const { files, items } = event.dataTransfer;
      if (this.data.folder) this.drop([...items], files);
      else if (files.length) this.send(files[0]);
    };
  }

  // What is dropped can be asked for at once only, so nothing may be awaited before.
  drop(items, files) {
    const entries = items.map((item) => item.webkitGetAsEntry()).filter(Boolean);
    if (entries.length === 1 && entries[0].isDirectory) this.walk(entries[0]);
    else if (entries.length === 1 && ARCHIVE.test(entries[0].name)) this.send(files[0]);
    else this.say("Drop one folder, or one .zip or .tar.", true);
  }

  async walk(entry) {
    this.say(`Looking through ${entry.name}`);
    try {
      this.pack(await droppedIn(entry));
    } catch {
      this.say(`${entry.name} was not read whole, so nothing was sent.`, true);
    }
  }

  pack(folder) {
    const file = packed(folder);
    if (file) this.send(file);
    else this.say(`${folder.name} holds no image; ${READ} are read. Nothing was sent.`, true);
  }

  // While a file is on its way, no slip may end it: not a click beside the dialog, not the key
  // with which Streamlit runs the script anew and closes the dialog, not a reload unasked.
  guard = (event) => {
    const { type, target, key } = event;
    const dialog = this.root.closest("[data-testid=stDialog]");
    const rerun = key === "r" && !target.closest("input, textarea, [contenteditable=true]");
    if (type === "beforeunload") event.preventDefault();
    else if (dialog && (type === "keydown" ? rerun : target === dialog)) {
      event.stopImmediatePropagation();
    }
  };

  find(what) {
    return this.root.querySelector(what);
  }

  // Each run of the script brings another ticket or another way to reach it: the latest counts.
  update({ data, setTriggerValue }) {
    this.data = data;
    this.tell = setTriggerValue;
    const [browse, drop] = data.folder ? ["Browse a folder", "one"] : ["Browse", "a file"];
    this.find(".label").textContent = data.label;
    this.find(".hint").textContent = `or drop ${drop} here · up to ${amount(data.limit)}`;
    this.browse.textContent = browse;
    this.browse.setAttribute("aria-label", `${browse}: ${data.label}`);
    this.find("[name=archive]").hidden = !data.folder;
    this.find("[name=file]").accept = data.folder ? ".zip,.tar" : "";
    this.find("progress").setAttribute("aria-label", `Upload: ${data.label}`);
    if (!this.request && data.held) this.say(`${data.held} · ${amount(data.size)}`);
  }

  say(sentence, bad = false) {
    const said = this.find(".said");
    said.textContent = sentence;
    said.classList.toggle("bad", bad);
  }

  send(file) {
    if (this.request) return; // a folder that was walked through meanwhile
    const most = amount(this.data.limit);
    if (file.size > this.data.limit) {
      this.say(`${file.name} is larger than ${most}, the most that is taken here.`, true);
      return;
    }
    const request = (this.request = new XMLHttpRequest());
    const came = { bytes: 0, at: performance.now(), speed: 0 };
    request.open("PUT", this.data.url);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.responseType = "json";
    request.upload.onprogress = (event) => this.show(event.loaded, file.size, came);
    request.onload = () => {
      const why = request.response?.error ?? `The server answered ${request.status}.`;
      if (request.status !== 201) return this.fail(`${file.name} was not taken. ${why}`);
      this.end(`${file.name} · ${amount(file.size)}`);
      this.tell("arrived", true); // the script finds the file by its ticket
    };
    request.onerror = () => this.fail(`${file.name} was not read, or the connection was lost.`);
    request.onabort = () => this.fail(`${file.name} was cancelled.`, false);
    this.find(".name").textContent = file.name;
    this.show(0, file.size, came);
    this.say(`Sending ${file.name}`);
    const focused = this.find(".zone").contains(this.root.getRootNode().activeElement);
    this.find(".zone").hidden = true;
    this.find(".going").hidden = false;
    if (focused) this.cancel.focus();
    for (const type of GUARDED) window.addEventListener(type, this.guard, true);
    request.send(file);
  }

  show(bytes, total, came) {
    const now = performance.now();
    const seconds = (now - came.at) / 1000;
    if (bytes > came.bytes && seconds > 0) {
      const speed = (bytes - came.bytes) / seconds;
      const old = came.speed ? Math.exp(-seconds / SECONDS_SMOOTHED) : 0;
      Object.assign(came, { bytes, at: now, speed: old * came.speed + (1 - old) * speed });
    }
    const share = total ? bytes / total : 0;
    this.find("progress").value = share;
    const left = share < 1 ? wait((total - bytes) / came.speed) : " · finishing";
    this.find(".figures").textContent =
      `${Math.floor(share * 100)} % of ${amount(total)}${came.speed ? left : ""}`;
  }

  fail(sentence, bad = true) {
    const { held } = this.data;
    this.end(held ? `${sentence} ${held} stays in hand.` : sentence, bad);
  }

  end(sentence, bad = false) {
    const focused = this.root.getRootNode().activeElement === this.cancel;
    this.request = null;
    for (const type of GUARDED) window.removeEventListener(type, this.guard, true);
    this.find(".zone").hidden = false;
    this.find(".going").hidden = true;
    if (focused) this.browse.focus();
    this.say(sentence, bad);
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".straight-upload");
  root.sender ??= new Sender(root);
  root.sender.update(component);
  return () => {
    // Streamlit also calls this when a newer run overtook this one; then the page still holds us.
    if (!root.isConnected) root.sender.request?.abort();
  };
}
