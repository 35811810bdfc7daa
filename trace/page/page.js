"use strict";
document.documentElement.classList.add("js");

// Tabs: who tells.
for (const list of document.querySelectorAll("[role=tablist]")) {
  const tabs = [...list.children];
  const select = (chosen, focus) => {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) chosen.focus();
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (e) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!move) return;
      e.preventDefault();
      e.stopPropagation();
      select(tabs[(i + move + tabs.length) % tabs.length], true);
    });
  });
  select(tabs[0]);
}

// Bytes: rows of text, of which those of a field are marked.
const columnsOf = (box) => {
  const probe = document.createElement("span");
  probe.textContent = "0".repeat(100);
  box.append(probe);
  const per = probe.getBoundingClientRect().width / 100;
  probe.remove();
  const room = (box.clientWidth - 20) / per;
  return room >= 6 + 16 * 4 + 1 ? 16 : 8;
};
class Hex {
  constructor(box) {
    this.box = box;
    this.bytes = (box.textContent.trim().match(/../g) || []).map((b) => parseInt(b, 16));
    this.from = this.to = 0;
    this.draw();
  }
  draw() {
    this.width = columnsOf(this.box);
    this.rows = [];
    const code = document.createElement("code");
    for (let at = 0; at < this.bytes.length; at += this.width) {
      const row = document.createElement("span");
      this.rows.push(row);
      code.append(row, "\n");
    }
    this.box.replaceChildren(code);
    this.rows.forEach((_, i) => this.row(i));
  }
  row(i) {
    const at = i * this.width;
    const part = this.bytes.slice(at, at + this.width);
    const hex = part.map((b) => b.toString(16).padStart(2, "0"));
    const text = part.map((b) => (b > 32 && b < 127 ? String.fromCharCode(b) : "."));
    const a = Math.max(0, Math.min(part.length, this.from - at)), z = Math.max(a, Math.min(part.length, this.to - at));
    const offset = document.createElement("span");
    offset.className = "at";
    offset.textContent = at.toString(16).padStart(4, "0") + "  ";
    const pad = "   ".repeat(this.width - part.length) + "  ";
    const pieces = [offset];
    const marked = (list, between) => {
      const before = list.slice(0, a).join(between), on = list.slice(a, z).join(between), after = list.slice(z).join(between);
      pieces.push(before + (before && (on || after) ? between : ""));
      if (on) {
        const mark = document.createElement("mark");
        mark.textContent = on;
        pieces.push(mark, after ? between : "");
      }
      pieces.push(after);
    };
    marked(hex, " ");
    pieces.push(pad);
    marked(text, "");
    this.rows[i].replaceChildren(...pieces);
  }
  show(from, to) {
    const old = [this.from, this.to];
    this.from = from;
    this.to = to;
    for (const [a, z] of [old, [from, to]]) {
      for (let i = Math.floor(a / this.width); i < this.rows.length && i * this.width < z; i++) this.row(i);
    }
    const first = this.rows[Math.floor(from / this.width)];
    if (to > from && first) {
      const box = this.box.getBoundingClientRect(), line = first.getBoundingClientRect();
      if (line.top < box.top || line.bottom > box.bottom) this.box.scrollTop += line.top - box.top - box.height / 3;
    }
  }
}

// Fields: each shows its bytes.
const inspect = (detail) => {
  const box = detail.querySelector(".hex");
  if (!box || box.hex) return;
  box.hex = new Hex(box);
  new ResizeObserver(() => {
    if (box.clientWidth && columnsOf(box) !== box.hex.width) box.hex.draw();
  }).observe(box);
  const fields = [...detail.querySelectorAll(".field")];
  const where = detail.querySelector(".where");
  let chosen = null;
  const show = (f) => {
    const from = +f.dataset.o, n = +f.dataset.l, name = f.querySelector(".name").textContent;
    box.hex.show(from, from + n);
    where.textContent = n ? name + ": " + n + (n === 1 ? " byte" : " bytes") + " at offset " + from : name + ": derived from the bytes around it";
  };
  const choose = (f, focus) => {
    for (const o of fields) {
      o.tabIndex = o === f ? 0 : -1;
      o.setAttribute("aria-selected", o === f);
    }
    chosen = f;
    if (focus) f.focus();
    show(f);
  };
  fields.forEach((f, i) => {
    f.addEventListener("mouseenter", () => show(f));
    f.addEventListener("mouseleave", () => chosen && show(chosen));
    f.addEventListener("focus", () => choose(f));
    f.addEventListener("click", () => choose(f, true));
    f.addEventListener("keydown", (e) => {
      const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: fields.length - 1 }[e.key];
      if (e.key === "ArrowLeft" || e.key === "ArrowRight") e.stopPropagation();
      if (to === undefined) return;
      e.preventDefault();
      e.stopPropagation();
      if (fields[to]) choose(fields[to], true);
    });
  });
};

// Steps.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const views = [...document.querySelectorAll(".view")].map((view) => {
  const steps = [...view.querySelectorAll(".step")], rows = steps.map((s) => s.querySelector(".row"));
  const position = view.querySelector(".position"), previous = view.querySelector(".previous"), next = view.querySelector(".next");
  let at = -1;
  const go = (i, focus) => {
    if (i < 0 || i >= steps.length) return;
    at = i;
    steps.forEach((s, n) => {
      s.classList.toggle("current", n === i);
      s.classList.toggle("later", n > i);
    });
    rows.forEach((r, n) => (n === i ? r.setAttribute("aria-current", "step") : r.removeAttribute("aria-current")));
    position.textContent = "Step " + (i + 1) + " of " + steps.length;
    if (focus) rows[i].focus({ preventScroll: true });
    rows[i].scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  };
  const unfold = (i, open) => {
    steps[i].classList.toggle("unfolded", open);
    rows[i].setAttribute("aria-expanded", open);
    if (open) inspect(steps[i]);
  };
  rows.forEach((row, i) => {
    row.addEventListener("click", () => {
      go(i);
      unfold(i, row.getAttribute("aria-expanded") !== "true");
    });
    row.addEventListener("keydown", (e) => {
      const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: steps.length - 1 }[e.key];
      if (to === undefined || e.altKey || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      go(to, true);
    });
    steps[i].querySelector(".detail").addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      unfold(i, false);
      go(i, true);
    });
  });
  // With the buttons, one step at a time is unfolded.
  const turn = (by) => {
    const to = at + by;
    if (to < 0 || to >= steps.length) return;
    if (at >= 0) unfold(at, false);
    go(to);
    unfold(to, true);
  };
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  return { view, go: (by) => go(at + by, true) };
});
let last = views[0];
for (const v of views) v.view.addEventListener("focusin", () => (last = v));
document.addEventListener("keydown", (e) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (!by || !last || e.altKey || e.ctrlKey || e.metaKey || e.target.closest(".hex, .scroll")) return;
  e.preventDefault();
  const v = last.view.hidden ? views.find((o) => !o.view.hidden) : last;
  v.go(by);
});
