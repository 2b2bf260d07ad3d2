"""The page, its interface, its events and /metrics over TLS, by Python's own client and the CA that pmpoctl makes; and what
speaks no TLS to that port, or stops in the middle of a handshake, gets an end."""
import http.client
import json
import socket
import ssl
import unittest
import urllib.error
import urllib.request

import support

ENOUGH_S = 30  # for what comes at once on an idle machine


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = support.Daemon("limits.hello_timeout_ms=1000").start()
        cls.addClassCleanup(cls.daemon.end)
        cls.daemon.append(32)
        cls.daemon.stop()
        cls.daemon.make_certificate()
        cls.daemon.start()
        cls.port = int(cls.daemon.base.rpartition(":")[2])

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=ENOUGH_S, context=self.daemon.trust)

    def alive(self):
        self.assertEqual(200, self.daemon.request("GET", "/api/about")[0])

    def test_the_page_and_what_it_is_made_of(self):
        self.assertTrue(self.daemon.url.startswith("https://127.0.0.1:"), self.daemon.url)
        connection = self.connect()
        for path in ("/", "/app.js", "/style.css", "/chart.js", "/openapi.json"):  # over one connection
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            self.assertEqual((200, int(answer.headers["Content-Length"])), (answer.status, len(body)), path)
            self.assertIn("default-src", answer.headers["Content-Security-Policy"])
        self.assertIn(connection.sock.version(), ("TLSv1.2", "TLSv1.3"))
        connection.close()

    def test_both_versions_and_no_older_one(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(self.daemon.dir / "tls" / "ca.pem"))
            context.minimum_version = context.maximum_version = version
            with urllib.request.urlopen(self.daemon.base + "/api/about", timeout=ENOUGH_S, context=context) as answer:
                self.assertTrue(json.load(answer)["tls"])

    def test_only_who_trusts_the_ca_goes_on(self):
        with self.assertRaises(urllib.error.URLError) as refused:
            urllib.request.urlopen(self.daemon.base, timeout=ENOUGH_S)
        self.assertIsInstance(refused.exception.reason, ssl.SSLCertVerificationError)
        self.alive()

    def test_items_and_verdicts(self):
        session = self.daemon.session("labeler", "ada")
        status, said = self.daemon.request("POST", "/api/lease", {"count": 4}, session)
        self.assertEqual((200, 4), (status, len(said["items"])))
        medium = next(m for m in said["items"][0]["media"] if "url" in m)
        request = urllib.request.Request(self.daemon.base + medium["url"], headers={"Authorization": f"Bearer {session}"})
        with urllib.request.urlopen(request, timeout=ENOUGH_S, context=self.daemon.trust) as answer:
            self.assertEqual(medium["bytes"], len(answer.read()))
        verdicts = [{"request_id": f"tls-{i['item']}", "item": i["item"], "judgement": "accept"} for i in said["items"]]
        status, answered = self.daemon.request("POST", "/api/verdicts", {"verdicts": verdicts}, session)
        self.assertEqual((200, ["ok"] * 4), (status, [r["code"] for r in answered["results"]]))
        self.assertEqual(4, sum(v["who"] == "local:ada" for v in self.daemon.verdicts()))

    def test_a_body_of_many_records(self):
        session = self.daemon.session("labeler", "bob")
        verdicts = [{"request_id": f"big-{i}", "item": f"{900 + i}:0", "judgement": "reject", "note": "x" * 4000} for i in range(200)]
        status, said = self.daemon.request("POST", "/api/verdicts", {"verdicts": verdicts}, session)
        self.assertEqual((200, {"not found"}, 200), (status, {r["code"] for r in said["results"]}, len(said["results"])))
        self.alive()

    def test_events_come_as_they_happen(self):
        session = self.daemon.session("observer", "eye")
        connection = self.connect()
        connection.request("GET", "/api/live", headers={"Authorization": f"Bearer {session}"})
        answer = connection.getresponse()
        self.assertEqual("text/event-stream", answer.headers["Content-Type"].partition(";")[0])
        heard = []
        while len(heard) < 3:
            line = answer.readline()
            self.assertTrue(line, "the stream ended")
            if line.startswith(b"data: "):
                heard.append(json.loads(line[6:])["numbers"]["process.uptime_s"])
        self.assertEqual(sorted(set(heard)), heard)
        connection.close()

    def test_metrics(self):
        status, text = self.daemon.request("GET", "/metrics")
        self.assertEqual(200, status)
        self.assertIn("\npmpod_store_rows 32\n", text)

    def end_of(self, peer):
        """All that comes until the other side has ended the connection."""
        heard = b""
        try:
            while part := peer.recv(4096):
                heard += part
        except ConnectionError:
            pass
        return heard

    def test_plain_http_gets_an_end(self):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.port), timeout=ENOUGH_S) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                self.assertNotIn(b"200 OK", self.end_of(peer))
        self.alive()

    def test_half_a_handshake_gets_an_end(self):
        for begun in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            with socket.create_connection(("127.0.0.1", self.port), timeout=ENOUGH_S) as peer:
                if begun:
                    peer.sendall(begun)
                self.end_of(peer)
        self.alive()


if __name__ == "__main__":
    unittest.main()
