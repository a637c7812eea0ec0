#!/usr/bin/env python3
"""The house rules that a machine can check. Prints `path:line: rule` for each breach; exit status 1 if any.

Rust is read with comments and the insides of literals blanked out, so a rule sees code only.
"""

import base64
import hashlib
import json
import pathlib
import re
import subprocess
import sys

from rust import Crate, closing, code_of, functions, test_spans

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = {False: 450, True: 500}  # of code, of tests
MAX_FUNCTION = 80

# What a module must not name. Key and values are first path segments below the crate.
ABOVE_PLAN = {"canon", "bind", "nodes", "keys", "rewrite", "testing", "delta", "apply"}
IVM_DENIED = {
    "sql": ABOVE_PLAN | {"plan"},
    "expr": ABOVE_PLAN | {"plan"},
    **{module: {"delta", "apply"} for module in ABOVE_PLAN | {"plan"}},
    "delta": {"apply"},
    "apply": set(),
}
LAYERS = [{"pg"}, {"catalog", "frontend", "capture"}, {"refresh"}, {"api", "worker"}]
SRC_DENIED = {
    module: set().union(*LAYERS[height + 1:]) for height, layer in enumerate(LAYERS) for module in layer
}
SRC_DENIED["catalog"] |= {"capture"}
SRC_DENIED["api"] |= {"worker"}
SRC_DENIED["worker"] |= {"api"}
# Words that have a plainer one: a process or a row is "it", and a concept has the word of the field.
PLAIN_WORDS = re.compile(
    r"\b(?:confess\w*|hungr?(?:er|y)|stirs?|heed\w*|rehears\w*|stand_still|make_room|untidy|tidy|blame\w*|doubt\w*"
    r"|somebody|nobody|anybody|whoever|he|him|his)\b",
    re.IGNORECASE,
)
PLAIN_NAMES = re.compile(r"\b(?:NEARLY|NOTABLY|GONE|COME|Fared|Fate|Verdict|fn (?:aim|learn|bring|feed))\b")
DENIED = {"crates/ivm/src": IVM_DENIED, "src": SRC_DENIED}
# Files that import each other, because what they read or write is nested in itself.
NESTED = [
    {"testing::memory::expr", "testing::memory::infer"},
]

SQL_HOMES = ("crates/ivm/src/sql", "src/catalog", "src/capture", "src/pg")
STATEMENT = re.compile(
    r"\bselect\b.*\bfrom\b|\binsert\s+into\b|\bupdate\s+\S+\s+set\b|\bdelete\s+from\b|\bmerge\s+into\b"
    r"|\Aselect\s|\A(create|alter|drop|truncate|lock|comment\s+on)\s+(or\s+replace\s+|unlogged\s+|temp\s+|unique\s+)?"
    r"(table|view|index|function|trigger|schema|sequence|only)\b",
    re.IGNORECASE | re.DOTALL,
)


