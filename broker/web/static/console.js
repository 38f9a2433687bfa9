// The console works without this file but for copying, searching scopes and examples.
"use strict";
addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
addEventListener("input", (event) => {
  const found = event.target.id === "scope-search" && event.target.closest("[data-search]");
  if (!found) return;
  const wanted = event.target.value.toLowerCase().split(/\s+/);
  for (const label of found.querySelectorAll(".choices label")) {
    const text = label.textContent.toLowerCase();
    label.hidden = !label.firstElementChild.checked && !wanted.every((word) => text.includes(word));
  }
});
addEventListener("change", (event) => {
  if (event.target.id !== "example" || !event.target.value) return;
  const { path, body } = event.target.selectedOptions[0].dataset;
  document.getElementById("method").value = event.target.value;
  document.getElementById("path").value = path;
  document.getElementById("body").value = body;
});
