"""What the folders may include, how long a function may be, and what every header says first.

The edges are those of the architecture page in docs/; a second table names where each library's headers may be used.
"""
import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("PMP_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
FUNCTION_LINES_MAX = 90

# folder -> folders of this tree that it may include from; the longest folder that fits a file counts.
CLIENT = ["base", "proto", "clients/libpmpo"]
ACTING = CLIENT + ["policy", "clients/libpmpo-policy", "actors/runtime"]
EDGES = {
    "base": ["base"],
    "proto": ["base", "proto"],
    "auth": ["base", "auth"],
    "store": ["base", "auth/chain.h", "store"],
    "policy": ["base", "policy"],
    "learner": ["base", "policy", "learner"],
    "daemon": ["base", "auth", "proto", "store", "policy", "learner", "daemon"],
    "clients/libpmpo": CLIENT,
    "clients/libpmpo-policy": CLIENT + ["policy", "clients/libpmpo-policy"],
    "clients/pmpo-eval": ["base", "policy/dist", "learner/objective", "clients/pmpo-eval"],
    "clients/pmpoctl": CLIENT + ["auth", "clients/pmpoctl"],
    "actors/runtime": ACTING,
    "actors/bandit": ACTING + ["actors/bandit"],
    "actors/control": ACTING + ["actors/control"],
    "actors": ACTING + ["actors"],
    "examples": ACTING[:-1],
    "experiments": ["base", "policy", "learner", "actors/bandit/function.h", "experiments"],
}

# A library's header -> files or folders that may include it (tests and benchmarks may include all).
THIRD_PARTY = {
    r"sqlite3": ["store"],
    r"zstd": ["store"],
    r"xxhash": ["store", "policy", "learner", "clients/pmpoctl"],
    r"jansson": ["auth", "policy", "learner", "daemon", "clients/pmpoctl", "clients/pmpo-eval", "experiments", "actors/control"],
    r"(oneapi/dnnl/)?dnnl": ["policy/nn/compute_cpu.c", "policy/nn/products.c"],
    r"omp\.h": ["policy", "learner"],
    r"uv\.h|uv/": ["daemon"],
    r"nng/": ["daemon", "clients/libpmpo"],
    r"(mbedtls|psa)/": ["clients/pmpoctl/certificate.c", "daemon/listen.c"],
    r"cyaml/|yaml\.h": ["daemon", "clients/pmpoctl"],
    r"microhttpd": ["daemon"],
    r"sodium": ["auth", "daemon"],
    r"systemd/": ["daemon"],
    r"n?curses|panel\.h|term\.h": ["clients/pmpoctl"],
    r"mujoco/": ["actors/control"],
    r"png\.h": ["actors/control/render_film.c"],
    r"(EGL|GL)/": ["actors/control/render_gl.c"],
    r"protobuf-c/|.*\.pb-c\.h": ["proto"],
    r"cmocka": [],
}

# Pure functions over arrays: no input or output, no memory of their own, no clock.
PURE = ["learner/objective", "learner/label", "policy/dist"]
IMPURE_INCLUDE = re.compile(r"(stdio|time|unistd|fcntl|pthread|signal|sys/.*|base/(fs|clock|log|ring))\.h")
IMPURE_CALL = re.compile(r"\b(malloc|calloc|realloc|free|aligned_alloc|printf|fopen|time|clock_gettime)\(")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def below(path, folder):
    return path == folder or path.startswith(folder + "/")


def sources(*suffixes):
    for folder in ["tests", "bench", *EDGES]:
        if "/" in folder:
            continue
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in suffixes:
                yield file.relative_to(ROOT).as_posix(), file.read_text()
    for file in sorted((ROOT / "clients").rglob("*")):
        if file.suffix in suffixes:
            yield file.relative_to(ROOT).as_posix(), file.read_text()


def is_free(path):
    """Tests and benchmarks may look everywhere."""
    return below(path, "tests") or below(path, "bench")


def includes():
    for path, text in sources(".c", ".h"):
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if found and not is_free(path):
                yield path, number, found.group(1), found.group(2)


def edge_of(path):
    fitting = [folder for folder in EDGES if below(path, folder)]
    return max(fitting, key=len) if fitting else None


FUNCTION = re.compile(r"^(?![\s#}/])[^;={}]*\([^;{}]*\)\s*\{\n.*?^\}", re.S | re.M)


def long_functions(path, text):
    """Signatures start in the first column, and bodies close by a `}` there."""
    for found in FUNCTION.finditer(text):
        lines = found.group(0).count("\n") + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}:{text.count(chr(10), 0, found.start()) + 1}: {lines} lines"


