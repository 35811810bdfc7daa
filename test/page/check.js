// Checks the pages in a folder: node check.js FOLDER SCREENSHOTS CHROMIUM
"use strict";
const fs = require("fs"), path = require("path"), url = require("url");
const puppeteer = require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [, , folder, shots, executablePath] = process.argv;
const widths = [360, 768, 1280, 1600];
const faults = [];
let checks = 0;
const check = (good, what) => {
  checks++;
  if (!good) faults.push(what);
};

// What is wider than the window, apart from what scrolls by itself.
const overflow = () => {
  const room = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > room) found.push("the page");
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest(".hex, .fields, .scroll, .hidden") && !e.matches(".hex, .fields, .scroll")) continue;
    const r = e.getBoundingClientRect();
    if (r.width && (r.right > room + 1 || r.left < -1)) found.push(e.tagName + "." + e.getAttribute("class"));
  }
  return found;
};
const unfoldAll = () => document.querySelectorAll(".view:not([hidden]) .row[aria-expanded=false]").forEach((r) => r.click());

const axeFaults = async (page, what) => {
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  checks++;
  for (const v of result.violations) faults.push(what + ": axe: " + v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(" | "));
};

// The keyboard alone steps, unfolds, walks through the fields and comes back.
const keyboard = async (page, name) => {
  const press = async (...keys) => {
    for (const k of keys) await page.keyboard.press(k);
  };
  const now = () =>
    page.evaluate(() => {
      const f = document.activeElement, box = f.closest(".detail") || (f.closest(".step") || document).querySelector(".detail");
      return {
        cls: f.className, current: f.getAttribute("aria-current"), expanded: f.getAttribute("aria-expanded"), offset: f.dataset.o, length: f.dataset.l,
        position: document.querySelector(".view:not([hidden]) .position").textContent, selected: f.getAttribute("aria-selected"),
        outline: getComputedStyle(f).outlineStyle, marked: [...(box ? box.querySelectorAll(".hex mark") : [])].map((m) => m.textContent),
        raw: box && box.querySelector(".hex") && box.querySelector(".hex").hex ? box.querySelector(".hex").hex.bytes : null,
      };
    });
  const at = (s, want, what) => check(want(s), name + ": keyboard: " + what + ": " + JSON.stringify({ ...s, raw: undefined }));
  await press("ArrowRight");
  at(await now(), (s) => s.cls === "row" && s.current === "step" && s.position.startsWith("Step 1 of ") && s.outline !== "none", "the first step, with a visible focus");
  await press("ArrowRight", "ArrowDown");
  at(await now(), (s) => s.position.startsWith("Step 3 of "), "the third step");
  await press("ArrowLeft", "ArrowUp");
  at(await now(), (s) => s.position.startsWith("Step 1 of "), "back at the first step");
  await press("End");
  const end = await now();
  at(end, (s) => /^Step (\d+) of \1$/.test(s.position), "the last step");
  await press("ArrowRight");
  at(await now(), (s) => s.position === end.position, "nothing comes after the last step");
  await press("Home", "Enter");
  at(await now(), (s) => s.expanded === "true", "Enter unfolds");
  await press("Tab");
  at(await now(), (s) => /^field/.test(s.cls) && s.selected === "true" && s.outline !== "none", "Tab leads to the fields");
  await press("ArrowDown");
  const field = await now();
  at(field, (s) => {
    const want = s.raw.slice(+s.offset, +s.offset + +s.length).map((b) => b.toString(16).padStart(2, "0")).join(" ");
    const hex = s.marked.filter((_, i) => i % 2 === 0).join(" ");
    return +s.length > 0 && hex === want;
  }, "a field's bytes are marked");
  await press("Tab");
  at(await now(), (s) => s.cls === "hex", "Tab leads to the bytes");
  await press("Escape");
  at(await now(), (s) => s.cls === "row" && s.expanded === "false" && s.current === "step", "Escape folds, and leads back");
  await press("Space");
  at(await now(), (s) => s.expanded === "true", "Space unfolds");
  await press("Enter");
  if (!(await page.$("[role=tab]"))) return;
  await page.focus("[role=tab][aria-selected=true]");
  await press("ArrowRight");
  check(
    await page.evaluate(() => {
      const tab = document.activeElement, panels = [...document.querySelectorAll(".view")];
      return tab.getAttribute("aria-selected") === "true" && !document.getElementById(tab.getAttribute("aria-controls")).hidden && panels.filter((p) => !p.hidden).length === 1;
    }),
    name + ": keyboard: the other tab",
  );
  await press("ArrowLeft");
};

// The buttons unfold one step after the other.
const buttons = async (page, name) => {
  const open = () => page.evaluate(() => [...document.querySelectorAll(".row")].map((r, i) => (r.getAttribute("aria-expanded") === "true" ? i : -1)).filter((i) => i >= 0));
  await page.reload();
  for (const want of [0, 1, 2]) {
    await page.click(".view:not([hidden]) .next");
    check(String(await open()) === String(want), name + ": Next unfolds step " + want);
  }
  await page.click(".view:not([hidden]) .previous");
  check(String(await open()) === "1", name + ": Previous goes back");
};

(async () => {
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  for (const file of fs.readdirSync(folder).filter((f) => f.endsWith(".html"))) {
    const name = file.replace(".html", ""), address = url.pathToFileURL(path.join(folder, file)).href;
    const page = await browser.newPage();
    page.on("console", (m) => faults.push(name + ": console: " + m.text()));
    page.on("pageerror", (e) => faults.push(name + ": " + e.message));
    page.on("dialog", async (d) => {
      faults.push(name + ": a dialog: " + d.message());
      await d.dismiss();
    });
    page.on("request", (r) => r.url() === address || faults.push(name + ": asks for " + r.url()));
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: scheme === "dark" ? "reduce" : "no-preference" }]);
      for (const width of widths) {
        const what = name + ", " + scheme + ", " + width;
        await page.setViewport({ width, height: 900 });
        await page.goto(address);
        check((await page.evaluate(() => getComputedStyle(document.body).backgroundColor)) === (scheme === "dark" ? "rgb(15, 18, 22)" : "rgb(250, 250, 248)"), what + ": the scheme");
        const folded = await page.evaluate(overflow);
        check(!folded.length, what + ": too wide: " + folded.slice(0, 5).join(", "));
        await page.screenshot({ path: path.join(shots, name + "-" + scheme + "-" + width + ".png"), fullPage: true });
        await page.evaluate(unfoldAll);
        const unfolded = await page.evaluate(overflow);
        check(!unfolded.length, what + ": unfolded, too wide: " + unfolded.slice(0, 5).join(", "));
        if (width === 1280 || (width === 360 && name === "failure")) await axeFaults(page, what);
      }
      check((await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)) === (scheme === "dark" ? "auto" : "smooth"), name + ": motion");
    }
    await page.goto(address);
    if (await page.$(".row")) {
      await keyboard(page, name);
      await buttons(page, name);
      await page.screenshot({ path: path.join(shots, name + "-stepped.png"), fullPage: true });
    }
    check(await page.evaluate(() => !document.querySelector("img") && document.scripts.length === 1), name + ": only its own elements");
    await page.close();
  }
  await browser.close();
  console.log(JSON.stringify({ checks, faults }));
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
