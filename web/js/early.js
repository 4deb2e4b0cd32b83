// Sets the theme that the operator chose before anything is drawn, so that the page does not flash in the other one.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("evenkeel-theme");
  } catch {
    // Storage is forbidden: the system's theme is used.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
