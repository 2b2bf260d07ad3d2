"""The web page as a person sees it, in a headless Chromium on loopback: from opening it to the first item on the screen, and
from a key to the next item on the screen. Median and worst of twenty; a browser that has nothing of it yet each time."""
import json
import statistics
import sys

import support

TIMES = 20
GOALS = {"web.page_ready": 300, "web.key_to_next": 50}
SHOW = """
localStorage.setItem('pmpod.name', 'ada');
const look = () => {
  if (document.querySelector('[data-say=accept]')?.disabled === false) window.readyMs = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
# From the key's own time until after the picture that follows it.
KEYS = """
window.keyMs = [];
document.addEventListener('keydown', (event) => {
  const before = document.querySelector('#meta').textContent;
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      const now = document.querySelector('#meta').textContent;
      window.keyMs.push(now && now !== before ? performance.now() - event.timeStamp : null);
    };
    port2.postMessage(0);
  });
}, true);
"""


def line(name, value, goal, holds, reason):
    if "--json" in sys.argv:
        print(json.dumps({"name": name, "value": value, "unit": "ms", "goal": goal, "holds": holds, "reason": reason}))
    else:
        shown = "-" if value is None else f"{value:.6g}"
        print(f"{name} {shown} ms {goal} {'true' if holds else 'false'}{' ' + reason if reason else ''}", flush=True)


def missing(why):
    for name, goal in GOALS.items():
        line(name, None, f"<={goal}", False, why)
    sys.exit(0)


def tell(name, times):
    median, goal = statistics.median(times), GOALS[name]
    line(name, median, f"<={goal}", median <= goal, "" if median <= goal else "other work on the machine counts too")
    line(f"{name}_worst", max(times), "-", True, "")


def page_ready(chromium, url):
    times = []
    for _ in range(TIMES):
        context = chromium.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.add_init_script(SHOW)
        page.goto(url)
        page.wait_for_function("() => window.readyMs !== undefined")
        times.append(page.evaluate("window.readyMs"))
        context.close()
    return times


def key_to_next(chromium, url):
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(SHOW)
    page.goto(url)
    page.wait_for_function("() => window.readyMs !== undefined")
    page.evaluate(KEYS)
    for i in range(TIMES):
        page.wait_for_selector("#stage[data-ahead='6']")
        page.keyboard.press("ar"[i % 2])
        page.wait_for_function("(n) => window.keyMs.length === n", arg=i + 1)
    times = page.evaluate("window.keyMs")
    if None in times:
        missing("the next item was not there at the next picture")
    return times


def main():
    support.skip = missing
    support.enter_venv(__file__)
    browser = support.browser_path()
    from playwright.sync_api import sync_playwright
    daemon = support.Daemon().start()
    try:
        daemon.append(64)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            tell("web.page_ready", page_ready(chromium, daemon.url))
            tell("web.key_to_next", key_to_next(chromium, daemon.url))
            chromium.close()
    finally:
        daemon.end()


if __name__ == "__main__":
    main()
