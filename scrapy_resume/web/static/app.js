// Keys, times in the reader's zone, fresh numbers, actions with a preview. No library, no build.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const body = document.body;

  // ---- times

  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const ago = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return `${Math.round(seconds / size)} ${unit} ago`;
    }
    return seconds < 5 ? "just now" : `${Math.round(seconds)} s ago`;
  };
  const showTimes = (root = document) => {
    for (const time of $$("time", root)) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      const text = time.classList.contains("ago")
        ? ago(Math.max(0, (Date.now() - at) / 1000))
        : zoned.format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // ---- light and dark

  const themes = ["auto", "light", "dark"];
  const nextTheme = () => {
    const now = document.documentElement.dataset.theme || "auto";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("scrapy-resume-theme", next); } catch { /* not kept then */ }
    toast(next === "auto" ? "Light or dark as the system has it" : `Always ${next}`);
  };

  // ---- messages

  const toast = (text, isError = false) => {
    const one = document.createElement("div");
    one.className = isError ? "toast error" : "toast";
    one.textContent = text;
    $("#toasts").append(one);
    setTimeout(() => one.remove(), isError ? 10000 : 4000);
  };

  // ---- fresh numbers: the page is fetched again, and what differs of its live parts is put in

  let fetching = false;
  let again = false;
  let fetchedAt = Date.now();
  const isBusy = (part) =>
    part.contains(document.activeElement) && document.activeElement.matches("input, select") ||
    $("[data-pick]:checked", part) !== null;
  const refresh = async () => {
    if (document.hidden) return; // it is fetched when the reader comes back
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.status === 401) { stop(); setLive("off", "logged out"); return; }
      const type = answer.headers.get("content-type") || "";
      if (!type.startsWith("text/html")) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.status === 404) { gone(fresh); return; }
      if (!answer.ok) return;
      fetchedAt = Date.now();
      swap(fresh);
    } catch {
      setLive("off", "no answer");
    } finally {
      fetching = false;
      if (again) { again = false; setTimeout(refresh, 500); }
    }
  };
  const swap = (fresh) => {
    for (const part of $$("[data-live]")) {
      // The pages after the first one are what the reader has turned to: they stay.
      if (part.dataset.live === "" && part.hasAttribute("data-paged")) continue;
      const other = fresh.getElementById(part.id);
      if (other === null || isBusy(part)) continue;
      showTimes(other);
      if (other.innerHTML === part.innerHTML) continue;
      const open = $$("details[open]", part).map((one) => one.id);
      const focus = part.contains(document.activeElement) ? keyOf(document.activeElement) : null;
      const scrolled = $$(".scroll", part).map((one) => [one.scrollLeft, one.scrollTop]);
      part.replaceChildren(...other.childNodes);
      for (const id of open) { const one = document.getElementById(id); if (one) one.open = true; }
      $$(".scroll", part).forEach((one, at) => {
        if (scrolled[at]) [one.scrollLeft, one.scrollTop] = scrolled[at];
      });
      if (focus) { const one = $$("a, button", part).find((each) => keyOf(each) === focus); if (one) one.focus(); }
    }
    point(pointed, false);
    showPicked();
  };
  const keyOf = (element) => element.getAttribute("href") || element.dataset.action || element.id;
  const gone = (fresh) => {
    stop();
    $("#main").replaceChildren(...$("#main", fresh).childNodes);
  };

  const setLive = (state, text) => {
    const sign = $("#live");
    sign.hidden = false;
    sign.className = `live ${state}`;
    const words = $(".live-text", sign);
    if (words.textContent !== text) words.textContent = text;
    sign.title = text;
  };

  let stream = null;
  let polling = null;
  let stamp = null;
  const start = () => {
    if (stream || !body.dataset.stream) return;
    stream = new EventSource(body.dataset.stream);
    stream.onopen = () => { setLive("on", "live"); clearInterval(polling); polling = null; };
    stream.addEventListener("changed", (event) => {
      const isFirst = stamp === null;
      if (event.data === stamp) return;
      stamp = event.data;
      // What has changed between the page and the stream shows with the first word of it.
      if (!isFirst || Date.now() - fetchedAt > 1000 || document.readyState !== "complete") refresh();
      else setTimeout(refresh, 1000);
    });
    stream.onerror = () => {
      setLive("off", "reconnecting");
      if (stream && stream.readyState === EventSource.CLOSED) {
        stop();
        setLive("off", "every 10 s");
        polling = setInterval(refresh, 10000);
      }
    };
  };
  const stop = () => {
    if (stream) stream.close();
    stream = null;
    clearInterval(polling);
    polling = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else { start(); refresh(); }
  });
  addEventListener("pageshow", (event) => { if (event.persisted) { stop(); start(); refresh(); } });
  addEventListener("pagehide", stop);

  // ---- actions

  const NAMES = {
    retry: ["Retry", "fetched again"], park: ["Park", "parked: not fetched until they are retried"],
    skip: ["Skip", "skipped for good, in later numbers too"],
  };
  const STEP_NAMES = { retry: ["Retry", "tried again"], skip: ["Skip", "given up: their items are complete without them"] };
  const POSSIBLE = {
    retry: ["failed", "parked", "done", "ignored"], park: ["pending", "failed"],
    skip: ["pending", "failed", "parked", "done", "ignored"],
  };
  const noun = body.dataset.noun || "request";
  const counted = (count, what = noun) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
  const post = async (url, fields) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Scrapy-Resume": "dashboard" },
      body: JSON.stringify(fields),
    });
    let document_ = {};
    try { document_ = await answer.json(); } catch { /* said below */ }
    if (!answer.ok) throw new Error(document_.error || `The dashboard answered ${answer.status}`);
    return document_;
  };
  const ask = (title, text, yes, urls = []) => new Promise((resolve) => {
    const dialog = $("#confirm");
    $("#confirm-title").textContent = title;
    $("#confirm-text").textContent = text;
    $("#confirm-list").replaceChildren(...urls.map((url) => {
      const line = document.createElement("li");
      line.textContent = url;
      return line;
    }));
    const button = $("#confirm-yes");
    button.textContent = yes;
    button.hidden = !yes;
    $("#confirm-no").textContent = yes ? "Cancel" : "Close";
    let answer = false;
    button.onclick = () => { answer = true; dialog.close(); };
    $("#confirm-no").onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    (yes ? button : $("#confirm-no")).focus();
  });
  const change = async (action, url, filters) => {
    const [verb, what] = (filters.step ? STEP_NAMES : NAMES)[action];
    const [amount, listed, one] = filters.step ? ["steps", "items", "step"] : ["requests", "urls", noun];
    const preview = await post(url, { ...filters, dry_run: true });
    const left = preview.consumed
      ? ` Left alone: ${counted(preview.consumed, "item")} whose input was consumed; fetch their pages again.` : "";
    if (!preview[amount]) {
      await ask(`${verb}: nothing`, `No ${one} matches that can be changed so.${left}`, "");
      return;
    }
    const meant = counted(preview[amount], one);
    const more = preview[amount] - preview[listed].length;
    const lines = more > 0 ? [...preview[listed], `and ${more.toLocaleString("en")} more`] : preview[listed];
    const name = filters.step ? ` “${filters.step}”` : "";
    if (!await ask(`${verb} ${meant}${name}?`, `${meant} would be ${what}.${left}`, `${verb} ${meant}`, lines)) return;
    const done = await post(url, { ...filters, expect: preview[amount] });
    toast(`${counted(done[amount], one)} ${done[amount] === 1 ? "is" : "are"} ${what}`);
  };
  const act = async (action, url, filters) => {
    try {
      if (action === "stop") {
        if (!await ask("Stop the crawl?", "Its workers finish what is in flight and pause. The same command goes on.", "Stop")) return;
        const done = await post(url, {});
        toast(done.asked.length ? `${done.asked.join(", ")} was asked to stop` : "Nobody crawls it");
      } else if (action === "recover") {
        if (!await ask("Recover the job?", "What dead workers have in hand is taken back and becomes pending.", "Recover")) return;
        const done = await post(url, {});
        toast(done.workers.length ? `${counted(done.requests)} taken back` : "No dead worker holds anything");
      } else {
        await change(action, url, filters);
      }
    } catch (error) {
      toast(error.message, true);
    }
    for (const pick of $$("[data-pick]:checked")) pick.checked = false;
    showPicked();
    refresh();
  };
  const bulk = (button) => {
    const action = button.dataset.bulk;
    const picks = $$("[data-pick]:checked");
    const step = $("#bulk").dataset.step;
    if (!picks.length) {
      const filters = button.dataset.filters ?? $("#bulk").dataset.filters;
      if (filters) return act(action, button.dataset.url, JSON.parse(filters));
      toast("None that are listed can be changed so: choose other states", true);
      return undefined;
    }
    if (step) return act(action, button.dataset.url, { step, items: picks.map((pick) => pick.dataset.pick) });
    const states = [...new Set(picks.map((pick) => pick.dataset.state))].filter((state) => POSSIBLE[action].includes(state));
    if (!states.length) { toast(`None of them can be changed so: only ${POSSIBLE[action].join(", ")}`, true); return undefined; }
    return act(action, button.dataset.url, { ids: picks.map((pick) => Number(pick.dataset.pick)), state: states });
  };
  const showPicked = () => {
    const sign = $("#picked");
    if (!sign) return;
    const count = $$("[data-pick]:checked").length;
    const what = $("#bulk").dataset.step ? "item" : noun;
    sign.textContent = count ? `${counted(count, what)} selected` : "All that match";
    $("#bulk").classList.toggle("some", count > 0);
    const all = $("#pick-all");
    if (all) { all.checked = count > 0 && count === $$("[data-pick]").length; all.indeterminate = count > 0 && !all.checked; }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.action) act(button.dataset.action, button.dataset.url, JSON.parse(button.dataset.filters));
    else if (button.dataset.bulk) bulk(button);
    else if (button.dataset.copy) {
      try { await navigator.clipboard.writeText(button.dataset.copy); toast("Copied"); }
      catch { await ask("The command", button.dataset.copy, ""); }
    } else if (button.id === "theme") nextTheme();
    else if (button.id === "help") $("#keys").showModal();
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "pick-all") for (const pick of $$("[data-pick]")) pick.checked = event.target.checked;
    if (event.target.matches("[data-pick], #pick-all")) showPicked();
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });
  // What is empty does not stand in the URL.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    for (const field of $$("input, select", event.target)) if (field.name && !field.value) field.disabled = true;
    setTimeout(() => { for (const field of $$("input, select", event.target)) field.disabled = false; });
  });

  // ---- keys

  let pointed = null;
  const point = (key, isMoved = true) => {
    for (const row of $$(".cursor")) row.classList.remove("cursor");
    if (key === null) return;
    const row = $$("[data-row]").find((one) => one.dataset.key === key);
    if (!row) return;
    pointed = key;
    row.classList.add("cursor");
    if (isMoved) {
      row.scrollIntoView({ block: "nearest" });
      const link = $("[data-main]", row);
      if (link) link.focus({ preventScroll: true });
    }
  };
  const move = (by) => {
    const rows = $$("[data-row]");
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.dataset.key === pointed);
    const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
    point(rows[to].dataset.key);
  };
  const tab = (by) => {
    const tabs = $$(".tabs a");
    const at = tabs.findIndex((one) => one.hasAttribute("aria-current"));
    const to = tabs[Math.max(at, 0) + by];
    if (to) to.click();
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && isTyping) { event.target.blur(); return; }
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const row = $(".cursor");
    if (event.key === "/") { const field = $("[data-search]"); if (field) { event.preventDefault(); field.focus(); field.select(); } }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "Enter" && row && !event.target.matches("a, button, summary")) { const link = $("[data-main]", row); if (link) link.click(); }
    else if (event.key === "x" && row) { const pick = $("[data-pick]", row); if (pick) { pick.checked = !pick.checked; showPicked(); } }
    else if (event.key === "[") tab(-1);
    else if (event.key === "]") tab(1);
    else if (event.key === "g") location.assign(`${body.dataset.base}/`);
    else if (event.key === "t") nextTheme();
    else if (event.key === "?") $("#keys").showModal();
  });

  showTimes();
  showPicked();
  setInterval(showTimes, 5000);
  const current = $(".tabs [aria-current]");
  if (current) current.parentElement.scrollLeft = current.offsetLeft - 40;
  if (!document.hidden) start();
})();
