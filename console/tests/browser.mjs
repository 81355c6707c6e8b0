// Drives the console in Chromium against a running control plane; started by `crates/control/tests/console.rs`.
// Exits with 1 and says what is wrong at the first check that fails.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const origin = process.env.CONSOLE_ORIGIN;
const token = process.env.CONSOLE_TOKEN;
const [firstAsk, secondAsk, unseenAsk] = process.env.CONSOLE_ASKS.split(",");
const shots = process.env.CONSOLE_SHOTS;
const link = `${origin}/#sign-in=${token}`;
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CONSOLE_BROWSER,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
  timeout: 180_000,
});
const troubles = [];

/** A page that notes whatever must not happen. */
async function open(context) {
  const page = await context.newPage();
  // Only a failing check waits this long.
  page.setDefaultTimeout(120_000);
  page.on("console", (message) => {
    // A refused sign-in is an answer with status 401, which the browser reports as an error of loading.
    if (message.type() === "error" && !message.text().includes("401")) troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:")) troubles.push(`request to another origin: ${url}`);
    if (new URL(url).search.includes(token) || url.includes(`${token}`)) {
      if (!url.includes("#")) troubles.push(`the token is in a request: ${url}`);
    }
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return page;
}

async function check(name, run) {
  await run();
  assert.deepEqual(troubles, [], name);
  console.log(`ok  ${name}`);
}

/** Injected through the debugger, which the page's Content-Security-Policy does not govern. */
async function accessible(page, name) {
  await page.evaluate(axe);
  const result = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  const found = result.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ") + " " + node.failureSummary).join("; ")}`);
  assert.deepEqual(found, [], `${name} is accessible`);
}

const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
const page = await open(context);
let failed = false;
try {
  await check("without a session the console asks to sign in", async () => {
    await page.goto(`${origin}/`);
    await page.getByRole("heading", { name: "Sign in to Bailiwick" }).waitFor();
    await accessible(page, "the sign-in page");
  });

  await check("a foreign token does not sign in", async () => {
    await page.goto(`${origin}/findings#sign-in=${"A".repeat(43)}`);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in to Bailiwick" }).waitFor();
  });

  await check("the link signs in, and leaves the address bar", async () => {
    await page.goto("about:blank");
    await page.goto(link);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    assert.equal(page.url(), `${origin}/`);
    const cookies = await context.cookies();
    assert.equal(cookies.length, 1);
    assert.equal(cookies[0].httpOnly, true);
    assert.equal(cookies[0].sameSite, "Strict");
    assert.equal(await page.evaluate(() => document.cookie), "");
  });

  await check("the link works only once", async () => {
    const other = await browser.newContext();
    const stranger = await open(other);
    await stranger.goto(link);
    await stranger.getByRole("heading", { name: "Sign in to Bailiwick" }).waitFor();
    await stranger.getByText("works once").waitFor();
    await other.close();
  });

  const pages = ["Overview", "Calls", "Sessions", "Findings", "Paths", "Inventory", "Policies", "Ledger", "Approvals"];
  for (const name of pages) {
    await check(`${name} renders and is accessible, light and dark`, async () => {
      await page.getByRole("navigation").getByRole("link", { name }).click();
      await page.getByRole("heading", { level: 1, name }).waitFor();
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await accessible(page, `${name}, ${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: "light" });
    });
  }

  await check("a narrow window does not scroll sideways", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of ["/", "/calls", "/sessions", "/sessions/session-1", "/findings", "/paths", "/inventory", "/approvals", "/ledger", "/policies"]) {
      await page.goto(origin + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${path} is ${wide} px too wide`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  await check("a session is a story that says who chose each value and what was stopped", async () => {
    await page.goto(`${origin}/sessions`);
    await page.locator(".session").first().click();
    await page.waitForURL(`${origin}/sessions/session-1`);
    const stop = page.locator(".story-ask").first();
    await stop.getByText("billing@invoices.example").first().waitFor();
    await stop.getByText("outside text").waitFor();
    await stop.getByText("waits for an answer").waitFor();
    assert.equal(await page.getByText("not-to-be-seen").count(), 0);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await accessible(page, `a session, ${colorScheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.getByRole("link", { name: "All sessions" }).click();
    await page.waitForURL(`${origin}/sessions`);
  });

  await check("a list of hundreds of calls holds few rows, and all can be reached", async () => {
    await page.goto(`${origin}/calls`);
    await page.locator(".call").first().waitFor();
    assert.ok((await page.locator(".call").count()) < 60);
    await page.locator(".calls").focus();
    // Older calls are fetched as the end comes near, so the end moves: scroll as long as it does.
    const oldest = page.getByText("notes-1.md");
    for (let tries = 0; tries < 2_000 && !(await oldest.isVisible()); tries += 1) {
      await page.locator(".calls").evaluate((box) => box.scrollTo(0, box.scrollHeight));
      await page.waitForTimeout(50);
    }
    await oldest.waitFor();
  });

  await check("the keyboard goes through calls and opens one", async () => {
    await page.goto(`${origin}/calls`);
    await page.locator(".call").first().waitFor();
    await page.keyboard.press("j");
    await page.getByRole("complementary", { name: /^Call / }).waitFor();
    const first = page.url();
    await page.keyboard.press("ArrowDown");
    await page.waitForURL((url) => url.href !== first);
    await accessible(page, "a call's detail");
    await page.keyboard.press("Escape");
    await page.waitForURL(`${origin}/calls`);
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await page.getByRole("heading", { level: 1, name: "Findings" }).waitFor();
  });

  await check("a finding shows its evidence with file and line, by keyboard", async () => {
    const head = page.locator(".finding-head").first();
    await head.focus();
    await page.keyboard.press("Enter");
    await page.locator(".path .place").first().waitFor();
    assert.match(await page.locator(".path .place").first().innerText(), /:\d+$/);
    await accessible(page, "an open finding");
  });

  await check("a search leads to what a thing can reach and who can reach it, one click each", async () => {
    await page.goto(`${origin}/paths`);
    await page.getByLabel("Search the graph").fill("home");
    const found = page.getByRole("list", { name: "Found" }).getByRole("listitem").first();
    await found.getByRole("button", { name: "Who can reach it" }).click();
    await page.waitForURL(/\/paths\/anyone/);
    await page.locator(".path .place").first().waitFor();
    await page.getByRole("button", { name: /^Who can reach /, pressed: true }).waitFor();
    assert.equal(await page.getByRole("list", { name: "Found" }).count(), 0, "what was found does not stand before the answer");
    await accessible(page, "paths to a thing");
    await page.getByLabel("Search the graph").fill("cursor");
    await page.getByRole("button", { name: "What can it reach" }).first().click();
    await page.waitForURL(/to%20jewels$/);
    await page.locator(".patch summary").first().click();
    await page.emulateMedia({ colorScheme: "dark" });
    await accessible(page, "what an agent can reach, with a patch");
    await page.emulateMedia({ colorScheme: "light" });
  });

  await check("an ask shows who chose each value and hides secrets; Shift+A approves it", async () => {
    await page.goto(`${origin}/approvals/${firstAsk}`);
    const question = page.getByRole("article");
    await question.getByText("billing@invoices.example", { exact: true }).waitFor();
    await question.getByText("outside text").waitFor();
    await question.getByText("github/get_issue").waitFor();
    assert.ok(!(await page.content()).includes("not-to-be-seen"), "a secret is shown");
    await page.keyboard.press("a");
    await page.keyboard.press("Shift+A");
    await page.getByText("Approved once.").waitFor();
  });

  await check("an answered ask cannot be answered again", async () => {
    const status = await page.evaluate(
      async ([ask]) => {
        const key = localStorage.getItem("bailiwick.page");
        const headers = { "x-bailiwick-page": key, "content-type": "application/json" };
        const body = JSON.stringify({ approved: true, scope: "session", binding: "0" });
        const response = await fetch(`/api/asks/${ask}/answer`, { method: "POST", headers, body });
        return [response.status, (await response.json()).type];
      },
      [firstAsk],
    );
    assert.deepEqual(status, [409, "urn:bailiwick:problem:ask-answered"]);
    troubles.length = 0; // The browser reports the 409 that we wanted.
  });

  await check("an ask whose arguments cannot be shown says so, and can only be denied", async () => {
    await page.goto(`${origin}/approvals/${unseenAsk}`);
    await page.getByText("Not all of its arguments can be shown").waitFor();
    await page.getByText("What cannot be shown can only be denied.").waitFor();
    assert.equal(await page.getByText("This call has no arguments").count(), 0);
    assert.ok(await page.getByRole("button", { name: /^Approve once/ }).isDisabled());
    assert.ok(await page.getByRole("button", { name: /^Approve for the session/ }).isDisabled());
    await accessible(page, "an ask that cannot be shown");
    await page.keyboard.press("Shift+A");
    await page.getByRole("button", { name: /^Deny/ }).click();
    await page.getByText("Denied.", { exact: true }).waitFor();
  });

  await check("the next ask is denied with its button", async () => {
    await page.goto(`${origin}/approvals/${secondAsk}`);
    await page.getByRole("button", { name: /^Deny/ }).click();
    await page.getByText("Denied.", { exact: true }).waitFor();
    await page.getByText("No call is waiting").waitFor();
  });

  await check("everything is stopped with a second press, and goes on again", async () => {
    await page.goto(`${origin}/`);
    await page.getByRole("button", { name: "Stop everything" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Stop everything" }).click();
    await page.getByRole("button", { name: "Deny every call" }).click();
    await page.getByText("Everything is stopped.").waitFor();
    await accessible(page, "a stop");
    await page.goto(`${origin}/inventory`);
    await page.getByText("Everything is stopped.").waitFor();
    await page.getByRole("button", { name: "Resume everything" }).click();
    await page.getByText("Everything is stopped.").waitFor({ state: "detached" });
  });

  await check("the ledger verifies from the console", async () => {
    await page.goto(`${origin}/ledger`);
    await page.getByRole("button", { name: "Verify now" }).click();
    await page.getByText("Nothing is wrong").waitFor();
  });

  await check("signing out ends the session", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Bailiwick" }).waitFor();
    await page.goto(`${origin}/calls`);
    await page.getByRole("heading", { name: "Sign in to Bailiwick" }).waitFor();
  });
} catch (error) {
  failed = true;
  console.error(error);
  if (troubles.length > 0) console.error(troubles.join("\n"));
  if (shots) await page.screenshot({ path: `${shots}/failed.png` });
}
await browser.close();
process.exitCode = failed ? 1 : 0;
