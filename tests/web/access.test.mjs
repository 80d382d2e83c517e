// The page for everybody: names of fields, contrast in light and dark, keyboard alone, a phone's width.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PHONE, PROMPT, generate, missing, open, screenshot, startBrowser, startServer } from "./page.mjs";

let server;

before(async () => {
  if (!missing) server = await startServer();
});

after(() => server?.stop());

/** Runs work in a browser of its own. */
const withPage = async (options, work) => {
  const { page, stop } = await startBrowser(options);
  try {
    await open(page, server.base);
    await work(page);
  } finally {
    await stop();
  }
};

const openEverything = (page) => page.evaluate(() => {
  for (const part of document.querySelectorAll("main details")) part.open = true;
});

/** Things that a screen reader could not tell, as sentences. */
const problemsOfStructure = (page) => page.evaluate(() => {
  const problems = [];
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest("[aria-hidden=true]");
  const nameOf = (element) => element.getAttribute("aria-label") || [...(element.labels ?? [])].map((label) => label.textContent.trim()).join(" ") ||
    (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent.trim() ?? "").join(" ").trim() ||
    (element.matches("button, a, summary") ? element.textContent.trim() : "");
  for (const element of document.querySelectorAll("input, select, textarea, button, a[href], summary, canvas, progress, dialog, aside, section"))
    if (visible(element) && element.tabIndex >= -1 && !nameOf(element)) problems.push(`no name: ${element.outerHTML.slice(0, 120)}`);
  for (const element of document.querySelectorAll("[aria-hidden=true] :is(input, button, a, select), input[aria-hidden=true]"))
    if (element.tabIndex >= 0) problems.push(`hidden, but the keyboard gets there: ${element.outerHTML.slice(0, 120)}`);
  for (const img of document.images) if (!img.hasAttribute("alt")) problems.push(`no alt: ${img.outerHTML}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push(`the id ${id} stands twice`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-errormessage], label[for]"))
    for (const name of ["aria-labelledby", "aria-describedby", "aria-errormessage", "for"])
      for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) problems.push(`${name} of ${element.id || element.tagName} leads to no ${id}`);
  if (!document.documentElement.lang) problems.push("the page has no language");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!visible(heading)) continue;
    const now = Number(heading.tagName[1]);
    if (now > level + 1) problems.push(`heading ${heading.textContent} skips a level`);
    level = now;
  }
  if (document.querySelectorAll("h1").length !== 1 || document.querySelectorAll("main").length !== 1) problems.push("one h1 and one main");
  return problems;
});

/** Texts, and edges of fields, with less contrast than WCAG's AA asks for. */
const problemsOfContrast = (page) => page.evaluate(() => {
  const sheet = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  // Whatever way a colour is written, the canvas knows it.
  const parse = (colour) => {
    sheet.clearRect(0, 0, 1, 1);
    sheet.fillStyle = colour;
    sheet.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = sheet.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  };
  const over = (top, bottom) => top.rgb.map((x, i) => x * top.a + bottom[i] * (1 - top.a));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.a > 0) layers.push(colour);
      if (colour.a === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const problems = new Set();
  const look = (element, colour, wanted, what) => {
    const below = ground(element);
    const found = ratio(over(parse(colour), below), below);
    if (found < wanted) problems.add(`${what}: ${found.toFixed(2)} to 1, at least ${wanted}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled, option, noscript, .unseen, script")) continue;
    const style = getComputedStyle(element);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    look(element, style.color, large ? 3 : 4.5, `"${text.slice(0, 40)}"`);
  }
  for (const field of document.querySelectorAll("input:not([type=range], [type=radio], [type=checkbox], [type=file]), select, textarea")) {
    if (!field.checkVisibility() || field.disabled) continue;
    look(field, getComputedStyle(field).color, 4.5, `text of ${field.id}`);
    look(field.parentElement, getComputedStyle(field).borderTopColor, 3, `edge of ${field.id}`);
    if (field.placeholder) look(field, getComputedStyle(field, "::placeholder").color, 4.5, `placeholder of ${field.id}`);
  }
  return [...problems];
});

for (const colorScheme of ["light", "dark"])
  test(`has names, order and contrast, ${colorScheme}`, { skip: missing }, () => withPage({ colorScheme }, async (page) => {
    assert.deepEqual(await problemsOfStructure(page), []);
    await openEverything(page);
    await page.fill("#steps", "999");
    await page.click("#generate");
    assert.deepEqual(await problemsOfStructure(page), []);
    assert.deepEqual(await problemsOfContrast(page), []);
    await screenshot(page, `errors-${colorScheme}`);
    await page.fill("#steps", "4");
    await page.fill("#prompt", PROMPT);
    await page.fill("#width", "2048");
    await page.fill("#height", "2048");
    await page.waitForSelector("#size-warning");
    assert.deepEqual(await problemsOfContrast(page), []);
    await page.getByRole("button", { name: /^Use \d/ }).first().click();
    await page.fill("#width", "128");
    await page.fill("#height", "128");
    await generate(page);
    assert.deepEqual(await problemsOfContrast(page), []);
    await screenshot(page, `done-${colorScheme}`);
    await page.waitForSelector("#gallery-grid button");
    await page.locator("#gallery-grid button").first().click();
    await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 4"));
    assert.deepEqual(await problemsOfStructure(page), []);
    assert.deepEqual(await problemsOfContrast(page), []);
    await screenshot(page, `details-${colorScheme}`);
  }));

test("is used by keyboard alone", { skip: missing }, () => withPage({}, async (page) => {
  const focused = () => page.evaluate(() => document.activeElement.id);
  const tabTo = async (id) => {
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press("Tab");
      if ((await focused()) === id) return;
    }
    assert.fail(`Tab does not reach ${id}`);
  };
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the prompt");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "prompt");
  await page.keyboard.type(PROMPT);
  await tabTo("steps");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("5");
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(ring, "solid", "the focus is seen");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("#run-actions:not([hidden])");
  await tabTo("run-details");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#details[open]");
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "run-details");
  await page.waitForFunction(() => document.getElementById("announce").textContent.startsWith("Done"));
}));

test("fits a phone of 360 pixels", { skip: missing }, () => withPage(PHONE, async (page) => {
  const fits = async (when) => {
    const wide = await page.evaluate(() => [...document.querySelectorAll("body *")]
      .filter((element) => element.checkVisibility() && !element.closest(".unseen, .skip") && element.getBoundingClientRect().right > innerWidth + 1)
      .map((element) => element.outerHTML.slice(0, 100)));
    assert.deepEqual(wide, [], when);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, when);
  };
  await fits("at first");
  await openEverything(page);
  await fits("with all parts open");
  const small = await page.evaluate(() => [...document.querySelectorAll("main :is(button, select, .button, summary), main input:not([type=range], [type=radio], [type=checkbox], [type=file])")]
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 28).map((element) => element.id || element.textContent));
  assert.deepEqual(small, [], "large enough for a finger");
  await page.fill("#prompt", PROMPT);
  await page.fill("#steps", "5");
  await screenshot(page, "phone-form");
  await page.tap("#generate");
  await page.waitForSelector("#run-actions:not([hidden])");
  assert.equal(await page.evaluate(() => document.getElementById("stage").getBoundingClientRect().top < innerHeight), true, "the picture is in sight");
  await fits("with a picture");
  await screenshot(page, "phone-done", { fullPage: true });
  await page.tap("#gallery-grid button");
  await page.waitForFunction(() => document.getElementById("details-infotext").textContent.includes("Steps: 5"));
  await fits("with details");
  await screenshot(page, "phone-details");
}));
