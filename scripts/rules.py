#!/usr/bin/env python3
"""The house rules that a machine can check. Prints `path:line: rule` for each breach; exit status 1 if any.

Rust is read with comments and the insides of literals blanked out, so a rule sees code only.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 500

# What a module must not name. Key and values are first path segments below the crate.
ABOVE_PLAN = {"canon", "bind", "nodes", "keys", "rewrite", "eval", "delta", "apply"}
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

SQL_HOMES = ("crates/ivm/src/sql", "src/catalog", "src/capture", "src/pg")
STATEMENT = re.compile(
    r"\bselect\b.*\bfrom\b|\binsert\s+into\b|\bupdate\s+\S+\s+set\b|\bdelete\s+from\b|\bmerge\s+into\b"
    r"|\Aselect\s|\A(create|alter|drop|truncate|lock|comment\s+on)\s+(or\s+replace\s+|unlogged\s+|temp\s+|unique\s+)?"
    r"(table|view|index|function|trigger|schema|sequence|only)\b",
    re.IGNORECASE | re.DOTALL,
)
TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*)
      | (?P<raw>\b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
      | (?P<str>"(?:\\.|[^"\\])*")
      | (?P<char>'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])')""",
    re.DOTALL | re.VERBOSE,
)


def end_of_block_comment(text, start):
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def code_of(text):
    """The text with comments and literals' insides blanked (same length), and the literals as (start, value)."""
    out, literals, at = [], [], 0
    while token := TOKEN.search(text, at):
        out.append(text[at:token.start()])
        end = end_of_block_comment(text, token.start()) if token["block"] else token.end()
        body = text[token.start():end]
        blank = re.sub(r"[^\n]", " ", body)
        if token["raw"] or token["str"]:
            value = body[body.index('"') + 1:body.rindex('"')]
            literals.append((token.start(), value))
            blank = '"' + blank[1:-1] + '"'
        out.append(blank)
        at = end
    out.append(text[at:])
    return "".join(out), literals


def closing(code, start):
    """Where the bracket that opens at `start` closes."""
    depth = 0
    for mark in re.compile(r"[({\[\])}]").finditer(code, start):
        depth += 1 if mark[0] in "({[" else -1
        if depth == 0:
            return mark.end()
    return len(code)


def test_spans(code):
    """The items under #[cfg(test)]."""
    for mark in re.finditer(r"#\[cfg\((?:any\(|all\()?test\b[^\]]*\]", code):
        body = re.compile(r"[{;]").search(code, mark.end())
        if body:
            yield mark.start(), closing(code, body.start()) if body[0] == "{" else body.end()


def use_tree(text):
    """The paths of a use tree, aliases dropped: `a::{b, c::d}` is a::b and a::c::d."""
    text = text.strip()
    head, brace, rest = text.partition("{")
    if not brace:
        return [text.split(" as ")[0].strip()]
    paths, depth, item = [], 0, ""
    for char in rest[:rest.rfind("}")] + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            paths += [head + path for path in use_tree(item)] if item.strip() else []
            item = ""
        else:
            item += char
    return paths


def named_modules(code, module):
    """(position, top-level module) for every path of this crate that the code names."""
    for found in re.finditer(r"\b(?:crate|super|self)\s*::\s*(?:[\w:\s]*\{)?", code):
        if code[:found.start()].rstrip().endswith("::"):
            continue
        text = found[0]
        if text.endswith("{"):
            text = code[found.start():closing(code, found.end() - 1)]
        else:
            text += re.compile(r"[\w:]*").match(code, found.end())[0]
        for path in use_tree(text):
            parts = [part.strip() for part in path.split("::")]
            base = list(module)
            if parts[0] == "crate":
                base, parts = [], parts[1:]
            while parts and parts[0] in ("self", "super"):
                base = base[:-1] if parts[0] == "super" else base
                parts = parts[1:]
            if full := base + parts:
                yield found.start(), full[0]


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
        marks = {".rs": "//", ".sql": "--", ".md": None, ".out": None}.get(self.path.suffix, "#")
        if marks:
            for found in re.finditer(rf"^\s*{marks}\s*[-=─━═*~]{{3,}}", self.text, re.M):
                self.breach(found.end(), "a banner comment")

    def check_rust(self):
        path, name = self.path, self.path.as_posix()
        self.code, self.literals = code_of(self.text)
        is_test = path.stem == "tests" or {"tests", "benches", "demo"} & set(path.parts[:-1])
        self.tests = [(0, len(self.text))] if is_test else list(test_spans(self.code))
        if (lines := self.text.count("\n")) > MAX_LINES:
            self.report(path, lines, f"more than {MAX_LINES} lines")
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
        if not re.match(r"crates/ivm/src/canon(/|\.rs)", name):
            self.forbid(r"\bsqlparser\b", "only ivm::canon knows sqlparser")
        for base, denied in (("crates/ivm/src", IVM_DENIED), ("src", SRC_DENIED)):
            if path.is_relative_to(base):
                self.check_arrows(path.relative_to(base), denied)
                self.check_sql()

    def in_test(self, position):
        return any(start <= position < end for start, end in self.tests)

    def forbid(self, pattern, rule, tests=True):
        for found in re.finditer(pattern, self.code):
            if tests or not self.in_test(found.start()):
                self.breach(found.start(), rule)

    def check_sessions(self):
        """The session with our rights takes no text that was made at run time, so that none of a user gets there."""
        for block in re.finditer(r"\bimpl\s+Session\s*(?=\{)", self.code):
            end = closing(self.code, block.end())
            for found in re.finditer(r":\s*(?:&\s*(?:mut\s+)?str\b|&?\s*C?String\b|&\s*CStr\b|impl\b[^,)]*\bstr\b)", self.code[block.end():end]):
                self.breach(block.end() + found.start(), "a catalog session takes only text that is 'static")

    def check_arrows(self, relative, denied):
        module = list(relative.with_suffix("").parts)
        if module[-1] in ("mod", "lib"):
            module.pop()
        if not module:
            return
        for position, named in named_modules(self.code, module):
            if named in denied.get(module[0], ()) and not self.in_test(position):
                self.breach(position, f"{module[0]} must not know {named}")

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


def main():
    breaches = []

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
    for path, line, rule in sorted(breaches):
        print(f"{path}:{line}: {rule}")
    return 1 if breaches else 0


sys.exit(main())
