"use strict";
// Grades are kept in localStorage by question and document, so that a page that was written anew
// with more rows goes on where this one ended. Texts only ever become text nodes.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const {rows, place, order, header} = data;
  const name = `runoff-label:${data.study}`;
  const $ = (id) => document.getElementById(id);
  const GRADES = new Set(["0", "1", "2", "3", "?"]);
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const shown = (text) => text.replace(/\r\n?/g, "\n").replace(UNSEEN, " ");
  const key = (row) => JSON.stringify([rows[row][place.query_id], rows[row][place.doc_id]]);
  const before = new Map();  // where this page was, for the way back
  const skipped = new Set();
  let kept = {}, current = null, last = null, warned = false, dirty = false;

  function load() {
    try {
      const found = JSON.parse(localStorage.getItem(name) ?? "{}");
      for (const [one, said] of Object.entries(found ?? {})) {
        if (!Array.isArray(said)) continue;
        const [grade, comment] = said;
        kept[one] = [GRADES.has(grade) ? grade : "", typeof comment === "string" ? comment : ""];
      }
    } catch {
      warn();
    }
  }

  function warn() {
    warned = true;
    $("warning").textContent =
      "This browser does not keep your grades: save the table before you close the page.";
    $("warning").hidden = false;
  }

  function keep(row, grade, comment) {
    load();  // another tab may have graded meanwhile
    kept[key(row)] = [grade, comment];
    dirty = true;
    try {
      localStorage.setItem(name, JSON.stringify(kept));
    } catch {
      warn();
    }
  }

  function of(row) {
    const given = rows[row][place.grade].trim();
    const comment = data.comment === null ? "" : rows[row][data.comment] ?? "";
    return kept[key(row)] ?? [GRADES.has(given) ? given : "", comment];
  }

  const waits = (row) => of(row)[0] === "";

  function next() {
    const at = current === null ? -1 : order.indexOf(current);
    const ahead = [...order.slice(at + 1), ...order.slice(0, at + 1)].filter(waits);
    const found = ahead.find((row) => !skipped.has(row)) ?? ahead[0] ?? null;
    if (ahead.length && ahead.every((row) => skipped.has(row))) {
      skipped.clear();
      if (found === current) say("This is the only one left.");
    }
    show(found);
  }

  function show(row, from = current) {
    if (row !== null && from !== null && row !== from) before.set(row, from);
    if (current !== null) last = current;
    current = row;
    const done = row === null;
    for (const id of ["task", "answer"]) $(id).hidden = done;
    $("done").hidden = !done;
    count();
    if (done) {
      if (!order.length) $("done-title").textContent = "There is nothing to grade yet";
      $("done-title").focus();
      return;
    }
    $("question").textContent = shown(rows[row][place.query]);
    $("document").textContent = shown(rows[row][place.text]);
    $("document").scrollTop = 0;
    marks();
    $("question").focus({preventScroll: true});
    scrollTo(0, 0);
  }

  function marks() {
    const [grade, comment] = of(current);
    for (const one of $("grades").children) {
      one.setAttribute("aria-pressed", String(one.dataset.grade === grade));
    }
    $("comment").value = comment;
  }

  function count() {
    const left = order.filter(waits).length;
    $("progress").max = order.length;
    $("progress").value = order.length - left;
    $("left").textContent = left
      ? `${left} of ${order.length} left`
      : `all ${order.length} graded`;
  }

  const say = (text) => { $("said").textContent = text; };

  function commented() {
    if (current !== null && $("comment").value !== of(current)[1]) {
      keep(current, of(current)[0], $("comment").value);
    }
  }

  function grade(value) {
    if (current === null) return;
    keep(current, value, $("comment").value);
    skipped.delete(current);
    const left = order.filter(waits).length;
    say(`${value === "?" ? "Cannot say" : `Grade ${value}`}. ${left} left.`);
    next();
  }

  function skip() {
    if (current === null) return;
    commented();
    if (waits(current)) skipped.add(current);
    say("Skipped: it comes up again at the end.");
    next();
  }

  function back() {
    commented();
    const at = order.indexOf(current ?? last);
    const row = current === null ? last ?? order.at(-1) ?? null : before.get(current) ?? order[at - 1];
    if (row === undefined || row === null) {
      say("This is the first one.");
      return;
    }
    before.delete(current);
    show(row, null);
  }

  function cell(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function table() {
    const graded = new Set(order);
    const extra = data.comment === null ? ["comment"] : [];
    const lines = [[...header, ...extra]];
    rows.forEach((row, at) => {
      const line = [...row];
      if (data.comment === null) line.push("");
      if (graded.has(at)) {
        const [value, comment] = of(at);
        if (value) line[place.grade] = value;
        // a spreadsheet would take it for a formula
        line[data.comment ?? line.length - 1] = /^[=+\-@\t\r]/.test(comment) ? ` ${comment}` : comment;
      }
      lines.push(line);
    });
    return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
  }

  function save() {
    commented();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    dirty = false;
    say(`${data.file} was given to the browser to save.`);
  }

  $("file").textContent = shown(data.file);
  $("save").addEventListener("click", save);
  $("skip").addEventListener("click", skip);
  $("back").addEventListener("click", back);
  $("review").addEventListener("click", back);
  $("comment").addEventListener("change", commented);
  $("grades").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) grade(button.dataset.grade);
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      save();
      return;
    }
    if (event.target === $("comment")) {
      if (event.key === "Escape") {
        commented();
        $("question").focus();
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !$("keys").checked) return;
    const does = {s: skip, b: back, c: () => current !== null && $("comment").focus()};
    if (GRADES.has(event.key)) grade(event.key);
    else if (Object.hasOwn(does, event.key.toLowerCase())) does[event.key.toLowerCase()]();
    else return;
    event.preventDefault();
  });
  addEventListener("storage", (event) => {
    if (event.key !== name) return;
    load();
    count();
    if (current !== null && document.activeElement !== $("comment")) marks();
  });
  addEventListener("beforeunload", (event) => {
    commented();
    if (warned && dirty) event.preventDefault();
  });
  load();
  next();
})();
