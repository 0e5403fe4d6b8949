"""Small changes to the wording of an English question."""

import re

from ragqa.followups.english_parse import is_name, tokens

END = re.compile(r"[\s?.!]+$")


def upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """In lower case at the beginning, unless a name begins there."""
    first = tokens(text)[:1]
    keep = not first or is_name(first[0], first=True) or first[0].text.isupper()
    return text if keep else text[:1].lower() + text[1:]


def without_article(text: str) -> str:
    return re.sub(r"^(?:the|a|an)\s+", "", text, flags=re.IGNORECASE)


def stem(word: str) -> str:
    return re.sub(r"(?:['’]s|e?s|ing|ed)$", "", word.lower())
