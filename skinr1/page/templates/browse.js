"use strict";
// Filters [data-groups] elements: each holds groups {diagnosis, tone, split, kind: [...], cases}. An element without a
// matching case is hidden. Links marked data-keep carry the choice to the next page.
(() => {
  const form = document.getElementById("filter");
  const status = document.getElementById("matching");
  const items = [...document.querySelectorAll("[data-groups]")].map((element) => ({
    element, groups: JSON.parse(element.dataset.groups), cell: element.querySelector(".matching"),
  }));
  const count = (groups, fits) => groups.reduce((sum, group) => sum + (fits(group) ? group.cases : 0), 0);

  function apply() {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    const fits = (group) => wanted.every(([name, value]) => [group[name]].flat().includes(value));
    let matching = 0, all = 0;
    for (const { element, groups, cell } of items) {
      const found = count(groups, fits), held = count(groups, () => true);
      element.hidden = found === 0;
      if (cell) cell.textContent = wanted.length ? `${found} of ${held}` : String(held);
      matching += found;
      all += held;
    }
    const kind = form.elements.kind.value;
    for (const part of document.querySelectorAll("[data-kind]")) {
      part.hidden = Boolean(kind) && part.dataset.kind !== kind;
      if (kind && !part.hidden) part.open = true;
    }
    const query = new URLSearchParams(wanted).toString();
    for (const link of document.querySelectorAll("a[data-keep]")) {
      link.href = link.dataset.keep + (query ? "?" + query : "");
    }
    status.textContent = wanted.length ? `${matching} of ${all} ${status.dataset.unit} match.` : "";
  }

  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements[name];
    if (field && [...field.options].some((option) => option.value === value)) field.value = value;
  }
  form.hidden = false;
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
})();