class File:
    def __init__(self, path, report):
        self.path, self.report = path, report
        self.text = (ROOT / path).read_text(encoding="utf-8")

    def breach(self, position, rule):
        self.report(self.path, self.text.count("\n", 0, position) + 1, rule)

    def check_text(self):
        # Split, so that this file keeps its own rules.
        for found in re.finditer(r"\b(TO" r"DO|FIX" r"ME)\b", self.text):
            self.breach(found.start(), "an open end belongs in an issue")
        for found in re.finditer(r"(?<![\w.~$}/-])/(wor" r"k|roo" r"t|hom" r"e)(?=[/\s\"'`]|$)", self.text, re.M):
            self.breach(found.start(), "a path of one machine")
        if self.path.name != "rules.py":
            for found in [*PLAIN_WORDS.finditer(self.text), *PLAIN_NAMES.finditer(self.text)]:
                self.breach(found.start(), f"{found[0]} has a plainer word")
        if self.path.suffix == ".md":
            for found in re.finditer(r"\]\((?!\w+:|#)([^)#\s]+)", self.text):
                if not (ROOT / self.path.parent / found[1]).exists():
                    self.breach(found.start(), f"no file {found[1]}")
        if self.path.suffix == ".html":
            self.check_policy()
        marks = {".rs": "//", ".sql": "--", ".md": None, ".out": None}.get(self.path.suffix, "#")
        if marks:
            for found in re.finditer(rf"^\s*{marks}\s*[-=─━═*~]{{3,}}", self.text, re.M):
                self.breach(found.end(), "a banner comment")

    def check_policy(self):
        """A page's content policy names the hashes of its script and its style, or the browser would run neither."""
        for tag in ("script", "style"):
            for block in re.finditer(rf"<{tag}>(.*?)</{tag}>", self.text, re.S):
                digest = base64.b64encode(hashlib.sha256(block[1].encode()).digest()).decode()
                if f"{tag}-src 'sha256-{digest}'" not in self.text:
                    self.breach(block.start(), f"the content policy must have {tag}-src 'sha256-{digest}'")

    def check_rust(self):
        path, name = self.path, self.path.as_posix()
        self.code, self.literals = code_of(self.text)
        is_test = path.stem == "tests" or bool({"tests", "benches", "demo"} & set(path.parts[:-1]))
        self.tests = [(0, len(self.text))] if is_test else list(test_spans(self.code))
        if (lines := self.text.count("\n")) > MAX_LINES[is_test]:
            self.report(path, lines, f"more than {MAX_LINES[is_test]} lines")
        if not name.startswith("src/pg/"):
            self.forbid(r"(?<!#\[)\bunsafe\b", "unsafe outside src/pg")
        if path.is_relative_to("src"):
            # A name for the life of a process is no text of SQL.
            self.forbid(r"\bleak\s*\((?![^()]*\binto_boxed_c_str\b)", "text made at run time is not 'static")
            self.forbid(r"\b(?:Spi|SpiClient)\s*::|\bprelude\b", "SQL is run in a session of src/pg/spi.rs")
            self.check_sessions()
        self.forbid(r"#\[ignore\b", "an ignored test")
        self.forbid(r"\ballow\(dead_code\)", "dead code is deleted, not allowed")
        self.forbid(r"\.unwrap\(\)|\.expect\(\s*[rbc]?#*\"", "unwrap or expect outside tests", tests=False)
        for position, function, lines in functions(self.code):
            if lines > MAX_FUNCTION and not self.in_test(position):
                self.breach(position, f"{function} has more than {MAX_FUNCTION} lines")
        if any(path.is_relative_to(base) for base in DENIED):
            self.check_sql()

    def in_test(self, position):
        return any(start <= position < end for start, end in self.tests)

    def forbid(self, pattern, rule, tests=True):
        for found in re.finditer(pattern, self.code):
            if tests or not self.in_test(found.start()):
                self.breach(found.start(), rule)

    def check_sessions(self):
        """The session with our rights takes no text that was made at run time, so that none of a user gets there."""
        for block in re.finditer(r"\bimpl\s+Session\b[^{]*(?=\{)", self.code):
            end = closing(self.code, block.end())
            for found in re.finditer(r":\s*(?:&\s*(?:mut\s+)?str\b|&?\s*C?String\b|&\s*CStr\b|impl\b[^,)]*\bstr\b)", self.code[block.end():end]):
                self.breach(block.end() + found.start(), "a catalog session takes only text that is 'static")

    def check_sql(self):
        if any(re.match(rf"{home}(/|\.rs)", self.path.as_posix()) for home in SQL_HOMES):
            return
        for found in re.finditer(r"\b(?:format|write|writeln|format_args)!\s*(?=[({\[])", self.code):
            end = closing(self.code, found.end())
            for start, value in self.literals:
                if found.end() < start < end and STATEMENT.search(value) and not self.in_test(start):
                    self.breach(start, "SQL text built outside the places that make SQL")


def files():
    """Everything that is or would be committed."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        names = [name for name in names if not name.startswith(("target/", ".git/"))]
    skipped = {"Cargo.lock", "LICENSE"}
    return sorted(pathlib.Path(name) for name in set(names) - skipped if (ROOT / name).is_file())


def check_arrows(base, files, report):
    """Layers and circles of a crate, from what its files import."""
    code = {}
    for file in files:
        blank = file.code
        for start, end in file.tests:
            blank = blank[:start] + re.sub(r"[^\n]", " ", blank[start:end]) + blank[end:]
        code[file.path] = blank
    crate = Crate(base, code)
    by_path = {file.path: file for file in files}
    for module, path in crate.files.items():
        for position, home in crate.arrows(module):
            if module and home and home[0] in DENIED[base].get(module[0], ()):
                by_path[path].breach(position, f"{module[0]} must not know {home[0]}")
    for circle in crate.circles():
        if not any(set(circle) <= nested for nested in NESTED):
            report(pathlib.Path(base), 0, "files that import each other: " + ", ".join(circle))


def check_versions(report):
    """PGXN's description names the version of the workspace."""
    version = re.search(r'^\[workspace\.package\]\nversion = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    meta = json.loads((ROOT / "META.json").read_text())
    if {meta["version"], *(extension["version"] for extension in meta["provides"].values())} != {version}:
        report(pathlib.Path("META.json"), 1, f"the version is {version} in Cargo.toml")


def main():
    breaches, sources = [], {base: [] for base in DENIED}

    def report(path, line, rule):
        breaches.append((path.as_posix(), line, rule))

    for path in files():
        try:
            file = File(path, report)
        except UnicodeDecodeError:
            continue
        file.check_text()
        if path.suffix == ".rs":
            file.check_rust()
            for base, found in sources.items():
                if path.is_relative_to(base):
                    found.append(file)
    for base, found in sources.items():
        check_arrows(base, found, report)
    check_versions(report)
    for path, line, rule in sorted(breaches):
        print(f"{path}:{line}: {rule}")
    return 1 if breaches else 0


sys.exit(main())
