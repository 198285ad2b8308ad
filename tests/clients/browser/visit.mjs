// Uses a page of the gateway in Chromium as a person does, and tells what it saw.
//
// Arguments: {"chromium", "port", "page", "picture", "username", "password", "token", "deployment"} as JSON. The page is visited at http://dokploy.example,
// which is that port of this machine; no other name leads anywhere. A visit ends with its last step, or with the first thing that the page's
// Content-Security-Policy refuses. One JSON object comes out: {"seen", "failed", "refused", "said", "requests"}.

import { chromium } from 'playwright-core';

const HOST = 'dokploy.example';
const PATHS = { docs: '/api/docs', redoc: '/api/redoc', graphiql: '/api/graphql' };
const SIZE = { width: 1280, height: 800 };
const STEP_MILLISECONDS = 15_000;

const asked = JSON.parse(process.argv[2]);
const found = { seen: {}, failed: null, refused: [], said: [], requests: [] };

async function docs(page, seen) {
  await page.locator('.opblock').first().waitFor();
  seen.operations = await page.locator('.opblock-summary').evaluateAll((summaries) =>
    summaries.map((summary) => {
      const path = summary.querySelector('[data-path]').dataset.path;
      return `${summary.querySelector('.opblock-summary-method').textContent} ${path}`;
    }),
  );
  await page.getByRole('button', { name: 'Authorize' }).click();
  await page.getByLabel('auth-bearer-value').fill(asked.token);
  const bearer = page.locator('.auth-container').filter({ has: page.getByLabel('auth-bearer-value') });
  await bearer.getByRole('button', { name: 'Apply credentials' }).click();
  await page.locator('.auth-container').getByRole('button', { name: 'Close' }).first().click();
  const operation = page.locator('.opblock-get', { has: page.locator('[data-path="/api/users/me"]') });
  await operation.locator('.opblock-summary-control').click();
  await operation.getByRole('button', { name: 'Execute' }).click();
  const answer = operation.locator('.live-responses-table .response');
  seen.status = await answer.locator('.response-col_status').innerText();
  seen.body = await answer.locator('code.language-json').first().innerText();
  // The answer stands beside the token.
  await page.evaluate(() => window.scrollTo(0, 0));
}

async function redoc(page, seen) {
  await page.locator('[id^="operation/"]').first().waitFor();
  seen.operations = await page.locator('[id^="operation/"]').evaluateAll((sections) => sections.map(({ id }) => id.replace('operation/', '')));
  await page.getByPlaceholder('Search').pressSequentially('rollback');
  const results = page.locator('[data-role="search:results"] [role=menuitem]');
  await results.first().click();
  const details = page.locator('[id="operation/deployments.rollback"]');
  await page.waitForFunction((section) => Math.abs(section.getBoundingClientRect().top) < 100, await details.elementHandle());
  seen.results = await results.evaluateAll((items) => items.map((item) => item.dataset.itemId));
  seen.details = await details.innerText();
}

async function graphiql(page, seen) {
  await page.getByLabel('User name').fill(asked.username);
  await page.getByLabel('Password').fill(asked.password);
  await page.getByRole('button', { name: 'Sign in' }).click();

  const answer = page.locator('.result-window');
  const write = async (query) => {
    const editor = page.locator('.graphiql-query-editor .CodeMirror');
    await editor.click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(query);
    // GraphiQL reads what was written a moment later, and until then takes it for the kind of operation that stood there before.
    const read = ([element, text]) => element.CodeMirror.documentAST?.loc.source.body === text;
    await page.waitForFunction(read, [await editor.elementHandle(), query]);
  };
  const execute = page.getByRole('button', { name: 'Execute query' });
  const answered = async (text) => {
    await answer.getByText(text).first().waitFor();
    return answer.locator('.CodeMirror').evaluate((editor) => editor.CodeMirror.getValue());
  };

  await page.getByRole('button', { name: 'Open settings dialog' }).click();
  await page.getByRole('dialog').getByText('Settings', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });

  await write(`subscription { deploymentEvents(deploymentId: "${asked.deployment}") { seq status } }`);
  await execute.click();
  seen.event = await answered('"deploymentEvents"');
  await page.getByRole('button', { name: 'Stop query' }).click();

  await write('query Name { me { username } } query Address { me { email } }');
  await execute.click();
  await page.getByRole('menuitem', { name: 'Address' }).click();
  seen.chosen = await answered('@example.com');

  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  const explorer = page.locator('.graphiql-doc-explorer');
  await explorer.getByText('Mutation', { exact: true }).waitFor();
  seen.explorer = await explorer.innerText();

  await write('{\n  me {\n    username\n  }\n}\n');
  await execute.click();
  seen.answer = await answered(`"${asked.username}"`);
}

// Everything is watched from before the page's first script. What happens in a worker is only told on the console.
async function watch(page, refused) {
  await page.exposeFunction('toldOfViolation', refused);
  await page.addInitScript(() =>
    window.addEventListener('securitypolicyviolation', (event) => window.toldOfViolation(`${event.effectiveDirective} ${event.blockedURI}`)),
  );
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    found.said.push(message.text());
    if (message.text().includes('Content Security Policy')) refused(message.text());
  });
  page.on('pageerror', (error) => found.said.push(String(error)));
  const outcomes = new Map();
  const outcome = (of) => {
    if (!outcomes.has(of)) outcomes.set(of, found.requests[found.requests.push({ url: of.url() }) - 1]);
    return outcomes.get(of);
  };
  page.on('request', outcome);
  page.on('response', (response) => { outcome(response.request()).status = response.status(); });
  page.on('requestfailed', (request) => { outcome(request).failure = request.failure().errorText; });
  page.on('websocket', (socket) => {
    outcome(socket);
    socket.on('framereceived', () => { outcome(socket).status = 101; });
    socket.on('socketerror', (error) => { outcome(socket).failure = error; });
  });
}

async function visit(page) {
  await page.goto(`http://${HOST}${PATHS[asked.page]}`);
  await { docs, redoc, graphiql }[asked.page](page, found.seen);
  await page.screenshot({ path: asked.picture, animations: 'disabled', caret: 'hide' });
}

const browser = await chromium.launch({
  executablePath: asked.chromium,
  args: [`--host-resolver-rules=MAP ${HOST} 127.0.0.1:${asked.port}, MAP * ~NOTFOUND`],
});
const page = await browser.newPage({ viewport: SIZE });
page.setDefaultTimeout(STEP_MILLISECONDS);
let end;
const violation = new Promise((resolve) => { end = resolve; });
await watch(page, (what) => end(found.refused.push(what)));
await Promise.race([violation, visit(page).catch((error) => { found.failed = String(error); })]);
process.stdout.write(`${JSON.stringify(found)}\n`);
await browser.close();
