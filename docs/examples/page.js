for (const outcome of ["connected", "pending", "cancelled", "failed"]) {
  document.addEventListener(outcome, ({ detail }) => {
    document.getElementById("heard").textContent = `${outcome}: ${detail.code}`;
  });
}
