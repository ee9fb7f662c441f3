// Draws digits on the page of examples/serve in headless Chromium, with the mouse, a finger and the keyboard; reads what the network
// makes of them, and takes screenshots.
//
//   npm install playwright-core
//   node draw.mjs http://127.0.0.1:8080 pictures [chromium]
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, pictures, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

// Strokes in a square of side 1: points, and arcs of circles and ellipses in degrees from 3 o'clock, clockwise.
const arc = (x, y, rx, ry, from, to) =>
  Array.from({ length: 25 }, (_, i) => ((from + (to - from) * i / 24) * Math.PI) / 180)
    .map(angle => [x + rx * Math.cos(angle), y + ry * Math.sin(angle)]);
const DIGITS = {
  0: [arc(.5, .5, .2, .32, -90, 270)],
  1: [[[.45, .25], [.52, .18], [.52, .82]]],
  2: [[...arc(.48, .34, .18, .16, -170, 45), [.32, .8], [.7, .8]]],
  3: [[...arc(.47, .34, .17, .15, -150, 90), ...arc(.47, .65, .2, .17, -90, 150)]],
  4: [[[.38, .2], [.3, .55], [.68, .55]], [[.6, .3], [.58, .85]]],
  5: [[[.66, .2], [.38, .2], [.36, .45], ...arc(.47, .62, .2, .2, -110, 140)]],
  6: [[[.6, .17], [.42, .4], ...arc(.5, .65, .17, .17, -160, 200)]],
  7: [[[.3, .2], [.68, .2], [.46, .82]]],
  8: [[...arc(.5, .34, .15, .15, 90, -270), ...arc(.5, .66, .18, .17, -90, 270)]],
  9: [[...arc(.5, .36, .16, .16, 0, -360), [.66, .36], [.6, .84]]],
};

let failures = 0;
const check = (good, what) => {
  if (!good) failures++;
  console.log(`${good ? "ok  " : "FAIL"} ${what}`);
};

const read = page => page.$$eval("#answers li", rows => rows.map(row => parseFloat(row.querySelector(".percent").textContent)));

// The probabilities, once they no longer move.
async function settled(page) {
  for (let before = "", same = 0; same < 4; ) {
    await page.waitForTimeout(60);
    const now = String(await read(page));
    same = now === before && !now.includes("NaN") ? same + 1 : 0;
    before = now;
  }
  return read(page);
}

const best = percents => percents.indexOf(Math.max(...percents));

async function mouse(page, strokes) {
  const box = await page.locator("#sheet").boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  for (const [first, ...others] of strokes) {
    await page.mouse.move(...at(first));
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...at(point), { steps: 4 });
    await page.mouse.up();
  }
}

async function finger(page, strokes) {
  const box = await page.locator("#sheet").boundingBox();
  const session = await page.context().newCDPSession(page);
  const send = (type, point) => session.send("Input.dispatchTouchEvent", {
    type, touchPoints: point ? [{ x: box.x + point[0] * box.width, y: box.y + point[1] * box.height }] : [],
  });
  for (const [first, ...others] of strokes) {
    await send("touchStart", first);
    for (const point of others) await send("touchMove", point);
    await send("touchEnd");
  }
}

async function open(browser, options) {
  const page = await (await browser.newContext(options)).newPage();
  page.on("console", message => message.type() === "error" && check(false, `console: ${message.text()}`));
  page.on("pageerror", error => check(false, `page: ${error.message}`));
  page.on("request", request => request.url().startsWith(url) || request.url().startsWith("data:") || check(false, `asks ${request.url()}`));
  await page.goto(url);
  return page;
}

const shot = (page, name) => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });

await mkdir(pictures, { recursive: true });
const profile = await mkdtemp(join(tmpdir(), "draw-"));
const browser = await chromium.launch({ executablePath, args, env: { ...process.env, HOME: profile } });
try {
  const desktop = await open(browser, { viewport: { width: 1280, height: 800 } });
  await shot(desktop, "desktop-empty");
  for (const [digit, strokes] of Object.entries(DIGITS)) {
    await desktop.keyboard.press("Escape");
    await mouse(desktop, strokes);
    const percents = await settled(desktop);
    check(best(percents) === Number(digit), `mouse draws ${digit}, read as ${best(percents)} with ${Math.max(...percents)} %`);
    const sum = percents.reduce((a, b) => a + b);
    if (Math.abs(sum - 100) > .6) check(false, `the probabilities add up to ${sum} %`);
  }
  await desktop.keyboard.press("Escape");

  // The bars move as it is drawn: a 7 begins as something else.
  const [seven] = DIGITS[7];
  const box = await desktop.locator("#sheet").boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  const seen = new Set();
  await desktop.mouse.move(...at(seven[0]));
  await desktop.mouse.down();
  for (const point of seven.slice(1)) {
    await desktop.mouse.move(...at(point), { steps: 10 });
    seen.add(String(await settled(desktop)));
  }
  await desktop.mouse.up();
  check(seen.size === 2, "the probabilities move while the button is down");
  await desktop.waitForTimeout(600);
  check((await desktop.textContent("#status")) === "I read a 7.", `status: ${await desktop.textContent("#status")}`);
  await shot(desktop, "desktop-light");
  await desktop.click("#clear");
  check((await desktop.textContent("#answers")).includes("–"), "Clear clears");

  await desktop.focus("#sheet");
  for (const key of [..."U".repeat(8), " ", ..."D".repeat(17), " "]) {
    await desktop.keyboard.press({ U: "ArrowUp", D: "ArrowDown" }[key] ?? key);
  }
  check(best(await settled(desktop)) === 1, "the keyboard draws a 1");
  await shot(desktop, "desktop-keyboard");

  // More points than a call may have arguments.
  await desktop.keyboard.press("Escape");
  await desktop.evaluate(() => {
    strokes = [Array.from({ length: 200_000 }, (_, i) => [SIDE / 2, SIDE * (.2 + .6 * i / 200_000)])];
    draw();
    return ask();
  });
  check(best(await settled(desktop)) === 1, "a stroke of 200,000 points is read");

  // An answer that is none is an error, and the next stroke asks again.
  const astray = await (await browser.newContext()).newPage();
  await astray.goto(url);
  await astray.route("**/predict", route => route.fulfill({ json: {} }), { times: 1 });
  const error = astray.waitForEvent("pageerror");
  await mouse(astray, [[[.5, .2], [.5, .2]]]);
  await error;
  await mouse(astray, DIGITS[1]);
  check(best(await settled(astray)) === 1, "an answer that is none does not end the asking");

  // For the README: a 4, or a 9?
  const page = await open(browser, { viewport: { width: 880, height: 640 } });
  await mouse(page, [[...arc(.47, .36, .15, .15, -90, -340), [.62, .4]], [[.63, .24], [.6, .84]]]);
  await settled(page);
  await page.waitForTimeout(600);
  await shot(page, "page");

  const dark = await open(browser, { viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  await mouse(dark, DIGITS[3]);
  await settled(dark);
  await dark.waitForTimeout(600);
  await shot(dark, "desktop-dark");

  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  for (const [colorScheme, digit] of [["light", 5], ["dark", 2]]) {
    const page = await open(browser, { ...phone, colorScheme });
    await finger(page, DIGITS[digit]);
    check(best(await settled(page)) === digit, `a finger draws ${digit}`);
    await page.waitForTimeout(600);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    check(!wide, "the page is not wider than the phone");
    await shot(page, `phone-${colorScheme}`);
  }
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
process.exitCode = failures ? 1 : 0;
