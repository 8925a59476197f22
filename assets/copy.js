// Offers to copy a text that is on the page. Without a script, or where the browser has no clipboard for us, the button stays
// hidden, and the text can be selected.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  if (!text || !navigator.clipboard) continue;
  const says = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not permitted: select it below";
      text.closest("details")?.setAttribute("open", "");
    }
    setTimeout(() => { button.textContent = says; }, 3000);
  });
}
