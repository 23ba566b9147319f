// Before anything is drawn: light or dark as the reader has chosen, if they have.
"use strict";
try {
  const theme = localStorage.getItem("scrapy-resume-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* without storage it is as the system has it */ }
