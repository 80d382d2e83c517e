// Starting from a picture: choosing and dropping one, the mask brush, what is sent, settings in pictures.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PROMPT, generate, missing, open, screenshot, startBrowser, startServer } from "./page.mjs";

let server, browser, page;
let made; // bytes of a picture that the server made

before(async () => {
  if (missing) return;
  server = await startServer();
  browser = await startBrowser({ hasTouch: true });
  page = browser.page;
});

after(async () => {
  await server?.stop();
  await browser?.stop();
});

/** Drops content as a file onto the page. */
const drop = (content, name, type) => page.evaluate(([base64, file, mime]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], file, { type: mime }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}, [content.toString("base64"), name, type]);

/** How much of the mask is painted, 0 to 1. */
const painted = () => page.evaluate(() => {
  const canvas = document.getElementById("mask");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 3; i < data.length; i += 4) n += data[i] > 127;
  return n / (data.length / 4);
});

const stroke = async (from, to) => {
  await page.locator("#frame").evaluate((frame) => frame.scrollIntoView({ block: "nearest" }));
  const box = await page.locator("#mask").boundingBox();
  await page.mouse.move(box.x + box.width * from[0], box.y + box.height * from[1]);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to[0], box.y + box.height * to[1], { steps: 6 });
  await page.mouse.up();
  await page.evaluate(() => new Promise(requestAnimationFrame));
};

test("sends a finished picture back into the form", { skip: missing }, async () => {
  await open(page, server.base);
  await page.click("#example");
  await page.fill("#steps", "8");
  await page.fill("#seed", "7");
  await generate(page);
  made = Buffer.from(await page.evaluate(async () => {
    const bytes = new Uint8Array(await (await fetch(document.querySelector("#run-pictures img").src)).arrayBuffer());
    return [...bytes];
  }));
  await page.click("#run-source");
  await page.waitForSelector("#source-ready:not([hidden])");
  assert.match(await page.textContent("#source-words"), /^128×128\./);
  await page.waitForFunction(() => [...document.querySelectorAll(".phases th")].some((cell) => cell.textContent.startsWith("vae encode")));
});

test("paints a mask, erases, undoes, clears; by mouse and by keyboard", { skip: missing }, async () => {
  await page.locator("#mask").scrollIntoViewIfNeeded();
  await stroke([0.2, 0.5], [0.8, 0.5]);
  const one = await painted();
  assert.ok(one > 0.05 && one < 0.6, `painted ${one}`);
  await page.getByLabel("Erase", { exact: true }).check();
  await stroke([0.5, 0.5], [0.9, 0.5]);
  assert.ok((await painted()) < one);
  await page.click("#mask-undo");
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(await painted(), one);
  await page.click("#mask-clear");
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(await painted(), 0);
  assert.equal(await page.isVisible("#mask-fields"), false);

  await page.getByLabel("Paint", { exact: true }).check();
  await page.focus("#mask");
  for (const key of ["ArrowLeft", "Space", "ArrowRight", "ArrowRight", "ArrowRight", "Space"]) await page.keyboard.press(key);
  await page.focus("#prompt");
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.ok((await painted()) > 0.02);
  assert.equal(await page.isVisible("#mask-fields"), true);
});

test("makes the painted part anew and leaves the rest alone", { skip: missing }, async () => {
  await page.click("#mask-clear");
  await page.locator("#mask").scrollIntoViewIfNeeded();
  await page.fill("#brush-size", "120");
  await stroke([0.1, 0.85], [0.9, 0.85]);
  await page.fill("#denoising_strength", "1");
  await page.fill("#mask_blur", "0");
  await screenshot(page, "mask");
  const request = page.waitForRequest((one) => one.url().endsWith("/img2img"));
  await generate(page);
  const sent = (await request).postDataJSON();
  assert.match(sent.image, /^data:image\/png;base64,/);
  assert.match(sent.mask, /^data:image\/png;base64,/);
  assert.deepEqual(sent.resize_to, { width: 128, height: 128 });
  const [above, below] = await page.evaluate(async (before) => {
    const pixels = async (src) => {
      const img = new Image();
      img.src = src;
      await img.decode();
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 128;
      const context = canvas.getContext("2d");
      context.drawImage(img, 0, 0);
      return context.getImageData(0, 0, 128, 128).data;
    };
    const [a, b] = [await pixels(before), await pixels(document.querySelector("#run-pictures img").src)];
    const difference = (from, to) => {
      let sum = 0;
      for (let i = from * 512; i < to * 512; i++) sum += Math.abs(a[i] - b[i]);
      return sum / ((to - from) * 512);
    };
    return [difference(0, 64), difference(96, 124)];
  }, `data:image/png;base64,${made.toString("base64")}`);
  // Outside of the mask the input's own pixels come back.
  assert.ok(above < 1, `outside of the mask ${above} differs`);
  assert.ok(below > above, `inside of the mask ${below} differs`);
});

test("takes the settings of a picture that is dropped", { skip: missing }, async () => {
  await page.click("#source-remove");
  assert.equal(await page.isVisible("#drop"), true);
  await page.fill("#prompt", "something else");
  await page.fill("#steps", "3");
  await page.fill("#seed", "");
  await drop(made, "star.png", "image/png");
  await page.waitForSelector("#source-settings:not([hidden])");
  await page.click("#source-use");
  assert.equal(await page.inputValue("#prompt"), PROMPT);
  assert.equal(await page.inputValue("#steps"), "8");
  assert.equal(await page.inputValue("#seed"), "7");
  assert.equal(await page.inputValue("#model"), "demo");
  assert.equal(await page.isVisible("#drop"), true, "a picture made from text needs no picture");
});

test("says so where a file is no picture", { skip: missing }, async () => {
  await drop(Buffer.from("not a picture"), "words.txt", "text/plain");
  await page.waitForFunction(() => document.getElementById("source-problem").textContent === "That is not a picture.");
  await drop(Buffer.from("not a picture"), "words.png", "image/png");
  await page.waitForFunction(() => document.getElementById("source-problem").textContent.includes("cannot") || document.getElementById("source-problem").textContent.includes("not a picture that"));
});

test("asks for a prompt before it starts from a picture", { skip: missing }, async () => {
  await drop(made, "star.png", "image/png");
  await page.waitForSelector("#source-ready:not([hidden])");
  await page.fill("#prompt", "");
  await page.click("#generate");
  assert.match(await page.textContent('[data-field="prompt"] .problem'), /say what it should become/);
  await page.click("#source-remove");
  assert.equal(await page.locator('[data-field="prompt"] .problem').count(), 0);
});
