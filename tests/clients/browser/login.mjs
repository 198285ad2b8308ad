// Logs in by an OpenID provider in Chromium as a person does, and tells where that ended.
//
// Argument: {"chromium", "url", "login", "end"} as JSON. The login is begun at `url`, and ends at a page that begins with `end`. The forms
// are those of the npm package `oidc-provider`. One JSON object comes out: {"url", "text", "cookies"}; the cookies are their names.

import { chromium } from 'playwright-core';

const STEP_MILLISECONDS = 15_000;
const asked = JSON.parse(process.argv[2]);

const browser = await chromium.launch({ executablePath: asked.chromium });
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MILLISECONDS);
  await page.goto(asked.url);
  await page.locator('input[name=login]').fill(asked.login);
  await page.locator('input[name=password]').fill('anything');
  await page.locator('button[type=submit]').click();
  await page.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
  await page.locator('button[type=submit]').click();
  await page.waitForURL((url) => url.href.startsWith(asked.end));
  const cookies = (await context.cookies()).map(({ name }) => name);
  console.log(JSON.stringify({ url: page.url(), text: await page.locator('body').innerText(), cookies }));
} finally {
  await browser.close();
}
