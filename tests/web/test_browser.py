"""The page in a real browser: items are judged by keys, by two people at once, over a reload and over a restart of the
daemon, and every verdict is kept once."""
import collections
import sys
import unittest

import support

support.enter_venv(__file__)
CHROMIUM = support.browser_path()
try:
    from playwright.sync_api import sync_playwright
except ImportError as error:
    support.skip(f"playwright: {error}")

HERE_NOW = "() => document.querySelector('[data-say=accept]')?.disabled === false"
ALL_SENT = "() => document.querySelector('#counts')?.dataset.unsent === '0'"


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.chromium = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

    @classmethod
    def tearDownClass(cls):
        cls.chromium.close()
        cls.playwright.stop()

    def setUp(self):
        self.daemon = support.Daemon().start()
        self.addCleanup(self.daemon.end)
        self.complaints = []

    def page(self, path="", **how):
        context = self.chromium.new_context(viewport={"width": 1280, "height": 800}, **how)
        self.addCleanup(context.close)
        page = context.new_page()
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("console", lambda m: self.complaints.append(m.text) if "Content Security Policy" in m.text else None)
        page.on("dialog", lambda d: self.complaints.append(f"dialog: {d.message}"))
        page.goto(self.daemon.url + path)
        return page

    def labeler(self, name, **how):
        page = self.page(**how)
        page.fill("input[name=name]", name)
        page.keyboard.press("Enter")
        return page

    def judge(self, page, keys):
        for key in keys:
            page.wait_for_function(HERE_NOW)
            page.keyboard.press(key)

    def sign_in(self, page, token):
        page.wait_for_selector("input[name=token]:visible")
        page.fill("input[name=token]", token)
        page.keyboard.press("Enter")

    def counted(self, *people, token=None):
        """Active verdicts by person; each of another item and another request. token: an observer's."""
        active = [v for v in self.daemon.verdicts(token) if v["state"] == "active"]
        for who in people:
            mine = [v for v in active if v["who"] == f"local:{who}"]
            self.assertEqual(len(mine), len({v["item"] for v in mine}), f"{who} judged an item twice")
        self.assertEqual(len(active), len({v["request_id"] for v in active}))
        return collections.Counter((v["who"].removeprefix("local:"), v["judgement"]) for v in active)

    def tearDown(self):
        self.assertEqual([], self.complaints)

    def test_fifty_items_by_keys(self):
        self.daemon.append(64)
        page = self.labeler("ada")
        self.assertNotIn("token", page.url)
        page.wait_for_selector(".stage img")
        self.judge(page, "araas" * 10)
        page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 30, ("ada", "reject"): 10, ("ada", "skip"): 10}, dict(self.counted("ada")))
        page.wait_for_function("() => /learning|waits/.test(document.querySelector('#learner').textContent)")

    def test_what_an_actor_sent_is_text(self):
        self.daemon.append(4)
        page = self.labeler("ada")
        page.wait_for_selector(".stage .text")
        self.assertIn("<script>alert(1)</script>", page.inner_text(".stage .text p"))
        self.assertEqual(0, page.locator(".stage script, .stage b").count())

    def test_two_at_once_share_the_items(self):
        self.daemon.append(64)
        pages = [self.labeler("ada"), self.labeler("bob")]
        for _ in range(25):
            for page, key in zip(pages, "ar"):
                self.judge(page, key)
        for page in pages:
            page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 25, ("bob", "reject"): 25}, dict(self.counted("ada", "bob")))
        active = [v["item"] for v in self.daemon.verdicts() if v["state"] == "active"]
        self.assertEqual(50, len(set(active)), "one item was given to both")

    def test_a_reload_in_the_middle(self):
        self.daemon.append(64)
        page = self.labeler("ada")
        self.judge(page, "a" * 13)
        page.reload()
        self.judge(page, "r" * 12)
        page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 13, ("ada", "reject"): 12}, dict(self.counted("ada")))

    def test_a_restart_of_the_daemon_in_the_middle(self):
        self.daemon.append(64)
        page = self.labeler("ada")
        self.judge(page, "a" * 20)
        page.wait_for_function(ALL_SENT)
        page.wait_for_selector("#stage[data-ahead='6']")
        self.daemon.stop(9)
        page.keyboard.press("r")
        page.wait_for_function("() => document.querySelector('#counts').dataset.unsent === '1'")
        page.wait_for_selector("#link[data-state=off]")
        self.daemon.start()
        page.wait_for_function(ALL_SENT, timeout=30000)
        self.judge(page, "s" * 9)
        page.wait_for_function(ALL_SENT)
        counted = dict(self.counted("ada"))
        # A key that is pressed while the page leases anew may find no item; what was given is kept once.
        self.assertIn(counted.pop(("ada", "skip")), (8, 9))
        self.assertEqual({("ada", "accept"): 20, ("ada", "reject"): 1}, counted)

    def test_verdicts_wait_for_the_network(self):
        self.daemon.append(16)
        page = self.labeler("ada")
        page.wait_for_selector("#stage[data-ahead='6']")
        page.context.set_offline(True)
        self.judge(page, "aaa")
        page.wait_for_function("() => document.querySelector('#counts').dataset.unsent === '3'")
        self.assertEqual({}, dict(self.counted("ada")))
        page.context.set_offline(False)
        page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 3}, dict(self.counted("ada")))

    def test_undo_and_confidence(self):
        self.daemon.append(16)
        page = self.labeler("ada")
        self.judge(page, "a")
        page.wait_for_function(ALL_SENT)
        first = self.daemon.verdicts()[0]["item"]
        self.assertNotIn(f"Item {first} ", page.inner_text("#meta"))
        page.keyboard.press("u")
        page.wait_for_function("(item) => document.querySelector('#meta').textContent.startsWith(`Item ${item} `)", arg=first)
        page.keyboard.press("2")
        page.keyboard.press("r")
        page.wait_for_function(ALL_SENT)
        active = [v for v in self.daemon.verdicts() if v["state"] == "active"]
        self.assertEqual([(first, "reject")], [(v["item"], v["judgement"]) for v in active])
        self.assertAlmostEqual(0.4, active[0]["confidence"], places=5)

    def test_buttons_touch_and_a_phone_s_width(self):
        self.daemon.append(16)
        context = {"has_touch": True, "is_mobile": True}
        page = self.labeler("ada", **context)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_function(HERE_NOW)
        for say in ("accept", "reject", "skip"):
            page.wait_for_function(HERE_NOW)
            button = page.locator(f"[data-say={say}]")
            box = button.bounding_box()
            self.assertGreaterEqual(box["height"], 44)
            self.assertLessEqual(box["x"] + box["width"], 390)
            self.assertLessEqual(box["y"] + box["height"], 844)
            button.tap()
        page.wait_for_function(ALL_SENT)
        self.assertEqual(3, sum(self.counted("ada").values()))
        self.assertEqual(390, page.evaluate("document.documentElement.scrollWidth"))

    def test_what_a_screen_reader_hears(self):
        self.daemon.append(16)
        page = self.labeler("ada")
        self.judge(page, "a")
        page.wait_for_function("() => document.querySelector('#say').textContent.startsWith('Accepted ')")
        self.assertEqual("polite", page.get_attribute("#say", "aria-live"))
        for name in ("Accept", "Reject", "Skip", "Undo"):
            self.assertEqual(1, page.get_by_role("button", name=name).count(), name)
        self.assertEqual(5, page.get_by_role("radio").count())
        self.assertNotEqual("", page.get_attribute(".stage img", "alt"))
        for _ in range(30):  # by the keyboard alone
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.say") == "skip":
                break
        page.keyboard.press("Enter")
        page.wait_for_function(ALL_SENT)
        self.assertEqual(1, self.counted("ada")[("ada", "skip")])

    def test_the_run_is_shown_and_controlled(self):
        self.daemon.append(64, "plain")
        page = self.labeler("ada")
        self.judge(page, "ar" * 12)
        page.wait_for_function(ALL_SENT)
        page.click("#tab-run")
        page.wait_for_selector("#tiles dd")
        page.wait_for_selector("#curves canvas", timeout=30000)
        page.wait_for_function("() => [...document.querySelectorAll('#actors th')].some((e) => e.textContent === 'painter')")
        page.wait_for_function("() => [...document.querySelectorAll('#people th')].some((e) => e.textContent === 'local:ada')")
        page.click("[data-do=pause]")
        page.wait_for_selector("#state[data-state=paused]")
        page.click("[data-do=resume]")
        page.wait_for_function("() => document.querySelector('#state').dataset.state !== 'paused'")
        page.fill("[id='set-optim.lr']", "0.0005")
        page.keyboard.press("Enter")
        self.assertIn("0.0005", page.inner_text("dialog h2"))
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector("dialog", state="detached")
        page.fill("[id='set-optim.lr']", "0.0005")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog")
        page.keyboard.press("Enter")
        page.wait_for_function("() => [...document.querySelectorAll('#events li')].some((e) => e.textContent.includes('optim.lr'))")
        self.daemon.stop()
        page.wait_for_selector("#state[data-state=offline]")
        self.daemon.start()
        page.wait_for_function("() => !['offline', ''].includes(document.querySelector('#state').dataset.state)")

    def test_without_the_start_s_token(self):
        context = self.chromium.new_context()
        self.addCleanup(context.close)
        page = context.new_page()
        page.goto(self.daemon.base)
        page.wait_for_selector("input[name=token]")
        page.fill("input[name=name]", "eve")
        page.fill("input[name=token]", "x" * 43)
        page.keyboard.press("Enter")
        page.wait_for_selector(".error:visible")
        page.fill("input[name=token]", self.daemon.url)  # the whole address will do
        page.keyboard.press("Enter")
        page.wait_for_selector(".stage")

    def with_tokens(self, **roles):
        """The daemon with 16 items, begun anew with a token for each name."""
        self.daemon.append(16)
        self.daemon.stop()
        tokens = {name: self.daemon.make_token(name, role) for name, role in roles.items()}
        self.daemon.start()
        return tokens

    def test_each_role_s_own_token(self):
        tokens = self.with_tokens(ada="labeler", eye="observer", boss="operator")
        brief = self.daemon.make_token("brief", "labeler", "--expires", "1s")
        page = self.page()
        for wrong in ("pmp_" + "x" * 43, tokens["eye"]):
            self.sign_in(page, wrong)
            page.wait_for_selector(".error:visible")
            page.reload()  # and nothing is kept of it
        support.eventually(lambda: self.daemon.request("POST", "/api/session", {"token": brief})[0] == 401)
        self.sign_in(page, brief)
        page.wait_for_selector(".error:visible")
        self.assertIn("expired", page.inner_text(".error"))
        self.sign_in(page, tokens["ada"])
        self.judge(page, "ar")
        page.wait_for_function(ALL_SENT)
        page.reload()  # the session goes on
        self.judge(page, "a")
        page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 2, ("ada", "reject"): 1}, dict(self.counted(token=tokens["eye"])))
        page.click("#tab-run")
        self.sign_in(page, tokens["eye"])
        page.wait_for_selector("#tiles dd")
        page.click("[data-do=pause]")
        page.fill("dialog input", tokens["boss"])
        page.keyboard.press("Enter")
        page.wait_for_selector("#state[data-state=paused]")
        for token in tokens.values():
            self.assertNotIn(token, (self.daemon.root / "log").read_text())

    def test_a_token_revoked_in_the_middle(self):
        tokens = self.with_tokens(ada="labeler", eye="observer")
        page = self.page()
        self.sign_in(page, tokens["ada"])
        self.judge(page, "aaa")
        page.wait_for_function(ALL_SENT)
        page.wait_for_selector("#stage[data-ahead='6']")
        page.context.set_offline(True)
        self.judge(page, "rr")
        self.daemon.pmpoctl("token", "revoke", "ada")
        support.eventually(lambda: self.daemon.request("POST", "/api/session", {"token": tokens["ada"]})[0] == 401)
        page.context.set_offline(False)
        page.wait_for_selector("input[name=token]:visible")
        page.wait_for_selector(".error:visible")
        self.assertEqual({("ada", "accept"): 3}, dict(self.counted(token=tokens["eye"])))
        self.sign_in(page, self.daemon.make_token("ada", "labeler"))
        page.wait_for_function(ALL_SENT)
        self.assertEqual({("ada", "accept"): 3, ("ada", "reject"): 2}, dict(self.counted(token=tokens["eye"])))

    def test_over_tls(self):
        self.daemon.append(16)
        self.daemon.stop()
        self.daemon.make_certificate()
        self.daemon.start()
        page = self.labeler("ada", ignore_https_errors=True)
        self.assertTrue(page.url.startswith("https://"))
        page.wait_for_selector(".stage img")
        self.judge(page, "arars")
        page.wait_for_function(ALL_SENT)
        self.assertEqual(5, sum(self.counted("ada").values()))
        page.click("#tab-run")
        page.wait_for_selector("#tiles dd")

    def test_a_film(self):
        self.daemon.end()
        self.daemon = support.Daemon(config=support.SOURCE / "examples" / "people" / "cheetah-reward.yaml").start()
        self.addCleanup(self.daemon.end)
        self.daemon.act("control", "--clips", "50", "--clip-every", "60")
        page = self.labeler("ada")
        page.wait_for_function("() => document.querySelector('.stage video') || document.querySelector('.stage table')", timeout=60000)
        if not page.locator(".stage video").count() or self.daemon.actor.poll() is not None:
            self.skipTest("this actor draws no films: " + (self.daemon.root / "actor.log").read_text()[-300:])
        film = "document.querySelector('.stage video')"
        page.wait_for_function(f"() => !{film}.paused && {film}.readyState === 4")
        self.assertEqual([True, True, True, False], page.evaluate(f"(v => [v.loop, v.muted, v.playsInline, v.controls])({film})"))
        page.evaluate(f"() => {{ window.laps = 0; {film}.addEventListener('seeking', () => window.laps++); }}")
        page.wait_for_function("() => window.laps > 1")  # from the end to the beginning
        self.assertRegex(page.get_attribute(".stage video", "aria-label"), r"film without sound .* 0\.5 s")
        page.keyboard.press(" ")
        page.wait_for_function(f"() => {film}.paused")
        page.get_by_role("button", name="Play the film").click()
        page.wait_for_function(f"() => !{film}.paused")
        page.keyboard.press("f")
        self.assertEqual(0.5, page.evaluate(f"{film}.playbackRate"))
        page.click(".as-numbers summary")
        # Conditions and actions of 50 steps.
        page.wait_for_function("() => document.querySelectorAll('.as-numbers tr').length === 100")
        page.wait_for_function("() => document.querySelector('#wings video')?.readyState >= 3")  # the next one is decoded
        following = page.evaluate("document.querySelector('#wings video').src")
        page.keyboard.press("a")
        page.wait_for_function(f"(src) => {film}?.src === src", arg=following)
        page.wait_for_function(f"() => !{film}.paused")
        page.keyboard.press("u")
        page.wait_for_function("() => /[0-9]/.test(document.querySelector('#reference').textContent)")
        page.wait_for_function("() => /waits for 20 more verdicts/.test(document.querySelector('#learner').textContent)")

    def test_how_fast(self):
        """Figures; the bounds are wide, for machines that do other things too."""
        self.daemon.append(64)
        page = self.labeler("ada")
        page.wait_for_function(HERE_NOW)
        page.wait_for_timeout(1000)
        times = page.evaluate("""async () => {
          const out = [];
          for (let i = 0; i < 5; i++) {
            const before = document.querySelector('#meta').textContent, start = performance.now();
            document.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true }));
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            if (document.querySelector('#meta').textContent === before) throw new Error('the next item is not there');
            out.push(performance.now() - start);
          }
          return out;
        }""")
        fresh = self.page()
        ready = fresh.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        print(f"label key to next item: {max(times):.1f} ms at most; page ready: {ready:.0f} ms", file=sys.stderr)
        self.assertLess(min(times), 50)


if __name__ == "__main__":
    unittest.main()
