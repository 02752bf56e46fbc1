"use strict";
// Fetches the page anew and puts its content in place when it has changed.
(() => {
  const every = 2000;
  let tag = null;
  const look = async () => {
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href, { headers, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const now = document.querySelector("main");
        const next = fresh.querySelector("main");
        if (now && next && now.innerHTML !== next.innerHTML) now.replaceWith(next);
        document.title = fresh.title;
      }
      document.getElementById("stale").hidden = true;
    } catch {
      document.getElementById("stale").hidden = false;
    }
    setTimeout(look, document.hidden ? 5 * every : every);
  };
  setTimeout(look, every);
})();
