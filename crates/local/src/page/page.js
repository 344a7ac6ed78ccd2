// Replaces the page's content every two seconds, without a reload; stops while the tab is hidden.
async function refresh() {
  if (document.hidden) return;
  try {
    const text = await (await fetch(location.href)).text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.body.classList.remove("muted");
  } catch {
    document.body.classList.add("muted");
  }
}
setInterval(refresh, 2000);
