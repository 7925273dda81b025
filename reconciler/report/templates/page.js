"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  theme.parentElement.hidden = false;
  theme.addEventListener("change", () => {
    if (theme.value) root.dataset.theme = theme.value;
    else delete root.dataset.theme;
  });

  const age = document.getElementById("age");
  const tellAge = () => {
    const minutes = Math.floor((Date.now() - Date.parse(age.dataset.at)) / 60000);
    if (!(minutes >= 0)) return;
    const [size, unit] = minutes < 60 ? [1, "minute"] : minutes < 2880 ? [60, "hour"] : [1440, "day"];
    const count = Math.floor(minutes / size);
    age.textContent = `(${count} ${unit}${count === 1 ? "" : "s"} ago)`;
    age.classList.toggle("old", minutes >= 1440);
  };
  tellAge();
  setInterval(tellAge, 60000);

  const form = document.querySelector(".filter");
  const rows = [...document.querySelectorAll("tr[data-name]")];
  const groups = [...document.querySelectorAll("details.group")];
  const opened = new Map(groups.map((group) => [group, group.open]));
  const name = document.getElementById("name");
  const what = document.getElementById("what");
  const found = document.getElementById("found");
  form.hidden = rows.length < 2;
  const filter = () => {
    const wanted = name.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = row.dataset.name.toLowerCase().includes(wanted);
      const left = what.value === "any" ? row.dataset.what === "" : what.value !== row.dataset.what;
      row.hidden = !fits || (what.value !== "" && left);
      count += row.hidden ? 0 : 1;
    }
    const filtering = wanted !== "" || what.value !== "";
    for (const group of groups) {
      const left = group.querySelector("tr[data-name]:not([hidden])") !== null;
      group.hidden = filtering && !left;
      group.open = filtering ? left : opened.get(group);
    }
    found.textContent = filtering ? `${count} of ${rows.length} shown` : "";
  };
  name.addEventListener("input", filter);
  what.addEventListener("change", filter);
  for (const tile of document.querySelectorAll("a[data-what]")) {
    tile.addEventListener("click", () => {
      name.value = "";
      what.value = tile.dataset.what;
      filter();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
})();