class Layout(unittest.TestCase):
    def none(self, problems):
        if problems:
            self.fail("\n" + "\n".join(problems))

    def test_there_is_something_to_check(self):
        self.assertGreater(sum(1 for _ in includes()), 10)

    def test_includes_follow_the_edges(self):
        problems = []
        for path, number, _, name in includes():
            ours = name.split("/")[0] in {folder.split("/")[0] for folder in EDGES} and (ROOT / name).exists()
            if ours and not any(below(name, folder) for folder in EDGES[edge_of(path)]):
                problems.append(f"{path}:{number}: {edge_of(path)} may not include {name}")
        self.none(problems)

    def test_includes_are_written_from_the_root(self):
        problems = []
        for path, number, quote, name in includes():
            if "../" in name or (quote == '"' and ((ROOT / path).parent / name).exists() and not (ROOT / name).exists()):
                problems.append(f"{path}:{number}: write the path from the root of the tree, not {name}")
        self.none(problems)

    def test_libraries_stay_in_their_folders(self):
        problems = []
        for path, number, _, name in includes():
            for pattern, allowed in THIRD_PARTY.items():
                if re.match(pattern, name) and not any(below(path, place) for place in allowed):
                    problems.append(f"{path}:{number}: {name} belongs to {', '.join(allowed) or 'no folder'}")
        self.none(problems)

    def test_pure_folders_are_pure(self):
        problems = []
        for path, text in sources(".c", ".h"):
            if not any(below(path, folder) for folder in PURE):
                continue
            for number, line in enumerate(text.splitlines(), 1):
                found = INCLUDE.match(line)
                if (found and IMPURE_INCLUDE.fullmatch(found.group(2))) or IMPURE_CALL.search(line):
                    problems.append(f"{path}:{number}: {line.strip()}")
        self.none(problems)

    def test_functions_fit_a_screen_and_a_bit(self):
        problems = []
        for path, text in sources(".c", ".h"):
            problems.extend(long_functions(path, text))
        self.none(problems)

    def test_headers_say_what_they_are_for(self):
        problems = []
        for path, text in sources(".h"):
            comment = re.match(r"/\*(.*?)\*/", text, re.S)
            if not comment or len(comment.group(1).split()) < 4:
                problems.append(f"{path}: starts without a comment that says what it is for")
        self.none(problems)

    def test_only_main_exits(self):
        problems = []
        for path, text in sources(".c", ".h"):
            if is_free(path) or path.endswith("main.c") or below(path, "examples"):
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(r"(^|[^\w.>])_?exit\(", line):
                    problems.append(f"{path}:{number}: {line.strip()}")
        self.none(problems)


class Checks(unittest.TestCase):
    """The checks themselves find what they are for."""

    def test_a_long_function_is_found(self):
        body = "  x();\n" * FUNCTION_LINES_MAX
        self.assertEqual(1, len(list(long_functions("f.c", "static int f(int a,\n             int b) {\n" + body + "}\n"))))
        self.assertEqual(0, len(list(long_functions("f.c", "static const int t[] = {\n" + body + "};\n"))))
        self.assertEqual(0, len(list(long_functions("f.c", "int f(void);\n\nint g(void) {\n  x();\n}\n" + body))))

    def test_the_longest_folder_counts(self):
        self.assertEqual("clients/libpmpo-policy", edge_of("clients/libpmpo-policy/x.c"))
        self.assertEqual("clients/libpmpo", edge_of("clients/libpmpo/x.c"))
        self.assertEqual("actors", edge_of("actors/main.c"))


if __name__ == "__main__":
    unittest.main()
