"""Reading YAML that somebody wrote by hand: what it would silently take for another is refused."""

import yaml

from medvision.errors import ConfigError

_HINT = "indent with spaces, put a space after each colon, close every bracket and quote."
_TIME = "a time is given in minutes as a plain number; put quotes round what is a text."
_TWICE = "keep one of the two."


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without its last-one-wins and its numbers to base 60."""

    # An anchor is a text or none; the stubs say otherwise.
    def compose_mapping_node(self, anchor: dict[object, yaml.Node]) -> yaml.MappingNode:
        """Refuse a key that is given twice, before merged keys are added."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value != "<<" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value} a second time"
                    raise yaml.MarkedYAMLError(
                        problem=problem, problem_mark=key.start_mark, note=_TWICE
                    )
                seen.add(key.value)
        return node

    def construct_plain_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse 2:00:00, which YAML 1.1 reads as 7200."""
        if ":" in node.value:
            problem = f"{node.value}, which YAML reads as a number to base 60,"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark, note=_TIME)
        is_int = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_plain_number)


def parse_yaml(text: str, *, where: str) -> object:
    """Parse YAML, strictly.

    Args:
        text: One document.
        where: What an error calls it, such as `config.yaml: file`.

    Returns:
        Its plain values; none of an empty document.

    Raises:
        ConfigError: It is no YAML, names a key twice, or writes a number to base 60.

    Source:
        YAML 1.1, https://yaml.org/type/int.html and float.html; 3.2.1.3 on equal keys.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader's child
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{where} must be readable YAML, got {_describe(error)}.",
            getattr(error, "note", None) or _HINT,
        ) from error


def _describe(error: yaml.YAMLError) -> str:
    """Return a fault of YAML in one line, with its place."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "no YAML"
    return f"{problem} at line {mark.line + 1}, column {mark.column + 1}" if mark else str(problem)
