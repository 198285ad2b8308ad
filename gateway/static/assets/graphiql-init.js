"use strict";

(() => {
  const ENDPOINT = "/api/graphql";
  const TOKEN = "dokploy.token";
  const USER = "dokploy.user";
  const WELCOME = `# Ctrl-Enter runs the query, Ctrl-Space completes, the book on the left is the schema.

query Welcome {
  __typename
}
`;

  const mount = document.getElementById("graphiql");
  const section = document.getElementById("sign-in");
  const form = section.querySelector("form");
  const problem = document.getElementById("problem");
  const session = document.getElementById("session");
  const userName = document.getElementById("user");
  let root = null;

  // GraphiQL's own storage, kept in this tab since queries and variables can hold secrets. Its "Clear data" must leave the token alone.
  const storage = {
    get length() { return sessionStorage.length; },
    getItem: (key) => sessionStorage.getItem(key),
    setItem: (key, value) => sessionStorage.setItem(key, value),
    removeItem: (key) => sessionStorage.removeItem(key),
    clear: () => Object.keys(sessionStorage).filter((key) => key.startsWith("graphiql:")).forEach((key) => sessionStorage.removeItem(key)),
  };

  async function post(path, body, token) {
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    return fetch(path, { method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  }

  function socketUrl() {
    const url = new URL(ENDPOINT, window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  function showForm(message) {
    sessionStorage.removeItem(TOKEN);
    sessionStorage.removeItem(USER);
    if (root) root.unmount();
    root = null;
    mount.hidden = true;
    session.hidden = true;
    section.hidden = false;
    problem.textContent = message || "";
    form.elements.username.focus();
  }

  function showGraphiQL(token, user) {
    const authorization = `Bearer ${token}`;
    const fetcher = window.GraphiQL.createFetcher({
      url: ENDPOINT,
      headers: { Authorization: authorization },
      subscriptionUrl: socketUrl(),
      wsConnectionParams: { Authorization: authorization },
      enableIncrementalDelivery: false,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const current = sessionStorage.getItem(TOKEN) === token;
        if (response.status === 401 && current && init.headers.Authorization === authorization) showForm("Your session has ended. Sign in again.");
        return response;
      },
    });
    section.hidden = true;
    mount.hidden = false;
    session.hidden = false;
    userName.textContent = user;
    root = window.ReactDOM.createRoot(mount);
    root.render(window.React.createElement(window.GraphiQL, { fetcher, defaultQuery: WELCOME, storage }));
  }

  async function signIn(event) {
    event.preventDefault();
    const button = form.querySelector("button");
    const { username, password } = form.elements;
    problem.textContent = "";
    button.disabled = true;
    try {
      const response = await post("/api/auth/login", { username: username.value, password: password.value });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error?.message || `The server answered ${response.status}.`);
      const user = answer.user?.username || username.value;
      sessionStorage.setItem(TOKEN, answer.token);
      sessionStorage.setItem(USER, user);
      password.value = "";
      showGraphiQL(answer.token, user);
    } catch (error) {
      problem.textContent = error instanceof SyntaxError || error instanceof TypeError ? "The server cannot be reached." : error.message;
    } finally {
      button.disabled = false;
    }
  }

  async function signOut() {
    const token = sessionStorage.getItem(TOKEN);
    showForm("");
    sessionStorage.clear();
    await post("/api/auth/logout", undefined, token).catch(() => undefined);
  }

  form.addEventListener("submit", signIn);
  document.getElementById("sign-out").addEventListener("click", signOut);
  const token = sessionStorage.getItem(TOKEN);
  if (token) showGraphiQL(token, sessionStorage.getItem(USER) || "");
  else showForm("");
})();
