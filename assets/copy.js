// One tap copies: the text of the element that `data-copy` names, or what `data-text` holds. Without a script, or where the
// browser has no clipboard for us, these buttons stay hidden, and the texts can be selected.
if (navigator.clipboard) document.documentElement.classList.add("copies");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button || button.dataset.says) return;
  const source = button.dataset.copy && document.getElementById(button.dataset.copy);
  const text = source ? source.textContent : button.dataset.text;
  button.dataset.says = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not permitted: select it";
    source?.closest("details")?.setAttribute("open", "");
  }
  setTimeout(() => {
    button.textContent = button.dataset.says;
    delete button.dataset.says;
  }, 2000);
});

// A way back that needs no new page.
document.addEventListener("click", (event) => {
  const fold = document.getElementById(event.target.closest("a[data-shut]")?.dataset.shut);
  if (!fold) return;
  event.preventDefault();
  fold.removeAttribute("open");
  fold.querySelector("summary").focus();
});
