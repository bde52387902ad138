// Listens for images pasted anywhere on the page and hands them to the server.

const MOST_BYTES = 18 * 2 ** 20;

export default function ({ parentElement, setTriggerValue }) {
  const hint = parentElement.querySelector(".hint");
  const paste = (event) => {
    const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
    if (!item) return;
    event.preventDefault();
    const file = item.getAsFile();
    if (file.size > MOST_BYTES) {
      hint.textContent = "The pasted image is over 18 MiB; add it as a file instead.";
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("pasted", reader.result);
    reader.readAsDataURL(file);
  };
  parentElement.oversureLeave?.(); // Streamlit calls only the last function returned
  document.addEventListener("paste", paste);
  parentElement.oversureLeave = () => document.removeEventListener("paste", paste);
  return () => parentElement.oversureLeave();
}
