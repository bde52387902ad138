// Makes one .tar of the images of a folder. No file is read here: the tar refers to them, and the
// browser reads each from the disk when its turn comes to be sent.

const BLOCK = 512;
const KEPT = /\.(png|jpe?g|webp|bmp|tiff?|gif|csv)$/i;
const LIST = /\.csv$/i;
const HIDDEN = /(^|\/)(\.|__MACOSX\/)/;
const NAME_BYTES = 100;
const MOST_OCTAL = 8 ** 11 - 1;
const [FILE, EXTENDED] = ["0", "x"];

const utf8 = new TextEncoder();

const octal = (number, digits) => `${number.toString(8).padStart(digits, "0")}\0`;

const padding = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

// One block, as POSIX.1-1988 (ustar) lays it out. The same folder gives the same bytes each time,
// so every file is nobody's and of the year 1970.
function headerOf(name, size, type) {
  const block = new Uint8Array(BLOCK);
  const put = (text, place) => block.set(utf8.encode(text), place);
  block.set(utf8.encode(name).subarray(0, NAME_BYTES), 0);
  put(octal(0o644, 7), 100);
  put(octal(0, 7), 108); // owner
  put(octal(0, 7), 116); // group
  put(octal(Math.min(size, MOST_OCTAL), 11), 124);
  put(octal(0, 11), 136); // time
  put(" ".repeat(8), 148); // stands for the checksum while that is summed
  put(type, 156);
  put("ustar\x0000", 257);
  put(`${octal(block.reduce((sum, byte) => sum + byte, 0), 6)} `, 148);
  return block;
}

// A line of POSIX.1-2001 (pax), which begins with its own length in bytes.
function recordOf(key, value) {
  const rest = utf8.encode(` ${key}=${value}\n`).length;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

// What an old header cannot say goes before it in a header of its own.
function extensionOf(name, size) {
  const plain = /^[\x20-\x7e]*$/.test(name) && name.length <= NAME_BYTES;
  const path = plain ? "" : recordOf("path", name);
  const large = size > MOST_OCTAL ? recordOf("size", size) : "";
  const records = utf8.encode(path + large);
  if (!records.length) return [];
  return [headerOf("pax", records.length, EXTENDED), records, padding(records.length)];
}

function tarOf(name, found) {
  const inOrder = [...found].sort((one, other) => (one.path < other.path ? -1 : 1));
  const parts = inOrder.flatMap(({ path, file }) => [
    ...extensionOf(path, file.size),
    headerOf(path, file.size, FILE),
    file,
    padding(file.size),
  ]);
  return new File([...parts, new Uint8Array(2 * BLOCK)], `${name}.tar`);
}

const isKept = (path) => KEPT.test(path) && !HIDDEN.test(path);

// The folder that a person chose: each file with its path below it, and the folder's name.
function chosenIn(files) {
  const found = [...files].map((file) => {
    const [, ...below] = file.webkitRelativePath.split("/");
    return { path: below.join("/"), file };
  });
  const [name] = files[0].webkitRelativePath.split("/");
  return { name, found: found.filter(({ path }) => isKept(path)) };
}

// The folder that a person dropped. A reader gives some hundred entries at a time, then none.
async function droppedIn(entry) {
  const found = [];
  const look = async (folder, above) => {
    const reader = folder.createReader();
    for (;;) {
      const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!batch.length) return;
      for (const one of batch) {
        const path = above + one.name;
        if (one.isDirectory) await look(one, `${path}/`);
        else if (isKept(path)) {
          const file = await new Promise((done, fail) => one.file(done, fail));
          found.push({ path, file });
        }
      }
    }
  };
  await look(entry, "");
  return { name: entry.name, found };
}

// A folder as one file to send; none where there is no image in it.
function packed({ name, found }) {
  return found.every(({ path }) => LIST.test(path)) ? null : tarOf(name, found);
}
