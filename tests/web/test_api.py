"""The JSON interface against its own description: schemathesis draws requests, good and bad, from openapi.json and holds the
answers against it; /metrics is read by Prometheus' own parser."""
import json
import unittest

import support

support.enter_venv(__file__)
try:
    import hypothesis
    import schemathesis
    from prometheus_client.parser import text_string_to_metric_families
except ImportError as error:
    support.skip(str(error))

EXAMPLES = 25
ROLES = {"judge": "labeler", "run": "observer", "people": "observer"}


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = support.Daemon().start()
        cls.daemon.append(64)
        cls.sessions = {role: cls.daemon.session(role) for role in ("labeler", "observer", "operator")}
        status, document = cls.daemon.request("GET", "/openapi.json")
        assert status == 200
        cls.document = document
        cls.schema = schemathesis.openapi.from_dict(document)
        cls.schema.config.update(base_url=cls.daemon.base)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.end()

    def bearer(self, path, method):
        operation = self.document["paths"][path][method]
        if operation["security"] == []:
            return None
        if path == "/api/control":
            return self.sessions["operator"]
        if path == "/api/session":  # to be ended: one of its own
            return self.daemon.session("observer", "brief")
        return self.sessions[ROLES[operation["tags"][0]]]

    def drawn(self, path, method):
        operation = self.schema[path][method]

        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[hypothesis.Phase.generate],
                             suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
                          | operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
        def ask(case):
            if path == "/api/control" and isinstance(case.body, dict) and case.body.get("action") == "stop":
                return
            bearer = self.bearer(path, method)
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            answer = case.call(headers=headers, timeout=30)
            if answer.status_code in (414, 431):  # a head that libmicrohttpd has no room for: it comes to no route
                return
            checks = ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
            if answer.status_code != 413:  # a refusal too, which the check of refusals does not know
                checks.append("negative_data_rejection")
            case.validate_response(answer, checks=schemathesis.checks.CHECKS.get_by_names(checks))
            self.assertNotEqual(500, answer.status_code, answer.text)
            self.assertEqual("nosniff", answer.headers["x-content-type-options"][0])

        ask()

    def test_answers_are_as_described(self):
        for path, operations in self.document["paths"].items():
            for method in operations:
                if path == "/api/live":  # it never ends
                    continue
                with self.subTest(f"{method} {path}"):
                    self.drawn(path, method)

    def test_every_route_is_described(self):
        """What the daemon answers at all, and only that, is in the document."""
        for path, operations in self.document["paths"].items():
            path = path.replace("{item}", "1:0").replace("{index}", "0")
            for method in ("GET", "POST", "DELETE"):
                status, said = self.daemon.request(method, path, body={} if method == "POST" else None)
                self.assertEqual(method.lower() not in operations, status == 405, f"{method} {path}: {status} {said}")

    def test_a_session_is_wanted_where_it_says_so(self):
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                path = path.replace("{item}", "1:0").replace("{index}", "0")
                status, _ = self.daemon.request(method.upper(), path, body={} if method == "post" else None, session="0" * 32)
                if operation["security"] == [{"session": []}]:
                    self.assertEqual(401, status, f"{method} {path}")

    def test_metrics_parse(self):
        status, text = self.daemon.request("GET", "/metrics")
        self.assertEqual(200, status)
        families = {f.name: f for f in text_string_to_metric_families(text)}
        self.assertGreater(len(families), 80)
        self.assertEqual("counter", families["pmpod_rpc_requests"].type)
        self.assertEqual(64, families["pmpod_store_rows"].samples[0].value)
        self.assertEqual("painter", families["pmpod_actor_rows"].samples[0].labels["actor"])
        self.assertEqual(1, families["pmpod_info"].samples[0].value)
        names = [(s.name, tuple(s.labels.items())) for f in families.values() for s in f.samples]
        self.assertEqual(len(names), len(set(names)))
        for family in families.values():
            self.assertTrue(family.documentation and family.name.startswith("pmpod_"), family)


if __name__ == "__main__":
    unittest.main()
