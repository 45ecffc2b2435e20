// Run by Gradio when the page is there. Its gallery has a button for the clipboard, but does not hear Ctrl+V.
() => document.addEventListener("paste", (event) => {
  const words = event.clipboardData.types.includes("text/plain") && event.target.closest("input, textarea");
  if (words) return; // a table comes with a picture of itself; in a field its text is meant
  const pictures = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  const chooser = document.querySelector("#images input[type=file]");
  if (!pictures.length || !chooser) return;
  event.preventDefault();
  const given = new DataTransfer();
  pictures.forEach((file) => given.items.add(file));
  chooser.files = given.files;
  chooser.dispatchEvent(new Event("change", { bubbles: true }));
})
