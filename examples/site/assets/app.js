// The page is the same at every path; what it shows depends on the path.
document.getElementById("path").textContent = location.pathname;
