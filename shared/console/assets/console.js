// A request's page asks for itself again until it is final. Without this it works by reload.
"use strict";
(() => {
  const first = document.getElementById("live");
  if (!first || first.dataset.final === "true") return;
  const from = new URL(first.dataset.from, location.href);
  if (from.origin !== location.origin) return;
  let wait = 500;
  const look = async () => {
    try {
      const answer = await fetch(from, { credentials: "same-origin", redirect: "error" });
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) return;
      if (answer.ok) {
        const text = await answer.text();
        const page = new DOMParser().parseFromString(text, "text/html");
        const next = page.getElementById("live");
        const now = document.getElementById("live");
        if (next && next.textContent !== now.textContent) {
          // The part that is read aloud stays in the page: only what is in it changes.
          const said = now.querySelector(".now");
          const told = next.querySelector(".now");
          if (said.textContent !== told.textContent) said.replaceChildren(...told.childNodes);
          told.replaceWith(said);
          now.replaceChildren(...next.childNodes);
          now.dataset.state = next.dataset.state;
          now.dataset.final = next.dataset.final;
          wait = 500;
        }
        if (next && next.dataset.final === "true") return;
      }
    } catch {
      // The next look may have an answer.
    }
    wait = Math.min(wait * 1.3, 2000);
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
})();
