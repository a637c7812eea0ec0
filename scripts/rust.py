"""Reads Rust as far as the house rules need it: code without comments and literals, tests, and what imports what."""

import re

TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*)
      | (?P<raw>\b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
      | (?P<str>"(?:\\.|[^"\\])*")
      | (?P<char>'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])')""",
    re.DOTALL | re.VERBOSE,
)
USE = re.compile(r"\b(?P<public>pub(?:\s*\([^)]*\))?\s+)?use\s+(?P<tree>[^;]+);")


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


def functions(code):
    """(position, name, lines) of every function with a body, signature included."""
    for found in re.finditer(r"\bfn\s+(\w+)", code):
        body = re.compile(r"[{;]").search(code, found.end())
        if body and body[0] == "{":
            yield found.start(), found[1], code.count("\n", found.start(), closing(code, body.start())) + 1


def imports(tree):
    """A use tree as (path, name): `a::{b as x, c::self}` is (a::b, x) and (a::c, c)."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        path, _, alias = (part.strip() for part in head.partition(" as "))
        path = path.removesuffix("::self")
        return [(path, alias or path.split("::")[-1])]
    pairs, depth, item = [], 0, ""
    for char in rest[:rest.rfind("}")] + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            pairs += imports(head.strip() + item.strip()) if item.strip() else []
            item = ""
        else:
            item += char
    return pairs


class Crate:
    """The modules of a crate that have a file of their own, as tuples of names, without its tests."""

    def __init__(self, base, code):
        """`code` maps the path of each file to its code, from which tests are blanked."""
        self.files, self.code = {}, {}
        for path, text in code.items():
            parts = path.relative_to(base).with_suffix("").parts
            module = parts[:-1] if parts[-1] in ("mod", "lib") else parts
            self.files[module], self.code[module] = path, text
        self.children = {module: set(re.findall(r"\bmod\s+(\w+)\s*;", text)) for module, text in self.code.items()}
        self.imported = {module: {} for module in self.code}
        for module, text in self.code.items():
            for found in USE.finditer(text):
                for path, name in imports(found["tree"]):
                    if full := self.absolute(path, module):
                        self.imported[module][name] = full

    def absolute(self, path, module):
        """A path of this crate from its root, or None for one of another crate."""
        parts = tuple(part.strip() for part in path.split("::"))
        if parts[0] == "crate":
            return parts[1:]
        if parts[0] in self.children[module]:
            return module + parts
        if parts[0] not in ("self", "super"):
            return None
        while parts and parts[0] in ("self", "super"):
            module = module[:-1] if parts[0] == "super" else module
            parts = parts[1:]
        return module + parts

    def home(self, path, seen=frozenset()):
        """The module that defines what a path names: re-exports are followed."""
        at = next(at for at in range(len(path), -1, -1) if path[:at] in self.files)
        module, rest = path[:at], path[at:]
        if rest and rest[0] in self.imported[module] and (module, rest[0]) not in seen:
            return self.home(self.imported[module][rest[0]] + rest[1:], seen | {(module, rest[0])})
        return module

    def arrows(self, module):
        """(position, module) for every path of this crate that a module's code names. A re-export is no arrow."""
        code = self.code[module]
        for found in USE.finditer(code):
            if not found["public"]:
                for path, _ in imports(found["tree"]):
                    if full := self.absolute(path, module):
                        yield found.start(), self.home(full)
        heads = "|".join(["crate", "self", "super", *self.children[module]])
        body = USE.sub(lambda use: re.sub(r"[^\n]", " ", use[0]), code)
        for found in re.finditer(rf"(?<![\w:])(?:{heads})(?:\s*::\s*\w+)+", body):
            yield found.start(), self.home(self.absolute(found[0], module))

    def circles(self):
        """Sets of files that import each other. That a file names its own parent's items ties no circle."""
        edges = {
            module: {home for _, home in self.arrows(module) if home != module[:len(home)]} for module in self.code
        }
        reach = {module: set(homes) for module, homes in edges.items()}
        for middle in reach:
            for homes in reach.values():
                if middle in homes:
                    homes |= reach[middle]
        circles = {frozenset(other for other in homes if module in reach[other]) for module, homes in reach.items() if module in homes}
        return sorted(sorted("::".join(module) for module in circle) for circle in circles)
